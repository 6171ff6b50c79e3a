//! Reading the platform file, key by key, in the order of the reference.

mod edge;
mod limits;
mod notification;
mod replace;
mod route;
mod service;
mod trust;

use super::reader::{At, Fields, Reader, anything, flag, id, join, list, named, text, unit, whole, word};
use super::{Environment, Hook, Hooks, Intruders, LimitSettings, PlatformFile, Promises, ResourceMode, VERSION};
use crate::problem::{Problem, Problems, nearest};
use crate::units::{Bytes, Money, Percent, parse_duration};
use crate::yaml::{self, Shape};

const RESOURCE_MODES: [(&str, ResourceMode); 2] = [("fit", ResourceMode::Fit), ("declared", ResourceMode::Declared)];
const INTRUDERS: [(&str, Intruders); 2] = [("stop", Intruders::Stop), ("report", Intruders::Report)];

pub(super) fn platform_file(text: &str, file: &str) -> Result<PlatformFile, Problems> {
    let (root, problems) = yaml::parse(text, file);
    let mut reader = Reader::new(file);
    reader.problems = problems;
    let read = match &root {
        Some(root) if root.shape != Shape::Null => platform(&At::root(root), &mut reader),
        // After a syntax error the file only looks empty; one problem says enough.
        _ if !reader.problems.is_empty() => None,
        _ => {
            reader.problems.0.push(empty(file));
            None
        }
    };
    let read = read.map(|read| PlatformFile { source: std::mem::take(&mut reader.source), ..read });
    reader.problems.or(read)
}

fn empty(file: &str) -> Problem {
    Problem {
        file: file.to_owned(),
        line: 1,
        column: 1,
        found: "nothing".to_owned(),
        allowed: "at least `version: 1`".to_owned(),
        message: "the platform file is empty".to_owned(),
        ..Problem::default()
    }
}

fn platform(at: &At<'_>, r: &mut Reader) -> Option<PlatformFile> {
    let mut f = Fields::open(at, "the platform file", r)?;
    let version = f.require(r, "version", "version: 1", version);
    let read = PlatformFile {
        version: version.unwrap_or(VERSION),
        platform: f.get(r, "platform", |at, r| id(at, r, "the platform's name")),
        compose: f.get(r, "compose", |at, r| list(at, r, path)),
        resources: f.get(r, "resources", |at, r| word(at, r, "way to treat resources", &RESOURCE_MODES)),
        default_environment: f.get(r, "default_environment", |at, r| id(at, r, "the default environment")),
        require_environment: f.get(r, "require_environment", |at, r| flag(at, r, "require_environment")),
        keep_releases: f.get(r, "keep_releases", |at, r| whole(at, r, "keep_releases", 1, 100)),
        environments: f
            .get(r, "environments", |at, r| named(at, r, "the list of environments", environment))
            .unwrap_or_default(),
        services: f
            .get(r, "services", |at, r| named(at, r, "the list of services", service::settings))
            .unwrap_or_default(),
        all_or_nothing: f.get(r, "all_or_nothing", |at, r| flag(at, r, "all_or_nothing")),
        intruders: f.get(r, "intruders", |at, r| word(at, r, "way to treat intruders", &INTRUDERS)),
        hooks: f.get(r, "hooks", hooks).unwrap_or_default(),
        notifications: f.get(r, "notifications", |at, r| list(at, r, notification::notification)).unwrap_or_default(),
        promises: f.get(r, "promises", promises).unwrap_or_default(),
        extensions: f.beginning("x-").into_iter().map(|(key, at)| (key.to_owned(), anything(at.node))).collect(),
        source: super::Source::default(),
    };
    f.close(r, &["x-"]);
    check_default_environment(&read, r);
    Some(read)
}

fn version(at: &At<'_>, r: &mut Reader) -> Option<u32> {
    let written = text(at, r, "the version")?;
    if written == "1" {
        return Some(VERSION);
    }
    r.refuse(at, "this version of the format is not known", "1");
    None
}

fn check_default_environment(read: &PlatformFile, r: &mut Reader) {
    let Some(default) = &read.default_environment else { return };
    if read.environments.is_empty() || read.environments.contains_key(default) {
        return;
    }
    let known: Vec<&str> = read.environments.keys().map(AsRef::as_ref).collect();
    let (line, column) = r.source.place("default_environment");
    r.problems.0.push(Problem {
        file: r.source.file.clone(),
        line,
        column,
        path: "default_environment".to_owned(),
        found: default.to_string(),
        allowed: known.join(", "),
        nearest: nearest(default.as_ref(), known.iter().copied()),
        message: "this environment is not among the environments".to_owned(),
    });
}

