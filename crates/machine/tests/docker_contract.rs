//! What `Docker` promises, as one set of tests that run against the fake and against a real engine.
//!
//! A rule that the fake keeps and the engine does not is a lie in every test above; one the other way round is a
//! surprise in production. So no case knows which of the two it meets.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a panic is how a test fails")]

#[path = "docker_contract/containers.rs"]
mod containers;
#[path = "docker_contract/ground.rs"]
mod ground;
#[path = "docker_contract/images.rs"]
mod images;
#[path = "docker_contract/life.rs"]
mod life;
#[path = "docker_contract/networks.rs"]
mod networks;
#[path = "docker_contract/streams.rs"]
mod streams;
#[path = "docker_contract/volumes.rs"]
mod volumes;

/// Lists the cases once and makes two tests of each.
macro_rules! contract {
    ($($room:ident: $($case:ident)+;)+) => {
        mod fake {
            $($(#[tokio::test] async fn $case() { crate::$room::$case(&crate::ground::Ground::fake()).await; })+)+
        }
        mod real {
            $($(#[tokio::test] async fn $case() { crate::$room::$case(&crate::ground::Ground::real().await).await; })+)+
        }
    };
}

contract! {
    containers:
        the_engine_tells_its_version
        a_container_that_does_not_exist_is_not_found_by_any_call
        a_created_container_waits_to_be_started
        a_running_container_has_a_process_and_an_address
        a_container_is_found_by_name_by_id_and_by_the_beginning_of_its_id
        a_listing_keeps_to_the_labels_asked_for
        a_name_that_is_taken_cannot_be_given_again
        a_container_of_a_missing_image_cannot_be_created
        a_renamed_container_is_found_under_its_new_name_only
        a_running_container_is_removed_only_by_force
        a_container_tells_what_it_sees_and_how_it_ends
        a_container_tells_the_ports_it_publishes;
    life:
        starting_a_running_container_changes_nothing
        a_stopped_container_keeps_its_exit_code_and_gives_back_its_address
        a_stopped_container_can_be_started_again
        a_container_that_ignores_the_polite_signal_is_made_to_end
        a_container_that_ends_by_itself_shows_its_code
        a_signal_to_a_stopped_container_is_a_conflict
        a_killed_container_shows_the_signal_in_its_code
        a_container_gets_the_whole_of_its_grace
        a_container_out_of_memory_says_so
        a_failing_container_is_restarted_as_often_as_its_policy_says
        a_passing_check_makes_a_container_healthy
        a_failing_check_makes_a_container_unhealthy
        a_container_without_a_check_has_no_health
        a_listing_tells_health_too
        a_check_can_be_run_from_outside
        a_command_inside_tells_how_it_ended
        a_running_container_uses_something_and_a_stopped_one_nothing;
    streams:
        the_tail_of_a_log_is_its_last_lines
        a_followed_log_ends_with_its_container
        a_silent_container_can_be_followed
        events_tell_a_life_in_order_and_nothing_of_others
        events_between_the_call_and_the_first_look_are_not_lost
        events_without_labels_are_those_of_every_container
        events_of_the_past_come_first
        a_signal_shows_in_its_event;
    images:
        an_image_that_is_not_here_is_none
        an_image_is_found_by_its_name_and_by_its_id
        a_second_name_comes_and_goes_without_touching_the_image
        a_name_moves_to_the_image_that_is_tagged_last
        the_last_name_of_an_image_in_use_cannot_be_taken_away
        images_are_listed_by_label_and_by_the_beginning_of_a_name
        an_image_tells_what_it_declares;
    networks:
        a_new_network_has_a_subnet_and_a_gateway_inside_it
        a_network_with_its_own_subnet_has_its_first_address_as_gateway
        a_network_with_a_range_gives_addresses_out_of_it
        a_network_name_that_is_taken_is_a_conflict
        a_network_that_does_not_exist_is_not_found
        networks_are_listed_by_label
        a_network_in_use_cannot_be_removed_and_an_empty_one_can
        containers_of_one_network_have_different_addresses
        a_connected_container_is_on_both_networks_until_it_is_disconnected
        connecting_or_disconnecting_twice_is_a_conflict
        a_container_whose_network_is_gone_cannot_start
        a_network_tells_how_it_was_made_and_who_runs_on_it
        a_container_is_connected_at_the_address_it_asks_for
        an_address_that_cannot_be_had_is_refused;
    volumes:
        a_volume_is_made_once_and_found_by_name_and_label
        a_volume_in_use_cannot_be_removed_even_by_a_stopped_container
        a_volume_that_does_not_exist_is_not_found
        a_volume_tells_its_options_and_its_age
        the_sizes_of_volumes_are_told_by_name
        removing_a_container_never_removes_a_volume;
}
