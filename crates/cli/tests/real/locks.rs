//! Two operators at once.

use std::time::Duration;

use super::place::{Place, Ran, image, wait};

#[test]
fn real_the_second_of_two_deploys_is_refused_and_told_who_holds_the_lock() {
    let place = Place::with_web("lock", &image("one", &[]));
    let slow = image("slow", &[("HEALTHY_AFTER_MS", "4000")]);
    let first = place.begin(&["deploy", "web", "--image", &slow, "--yes"]);
    wait("the first deploy to begin", Duration::from_secs(20), || {
        let count = place.releases().len();
        if count == 2 { Ok(()) } else { Err(format!("{count} releases")) }
    });
    let second = place
        .command(&["deploy", "web", "--image", &image("two", &[]), "--yes", "--no-wait"])
        .env("USER", "second")
        .output()
        .unwrap();
    Ran::of(second).ended(4).says("is being changed by `up` by ").says("hint:");
    Ran::of(first.wait_with_output().unwrap()).done();
    assert_eq!(place.service("web")["release"], "r2");
    place.run(&["deploy", "web", "--image", &image("two", &[]), "--yes"]).done();
}
