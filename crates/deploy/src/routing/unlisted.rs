//! Ports that a service listens on and that no file tells of: in plain Compose they are reached by its name, too.

use std::collections::BTreeSet;

use crate::release::Release;
use crate::store::{InternalRecord, Platform};

/// What is carried as bytes beside what the file tells of. A port on which services of one network meet is left out,
/// since nobody could say who is meant: it is to be named under `expose`.
pub fn of(platform: &Platform, serving: &[Release]) -> Vec<InternalRecord> {
    let mine = || serving.iter().filter(|release| release.scope == platform.scope);
    let mut unlisted = Vec::new();
    for release in mine() {
        let Some(known) = platform.internals.iter().find(|internal| internal.service == release.service) else {
            continue;
        };
        let others = platform.internals.iter().filter(|other| {
            other.service != release.service && other.networks.iter().any(|network| known.networks.contains(network))
        });
        let mut taken: BTreeSet<u16> = BTreeSet::new();
        for other in others {
            taken.insert(other.port);
            taken.extend(mine().filter(|one| one.service == other.service).flat_map(|one| &one.listens));
        }
        let listed =
            |port: &u16| platform.internals.iter().any(|one| one.service == release.service && one.port == *port);
        let free = release.listens.iter().filter(|port| !listed(port) && !taken.contains(port));
        unlisted.extend(free.map(|port| InternalRecord { port: *port, tcp: true, ..known.clone() }));
    }
    unlisted
}
