//! The sample files: what is valid parses and survives a round trip, what is invalid says exactly what its `.txt` says.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on should stop with the cause"
)]

mod support;

use spec::platform::{self, PlatformFile};
use support::{bless, folder};

#[test]
fn every_valid_sample_parses() {
    for (name, text) in folder("samples/valid", "yaml") {
        let parsed = platform::parse(&text, "mainstay.yaml");
        assert!(parsed.is_ok(), "{name}: {}", parsed.expect_err("it was just found to be an error"));
    }
}

#[test]
fn every_valid_sample_is_the_same_after_a_round_trip_through_json() {
    for (name, text) in folder("samples/valid", "yaml") {
        let parsed = platform::parse(&text, "mainstay.yaml").expect("a valid sample");
        let json = serde_json::to_string(&parsed).expect("JSON");
        let again: PlatformFile = serde_json::from_str(&json).unwrap_or_else(|e| panic!("{name}: {e}\n{json}"));
        assert_eq!(parsed, again, "{name}");
    }
}

#[test]
fn hosts_are_kept_as_clients_ask_for_them() {
    let (_, text) = folder("samples/valid", "yaml")
        .into_iter()
        .find(|(name, _)| name == "hosts_with_wildcards_and_beyond_ascii")
        .expect("the sample");
    let parsed = platform::parse(&text, "mainstay.yaml").expect("a valid sample");
    let json = serde_json::to_value(&parsed).expect("JSON");
    let hosts: Vec<_> = json["services"]["web"]["routes"]
        .as_array()
        .expect("routes")
        .iter()
        .map(|route| route["host"].as_str().unwrap_or_default())
        .collect();
    assert_eq!(hosts, ["*.shop.example.com", "xn--bcher-kva.example.com", "*.xn--bcher-kva.example", "*.localhost"]);
    assert_eq!(json["environments"]["production"]["domain"], "xn--bcher-kva.example");
}

#[test]
fn every_invalid_sample_says_what_is_expected_beside_it() {
    let samples = folder("samples/invalid", "yaml");
    assert!(samples.len() >= 12, "only {} invalid samples", samples.len());
    for (name, text) in samples {
        let problems = platform::parse(&text, "mainstay.yaml").expect_err(&name);
        bless(&format!("samples/invalid/{name}.txt"), &format!("{problems}\n"));
    }
}

#[test]
fn every_problem_of_an_invalid_sample_has_its_place_and_what_was_found() {
    for (name, text) in folder("samples/invalid", "yaml") {
        for problem in platform::parse(&text, "mainstay.yaml").expect_err(&name).iter() {
            assert!(problem.line > 0 && problem.column > 0, "{name}: {problem}");
            assert!(!problem.found.is_empty() && !problem.message.is_empty(), "{name}: {problem}");
        }
    }
}

#[test]
fn no_expected_message_is_left_without_its_sample() {
    let samples: Vec<String> = folder("samples/invalid", "yaml").into_iter().map(|(name, _)| name).collect();
    for (name, _) in folder("samples/invalid", "txt") {
        assert!(samples.contains(&name), "{name}.txt has no {name}.yaml");
    }
}

#[test]
fn the_commented_example_parses_and_uses_every_key_there_is() {
    let parsed = platform::parse(spec::EXAMPLE, "example.yaml").unwrap_or_else(|problems| panic!("{problems}"));
    let written = serde_json::to_value(&parsed).expect("JSON").to_string();
    for key in support::keys_of_the_schema() {
        // `route` is another word for `routes`, and `check` is only needed where there is no path.
        if !["check", "route"].contains(&key.as_str()) {
            assert!(written.contains(&format!("\"{key}\"")), "the example does not show `{key}`");
        }
    }
}
