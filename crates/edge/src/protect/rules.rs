//! What a snapshot says about its routes beyond where they lead, in the order of its routes.

use std::sync::Arc;

use super::Protection;
use super::guard::Guard;
use crate::seen::route_tally::RouteTally;
use crate::seen::routes::{Label, Routes, label};
use crate::snapshot::{Priority, Route, Snapshot};

/// Compiled with the table and replaced with it.
#[derive(Default)]
pub(crate) struct Rules {
    routes: Vec<Arc<RouteRules>>,
    pub(crate) sheds: bool,
}

/// One route's.
pub(crate) struct RouteRules {
    pub(crate) guard: Option<Guard>,
    pub(crate) priority: Priority,
    /// How the route is called in metrics and logs.
    pub(crate) label: Label,
    pub(crate) tally: Arc<RouteTally>,
}

impl Rules {
    pub(crate) fn compile(snapshot: &Snapshot, protection: &Protection, routes: &Routes) -> Rules {
        protection.shedder.set(snapshot.shedding.as_ref());
        let compiled = |route: &Route| {
            let limits = &route.limits;
            let tally = routes.tally(route);
            Arc::new(RouteRules {
                guard: Guard::compile(protection, identity(protection, route), limits, &tally),
                priority: limits.priority,
                label: label(route),
                tally,
            })
        };
        let compiled = snapshot.routes.iter().map(compiled).collect();
        Rules { routes: compiled, sheds: snapshot.shedding.is_some() }
    }

    /// The rules of the snapshot's route with this number.
    pub(crate) fn of(&self, route: usize) -> Option<&Arc<RouteRules>> {
        self.routes.get(route)
    }

    pub(crate) fn all(&self) -> &[Arc<RouteRules>] {
        &self.routes
    }
}

/// What makes a route the same one in the next snapshot: what it matches, not where it leads.
fn identity(protection: &Protection, route: &Route) -> u64 {
    let Route { scope, host, path, listeners, methods, priority, .. } = route;
    protection.key((scope, host, path, listeners, methods, priority))
}
