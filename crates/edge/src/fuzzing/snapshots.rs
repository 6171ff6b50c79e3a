//! A snapshot from its text to the table that is served.

use std::collections::HashSet;
use std::sync::Arc;

use http::Method;

use crate::apply::problems;
use crate::downstream::visitor::View;
use crate::protect::Protection;
use crate::protect::rules::Rules;
use crate::seen::routes::Routes;
use crate::snapshot::{Pool, Route, Snapshot};
use crate::table::mark::Marks;
use crate::table::policy::{Leads, Policy};
use crate::table::{Table, Way};
use crate::tcp::lines::Lines;
use crate::upstream::generation::Generation;

/// Whatever a snapshot says, compiling it does not panic, and a restriction that cannot be read closes and never opens.
pub fn snapshots(data: &[u8]) {
    let Ok(snapshot) = serde_json::from_slice::<Snapshot>(data) else { return };
    let sealed = snapshot.seal();
    let read = serde_json::to_vec(&sealed).ok().and_then(|text| serde_json::from_slice(&text).ok());
    assert_eq!(read.as_ref(), Some(&sealed), "it is read as it was written");
    let mut found = problems(&sealed);
    let generations = generations(&sealed);
    let mut table = Table::compile(&sealed, generations, &Marks::default(), &mut found);
    table.lines = Lines::compile(&sealed, &mut found);
    table.rules = Rules::compile(&sealed, &Protection::new(), &Routes::default());
    for listener in &sealed.listeners {
        let view = View::of(listener);
        for route in sealed.routes.iter().filter(|route| !route.path.contains(['{', '}'])) {
            let path = format!("/{}", route.path.trim_matches('/'));
            let Some(first) = table.find(&view, route.host.as_deref().unwrap_or("any.example"), &path) else {
                continue;
            };
            for way in first.all() {
                restricted(&sealed.routes[way.route], way);
                assert_eq!(sealed.routes[way.route].scope, listener.scope, "another scope's route is shown");
                let own = &sealed.routes[way.route].listeners;
                assert!(own.is_empty() || own.contains(&listener.name), "another listener's route is shown");
            }
        }
    }
    let trusts = sealed.trusted_proxies.iter().any(|text| text.contains(['.', ':']));
    assert!(trusts || table.trusted.is_empty(), "a proxy is trusted that nobody named");
}

fn generations(snapshot: &Snapshot) -> Vec<Arc<Generation>> {
    let mut names = HashSet::new();
    let first: Vec<&Pool> = snapshot.pools.iter().filter(|pool| names.insert(pool.name.as_str())).collect();
    // As many targets as any real pool has.
    let made = |pool: &Pool| {
        let targets = pool.targets.iter().copied().take(64).collect();
        Arc::new(Generation::new(Pool { targets, ..pool.clone() }, Arc::default(), Arc::default(), None))
    };
    first.into_iter().map(made).collect()
}

/// Every restriction of the route is the way's.
fn restricted(route: &Route, way: &Way) {
    let policy = way.policy.as_deref();
    let has = |what: fn(&Policy) -> bool| policy.is_some_and(what);
    assert!(!route.https_only || has(|policy| policy.https.is_some()), "plain requests are let through");
    assert!(!route.client_certificate || has(|policy| policy.client_certificate), "nobody need show a certificate");
    assert!(route.redirect.is_none() || has(|policy| !matches!(policy.leads, Leads::Nowhere)), "a redirect is lost");
    assert!(route.split.is_none() || has(|policy| policy.split.is_some()), "a split is lost");
    assert_eq!(route.limits.body_bytes, policy.and_then(|policy| policy.body_bytes), "a limit is lost");
    assert_eq!(route.limits.body_rate, policy.and_then(|policy| policy.body_rate), "a least rate is lost");
    let closed = policy.and_then(|policy| policy.closed.as_ref());
    assert_eq!(route.maintenance.is_some(), closed.is_some(), "maintenance is lost");
    if let (Some(wanted), Some(closed)) = (&route.maintenance, closed) {
        let named = wanted.allow.iter().any(|text| text.contains(['.', ':']));
        assert!(named || closed.allow.is_empty(), "somebody gets through whom nobody named");
    }
    if !route.methods.is_empty() {
        assert!(!way.takes_all(), "a route for some methods takes all");
        let unnamed = ["GET", "POST", "BREW"]
            .into_iter()
            .filter(|name| !route.methods.iter().any(|method| method.eq_ignore_ascii_case(name)));
        for name in unnamed.filter_map(|name| Method::from_bytes(name.as_bytes()).ok()) {
            assert!(way.for_method(&name).is_none_or(|taken| taken.route != way.route), "{name} is let through");
        }
    }
}
