//! The counters of all routes, by host and path as configured.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::Mutex;

use super::route_tally::RouteTally;
use crate::snapshot::{Route, Snapshot};

/// Host (`*` for any) and path.
pub(crate) type Label = (String, String);

/// They outlive snapshots as long as their route is in them; so there are never more than routes.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    tallies: Mutex<BTreeMap<Label, Arc<RouteTally>>>,
}

impl Routes {
    /// The counters of a route, which go on counting when the route was there before.
    pub(crate) fn tally(&self, route: &Route) -> Arc<RouteTally> {
        self.tallies.lock().entry(label(route)).or_default().clone()
    }

    /// Forgets routes that are no longer there.
    pub(crate) fn keep_only(&self, snapshot: &Snapshot) {
        let kept: BTreeSet<Label> = snapshot.routes.iter().map(label).collect();
        self.tallies.lock().retain(|label, _| kept.contains(label));
    }

    pub(crate) fn all(&self) -> Vec<(Label, Arc<RouteTally>)> {
        self.tallies.lock().iter().map(|(label, tally)| (label.clone(), tally.clone())).collect()
    }
}

/// How a route is called in metrics and logs.
pub(crate) fn label(route: &Route) -> Label {
    (route.host.clone().unwrap_or_else(|| "*".to_owned()), route.path.clone())
}
