//! Standing orders of operators: pause, lock, maintenance.

use std::time::Duration;

use super::load::ask;
use super::place::{Place, docker, image, wait};

#[test]
fn real_a_paused_platform_is_left_as_it_is_until_it_is_resumed() {
    let place = Place::new("pause");
    place.compose(&super::place::web(&image("one", &[]), ""));
    place.platform("6s", "");
    place.run(&["up", "--yes"]).done();
    place.run(&["deploy", "web", "--image", &image("two", &[]), "--yes"]).done();
    place.run(&["pause", "-m", "database work", "--yes"]).done();

    let deploy = ["deploy", "web", "--image", &image("three", &[]), "--yes"];
    for words in [&deploy[..], &["rollback", "web", "--yes"], &["restart", "web", "--yes"], &["down", "--yes"]] {
        place.run(words).ended(4).says("is paused by").says("database work").says("mainstay resume");
    }
    assert_eq!(ask(place.port).as_deref(), Ok("two"), "traffic goes on");
    place.run(&["status"]).done().says("paused by");
    // The warm release's time is over, and nobody takes it away: several turns of the reconciler pass.
    std::thread::sleep(Duration::from_secs(10));
    assert_eq!(place.containers().len(), 2, "the reconciler leaves it as it is");

    place.run(&["resume", "--yes"]).done();
    wait("the warm release to be taken away", Duration::from_secs(20), || match place.containers().len() {
        1 => Ok(()),
        count => Err(format!("{count} containers")),
    });
    place.run(&deploy).done();
    assert_eq!(ask(place.port).as_deref(), Ok("three"));
}

#[test]
fn real_a_lock_tells_its_message_and_only_its_end_lets_changes_through() {
    let place = Place::with_web("order", &image("one", &[]));
    place.run(&["lock", "-m", "release freeze"]).ended(4).says("--yes");
    place.run(&["lock", "-m", "release freeze", "--yes"]).done();
    place.run(&["up", "--yes"]).ended(4).says("is locked by").says("release freeze").says("mainstay unlock");
    let other = place.command(&["lock", "-m", "mine", "--yes"]).env("USER", "somebody-else").output().unwrap();
    super::place::Ran::of(other).ended(4).says("release freeze");
    place.run(&["unlock", "--yes"]).done();
    place.run(&["up", "--yes"]).done();
}

#[test]
fn real_maintenance_shows_a_page_to_all_but_those_let_through_and_survives_both_processes() {
    let mut place = Place::with_web("closed", &image("one", &[]));
    place.run(&["maintenance", "on", "-m", "back at noon", "--allow", "nowhere", "--yes"]).ended(4).says("no network");
    place.run(&["maintenance", "on", "-m", "back at noon", "--retry-after", "2m", "--yes"]).done();
    let closed = |place: &Place| {
        let answer = ask(place.port).expect_err("a page instead of the service");
        assert!(answer.contains("503") && answer.contains("back at noon"), "{answer}");
    };
    closed(&place);
    assert_eq!(place.status()["platforms"][0]["maintenance"], true);

    // A deploy does not take the page away, and neither does a restart of everything.
    place.run(&["deploy", "web", "--image", &image("two", &[]), "--yes"]).done();
    closed(&place);
    place.run(&["stop"]).done();
    place.start("edge", None);
    place.start("agent", None);
    wait("the edge to serve again", Duration::from_secs(20), || match ask(place.port) {
        Err(answer) if answer.contains("503") => Ok(()),
        other => Err(format!("{other:?}")),
    });
    closed(&place);

    wait("the agent to answer", Duration::from_secs(20), || {
        let ran = place.run(&["maintenance", "on", "--allow", "127.0.0.0/8", "--yes"]);
        if ran.code == 0 { Ok(()) } else { Err(ran.err) }
    });
    assert_eq!(ask(place.port).as_deref(), Ok("two"), "this machine is let through");
    place.run(&["maintenance", "off", "--yes"]).done();
    assert_eq!(ask(place.port).as_deref(), Ok("two"));
    assert!(!docker(&["ps", "--quiet", "--filter", &place.label()]).is_empty());
}
