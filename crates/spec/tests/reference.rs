//! What is generated from the code is the same as what is committed, and the crate keeps its own rules.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on should stop with the cause"
)]

mod support;

use spec::resolve::{HostSize, resolve};
use spec::{Bytes, EnvironmentName, init, platform, render};
use support::{bless, here, read};

const HOST: HostSize = HostSize { cpus: 16.0, memory: Bytes::gib(64) };

#[test]
fn the_json_schema_of_the_platform_file_is_up_to_date() {
    let text = serde_json::to_string_pretty(&render::schema()).expect("JSON");
    bless("../../docs/reference/platform-file.schema.json", &(text + "\n"));
}

#[test]
fn the_reference_page_of_the_platform_file_is_up_to_date() {
    bless("../../docs/reference/platform-file.md", &render::reference());
}

#[test]
fn the_reference_explains_every_key() {
    let page = render::reference();
    for line in page.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.split(" | ").collect();
        assert!(cells.iter().all(|cell| !cell.trim_matches([' ', '|']).is_empty()), "{line}");
    }
}

#[test]
fn the_schema_and_the_reader_know_the_same_keys() {
    // A wrong key at every level makes the reader name all keys that it knows there.
    let text = "version: 1\nnope: 1\nenvironments: {e: {nope: 1, edge: {nope: 1, https: 1, certificates: {chain: a, key: a, nope: 1}, tls: {nope: 1}, access_log: {nope: 1}, shedding: {in_flight: 1, nope: 1}, tcp: {listen: 2, service: s, nope: 1}}, limits: {nope: 1}}}\nservices: {s: {nope: 1, health: {nope: 1}, routes: [{redirect: {to: /, nope: 1}}, {nope: 1, hsts: {nope: 1}, sticky: {nope: 1}, headers: {nope: 1, request: {nope: 1}}, limits: {nope: 1, rate: {requests: 1, nope: 1}}}], edge_health: {nope: 1}, outlier: {nope: 1}, soak: {nope: 1}, canary: {nope: 1}, migrate: {command: [a], nope: 1}, rolling: {nope: 1}, finish: {stop_taking: [a], nope: 1}, hold: {nope: 1}}}\nnotifications: [{webhook: 'http://x', nope: 1}]\nhooks: {nope: 1, pre_build: {command: [a], nope: 1}}\npromises: {nope: 1}";
    let problems = platform::parse(text, "f").expect_err("problems");
    let mut known: std::collections::BTreeSet<String> =
        problems.iter().flat_map(|problem| problem.allowed.split(", ").map(str::to_owned)).collect();
    known.retain(|key| !key.ends_with("..."));
    assert_eq!(known, support::keys_of_the_schema());
}

#[test]
fn a_first_platform_file_for_every_compose_sample_parses_and_means_what_would_be_derived() {
    let production = EnvironmentName::parse("production").expect("a name");
    for (name, project) in support::projects() {
        let text = init::platform_file(&project);
        bless(&format!("samples/compose/{name}.init.yaml"), &text);
        let file =
            platform::parse(&text, "mainstay.yaml").unwrap_or_else(|problems| panic!("{name}: {problems}\n{text}"));
        let written = resolve(&file, &project, &production, &HOST).unwrap_or_else(|p| panic!("{name}: {p}\n{text}"));
        let bare = platform::parse("version: 1\nenvironments: {production: {profiles: ['*']}}", "f").expect("a file");
        let derived = resolve(&bare, &project, &production, &HOST).expect("a platform");
        assert_eq!(written.services.len(), derived.services.len(), "{name}");
        let doors =
            |platform: &spec::Platform| (platform.http.clone(), platform.edge.tcp.clone(), platform.edge.ports.clone());
        assert_eq!(doors(&written), doors(&derived), "{name}");
        for (a, b) in written.services.iter().zip(&derived.services) {
            let told = |s: &spec::ServicePlan| (s.name.clone(), s.strategy, s.port, s.routes.clone(), s.health.clone());
            assert_eq!(told(a), told(b), "{name}");
        }
    }
}

#[test]
fn a_first_platform_file_of_a_broken_project_tells_the_problem_and_still_parses() {
    let json = serde_json::json!({ "name": "My Shop!", "services": { "a": { "image": "a", "depends_on": ["a"] } } });
    let text = init::platform_file(&spec::Project::from_json(json).expect("a project"));
    let file = platform::parse(&text, "f").unwrap_or_else(|problems| panic!("{problems}\n{text}"));
    assert_eq!(file.platform.expect("a name").as_str(), "my-shop");
    assert!(text.contains("# ") && text.contains("wait for each other"), "{text}");
}

#[test]
fn the_lints_of_this_crate_repeat_every_entry_of_the_workspace() {
    let own = read(&here("clippy.toml"));
    let shared = read(&here("../../clippy.toml"));
    for line in shared.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        assert!(own.lines().any(|found| found.trim() == line), "clippy.toml of spec lacks: {line}");
    }
}

#[test]
fn this_crate_needs_nothing_that_runs_or_touches_anything() {
    let manifest = read(&here("Cargo.toml"));
    let needed = manifest.split("[dependencies]").nth(1).and_then(|rest| rest.split("[dev-dependencies]").next());
    for line in needed.expect("dependencies").lines().filter(|line| line.contains('=')) {
        let name = line.split(['.', ' ', '=']).next().unwrap_or_default();
        let allowed = ["idna", "serde", "serde_json", "serde-saphyr", "schemars", "strsim", "thiserror"];
        assert!(allowed.contains(&name), "`{name}` is not needed for words");
    }
}
