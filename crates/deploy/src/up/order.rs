//! Who waits for whom among the services that change.

use std::collections::{BTreeMap, BTreeSet};

use spec::ServiceName;
use spec::compose::Condition;
use tokio::sync::watch;

use crate::draft::Draft;
use crate::plan::Change;
use crate::world::{Said, World};

/// What a service needs, as the compose file has it.
pub fn needs<'d>(draft: &'d Draft, service: &ServiceName) -> &'d [ServiceName] {
    let plan = draft.loaded.platform.services.iter().find(|plan| plan.name == *service);
    plan.map(|plan| plan.depends_on.as_slice()).unwrap_or_default()
}

/// Whose data, ports or addresses a service takes over: it waits until they have given them up for good.
pub fn firsts<'d>(draft: &'d Draft, service: &ServiceName) -> impl Iterator<Item = &'d ServiceName> {
    draft.arranged.after.get(service).into_iter().flatten()
}

/// Changes grouped so that each group depends only on earlier ones.
pub fn levels(draft: &Draft) -> Vec<Vec<&Change>> {
    grouped(&draft.plan.changes, |service| needs(draft, service).iter().chain(firsts(draft, service)).collect())
}

fn grouped<'c>(
    changes: &'c [Change],
    befores: impl Fn(&ServiceName) -> BTreeSet<&'c ServiceName>,
) -> Vec<Vec<&'c Change>> {
    let mut levels: Vec<Vec<&Change>> = Vec::new();
    let mut left: Vec<&Change> = changes.iter().collect();
    while !left.is_empty() {
        let waiting: BTreeSet<&ServiceName> = left.iter().map(|change| &change.service).collect();
        let is_ready = |change: &&Change| befores(&change.service).is_disjoint(&waiting);
        let (ready, rest): (Vec<_>, Vec<_>) = left.iter().copied().partition(is_ready);
        // Circles have been refused; should there be one, what is left is one group.
        let (ready, rest) = if ready.is_empty() { (left, Vec::new()) } else { (ready, rest) };
        levels.push(ready);
        left = rest;
    }
    levels
}

/// What a service waits for: as a rule until its dependency has switched. Where that has never run and
/// `service_started` is all that is asked, its first container's start is enough, as in Compose.
pub fn waits(draft: &Draft, service: &ServiceName) -> Vec<(ServiceName, Door)> {
    let written = draft.loaded.project.services.get(service);
    let until = |needed: &ServiceName| {
        let asks = written.and_then(|service| service.depends_on.get(needed));
        let is_first = !draft.serving.contains_key(needed);
        if asks == Some(&Condition::Started) && is_first { Door::Ajar } else { Door::Open }
    };
    needs(draft, service).iter().map(|needed| (needed.clone(), until(needed))).collect()
}

/// Whether these failures keep a service from being begun: all do but those of what it can do without. One whose data it
/// takes over still writes them where it has failed.
pub fn is_stopped_by(draft: &Draft, service: &ServiceName, failed: &[ServiceName]) -> bool {
    let written = draft.loaded.project.services.get(service);
    let is_optional = |one: &ServiceName| written.is_some_and(|service| service.optional.contains(one));
    let can_do_without = |one: &ServiceName| is_optional(one) && !firsts(draft, service).any(|first| first == one);
    !failed.iter().all(can_do_without)
}

/// How far a service has come for those that need it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Door {
    Closed,
    /// Its container has been started.
    Ajar,
    /// It has switched, or will not.
    Open,
}

/// A door for each service that changes, behind which those wait that need it.
pub struct Doors(BTreeMap<ServiceName, watch::Sender<Door>>);

impl Doors {
    pub fn of(changes: &[Change]) -> Doors {
        Doors(changes.iter().map(|change| (change.service.clone(), watch::Sender::new(Door::Closed))).collect())
    }

    pub async fn wait(&self, needed: &[(ServiceName, Door)]) {
        for (service, until) in needed {
            let Some(door) = self.0.get(service) else { continue };
            let mut door = door.subscribe();
            // The sender lives as long as this, so there is nothing else to hear of it.
            let _ = door.wait_for(|now| now >= until).await;
        }
    }

    pub fn open(&self, service: &ServiceName) {
        if let Some(door) = self.0.get(service) {
            door.send_replace(Door::Open);
        }
    }

    /// The world in which this service's steps open its door.
    pub fn opened_by(&self, world: &World, service: &ServiceName) -> World {
        let Some(door) = self.0.get(service).cloned() else { return world.clone() };
        world.overheard(move |said| {
            let Said::Step { step, ms: Some(_), .. } = said else { return };
            let now = match step.as_str() {
                "start" => Door::Ajar,
                "switch" => Door::Open,
                _ => return,
            };
            door.send_if_modified(|door| {
                let opens = *door < now;
                *door = now.max(*door);
                opens
            });
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(service: &str) -> Change {
        serde_json::from_value(serde_json::json!({
            "service": service, "action": "update", "strategy": "blue-green", "strategy_reason": "", "reasons": [],
            "image": "shop/web:1", "fetch": null, "from": null, "warnings": [],
        }))
        .unwrap()
    }

    #[test]
    fn a_group_comes_after_those_it_needs_in_whatever_order_they_are_listed() {
        let changes: Vec<Change> = ["a", "b", "c", "d"].into_iter().map(change).collect();
        let name = |index: usize| &changes[index].service;
        let groups = grouped(&changes, |service| match service.as_ref() {
            "a" => BTreeSet::from([name(2)]),
            "c" => BTreeSet::from([name(3)]),
            _ => BTreeSet::new(),
        });
        let told: Vec<Vec<&str>> =
            groups.iter().map(|group| group.iter().map(|change| change.service.as_ref()).collect()).collect();
        assert_eq!(told, [vec!["b", "d"], vec!["c"], vec!["a"]]);
    }
}
