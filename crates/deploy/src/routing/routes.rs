//! A service's routes as the edge must know them.

use edge::snapshot::{HeaderRules, Hsts, Priority, Rate, RateKey, Redirect, RouteLimits, Split, Sticky};
use edge::{Listener, Route};
use spec::platform::{self, HeaderChanges, HstsWritten, RateBy, RouteLimitSettings};

use super::{listeners, millis};
use crate::release::Release;
use crate::store::Platform;

/// Where a certificate authority looks whether a host is ours, over plain HTTP.
pub const ACME: &str = "/.well-known/acme-challenge";
const HTTPS_PORT: u16 = 443;

/// How the clients of plain listeners come to HTTPS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Upgrade {
    /// There is no HTTPS here.
    No,
    /// It is where browsers look for it, or a proxy before the edge has it there.
    Usual,
    /// It is on this port.
    Port(u16),
}

/// The doors of a platform: the names of its listeners, and how one leads to the other.
struct Doors {
    plain: Vec<String>,
    secure: Vec<String>,
    upgrade: Upgrade,
}

impl Doors {
    fn of(platform: &Platform) -> Doors {
        let (secure, plain): (Vec<Listener>, Vec<Listener>) =
            listeners::public(platform).into_iter().partition(|listener| listener.tls.is_some());
        let upgrade = match secure.first() {
            None => Upgrade::No,
            Some(_) if secure.iter().any(|listener| listener.bind.port() == HTTPS_PORT) => Upgrade::Usual,
            Some(_) if !platform.edge.trusted_proxies.is_empty() => Upgrade::Usual,
            Some(first) => Upgrade::Port(first.bind.port()),
        };
        let names = |listeners: Vec<Listener>| listeners.into_iter().map(|listener| listener.name).collect();
        Doors { plain: names(plain), secure: names(secure), upgrade }
    }

    fn all(&self) -> Vec<String> {
        self.plain.iter().chain(&self.secure).cloned().collect()
    }
}

/// What the world sees of a release.
pub fn public(platform: &Platform, release: &Release, split: Option<&Split>) -> Vec<Route> {
    let doors = Doors::of(platform);
    let mut routes = Vec::new();
    for written in &release.plan.routes {
        let is_redirect = written.redirect.is_some();
        if !is_redirect && !super::is_routed(release) {
            continue;
        }
        let route = route(platform, release, written, &doors, split);
        let is_challenge = written.path.starts_with(ACME);
        let upgrades = written.https_only.unwrap_or(doors.upgrade != Upgrade::No && !is_challenge);
        match (upgrades, doors.upgrade) {
            (false, _) => routes.push(route),
            (true, Upgrade::No | Upgrade::Usual) => {
                routes.extend(challenge(written, &route, &doors));
                routes.push(Route { https_only: true, ..route });
            }
            (true, Upgrade::Port(port)) => {
                routes.extend(challenge(written, &route, &doors));
                routes.extend(to_port(&route, &doors, port));
                routes.push(Route { listeners: doors.secure.clone(), ..route });
            }
        }
    }
    routes
}

/// What the world sees of it on ports of its own, whatever host it asks for.
pub fn own(platform: &Platform, release: &Release, split: Option<&Split>) -> Vec<Route> {
    let doors: Vec<String> = listeners::own(platform, &release.service).map(|(listener, _)| listener.name).collect();
    if doors.is_empty() {
        return Vec::new();
    }
    let route = Route {
        listeners: doors,
        split: split.cloned(),
        maintenance: platform.maintenance.clone(),
        ..Route::new(None, "/", release.pool())
    };
    vec![route]
}

/// Where all goes to HTTPS because nothing else is written, the service may still answer the authority.
fn challenge(written: &spec::Route, route: &Route, doors: &Doors) -> Option<Route> {
    let is_derived = written.https_only.is_none() && written.redirect.is_none() && written.path == "/";
    (is_derived && !doors.plain.is_empty()).then(|| Route {
        path: ACME.to_owned(),
        listeners: doors.plain.clone(),
        client_certificate: false,
        hsts: None,
        ..route.clone()
    })
}

