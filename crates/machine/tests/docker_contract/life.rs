//! Starting, stopping, ending, failing, being healthy.

use std::time::Duration;

use machine::docker::{ContainerDetail, ContainerSpec, DockerError, Health, Restart, State, Stats};

use crate::ground::{Ground, Program, SOON};

const GRACE: Duration = Duration::from_secs(10);

pub(crate) async fn starting_a_running_container_changes_nothing(ground: &Ground) {
    let id = ground.sleeper("web").await;
    let before = ground.detail(&id).await;
    ground.docker().start(&id).await.unwrap();
    assert_eq!(ground.detail(&id).await, before);
}

pub(crate) async fn a_stopped_container_keeps_its_exit_code_and_gives_back_its_address(ground: &Ground) {
    let id = ground.sleeper("web").await;
    ground.docker().stop(&id, GRACE).await.unwrap();
    let detail = ground.detail(&id).await;
    assert_eq!((detail.state, detail.exit_code, detail.pid), (State::Exited, Some(143), None));
    assert!(detail.finished_ms >= detail.started_ms, "{detail:?}");
    assert!(detail.networks.values().all(|place| place.address.is_none()), "{detail:?}");
    ground.docker().stop(&id, GRACE).await.unwrap();
}

pub(crate) async fn a_stopped_container_can_be_started_again(ground: &Ground) {
    let id = ground.sleeper("web").await;
    ground.docker().stop(&id, GRACE).await.unwrap();
    ground.docker().start(&id).await.unwrap();
    let detail = ground.detail(&id).await;
    assert_eq!((detail.state, detail.exit_code, detail.restart_count), (State::Running, None, 0));
    assert!(detail.networks["bridge"].address.is_some());
}

pub(crate) async fn a_container_that_ignores_the_polite_signal_is_made_to_end(ground: &Ground) {
    let id = ground.run(&ground.container("web", Program::SleepsThroughSignals)).await;
    ground.docker().stop(&id, Duration::from_millis(100)).await.unwrap();
    let detail = ground.detail(&id).await;
    assert_eq!((detail.state, detail.exit_code, detail.oom_killed), (State::Exited, Some(137), false));
}

pub(crate) async fn a_container_that_ends_by_itself_shows_its_code(ground: &Ground) {
    let id = ground.run(&ground.container("job", Program::Exits(3))).await;
    let detail = ground.until("the end of the job", &id, |detail| detail.state == State::Exited).await;
    assert_eq!((detail.exit_code, detail.oom_killed, detail.restart_count), (Some(3), false, 0));
}

pub(crate) async fn a_signal_to_a_stopped_container_is_a_conflict(ground: &Ground) {
    let id = ground.docker().create(&ground.container("web", Program::Sleeps)).await.unwrap();
    let refused = ground.docker().kill(&id, "SIGKILL").await;
    assert!(matches!(refused, Err(DockerError::Conflict { .. })), "{refused:?}");
}

pub(crate) async fn a_killed_container_shows_the_signal_in_its_code(ground: &Ground) {
    let id = ground.sleeper("web").await;
    ground.docker().kill(&id, "SIGKILL").await.unwrap();
    let detail = ground.until("the end of the killed", &id, |detail| detail.state == State::Exited).await;
    assert_eq!((detail.exit_code, detail.oom_killed), (Some(137), false));
}

/// An engine learns of the want of memory and of the end in two messages. Where the second overtakes the first it keeps
/// to "killed", so it is asked of several containers; what it never does is to name another end.
pub(crate) async fn a_container_out_of_memory_says_so(ground: &Ground) {
    let mut said = Vec::new();
    for name in ["first", "second", "third", "fourth"] {
        let id = ground.run(&ground.container(name, Program::RunsOutOfMemory)).await;
        let detail = ground.until("the end of the hungry", &id, |detail| detail.state == State::Exited).await;
        assert_eq!(detail.exit_code, Some(137), "{detail:?}");
        said.push(detail.oom_killed);
        if detail.oom_killed {
            return;
        }
    }
    panic!("out of memory {} times, and not once was it said", said.len());
}

pub(crate) async fn a_failing_container_is_restarted_as_often_as_its_policy_says(ground: &Ground) {
    let spec = ContainerSpec { restart: Restart::OnFailure(2), ..ground.container("job", Program::Exits(3)) };
    let id = ground.run(&spec).await;
    let detail = ground
        .until("the last restart", &id, |detail| detail.restart_count == 2 && detail.state == State::Exited)
        .await;
    assert_eq!((detail.exit_code, detail.restart), (Some(3), Restart::OnFailure(2)));
}

