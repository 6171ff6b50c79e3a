//! Three environments of one Compose file on one host, and the way from one to the next.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::place::{Place, docker, image, lines, service};

/// What an environment's own host name answers, on one connection.
fn ask(name: &str, port: u16) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(stream, "GET / HTTP/1.1\r\nhost: {name}.localhost\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default()
}

struct Three {
    place: Place,
    ports: [u16; 3],
}

const NAMES: [&str; 3] = ["dev", "staging", "production"];

impl Three {
    fn new(test: &str, image: &str) -> Three {
        let place = Place::new(test);
        let more = "    volumes: [\"data:/data\"]\n    environment: {STAGE: \"${STAGE}\"}\n    mem_limit: 64m\n";
        place.compose(&service("web", image, more));
        let ports = [testkit::free_port(), testkit::free_port(), place.port];
        let mut file = format!("version: 1\nplatform: {}\nrequire_environment: true\nenvironments:\n", place.name);
        for (name, port) in NAMES.iter().zip(ports) {
            place.write(&format!(".env.{name}"), &format!("STAGE={name}-stage\n"));
            let owner = <std::fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o600);
            std::fs::set_permissions(place.dir().join(format!(".env.{name}")), owner).unwrap();
            let confirm = *name == "production";
            file.push_str(&format!(
                "  {name}:\n    domain: {name}.localhost\n    env_file: .env.{name}\n    edge: {{http: \"127.0.0.1:{port}\"}}\n    confirm: {confirm}\n"
            ));
        }
        file.push_str("services:\n  web: {strategy: blue-green, shared_data: safe, port: 8080, health: {path: /health, budget: 10s}, routes: [{path: /}], drain: 1s, soak: 0s}\n");
        place.write("mainstay.yaml", &file);
        Three { place, ports }
    }
}

impl Drop for Three {
    fn drop(&mut self) {
        for name in ["dev", "staging"] {
            let _ = self.place.command(&["down", "-e", name, "--volumes", "--yes"]).output();
        }
        let _ = self.place.command(&["down", "-e", "production", "--volumes", "--confirm", "production"]).output();
        for name in NAMES {
            let kept = format!("reference=mainstay/{}-{name}/*", self.place.name);
            let found = docker(&["image", "ls", "--filter", &kept, "--format", "{{.Repository}}:{{.Tag}}"]);
            for tag in lines(&found) {
                let _ = std::process::Command::new("docker").args(["rmi", "--no-prune", &tag]).output();
            }
        }
    }
}

#[test]
fn real_three_environments_of_one_compose_file_live_side_by_side_and_images_are_promoted() {
    let one = image("one", &[]);
    let three = Three::new("envs", &one);
    let place = &three.place;
    place.run(&["up", "--yes"]).ended(2).says("require_environment");
    place.run(&["up", "-e", "dev", "--yes"]).done();
    place.run(&["up", "-e", "staging", "--yes"]).done();
    place.run(&["up", "-e", "production", "--yes"]).ended(4).says("--confirm production");
    place.run(&["up", "-e", "production", "--yes", "--confirm", "staging"]).ended(4);
    place.run(&["up", "-e", "production", "--yes", "--confirm", "production"]).done();

    // Each has its own container, network, volume and configuration.
    for (name, port) in NAMES.iter().zip(three.ports) {
        assert_eq!(ask(name, port), "one", "{name}");
        assert!(ask("elsewhere", port).contains("no-route"), "only its own domain is served");
        let container = format!("{}-{name}-web-r1", place.name);
        let is_default = *name == "production";
        let project = if is_default { place.name.clone() } else { format!("{}-{name}", place.name) };
        let seen = docker(&[
            "inspect",
            "--format",
            "{{json .Config.Env}} {{json .NetworkSettings.Networks}} {{json .Mounts}}",
            &container,
        ]);
        for text in [format!("STAGE={name}-stage"), format!("{project}_default"), format!("{project}_data")] {
            assert!(seen.contains(&text), "{text} is not in {seen}");
        }
        for other in NAMES.iter().filter(|other| *other != name) {
            assert!(!seen.contains(&format!("{other}-stage")), "{seen}");
        }
    }
    assert_eq!((place.networks().len(), place.volumes().len()), (3, 3));

    // A new image goes to staging, and from there to production: exactly this one, with production's configuration.
    let two = image("two", &[]);
    place.run(&["deploy", "-e", "staging", "web", "--image", &two, "--yes"]).done();
    assert_eq!([0, 1, 2].map(|one| ask(NAMES[one], three.ports[one])), ["one", "two", "one"]);
    place.run(&["promote", "staging", "staging", "--yes"]).ended(4);
    place
        .run(&["promote", "staging", "production", "--yes"])
        .ended(4)
        .says("--confirm production")
        .says("promotes r2 of staging");
    place.run(&["promote", "staging", "production", "--confirm", "production"]).done().says("promotes r2 of staging");
    assert_eq!(ask("production", three.ports[2]), "two");
    let image_of = |container: &str| docker(&["inspect", "--format", "{{.Image}}", container]);
    let (from, to) = (format!("{}-staging-web-r2", place.name), format!("{}-production-web-r2", place.name));
    assert_eq!(image_of(&from), image_of(&to));
    let env = docker(&["inspect", "--format", "{{json .Config.Env}}", &to]);
    assert!(env.contains("STAGE=production-stage"), "{env}");
    let releases = place.run(&["releases", "-e", "production", "--json"]).json();
    assert_eq!(releases[1]["origin"]["promoted"], serde_json::json!({ "environment": "staging", "release": "r2" }));
    // It stays what was promoted, also when nobody names it.
    place.run(&["up", "-e", "production", "--confirm", "production"]).done().says("Nothing had to be changed");
    place.run(&["down", "-e", "dev", "--yes", "--volumes"]).done();
    assert_eq!([1, 2].map(|one| ask(NAMES[one], three.ports[one])), ["two", "two"]);
}

