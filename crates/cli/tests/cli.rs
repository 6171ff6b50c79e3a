//! The binary as an operator meets it before there is any Docker: help, invalid files, generated texts.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and starts the binary as a person would"
)]

use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// A folder, a state folder, and no engine.
struct Desk {
    dir: TempDir,
    state: TempDir,
}

struct Ran {
    code: i32,
    out: String,
    err: String,
}

const COMPOSE: &str = "services:\n  web:\n    image: web:1\n    ports: [\"8080:80\"]\n  worker:\n    image: worker:1\n";

const VERBS: [&str; 30] = [
    "init",
    "doctor",
    "config",
    "plan",
    "up",
    "deploy",
    "canary",
    "rollback",
    "releases",
    "restart",
    "promote",
    "drift",
    "diff",
    "pause",
    "resume",
    "lock",
    "unlock",
    "maintenance",
    "follow",
    "prune",
    "events",
    "status",
    "top",
    "logs",
    "exec",
    "down",
    "release-to-compose",
    "completion",
    "upgrade",
    "stop",
];

impl Desk {
    fn new(files: &[(&str, &str)]) -> Desk {
        let desk = Desk { dir: tempfile::tempdir().unwrap(), state: tempfile::tempdir().unwrap() };
        for (name, text) in files {
            std::fs::write(desk.dir.path().join(name), text).unwrap();
        }
        desk
    }

    fn run(&self, words: &[&str]) -> Ran {
        self.run_with(Path::new("/nowhere/docker.sock"), words)
    }

    fn run_with(&self, engine: &Path, words: &[&str]) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mainstay"));
        command.arg("--root").arg(self.state.path()).arg("-C").arg(self.dir.path()).args(words).stdin(Stdio::null());
        let output = command.env("DOCKER_HOST", format!("unix://{}", engine.display())).output().unwrap();
        Ran {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        let _ = self.run(&["stop"]);
    }
}

#[test]
fn every_verb_has_help_with_an_example() {
    let desk = Desk::new(&[]);
    let overview = desk.run(&["--help"]);
    let without: Vec<&str> =
        VERBS.iter().copied().filter(|verb| !desk.run(&[verb, "--help"]).out.contains("Example")).collect();
    assert!(without.is_empty(), "verbs without an example: {without:?}");
    for verb in VERBS {
        assert!(overview.out.contains(&format!("\n  {verb} ")), "`{verb}` is not in the overview");
    }
    assert!(overview.out.contains("Exit codes:"));
}

#[test]
fn all_problems_of_a_platform_file_are_told_at_once_each_with_its_place() {
    let file =
        "version: 1\nplatform: shop\nservices:\n  web:\n    strategy: blue-grean\n    port: 99999\n    drain: 5\n";
    let desk = Desk::new(&[("compose.yaml", COMPOSE), ("mainstay.yaml", file)]);
    let ran = desk.run(&["plan"]);
    assert_eq!(ran.code, 2, "{}", ran.err);
    for place in ["mainstay.yaml:5:15:", "mainstay.yaml:6:11:", "mainstay.yaml:7:12:"] {
        assert!(ran.err.contains(place), "{place} is not in\n{}", ran.err);
    }
    assert!(ran.err.contains("blue-green"), "{}", ran.err);
}

#[test]
fn a_service_that_nobody_knows_is_named_with_those_that_are_known() {
    let desk = Desk::new(&[
        ("compose.yaml", COMPOSE),
        ("mainstay.yaml", "version: 1\nplatform: shop\nservices:\n  wep: {port: 80}\n"),
    ]);
    // An engine that is there and says nothing: reading the files needs no more.
    let engine = desk.state.path().join("engine.sock");
    let _engine = std::os::unix::net::UnixListener::bind(&engine).unwrap();
    let ran = desk.run_with(&engine, &["plan"]);
    assert_eq!(ran.code, 2, "{}", ran.err);
    for word in ["wep", "web", "worker", "mainstay.yaml:4:3:"] {
        assert!(ran.err.contains(word), "`{word}` is not in\n{}", ran.err);
    }
}

