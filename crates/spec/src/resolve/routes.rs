//! What the edge sends to which service.
//! Written routes count alone; without any, proxy labels do, unless a proxy of the stack reads them itself; without
//! those, published ports do, where the platform file has listeners that services share (`domain`, `edge`). Elsewhere
//! each published port leads to its service, and no route is needed.

use std::time::Duration;

use super::known;
use super::plan::{Redirect, Route, ServicePlan, Sticky};
use super::port;
use super::readers;
use super::rule;
use super::scene::{Scene, written_problem};
use crate::compose::Service;
use crate::defaults;
use crate::ids::ServiceName;
use crate::platform::{
    ClientCertificate, RouteLimitSettings, RouteSettings, ServiceProtocol, StickySettings, StickyWritten, Strategy,
};
use crate::problem::{Problem, Problems};

/// Where the routes come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// Somebody wrote them, in the platform file or as labels.
    Written,
    /// Published ports, and a listener that services share.
    Derived,
}

/// Fills in the routes of all services and checks them against each other.
pub(super) fn assign(scene: &Scene<'_>, services: &mut [ServicePlan], problems: &mut Problems) -> Origin {
    let written = services.iter().any(|plan| scene.written(&plan.name).get(|s| s.routes.as_ref()).is_some());
    let mut origin = Origin::Written;
    if written {
        assign_written(scene, services);
    } else if readers::traefik_in_stack(scene) || !assign_labelled(scene, services) {
        origin = Origin::Derived;
        if scene.has_hosts() {
            assign_published(scene, services);
        }
    }
    check(scene, services, problems);
    origin
}

fn assign_written(scene: &Scene<'_>, services: &mut [ServicePlan]) {
    for plan in services {
        if let Some((routes, reason)) = scene.written(&plan.name).get(|settings| settings.routes.as_ref()) {
            plan.routes = routes.iter().map(|written| route(&plan.name, written)).collect();
            plan.reasons.insert("routes".to_owned(), reason);
        }
    }
}

fn route(service: &ServiceName, written: &RouteSettings) -> Route {
    Route {
        host: written.host.as_ref().map(|host| host.to_lowercase()),
        path: tidy(written.path.as_deref().unwrap_or("/")),
        strip_prefix: written.strip_prefix.unwrap_or(false),
        priority: written.priority.unwrap_or(0),
        methods: written.methods.clone().unwrap_or_default(),
        redirect: written.redirect.as_ref().map(|redirect| Redirect {
            to: redirect.to.clone(),
            status: redirect.status.unwrap_or(defaults::REDIRECT_STATUS),
        }),
        https_only: written.https_only,
        hsts: written.hsts.clone(),
        sticky: written.sticky.as_ref().and_then(|sticky| self::sticky(service, sticky)),
        headers: written.headers.clone().unwrap_or_default(),
        client_certificate: written.client_certificate == Some(ClientCertificate::Required),
        limits: written.limits.clone().map(filled).unwrap_or_default(),
    }
}

/// Two services on one host would take each other's cookie, so each has its own name for it.
fn sticky(service: &ServiceName, written: &StickyWritten) -> Option<Sticky> {
    let settings = match written {
        StickyWritten::Switch(false) => return None,
        StickyWritten::Switch(true) => StickySettings::default(),
        StickyWritten::Settings(settings) => settings.clone(),
    };
    let cookie = settings.cookie.unwrap_or_else(|| format!("mainstay-{service}"));
    Some(Sticky { cookie, max_age: settings.max_age })
}

fn filled(mut limits: RouteLimitSettings) -> RouteLimitSettings {
    for rate in &mut limits.rate {
        rate.per.get_or_insert(Duration::from_secs(1));
        rate.burst.get_or_insert(0);
        rate.by.get_or_insert_default();
    }
    if limits.queue.is_some() {
        limits.queue_time.get_or_insert(defaults::QUEUE_TIME);
    }
    limits
}

/// `/api/` and `/api` are the same prefix, because prefixes end at a segment.
fn tidy(path: &str) -> String {
    let trimmed = path.trim_end_matches('/');
    if trimmed.is_empty() { "/".to_owned() } else { trimmed.to_owned() }
}

fn assign_labelled(scene: &Scene<'_>, services: &mut [ServicePlan]) -> bool {
    let mut any = false;
    for plan in services {
        let Some(service) = scene.active.get(&plan.name) else { continue };
        if plan.port.is_none() {
            continue;
        }
        let routes = labelled(service, &mut plan.warnings);
        if !routes.is_empty() {
            plan.routes = routes;
            plan.reasons.insert("routes".to_owned(), "the router rule in its labels".to_owned());
            any = true;
        }
    }
    any
}