#[test]
fn real_a_port_that_leads_to_one_environment_is_refused_to_the_next_and_is_free_after_it() {
    let one = image("one", &[]);
    let place = Place::new("doors");
    let (shared, ports) = (testkit::free_port(), [testkit::free_port(), place.port]);
    place.compose(&service("web", &one, ""));
    let environments = ["staging", "production"].iter().zip(ports).map(|(name, port)| {
        format!(
            "  {name}:\n    edge:\n      http: \"127.0.0.1:{port}\"\n      tcp: [{{listen: \"127.0.0.1:{shared}\", service: web, port: 8080}}]\n"
        )
    });
    place.write(
        "mainstay.yaml",
        &format!(
            "version: 1\nplatform: {}\nenvironments:\n{}services:\n  web: {{strategy: blue-green, shared_data: safe, port: 8080, health: {{path: /health, budget: 10s}}, soak: 0s}}\n",
            place.name,
            environments.collect::<String>()
        ),
    );
    place.run(&["up", "-e", "staging", "--yes"]).done();
    for verb in [["plan", "-e", "production"].as_slice(), &["up", "-e", "production", "--yes"]] {
        place.run(verb).ended(4).says(&format!("127.0.0.1:{shared} is taken: {} (staging) has it", place.name));
    }
    assert!(lines(&docker(&["ps", "-aq", "--filter", &format!("name={}-production-", place.name)])).is_empty());
    place.run(&["down", "-e", "staging", "--volumes", "--yes"]).done();
    place.run(&["up", "-e", "production", "--yes"]).done();
    place.run(&["down", "-e", "production", "--volumes", "--yes"]).done();
}

#[test]
fn real_the_same_requests_cannot_lead_to_two_environments_and_a_domain_tells_them_apart() {
    let one = image("one", &[]);
    let place = Place::new("shadow");
    place.compose(&service("web", &one, ""));
    let file = |domain: &str| {
        let environment =
            |name: &str, more: &str| format!("  {name}:\n    edge: {{http: \"127.0.0.1:{}\"}}\n{more}", place.port);
        format!(
            "version: 1\nplatform: {}\nenvironments:\n{}{}services:\n  web: {{strategy: blue-green, shared_data: safe, port: 8080, health: {{path: /health, budget: 10s}}, routes: [{{path: /}}], soak: 0s}}\n",
            place.name,
            environment("staging", ""),
            environment("production", domain)
        )
    };
    place.write("mainstay.yaml", &file(""));
    place.run(&["up", "-e", "staging", "--yes"]).done();
    for verb in [["plan", "-e", "production"].as_slice(), &["up", "-e", "production", "--yes"]] {
        let ran = place.run(verb).ended(4);
        ran.says(&format!("route */ on 127.0.0.1:{} already leads to `web` of {} (staging)", place.port, place.name));
        ran.says("a `domain` of its own");
    }
    assert!(lines(&docker(&["ps", "-aq", "--filter", &format!("name={}-production-", place.name)])).is_empty());
    // What is there goes on, and goes on being changed.
    place.run(&["up", "-e", "staging", "--yes"]).done();
    place.write("mainstay.yaml", &file("    domain: production.localhost\n"));
    place.run(&["up", "-e", "production", "--yes"]).done();
    assert_eq!([ask("production", place.port), ask("staging", place.port)], ["one", "one"]);
    for name in ["production", "staging"] {
        place.run(&["down", "-e", name, "--volumes", "--yes"]).done();
    }
}