fn environment(at: &At<'_>, r: &mut Reader) -> Option<Environment> {
    let mut f = Fields::open(at, "an environment", r)?;
    let read = Environment {
        domain: f.get(r, "domain", service::host),
        env_file: f.get(r, "env_file", |at, r| list(at, r, path)),
        compose: f.get(r, "compose", |at, r| list(at, r, path)),
        profiles: f.get(r, "profiles", |at, r| list(at, r, profile)),
        edge: f.get(r, "edge", edge::edge),
        resources: f.get(r, "resources", |at, r| word(at, r, "way to treat resources", &RESOURCE_MODES)),
        limits: f.get(r, "limits", host_limits),
        host: f.get(r, "host", |at, r| list(at, r, machine)),
        confirm: f.get(r, "confirm", |at, r| flag(at, r, "confirm")),
        services: f
            .get(r, "services", |at, r| named(at, r, "the list of services", service::settings))
            .unwrap_or_default(),
    };
    f.close(r, &[]);
    Some(read)
}

fn host_limits(at: &At<'_>, r: &mut Reader) -> Option<LimitSettings> {
    let mut f = Fields::open(at, "limits", r)?;
    let read = LimitSettings {
        cpus: f.get(r, "cpus", cpus),
        memory: f.get(r, "memory", |at, r| unit(at, r, "memory", Bytes::parse)),
    };
    f.close(r, &[]);
    Some(read)
}

fn cpus(at: &At<'_>, r: &mut Reader) -> Option<f64> {
    let number = text(at, r, "cpus")?.parse::<f64>().ok().filter(|cpus| (0.01..=4096.0).contains(cpus));
    if number.is_none() {
        r.refuse(at, "this is not a number of processors", "a number from 0.01 to 4096, such as `0.5`");
    }
    number
}

fn hooks(at: &At<'_>, r: &mut Reader) -> Option<Hooks> {
    let mut f = Fields::open(at, "the hooks", r)?;
    let mut hook_list = |r: &mut Reader, key| f.get(r, key, |at, r| list(at, r, hook)).unwrap_or_default();
    let read = Hooks {
        pre_build: hook_list(r, "pre_build"),
        pre_deploy: hook_list(r, "pre_deploy"),
        post_deploy: hook_list(r, "post_deploy"),
        deploy_failed: hook_list(r, "deploy_failed"),
        post_rollback: hook_list(r, "post_rollback"),
    };
    f.close(r, &[]);
    Some(read)
}

fn hook(at: &At<'_>, r: &mut Reader) -> Option<Hook> {
    let mut f = Fields::open(at, "a hook", r)?;
    let command = f.require(r, "command", "command: [./announce.sh, started]", service::command);
    let timeout = f.get(r, "timeout", |at, r| unit(at, r, "timeout", parse_duration));
    let service = f.get(r, "service", |at, r| id(at, r, "the service of a hook"));
    f.close(r, &[]);
    Some(Hook { command: command?, timeout, service })
}

fn promises(at: &At<'_>, r: &mut Reader) -> Option<Promises> {
    let mut f = Fields::open(at, "the promises", r)?;
    let mut time = |r: &mut Reader, key| f.get(r, key, |at, r| unit(at, r, key, parse_duration));
    let mut read = Promises {
        rollback: time(r, "rollback"),
        deploy: time(r, "deploy"),
        recovery: time(r, "recovery"),
        data_loss: time(r, "data_loss"),
        alert: time(r, "alert"),
        response: time(r, "response"),
        ..Promises::default()
    };
    read.uptime = f.get(r, "uptime", |at, r| unit(at, r, "uptime", Percent::parse));
    for (key, at) in f.beginning("cost_per_") {
        r.source.note(&join("promises", key), at.node.line, at.node.column);
        read.costs.extend(unit(&at, r, key, Money::parse).map(|price| (key.to_owned(), price)));
    }
    f.close(r, &["cost_per_"]);
    Some(read)
}

fn path(at: &At<'_>, r: &mut Reader) -> Option<String> {
    text(at, r, "a file").map(str::to_owned)
}

fn machine(at: &At<'_>, r: &mut Reader) -> Option<String> {
    text(at, r, "a host name or machine id").map(str::to_owned)
}

fn profile(at: &At<'_>, r: &mut Reader) -> Option<String> {
    text(at, r, "a profile").map(str::to_owned)
}
