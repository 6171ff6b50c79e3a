//! The compiled TCP routes: which listener carries bytes, and to which pool.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::snapshot::{Detect, Route, Snapshot};

/// One TCP route.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) pool: String,
    pub(crate) idle: Option<Duration>,
    pub(crate) send_proxy: bool,
    /// Requests come here as well.
    pub(crate) detect: Option<Detect>,
}

/// All of them, by the listener's name.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    by_listener: HashMap<Box<str>, Arc<Line>>,
}

impl Lines {
    /// Compiles what can work; the rest is named.
    pub(crate) fn compile(snapshot: &Snapshot, problems: &mut Vec<String>) -> Lines {
        let mut lines = Lines::default();
        for route in &snapshot.tcp {
            let name = route.listener.as_str();
            let mut problem = |what: &str| problems.push(format!("TCP route of listener `{name}`: {what}"));
            let Some(listener) = snapshot.listeners.iter().find(|listener| listener.name == name) else {
                problem("there is no such listener");
                continue;
            };
            if lines.by_listener.contains_key(name) {
                problem("it is there twice; the first is used");
                continue;
            }
            if listener.tls.is_some() {
                problem("TLS is not ended on a listener that carries bytes; they are carried as they come");
            }
            let is_shown = |route: &Route| route.listeners.iter().any(|shown| shown == name);
            if route.detect.is_none() && snapshot.routes.iter().any(is_shown) {
                problem("routes name it too, which it does not serve");
            }
            if !snapshot.pools.iter().any(|pool| pool.name == route.pool) {
                problem(&format!("pool `{}` is not there", route.pool));
            }
            let idle = route.idle_ms.map(Duration::from_millis);
            let (pool, send_proxy, detect) = (route.pool.clone(), route.send_proxy, route.detect);
            let line = Line { pool, idle, send_proxy, detect };
            lines.by_listener.insert(name.into(), Arc::new(line));
        }
        lines
    }

    /// What a listener carries, if it does.
    pub(crate) fn of(&self, listener: &str) -> Option<Arc<Line>> {
        if self.by_listener.is_empty() { None } else { self.by_listener.get(listener).cloned() }
    }
}
