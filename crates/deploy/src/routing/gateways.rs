//! How releases of before address holders are called: their hosts files say that a service is at the gateway of a network,
//! where the edge listens and tells services on one port apart by `Host`.
//!
//! Nothing is deployed anew because Mainstay was upgraded, so this stays as long as such a release serves.

use edge::Route;
use edge::snapshot::Split;

use super::{inner, listeners};
use crate::release::Release;
use crate::store::{InternalRecord, Platform};

/// What is listened for on gateways: nothing where no release of the platform has such lines.
/// Where a gateway's port carries bytes it leads to one service.
pub fn of<'a>(platform: &'a Platform, serving: &[Release]) -> Vec<&'a InternalRecord> {
    let is_needed = serving.iter().any(|release| release.scope == platform.scope && release.gateway_names);
    let mut kept: Vec<&InternalRecord> = Vec::new();
    for one in platform.internals.iter().filter(|_| is_needed) {
        let meets = |other: &&InternalRecord| {
            one.port == other.port && one.networks.iter().any(|network| other.networks.contains(network))
        };
        if !kept.iter().any(|other| meets(other) && (one.tcp || other.tcp)) {
            kept.push(one);
        }
    }
    kept
}

/// One route for each name.
pub fn routes(platform: &Platform, release: &Release, internal: &InternalRecord, split: Option<&Split>) -> Vec<Route> {
    let known = internal.networks.iter().filter(|network| platform.gateways.contains_key(*network));
    let doors: Vec<String> = known.map(|network| listeners::gateway_name(network, internal.port)).collect();
    if doors.is_empty() {
        return Vec::new();
    }
    let names = std::iter::once(release.service.as_str()).chain(internal.names.iter().map(String::as_str));
    names.map(|name| Route { listeners: doors.clone(), ..inner(release, internal, Some(name), split) }).collect()
}