pub(crate) async fn a_passing_check_makes_a_container_healthy(ground: &Ground) {
    let id = ground.run(&ground.container("web", Program::Healthy)).await;
    assert_eq!(ground.detail(&id).await.health, Some(Health::Starting));
    ground.until("health", &id, |detail| detail.health == Some(Health::Healthy)).await;
    ground.docker().stop(&id, GRACE).await.unwrap();
    assert_eq!(ground.detail(&id).await.health, None, "what does not run has no health");
}

pub(crate) async fn a_failing_check_makes_a_container_unhealthy(ground: &Ground) {
    let id = ground.run(&ground.container("web", Program::Unhealthy)).await;
    let detail = ground.until("ill health", &id, |detail| detail.health == Some(Health::Unhealthy)).await;
    assert_eq!(detail.state, State::Running, "Docker itself does nothing about ill health");
}

pub(crate) async fn a_container_without_a_check_has_no_health(ground: &Ground) {
    let id = ground.sleeper("web").await;
    assert_eq!(ground.detail(&id).await.health, None);
}

pub(crate) async fn a_listing_tells_health_too(ground: &Ground) {
    let id = ground.run(&ground.container("web", Program::Unhealthy)).await;
    ground.until("ill health", &id, |detail| detail.health == Some(Health::Unhealthy)).await;
    let listed = || async { ground.docker().list(&[ground.label()], true).await.unwrap() };
    assert_eq!(listed().await.iter().map(|one| one.health).collect::<Vec<_>>(), [Some(Health::Unhealthy)]);
    ground.docker().stop(&id, GRACE).await.unwrap();
    assert_eq!(listed().await.iter().map(|one| one.health).collect::<Vec<_>>(), [None]);
}

pub(crate) async fn a_check_can_be_run_from_outside(ground: &Ground) {
    for (program, passes) in [(Program::Healthy, true), (Program::Unhealthy, false)] {
        let id = ground.run(&ground.container(if passes { "web" } else { "api" }, program)).await;
        let settled = |detail: &ContainerDetail| detail.health.is_some_and(|health| health != Health::Starting);
        let detail = ground.until("a verdict", &id, settled).await;
        let check = detail.health_check.unwrap();
        let probe = ground.docker().probe(&id, &check.words(), check.timeout).await.unwrap();
        assert_eq!(probe.exit_code == Some(0), passes, "{probe:?}");
    }
    let id = ground.sleeper("none").await;
    assert_eq!(ground.detail(&id).await.health_check, None);
}

pub(crate) async fn a_command_inside_tells_how_it_ended(ground: &Ground) {
    let id = ground.sleeper("web").await;
    let run = |words: &[&str], timeout| {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let (docker, id) = (ground.docker(), id.clone());
        async move { docker.probe(&id, &words, timeout).await }
    };
    assert_eq!(run(&["true"], SOON).await.unwrap().exit_code, Some(0));
    assert_eq!(run(&["false"], SOON).await.unwrap().exit_code, Some(1));
    assert_eq!(run(&["sleep", "300"], Duration::from_secs(2)).await.unwrap().exit_code, None);
    ground.nothing_runs(&id, "sleep 300").await;
    ground.docker().stop(&id, GRACE).await.unwrap();
    let error = run(&["true"], SOON).await.unwrap_err();
    assert!(matches!(error, DockerError::Conflict { .. }), "{error}");
}

pub(crate) async fn a_running_container_uses_something_and_a_stopped_one_nothing(ground: &Ground) {
    let id = ground.sleeper("web").await;
    testkit::wait_for("use of processor and memory", SOON, || async {
        let stats = ground.docker().stats(&id).await.unwrap();
        if stats.cpu_ns > 0 && stats.memory_bytes > 0 { Ok(()) } else { Err(format!("{stats:?}")) }
    })
    .await;
    ground.docker().stop(&id, GRACE).await.unwrap();
    assert_eq!(ground.docker().stats(&id).await.unwrap(), Stats::default());
}

/// A database that writes its memory to disk is given the time for it: no limit of the client cuts the wait.
pub(crate) async fn a_container_gets_the_whole_of_its_grace(ground: &Ground) {
    let id = ground.run(&ground.container("db", Program::EndsSlowly)).await;
    testkit::wait_for("the program to speak", SOON, || async {
        let log = ground.docker().logs(&id, 10).await.unwrap();
        if log == ["up"] { Ok(()) } else { Err(format!("{log:?}")) }
    })
    .await;
    ground.docker().stop(&id, Duration::from_secs(20)).await.unwrap();
    let detail = ground.detail(&id).await;
    assert_eq!((detail.state, detail.exit_code), (State::Exited, Some(143)));
}
