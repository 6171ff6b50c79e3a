//! Migrations on real daemons: they run once and before anything new starts, a failing one changes nothing, and one that
//! closes the way back says so.

use super::load::{Load, ask};
use super::place::{Place, docker, image, lines};

/// A platform whose `web` has this migration; each run leaves a line in its volume.
fn migrating(place: &Place, kind: &str, script: &str) {
    place.platform("5m", "");
    let written = std::fs::read_to_string(place.dir().join("mainstay.yaml")).unwrap();
    let migrate = format!(
        "    migrate: {{command: [sh, -c, \"echo {kind} >> /data/migrations; {script}\"], kind: {kind}, timeout: 20s}}\n"
    );
    place.write("mainstay.yaml", &format!("{written}\n{migrate}"));
}

fn ran(place: &Place, release: &str) -> Vec<String> {
    lines(&docker(&["exec", &place.container("web", release), "cat", "/data/migrations"]))
}

#[test]
fn real_a_migration_runs_once_before_its_release_and_a_failing_one_leaves_the_old_serving() {
    let place = Place::with_web("migrate", &image("one", &[]));
    migrating(&place, "expand", "exit 0");
    let load = Load::start(place.port);
    place.run(&["deploy", "web", "--image", &image("two", &[]), "--yes"]).done().says("migrat");
    load.end().switched("one", "two");
    assert_eq!(ran(&place, "r2"), ["expand"]);

    migrating(&place, "expand", "echo the column is there already >&2; exit 3");
    let before = place.containers();
    let load = Load::start(place.port);
    let failed = place.run(&["deploy", "web", "--image", &image("three", &[]), "--yes"]);
    assert!(failed.code == 1 || failed.code == 3, "{failed:?}");
    failed.says("the column is there already");
    load.end().only(&["two"]);
    assert_eq!(place.service("web")["release"], "r2");
    let running = |all: Vec<(String, String)>| all.into_iter().filter(|(_, state)| state == "running").count();
    assert_eq!(running(place.containers()), running(before), "nothing new was started");
    assert_eq!(ran(&place, "r2"), ["expand", "expand"]);

    let load = Load::start(place.port);
    place.run(&["rollback", "web", "r1", "--yes"]).done();
    load.end().switched("two", "one");
}

#[test]
fn real_nothing_goes_back_past_a_contracting_migration_unless_it_is_said() {
    let place = Place::with_web("contract", &image("one", &[]));
    migrating(&place, "contract", "exit 0");
    place.run(&["deploy", "web", "--image", &image("two", &[]), "--yes"]).done();
    assert_eq!(ran(&place, "r2"), ["contract"]);
    place.run(&["rollback", "web", "--yes"]).ended(4).says("--past-migration");
    assert_eq!(ask(place.port).as_deref(), Ok("two"));
    let load = Load::start(place.port);
    place.run(&["rollback", "web", "--past-migration", "--yes"]).done();
    load.end().switched("two", "one");
    assert_eq!(ran(&place, "r1"), ["contract"], "going back runs none");
}
