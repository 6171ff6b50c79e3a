//! What variables mean is what plain Compose makes of them: the same files, brought up by both, give the same contents.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use super::place::{Place, Ran, lines};
use super::takeover::quiet;

const ENV: &str = r#"# written once, used by others
DB_PASSWORD=s3cretpw-77
DATABASE_URL=postgres://shop:${DB_PASSWORD}@db/shop
FIRST=one
FIRST=two
LITERAL='${DB_PASSWORD}'
QUOTED="a ${DB_PASSWORD} \n b"
DEFAULT=${NOBODY_HAS_THIS:-fallback}
DOLLARS=a$$b
odd.name=odd
COLON: yes
SPANS="first
second"
OF_SHELL=${FROM_SHELL}
ALONE_IN_SHELL
export EXPORTED=5 # note
"#;
const ROOT: &str = r#"
include:
  - path: app/compose.yaml
    project_directory: app
    env_file: app/app.env
  - part/compose.yaml
services:
  root:
    image: debian:bookworm-slim
    init: true
    command: [sleep, infinity]
    environment: [DATABASE_URL, FIRST, LITERAL, QUOTED, DEFAULT, DOLLARS, odd.name, COLON, SPANS, OF_SHELL, ALONE_IN_SHELL]
    env_file:
      - {path: not-there.env, required: false}
      - {path: raw.env, format: raw}
      - cooked.env
    secrets: [url, first, literal, quoted, default, dollars, odd, spans, of_shell, alone, part, deep, again]
    configs: [{source: cfg, target: /cfg}, {source: inline, target: /inline}]
secrets:
  url: {environment: DATABASE_URL}
  first: {environment: FIRST}
  literal: {environment: LITERAL}
  quoted: {environment: QUOTED}
  default: {environment: DEFAULT}
  dollars: {environment: DOLLARS}
  odd: {environment: odd.name}
  spans: {environment: SPANS}
  of_shell: {environment: OF_SHELL}
  alone: {environment: ALONE_IN_SHELL}
configs:
  cfg: {environment: DATABASE_URL}
  inline: {content: "url ${DATABASE_URL}"}
"#;
const APP: &str = r#"
include: [deep/compose.yaml]
services:
  app:
    image: debian:bookworm-slim
    init: true
    command: [sleep, infinity]
    environment: {TAG: "${TAG_OF_SHELL:-none}", PART: "${PART_PASSWORD}"}
    secrets: [part, again]
secrets:
  part: {environment: PART_PASSWORD}
  again: {environment: DATABASE_URL}
"#;
const DEEP: &str = "secrets: {deep: {environment: DEEP_PASSWORD}}\n";
const PART: &str = "services: {part: {image: debian:bookworm-slim, init: true, command: [sleep, infinity], environment: [OF_PART], secrets: [own]}}\nsecrets: {own: {environment: OF_PART}}\n";
/// Everything that a container was given: variables, secrets, configs.
const SHOW: &str = "for f in /run/secrets/* /cfg /inline; do [ -f $f ] && echo \"== $f\" && cat $f && echo; done; env | grep -v ^HOSTNAME= | sort; echo \"${SPANS}\"; env -0 | tr '\\0' '\\n' | grep odd; true";

