//! Who waits for whom among the services that change.

use std::collections::BTreeMap;

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

/// Changes grouped so that each group depends only on earlier ones.
pub fn levels(draft: &Draft) -> Vec<Vec<&Change>> {
    let mut depth: BTreeMap<&ServiceName, usize> = BTreeMap::new();
    let mut levels: Vec<Vec<&Change>> = Vec::new();
    for change in &draft.plan.changes {
        let above = needs(draft, &change.service).iter().filter_map(|needed| depth.get(needed).copied()).max();
        let level = above.map_or(0, |level| level + 1);
        depth.insert(&change.service, level);
        if levels.len() <= level {
            levels.resize_with(level + 1, Vec::new);
        }
        if let Some(group) = levels.get_mut(level) {
            group.push(change);
        }
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

/// Whether these failures keep a service from being begun: all do but those of what it can do without.
pub fn is_stopped_by(draft: &Draft, service: &ServiceName, failed: &[ServiceName]) -> bool {
    let written = draft.loaded.project.services.get(service);
    let can_do_without = |one: &ServiceName| written.is_some_and(|service| service.optional.contains(one));
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
