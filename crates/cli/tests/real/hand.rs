//! What people change by hand is found, and `up` mends it.

use std::time::Duration;

use super::load::ask;
use super::place::{Place, docker, image, wait, web};

fn found(place: &Place) -> Vec<String> {
    let drift = place.run(&["drift", "--json"]).json();
    let findings = drift["findings"].as_array().cloned().unwrap_or_default();
    findings.iter().map(|finding| finding["found"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn real_every_change_by_hand_is_found_and_up_mends_it() {
    let place = Place::new("hand");
    place.compose(&web(
        &image("one", &[]),
        "    environment: {MODE: fast}\n    mem_limit: 64m\n    labels: {team: a}\n",
    ));
    place.platform("0s", "");
    place.run(&["up", "--yes"]).done();
    assert_eq!(found(&place), Vec::<String>::new(), "nothing was changed yet");
    place.run(&["drift", "--check"]).done().says("nothing was changed by hand");

    // Renamed: it gets its name back and goes on running.
    let (r1, id) = (place.container("web", "r1"), |name: &str| docker(&["inspect", "--format", "{{.Id}}", name]));
    let before = id(&r1);
    let odd = format!("{}-odd", place.name);
    docker(&["rename", &r1, &odd]);
    assert_eq!(found(&place), [format!("the container was renamed to `{odd}`")]);
    place.run(&["plan"]).done().says(&format!("name {r1} for the container"));
    place.run(&["up", "--yes"]).done();
    assert_eq!((id(&r1), found(&place)), (before, vec![]));

    // Limits and networks.
    docker(&["update", "--memory", "128m", "--memory-swap", "256m", &r1]);
    let extra = format!("{}-extra", place.name);
    docker(&["network", "create", "--label", &place.label()["label=".len()..], &extra]);
    docker(&["network", "connect", &extra, &r1]);
    assert_eq!(
        found(&place),
        ["memory limit 128 MB instead of 64 MB".to_owned(), format!("it is also on the network {extra}")]
    );
    place.run(&["drift", "--check"]).ended(1).says("mainstay plan");
    place.run(&["plan"]).done().says("changed by hand: memory limit");
    place.run(&["up", "--yes"]).done();
    assert_eq!(found(&place), Vec::<String>::new());

    // Made again by hand with another variable and image, under the right name.
    let r2 = place.container("web", "r2");
    docker(&["rm", "--force", &r2]);
    assert_eq!(found(&place), ["the container is gone"]);
    let network = format!("{}_default", place.name);
    let labels = ["platform", "environment", "service", "release"].map(|key| match key {
        "platform" => format!("dev.mainstay.platform={}", place.name),
        "environment" => "dev.mainstay.environment=production".to_owned(),
        "service" => "dev.mainstay.service=web".to_owned(),
        _ => "dev.mainstay.release=r2".to_owned(),
    });
    let mut words = vec!["run", "--detach", "--name", &r2, "--network", &network, "--env", "MODE=slow-secret"];
    for label in &labels {
        words.extend(["--label", label]);
    }
    let two = image("two", &[]);
    words.push(&two);
    docker(&words);
    let all = found(&place).join("\n");
    for text in ["it runs image ", "variable MODE has another value", "label team is gone", "memory limit unlimited"] {
        assert!(all.contains(text), "`{text}` is not in\n{all}");
    }
    assert!(!all.contains("slow-secret"), "{all}");
    place.run(&["up", "--yes"]).done();
    assert_eq!((found(&place), ask(place.port).as_deref()), (vec![], Ok("one")));
}

#[test]
fn real_an_unknown_container_on_our_network_and_a_stopped_one_are_found() {
    let place = Place::new("stranger");
    place.compose(&web(&image("one", &[]), ""));
    place.platform("0s", "");
    place.run(&["up", "--yes"]).done();
    let network = format!("{}_default", place.name);
    let stranger = format!("{}-stranger", place.name);
    docker(&["run", "--detach", "--name", &stranger, "--network", &network, &image("two", &[])]);
    let seen = found(&place);
    let output = std::process::Command::new("docker").args(["rm", "--force", &stranger]).output().unwrap();
    assert!(output.status.success());
    assert_eq!(seen, [format!("an unknown container is on the network {network}")]);
    docker(&["stop", "--time", "0", &place.container("web", "r1")]);
    wait("the stop by hand to be noted", Duration::from_secs(10), || match found(&place).as_slice() {
        [one] if one.starts_with("the container was stopped by hand at 2") => Ok(()),
        other => Err(format!("{other:?}")),
    });
    place.run(&["up", "--yes"]).done();
    assert_eq!(found(&place), Vec::<String>::new());
}