#[test]
fn a_folder_without_a_compose_file_is_refused_with_what_was_looked_for() {
    for words in [&["plan"][..], &["up", "--yes"], &["init", "--print"]] {
        let ran = Desk::new(&[]).run(words);
        assert_eq!(ran.code, 2, "{words:?}: {}", ran.err);
        assert!(ran.err.contains("compose.yaml") && ran.err.contains("hint:"), "{}", ran.err);
    }
}

#[test]
fn an_environment_that_belongs_elsewhere_is_refused_before_anything_is_started() {
    let file = "version: 1\nplatform: shop\nenvironments:\n  production:\n    host: [db9.example.com, 4f1c9e]\n";
    let desk = Desk::new(&[("compose.yaml", COMPOSE), ("mainstay.yaml", file)]);
    for words in [&["up", "--yes"][..], &["deploy", "web", "--yes"]] {
        let ran = desk.run(words);
        assert_eq!(ran.code, 4, "{words:?}: {}", ran.err);
        for word in ["shop (production)", "db9.example.com, 4f1c9e", "environments.production.host"] {
            assert!(ran.err.contains(word), "`{word}` is not in\n{}", ran.err);
        }
    }
    assert!(!desk.state.path().join("run").exists(), "no agent was started for it");
}

#[test]
fn an_environment_must_be_named_where_the_file_says_so() {
    let file = "version: 1\nplatform: shop\nrequire_environment: true\nenvironments: {production: {}, staging: {}}\n";
    let desk = Desk::new(&[("compose.yaml", COMPOSE), ("mainstay.yaml", file)]);
    let ran = desk.run(&["up", "--yes"]);
    assert_eq!(ran.code, 2, "{}", ran.err);
    assert!(ran.err.contains("require_environment") && ran.err.contains("production, staging"), "{}", ran.err);
}

#[test]
fn unknown_words_are_usage_errors() {
    let desk = Desk::new(&[]);
    for words in [&["deplyo"][..], &["up", "--nonsense"], &["rollback"], &["deploy", "a b"]] {
        assert_eq!(desk.run(words).code, 2, "{words:?}");
    }
}

#[test]
fn the_schema_is_json_and_the_example_is_a_valid_platform_file() {
    let desk = Desk::new(&[]);
    let schema: serde_json::Value = serde_json::from_str(&desk.run(&["config", "schema"]).out).unwrap();
    assert!(schema["properties"]["services"].is_object());
    let example = desk.run(&["config", "example"]).out;
    spec::platform::parse(&example, "mainstay.yaml").unwrap();
}

#[test]
fn what_init_prints_is_a_valid_platform_file_and_init_replaces_nothing() {
    let desk = Desk::new(&[("compose.yaml", COMPOSE)]);
    let printed = desk.run(&["init", "--print"]);
    assert_eq!(printed.code, 0, "{}", printed.err);
    spec::platform::parse(&printed.out, "mainstay.yaml").unwrap();
    assert!(!desk.dir.path().join("mainstay.yaml").exists());

    assert_eq!(desk.run(&["init"]).code, 0);
    assert_eq!(std::fs::read_to_string(desk.dir.path().join("mainstay.yaml")).unwrap(), printed.out);
    let again = desk.run(&["init"]);
    assert_eq!(again.code, 4, "{}", again.err);
    assert!(again.err.contains("exists already") && again.err.contains("--force"));
}

#[test]
fn an_engine_that_does_not_answer_is_named_with_what_to_do() {
    let desk = Desk::new(&[("compose.yaml", COMPOSE)]);
    let ran = desk.run(&["plan"]);
    assert_eq!(ran.code, 1, "{}", ran.err);
    assert!(ran.err.contains("/nowhere/docker.sock") && ran.err.contains("hint:"), "{}", ran.err);
}