/// What the rules in its labels let through; what of them cannot be carried is told.
fn labelled(service: &Service, warnings: &mut Vec<String>) -> Vec<Route> {
    let mut routes: Vec<Route> = Vec::new();
    let routers = service.labels.iter().filter(|(label, _)| label.starts_with("traefik.http.routers."));
    for (label, text) in routers {
        if label.ends_with(".middlewares") {
            warnings.push(format!(
                "label `{label}`: middlewares (`{text}`) are not carried; what they do is written with its route in mainstay.yaml"
            ));
        }
        if !label.ends_with(".rule") {
            continue;
        }
        match rule::routes(text) {
            Ok(found) => routes.extend(found),
            Err(what) => warnings.push(format!(
                "label `{label}`: `{what}` is no host and no path, so the whole rule is left out; write `routes` in mainstay.yaml for it"
            )),
        }
    }
    // Two routers for one address differ in what is not carried.
    let mut known: Vec<Route> = Vec::new();
    for route in routes {
        if !known.iter().any(|other| other.meets(&route)) {
            known.push(route);
        }
    }
    known
}

/// The face of the product gets `/`; what else publishes a port gets a host name of its own.
/// What is published on one address of the host alone, such as the loopback, is for that address: it gets no route.
fn assign_published(scene: &Scene<'_>, services: &mut [ServicePlan]) {
    let serves = |plan: &ServicePlan| {
        plan.port.is_some_and(known::is_http)
            && plan.protocol != ServiceProtocol::Tcp
            && !matches!(plan.strategy, Strategy::Keep | Strategy::Job | Strategy::DrainFirst)
    };
    let publishes = |plan: &ServicePlan| {
        let service = scene.active.get(&plan.name);
        service.zip(plan.port).is_some_and(|(service, port)| port::is_for_everybody(service, port))
    };
    let publishes_any =
        |plan: &ServicePlan| scene.active.get(&plan.name).is_some_and(|service| port::publishes(service));
    let rank = |plan: &ServicePlan| known::face_rank(plan.name.as_str()).unwrap_or(usize::MAX);
    let published: Vec<&ServicePlan> = services.iter().filter(|plan| serves(plan) && publishes(plan)).collect();
    // What a proxy of the stack leads to has its front there.
    let is_led_to =
        |plan: &ServicePlan| scene.active.get(&plan.name).is_some_and(|service| readers::has_traefik(scene, service));
    let is_named = |plan: &ServicePlan| known::face_rank(plan.name.as_str()).is_some() && !is_led_to(plan);
    let named = || services.iter().filter(|plan| serves(plan) && is_named(plan) && !publishes_any(plan));
    let face = match published.as_slice() {
        [] => named().min_by_key(|plan| rank(plan)),
        [only] => Some(*only),
        several => several.iter().copied().min_by_key(|plan| (rank(plan), plan.strategy, plan.name.clone())),
    };
    let face: Option<ServiceName> = face.map(|plan| plan.name.clone());
    let others: Vec<ServiceName> = published.iter().map(|plan| plan.name.clone()).collect();
    let domain = scene.environment.domain.clone().unwrap_or_else(|| "localhost".to_owned());
    for plan in services {
        let (route, reason) = if Some(&plan.name) == face.as_ref() {
            let reason =
                if others.contains(&plan.name) { "it publishes a port" } else { "its name is that of a web front" };
            (Route::new(None, "/"), format!("no routes are written, and {reason}"))
        } else if others.contains(&plan.name) {
            let host = Some(format!("{}.{domain}", plan.name).to_lowercase());
            let reason = format!(
                "it publishes a port too, and `/` belongs to `{}`",
                face.as_ref().map_or("", |face| face.as_str())
            );
            (Route::new(host, "/"), format!("no routes are written; {reason}"))
        } else {
            continue;
        };
        plan.routes = vec![route];
        plan.reasons.insert("routes".to_owned(), reason);
    }
}

fn check(scene: &Scene<'_>, services: &[ServicePlan], problems: &mut Problems) {
    let mut taken: Vec<(&Route, &ServiceName)> = Vec::new();
    for plan in services {
        let path = scene.written(&plan.name).path("routes", scene.file);
        let mut note = |found: String, allowed: &str, message: &str| {
            let problem = written_problem(scene.file, &path, message);
            problems.0.push(Problem { found, allowed: allowed.to_owned(), ..problem });
        };
        // A redirect asks nobody.
        let leads = plan.routes.iter().any(|route| route.redirect.is_none());
        if leads && plan.strategy == Strategy::Job {
            note("strategy job".to_owned(), "a service that keeps running", "a job cannot be routed to, it ends");
        } else if leads && plan.port.is_none() {
            note("no port".to_owned(), "`port` for this service", "a route needs a port to lead to");
        }
        for route in &plan.routes {
            if let Some((_, first)) = taken.iter().find(|(other, _)| other.meets(route)) {
                let message = format!("this route already leads to service `{first}`");
                note(route.to_string(), "each host and path once, or other `methods`, or another `priority`", &message);
            } else if let Some((other, _)) = taken.iter().find(|(other, _)| other.hides(route) || route.hides(other)) {
                let (never, before) = if other.hides(route) { (route, *other) } else { (*other, route) };
                let message = format!("route {never} of priority {} is never asked", never.priority);
                note(route.to_string(), &format!("`methods` for the one of priority {}", before.priority), &message);
            }
            taken.push((route, &plan.name));
        }
    }
}
