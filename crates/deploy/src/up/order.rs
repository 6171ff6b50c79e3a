//! Who waits for whom among the services that change.

use std::collections::BTreeMap;

use spec::ServiceName;
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

/// A door for each service that changes, behind which those wait that need it.
pub struct Doors(BTreeMap<ServiceName, watch::Sender<bool>>);

impl Doors {
    pub fn of(changes: &[Change]) -> Doors {
        Doors(changes.iter().map(|change| (change.service.clone(), watch::Sender::new(false))).collect())
    }

    pub async fn wait(&self, needed: &[ServiceName]) {
        for door in needed.iter().filter_map(|service| self.0.get(service)) {
            let mut door = door.subscribe();
            // The sender lives as long as this, so there is nothing else to hear of it.
            let _ = door.wait_for(|is_open| *is_open).await;
        }
    }

    pub fn open(&self, service: &ServiceName) {
        if let Some(door) = self.0.get(service) {
            door.send_replace(true);
        }
    }

    /// The world in which this service's switch opens its door.
    pub fn opened_by(&self, world: &World, service: &ServiceName) -> World {
        let Some(door) = self.0.get(service).cloned() else { return world.clone() };
        world.overheard(move |said| {
            if matches!(said, Said::Step { step, ms: Some(_), .. } if step == "switch") {
                door.send_replace(true);
            }
        })
    }
}