fn files(place: &Place) {
    let put = |name: &str, text: &str| {
        let path = place.dir().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    put("compose.yaml", &format!("name: {}\n{ROOT}", place.name));
    put("mainstay.yaml", &quiet(""));
    put(".env", ENV);
    put("raw.env", "RAW=${DB_PASSWORD} \"as it is\" # all of it\n");
    put("cooked.env", "COOKED=${DB_PASSWORD}-${OF_COOKED:-none} # note\n");
    put("app/compose.yaml", APP);
    put("app/app.env", "PART_PASSWORD=only-here-${DB_PASSWORD}\nDB_PASSWORD=the-root-has-it-first\n");
    put("app/deep/compose.yaml", DEEP);
    put("app/deep/.env", "DEEP_PASSWORD=deep-${PART_PASSWORD}\n");
    put("part/compose.yaml", PART);
    put("part/.env", "OF_PART=beside-the-included-file\n");
}

fn with_shell(command: &mut Command) -> Ran {
    let shell = [
        ("FROM_SHELL", "shell-1"),
        ("ALONE_IN_SHELL", "shell-2"),
        ("TAG_OF_SHELL", "shell-3"),
        ("OF_COOKED", "shell-4"),
        ("EXPORTED", "shell-5"),
    ];
    Ran::of(command.envs(shell).stdin(Stdio::null()).output().unwrap()).done()
}

fn shown(place: &Place, label: &str) -> BTreeMap<&'static str, String> {
    let show = |service: &'static str| {
        let ids = place.docker(&[
            "ps",
            "-q",
            "--filter",
            label,
            "--filter",
            &format!("label=com.docker.compose.service={service}"),
        ]);
        let ours = format!("label=dev.mainstay.service={service}");
        let ids = if ids.is_empty() { place.docker(&["ps", "-q", "--filter", label, "--filter", &ours]) } else { ids };
        let ids = lines(&ids);
        assert_eq!(ids.len(), 1, "{service}: {ids:?}");
        (service, place.docker(&["exec", &ids[0], "sh", "-c", SHOW]))
    };
    ["root", "app", "part"].map(show).into()
}

#[test]
fn real_variables_secrets_and_configs_are_what_plain_compose_makes_of_them() {
    let place = Place::in_folder_of_its_name("variables");
    std::fs::create_dir(place.dir()).unwrap();
    files(&place);
    let control = format!("{}-plain", place.name);
    let compose = |words: &[&str]| {
        let mut command = place.docker_command();
        command.args(["compose", "-p", &control]).args(words).current_dir(place.dir());
        with_shell(&mut command)
    };
    compose(&["up", "--detach", "--quiet-pull"]);
    let plain = shown(&place, &format!("label=com.docker.compose.project={control}"));
    compose(&["down", "--timeout", "1", "--volumes"]);
    for text in
        ["postgres://shop:s3cretpw-77@db/shop", "only-here-s3cretpw-77", "deep-only-here-s3cretpw-77", "shell-1"]
    {
        assert!(plain["root"].contains(text), "the control is not what it was meant to be: {text}\n{}", plain["root"]);
    }
    let up = with_shell(&mut place.command(&["up", "--yes"]));
    let ours = shown(&place, &place.label());
    assert_eq!(ours, plain);
    for ran in [up, place.run(&["releases", "--json"]).done(), with_shell(&mut place.command(&["config", "render"]))] {
        for secret in ["s3cretpw-77", "only-here-", "deep-only", "beside-the-included"] {
            assert!(!ran.out.contains(secret) && !ran.err.contains(secret), "{secret}: {ran:#?}");
        }
    }
    let probes = std::fs::read_dir(place.state().join("run")).unwrap().flatten();
    let probes: Vec<_> = probes.filter(|entry| entry.file_name().to_string_lossy().starts_with("variables")).collect();
    assert!(probes.is_empty(), "{probes:?}");
    with_shell(&mut place.command(&["up", "--yes"])).says("Nothing had to be changed");
    // A value that only another value of the file has changed is another value.
    place.write(".env", &ENV.replace("s3cretpw-77", "s3cretpw-78"));
    with_shell(&mut place.command(&["up", "--yes"]));
    assert!(shown(&place, &place.label())["root"].contains("deep-only-here-s3cretpw-78"));
}

#[test]
fn real_an_environment_file_that_compose_cannot_read_is_told_without_its_values() {
    let place = Place::in_folder_of_its_name("variablesbad");
    std::fs::create_dir(place.dir()).unwrap();
    files(&place);
    for (text, line) in [
        ("A=1\nsome words=hunter2-secret\n", "line 2"),
        ("A=\"hunter2-secret\nB=2\n", "line 1"),
        ("hunter2-secret+\n", "line 1"),
        ("A='hunter2-secret'more'\n", "line 1"),
    ] {
        place.write(".env", text);
        std::fs::set_permissions(place.dir().join(".env"), std::fs::Permissions::from_mode(0o600)).unwrap();
        let ran = place.run(&["up", "--yes"]);
        assert_ne!(ran.code, 0, "{text}: {ran:#?}");
        ran.says(line).says(".env");
        assert!(!ran.err.contains("hunter2") && !ran.out.contains("hunter2"), "{ran:#?}");
    }
}
