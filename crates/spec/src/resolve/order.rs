//! The order in which services start: each after what it depends on, and otherwise by name.

use std::collections::{BTreeMap, BTreeSet};

use super::scene::{Scene, compose_problem};
use crate::ids::ServiceName;
use crate::problem::{Problem, Problems};

type Waits<'a> = BTreeMap<&'a ServiceName, BTreeSet<&'a ServiceName>>;

/// The active services in starting order; those in a cycle are left out and reported.
pub(super) fn order<'a>(scene: &Scene<'a>, problems: &mut Problems) -> Vec<&'a ServiceName> {
    check_missing(scene, problems);
    let mut waiting: Waits<'a> = scene.active.keys().map(|name| (*name, needs(scene, name))).collect();
    let mut order = Vec::new();
    while let Some(next) = ready(&waiting) {
        waiting.remove(next);
        for needed in waiting.values_mut() {
            needed.remove(next);
        }
        order.push(next);
    }
    if !waiting.is_empty() {
        let cycle = cycle(&waiting);
        let message = "these services wait for each other";
        let path = cycle.first().map(|name| format!("services.{name}.depends_on")).unwrap_or_default();
        let found: Vec<&str> = cycle.iter().map(|name| name.as_str()).collect();
        problems.0.push(Problem {
            allowed: "dependencies that never lead back".to_owned(),
            ..compose_problem(&path, &found.join(" -> "), message)
        });
    }
    order
}

/// What a service needs among those that run.
pub(super) fn needs<'a>(scene: &Scene<'a>, name: &ServiceName) -> BTreeSet<&'a ServiceName> {
    let Some(service) = scene.active.get(name) else { return BTreeSet::new() };
    service.depends_on.keys().filter(|needed| scene.active.contains_key(needed)).collect()
}

fn ready<'a>(waiting: &Waits<'a>) -> Option<&'a ServiceName> {
    waiting.iter().find(|(_, needed)| needed.is_empty()).map(|(name, _)| *name)
}

/// One way around, the first service again at the end.
fn cycle<'a>(waiting: &Waits<'a>) -> Vec<&'a ServiceName> {
    let mut way: Vec<&ServiceName> = Vec::new();
    let mut here = waiting.keys().next().copied();
    while let Some(name) = here {
        if let Some(start) = way.iter().position(|seen| *seen == name) {
            way.drain(..start);
            way.push(name);
            return way;
        }
        way.push(name);
        here = waiting.get(name).and_then(|needed| needed.iter().find(|needed| waiting.contains_key(*needed)).copied());
    }
    way
}

fn check_missing(scene: &Scene<'_>, problems: &mut Problems) {
    for (name, service) in &scene.active {
        let missing =
            |needed: &&ServiceName| !scene.active.contains_key(*needed) && !service.optional.contains(*needed);
        for needed in service.depends_on.keys().filter(missing) {
            // One that is switched off with no copies is waited for by nobody, as in Compose.
            if scene.project.services.get(needed).is_some_and(|other| other.replicas == 0) {
                continue;
            }
            let path = format!("services.{name}.depends_on");
            problems.0.push(match scene.project.services.get(needed) {
                Some(other) => Problem {
                    allowed: format!("one of its profiles in the environment: {}", other.profiles.join(", ")),
                    ..compose_problem(
                        &path,
                        needed.as_str(),
                        &format!("this dependency does not run in environment `{}`", scene.name),
                    )
                },
                None => compose_problem(&path, needed.as_str(), "this dependency is not in the compose project"),
            });
        }
    }
}
