//! Clearing away: what nobody needs goes, and nothing else.

use super::load::ask;
use super::place::{Place, docker, image, lines, web};

#[test]
fn real_prune_removes_what_nobody_needs_and_touches_nothing_foreign() {
    let place = Place::new("prune");
    place.compose(&web(&image("one", &[]), ""));
    place.platform("0s", "");
    place.run(&["up", "--yes"]).done();
    for build in ["two", "three"] {
        place.run(&["deploy", "web", "--image", &image(build, &[]), "--yes"]).done();
    }
    let crashing = image("crashing", &[("CRASH_AFTER_MS", "50")]);
    place.run(&["deploy", "web", "--image", &crashing, "--yes"]).ended(3);
    place.run(&["prune", "--plan"]).done().says("container ").says("it failed and never served");

    // Foreign things that look a little like ours, and a stopped container of ours that no release knows.
    let foreign = format!("{}-foreign", place.name);
    docker(&["create", "--name", &foreign, &image("two", &[])]);
    let lost = format!("{}-production-lost", place.name);
    let platform = format!("dev.mainstay.platform={}", place.name);
    docker(&[
        "create",
        "--name",
        &lost,
        "--label",
        &platform,
        "--label",
        "dev.mainstay.environment=production",
        &image("one", &[]),
    ]);
    let networks = [format!("{}-foreign", place.name), format!("{}-production_old", place.name)];
    docker(&["network", "create", &networks[0]]);
    docker(&[
        "network",
        "create",
        "--label",
        &platform,
        "--label",
        "dev.mainstay.environment=production",
        &networks[1],
    ]);
    let all = |kind: &str| {
        let words = match kind {
            "containers" => vec!["ps", "--all", "--format", "{{.Names}}"],
            "volumes" => vec!["volume", "ls", "--format", "{{.Name}}"],
            "images" => vec!["image", "ls", "--format", "{{.Repository}}:{{.Tag}}"],
            _ => vec!["network", "ls", "--format", "{{.Name}}"],
        };
        let mut found: Vec<String> =
            lines(&docker(&words)).into_iter().filter(|name| name.contains(&place.name)).collect();
        found.sort();
        found
    };
    let (volumes, before) = (all("volumes"), all("containers"));
    let names = format!("{}-production-names", place.name);
    assert!(before.len() == 5 && before.contains(&names), "{before:?}");
    let planned = place.run(&["prune", "--plan", "--keep", "1", "--json"]).json();
    assert_eq!(all("containers"), before, "a plan removes nothing");
    place.run(&["prune", "--keep", "1"]).ended(4).says("--yes");
    let ran = place.run(&["prune", "--keep", "1", "--yes"]).done();
    let cleanup = || {
        docker(&["rm", &foreign]);
        docker(&["network", "rm", &networks[0]]);
    };
    let seen = (all("containers"), all("volumes"), all("networks"), all("images"));
    cleanup();
    ran.says("removed").says("freed");
    assert_eq!(planned.as_array().map(Vec::len), Some(6), "{planned:#}");
    let stay = [foreign.clone(), names, place.container("web", "r3")];
    assert_eq!(seen.0, stay, "the serving and the foreign container stay, and what has the names");
    assert_eq!(seen.1, volumes, "volumes are data");
    assert_eq!(seen.2, [networks[0].clone(), format!("{}_default", place.name)]);
    let tags: Vec<&str> = seen.3.iter().map(|tag| tag.rsplit(':').next().unwrap()).collect();
    assert_eq!(tags, ["r2", "r3"], "the image of the kept and of the serving release");
    assert!(
        !docker(&["image", "ls", "--quiet", &image("one", &[])]).is_empty(),
        "an image with a name of its own stays"
    );

    // What a rollback needs is there.
    place.run(&["rollback", "web", "--yes"]).done();
    assert_eq!(ask(place.port).as_deref(), Ok("two"));
    place.run(&["prune", "--yes"]).done().says("Nothing to remove");
    let told = place.run(&["events", "--kind", "operate.prune", "--json"]).done().out;
    assert!(told.contains("r1"), "it is written down: {told}");
}