/// The edge's own `https_only` leads to the usual port.
fn to_port(route: &Route, doors: &Doors, port: u16) -> Option<Route> {
    let plain = Route::new(route.host.as_deref(), route.path.clone(), "");
    (!doors.plain.is_empty()).then(|| Route {
        listeners: doors.plain.clone(),
        priority: route.priority,
        methods: route.methods.clone(),
        redirect: Some(Redirect { to: format!("https://{{host}}:{port}{{path}}{{query}}"), status: 308 }),
        ..plain
    })
}

fn route(platform: &Platform, release: &Release, written: &spec::Route, doors: &Doors, split: Option<&Split>) -> Route {
    let host = written.host.as_deref().or(platform.domain.as_deref());
    let asks = written.redirect.is_none();
    let pool = if asks { release.pool() } else { String::new() };
    Route {
        strip_prefix: written.strip_prefix,
        listeners: doors.all(),
        priority: written.priority,
        methods: written.methods.clone(),
        split: split.filter(|_| asks).cloned(),
        sticky: written
            .sticky
            .as_ref()
            .map(|sticky| Sticky { cookie: sticky.cookie.clone(), max_age_s: sticky.max_age.map(|age| age.as_secs()) }),
        redirect: written.redirect.as_ref().map(|to| Redirect { to: to.to.clone(), status: to.status }),
        hsts: hsts(platform, written, doors),
        client_certificate: written.client_certificate,
        maintenance: platform.maintenance.clone().filter(|_| asks),
        request_headers: headers(&written.headers.request),
        response_headers: headers(&written.headers.response),
        limits: limits(&written.limits),
        ..Route::new(host, written.path.clone(), pool)
    }
}

/// A browser that has been told so takes the usual port and wants a certificate it trusts; both must be there for long.
fn hsts(platform: &Platform, written: &spec::Route, doors: &Doors) -> Option<Hsts> {
    let is_secure_everywhere = listeners::public(platform).iter().any(|l| doors.is_usual(l));
    let is_trusted = !platform.edge.local_ca && !platform.edge.certificates.is_empty();
    let derived = is_secure_everywhere && is_trusted && written.https_only != Some(false);
    let settings = match &written.hsts {
        Some(HstsWritten::Switch(false)) => return None,
        Some(HstsWritten::Settings(settings)) => settings.clone(),
        Some(HstsWritten::Switch(true)) => platform::HstsSettings::default(),
        None if derived => platform::HstsSettings::default(),
        None => return None,
    };
    Some(Hsts {
        max_age_s: settings.max_age.unwrap_or(spec::defaults::HSTS_MAX_AGE).as_secs(),
        include_subdomains: settings.subdomains.unwrap_or(false),
        preload: settings.preload.unwrap_or(false),
    })
}

impl Doors {
    fn is_usual(&self, listener: &Listener) -> bool {
        listener.bind.port() == HTTPS_PORT && self.secure.contains(&listener.name)
    }
}

fn headers(written: &HeaderChanges) -> HeaderRules {
    HeaderRules { remove: written.remove.clone(), set: written.set.clone(), add: written.add.clone() }
}

fn limits(written: &RouteLimitSettings) -> RouteLimits {
    RouteLimits {
        rates: written.rate.iter().map(rate).collect(),
        in_flight: written.in_flight,
        in_flight_per_client: written.in_flight_per_client,
        queue: written.queue,
        queue_ms: written.queue_time.map(millis),
        body_bytes: written.body.map(|body| body.0),
        body_rate: written.body_rate.map(|rate| rate.0),
        response_ms: written.response.map(millis),
        priority: match written.priority.unwrap_or_default() {
            platform::Priority::Low => Priority::Low,
            platform::Priority::Normal => Priority::Normal,
            platform::Priority::High => Priority::High,
            platform::Priority::Critical => Priority::Critical,
        },
    }
}

fn rate(written: &platform::RateSettings) -> Rate {
    Rate {
        requests: written.requests,
        per_ms: written.per.map_or(1000, millis),
        burst: written.burst.unwrap_or(0),
        by: match written.by.clone().unwrap_or_default() {
            RateBy::Client => RateKey::Client,
            RateBy::Route => RateKey::Route,
            RateBy::Header(name) => RateKey::Header(name),
        },
    }
}
