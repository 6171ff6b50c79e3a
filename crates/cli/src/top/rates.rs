//! Two looks at the edge's counters, and what happened between them.

use std::collections::BTreeMap;

use edge::{Counters, ReleaseCounters, RouteCounters, TargetCondition, TargetState};
use serde::Serialize;

use super::percentile::percentile;

/// What happened between two looks. Rates are per second, times are milliseconds to the head of the answer.
#[derive(Debug, Clone, Serialize)]
pub struct Frame {
    /// Between the two looks, by the edge's own clock.
    pub seconds: f64,
    pub edge: Overall,
    pub services: Vec<Service>,
    pub routes: Vec<Route>,
}

/// The whole edge.
#[derive(Debug, Clone, Serialize)]
pub struct Overall {
    pub version: String,
    pub pid: u32,
    pub epoch: u64,
    pub requests_per_s: f64,
    pub in_flight: u64,
    pub held: u64,
    pub connections: u64,
    pub handshakes_per_s: f64,
    pub resumed_per_s: f64,
    pub handshakes_failed_per_s: f64,
    /// By the stable word of the reason; those that did not happen are left out.
    pub refused_per_s: BTreeMap<String, f64>,
    pub log_dropped_per_s: f64,
}

/// One release of a service.
#[derive(Debug, Clone, Serialize)]
pub struct Service {
    /// The pool: platform, environment and service.
    pub service: String,
    pub release: String,
    /// It was switched away and finishes what it had begun.
    pub is_draining: bool,
    pub in_flight: u64,
    pub websockets: u64,
    /// Wait for the next release.
    pub held: u64,
    /// By limits of the service's routes, and for want of room while being held.
    pub refused_per_s: f64,
    pub retries_per_s: f64,
    /// Answered by the edge, because the service could not.
    pub unanswered_per_s: f64,
    pub bytes_in_per_s: f64,
    pub bytes_out_per_s: f64,
    #[serde(flatten)]
    pub answers: Answers,
    pub targets: Vec<Target>,
}

/// One route, by host and path as configured.
#[derive(Debug, Clone, Serialize)]
pub struct Route {
    pub host: String,
    pub path: String,
    pub services: Vec<String>,
    /// Wait in the route's queue.
    pub waiting: u64,
    /// By the route's rates and queue.
    pub refused_per_s: f64,
    #[serde(flatten)]
    pub answers: Answers,
}

/// How requests were answered, and how quickly.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Answers {
    pub requests_per_s: f64,
    pub client_errors_per_s: f64,
    pub server_errors_per_s: f64,
    pub p50_ms: Option<f64>,
    pub p95_ms: Option<f64>,
    pub p99_ms: Option<f64>,
}

/// One target of a service.
#[derive(Debug, Clone, Serialize)]
pub struct Target {
    pub address: String,
    /// `well`, `starting` (gets a growing share), `sick`, `ejected` or `unreachable`.
    pub condition: &'static str,
}

impl Target {
    pub fn is_well(&self) -> bool {
        matches!(self.condition, "well" | "starting")
    }
}

/// Between two looks at the same process; `None` when another edge answers now, or no time has passed.
pub fn between(before: &Counters, now: &Counters) -> Option<Frame> {
    let is_same = (before.pid, before.started_ms) == (now.pid, now.started_ms);
    let micros = now.at_us.checked_sub(before.at_us).filter(|micros| is_same && *micros > 0)?;
    let span = Span { seconds: micros as f64 / 1e6, bounds: &now.bounds_us };
    let routes: Vec<Route> = now.routes.iter().map(|route| span.route(route, before)).collect();
    let services: Vec<Service> = now.releases.iter().map(|one| span.service(one, before, &routes)).collect();
    Some(Frame { seconds: span.seconds, edge: span.overall(before, now, &services), services, routes })
}

struct Span<'a> {
    seconds: f64,
    bounds: &'a [u64],
}

impl Span<'_> {
    /// A counter that is lower than before belongs to something that was forgotten and has come again.
    fn rate(&self, before: u64, now: u64) -> f64 {
        now.checked_sub(before).unwrap_or(now) as f64 / self.seconds
    }

    fn answers(&self, before: ([u64; 5], &[u64]), now: ([u64; 5], &[u64])) -> Answers {
        let class = |class: usize| self.rate(before.0[class], now.0[class]);
        let old = |bucket: usize| before.1.get(bucket).copied().unwrap_or(0);
        let fresh = |(bucket, count): (usize, &u64)| count.checked_sub(old(bucket)).unwrap_or(*count);
        let times: Vec<u64> = now.1.iter().enumerate().map(fresh).collect();
        Answers {
            requests_per_s: (0..5).map(class).sum(),
            client_errors_per_s: class(3),
            server_errors_per_s: class(4),
            p50_ms: percentile(self.bounds, &times, 0.50),
            p95_ms: percentile(self.bounds, &times, 0.95),
            p99_ms: percentile(self.bounds, &times, 0.99),
        }
    }

    fn route(&self, now: &RouteCounters, before: &Counters) -> Route {
        let known = before.routes.iter().find(|one| (&one.host, &one.path) == (&now.host, &now.path));
        let (none, refused) = (RouteCounters::default(), |one: &RouteCounters| one.rate_limited + one.queue_refused);
        let known = known.unwrap_or(&none);
        Route {
            host: now.host.clone(),
            path: now.path.clone(),
            services: now.pools.clone(),
            waiting: now.waiting,
            refused_per_s: self.rate(refused(known), refused(now)),
            answers: self.answers((known.classes, &known.times), (now.classes, &now.times)),
        }
    }

    fn service(&self, now: &ReleaseCounters, before: &Counters, routes: &[Route]) -> Service {
        let known = before.releases.iter().find(|one| (&one.pool, &one.release) == (&now.pool, &now.release));
        let none = ReleaseCounters::default();
        let known = known.unwrap_or(&none);
        let rate = |pick: fn(&ReleaseCounters) -> u64| self.rate(pick(known), pick(now));
        // What is refused goes nowhere; it is told of the release that would have got it.
        let leads_here = |route: &&Route| !now.is_draining && route.services.first() == Some(&now.pool);
        let limited: f64 = routes.iter().filter(leads_here).map(|route| route.refused_per_s).sum();
        Service {
            service: now.pool.clone(),
            release: now.release.clone(),
            is_draining: now.is_draining,
            in_flight: now.in_flight,
            websockets: now.websockets,
            held: now.held,
            refused_per_s: limited + rate(|one| one.hold_refused),
            retries_per_s: rate(|one| one.retries),
            unanswered_per_s: rate(|one| one.unanswered),
            bytes_in_per_s: rate(|one| one.bytes_in),
            bytes_out_per_s: rate(|one| one.bytes_out),
            answers: self.answers((known.classes, &known.times), (now.classes, &now.times)),
            targets: now.targets.iter().map(target).collect(),
        }
    }

    fn overall(&self, before: &Counters, now: &Counters, services: &[Service]) -> Overall {
        let rate = |pick: fn(&Counters) -> u64| self.rate(pick(before), pick(now));
        let refused = |(word, count): (&String, &u64)| {
            let rate = self.rate(before.refused.get(word).copied().unwrap_or(0), *count);
            (rate > 0.0).then(|| (word.clone(), rate))
        };
        Overall {
            version: now.version.clone(),
            pid: now.pid,
            epoch: now.epoch,
            requests_per_s: services.iter().map(|service| service.answers.requests_per_s).sum(),
            in_flight: services.iter().map(|service| service.in_flight).sum(),
            held: services.iter().map(|service| service.held).sum(),
            connections: now.connections,
            handshakes_per_s: rate(|one| one.handshakes),
            resumed_per_s: rate(|one| one.resumed),
            handshakes_failed_per_s: rate(|one| one.handshakes_failed),
            refused_per_s: now.refused.iter().filter_map(refused).collect(),
            log_dropped_per_s: rate(|one| one.log_dropped),
        }
    }
}

fn target(state: &TargetState) -> Target {
    let condition = match state.condition {
        TargetCondition::Well if state.is_starting => "starting",
        TargetCondition::Well => "well",
        TargetCondition::Sick => "sick",
        TargetCondition::Ejected => "ejected",
        TargetCondition::Unreachable => "unreachable",
    };
    Target { address: state.addr.to_string(), condition }
}
