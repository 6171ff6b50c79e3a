//! What the edge sends to which service.
//! Written routes count alone; without any, proxy labels do; without those, published ports do.

use std::collections::BTreeMap;

use super::known;
use super::plan::{Route, ServicePlan};
use super::port;
use super::scene::{Scene, written_problem};
use crate::compose::Service;
use crate::ids::ServiceName;
use crate::platform::{RouteSettings, Strategy};
use crate::problem::{Problem, Problems};

/// Fills in the routes of all services and checks them against each other.
pub(super) fn assign(scene: &Scene<'_>, services: &mut [ServicePlan], problems: &mut Problems) {
    let written = services.iter().any(|plan| scene.written(&plan.name).get(|s| s.routes.as_ref()).is_some());
    if written {
        assign_written(scene, services);
    } else if !assign_labelled(scene, services) {
        assign_published(scene, services);
    }
    check(scene, services, problems);
}

fn assign_written(scene: &Scene<'_>, services: &mut [ServicePlan]) {
    for plan in services {
        if let Some((routes, reason)) = scene.written(&plan.name).get(|settings| settings.routes.as_ref()) {
            plan.routes = routes.iter().map(route).collect();
            plan.reasons.insert("routes".to_owned(), reason);
        }
    }
}

fn route(written: &RouteSettings) -> Route {
    Route {
        host: written.host.as_ref().map(|host| host.to_lowercase()),
        path: tidy(written.path.as_deref().unwrap_or("/")),
        strip_prefix: written.strip_prefix.unwrap_or(false),
    }
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
        let routes: Vec<Route> = labelled(service);
        if !routes.is_empty() && plan.port.is_some() {
            plan.routes = routes;
            plan.reasons.insert("routes".to_owned(), "the router rule in its labels".to_owned());
            any = true;
        }
    }
    any
}

/// Rules such as ``Host(`shop.example.com`) && PathPrefix(`/v2`)``; other matchers are not routes.
fn labelled(service: &Service) -> Vec<Route> {
    let rules = service
        .labels
        .iter()
        .filter(|(label, _)| label.starts_with("traefik.http.routers.") && label.ends_with(".rule"));
    rules.filter_map(|(_, rule)| rule_route(rule)).collect()
}

fn rule_route(rule: &str) -> Option<Route> {
    let host = argument(rule, "Host(`").map(str::to_lowercase);
    let path = argument(rule, "PathPrefix(`").or_else(|| argument(rule, "Path(`"));
    if host.is_none() && path.is_none() {
        return None;
    }
    Some(Route { host, path: tidy(path.unwrap_or("/")), strip_prefix: false })
}

fn argument<'r>(rule: &'r str, matcher: &str) -> Option<&'r str> {
    let (_, after) = rule.split_once(matcher)?;
    after.split('`').next()
}

/// The face of the product gets `/`; what else publishes a port gets a host name of its own.
fn assign_published(scene: &Scene<'_>, services: &mut [ServicePlan]) {
    let serves = |plan: &ServicePlan| {
        plan.port.is_some_and(known::is_http)
            && !matches!(plan.strategy, Strategy::Keep | Strategy::Job | Strategy::DrainFirst)
    };
    let publishes = |plan: &ServicePlan| scene.active.get(&plan.name).is_some_and(|service| port::publishes(service));
    let rank = |plan: &ServicePlan| known::face_rank(plan.name.as_str()).unwrap_or(usize::MAX);
    let published: Vec<&ServicePlan> = services.iter().filter(|plan| serves(plan) && publishes(plan)).collect();
    let named = || services.iter().filter(|plan| serves(plan) && known::face_rank(plan.name.as_str()).is_some());
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
            (
                Route { host: None, path: "/".to_owned(), strip_prefix: false },
                format!("no routes are written, and {reason}"),
            )
        } else if others.contains(&plan.name) {
            let host = Some(format!("{}.{domain}", plan.name).to_lowercase());
            let reason = format!(
                "it publishes a port too, and `/` belongs to `{}`",
                face.as_ref().map_or("", |face| face.as_str())
            );
            (Route { host, path: "/".to_owned(), strip_prefix: false }, format!("no routes are written; {reason}"))
        } else {
            continue;
        };
        plan.routes = vec![route];
        plan.reasons.insert("routes".to_owned(), reason);
    }
}

fn check(scene: &Scene<'_>, services: &[ServicePlan], problems: &mut Problems) {
    let mut taken: BTreeMap<(Option<&str>, &str), &ServiceName> = BTreeMap::new();
    for plan in services {
        let path = scene.written(&plan.name).path("routes", scene.file);
        let mut note = |found: String, allowed: &str, message: &str| {
            let problem = written_problem(scene.file, &path, message);
            problems.0.push(Problem { found, allowed: allowed.to_owned(), ..problem });
        };
        if !plan.routes.is_empty() && plan.strategy == Strategy::Job {
            note("strategy job".to_owned(), "a service that keeps running", "a job cannot be routed to, it ends");
        } else if !plan.routes.is_empty() && plan.port.is_none() {
            note("no port".to_owned(), "`port` for this service", "a route needs a port to lead to");
        }
        for route in &plan.routes {
            if let Some(first) = taken.insert((route.host.as_deref(), &route.path), &plan.name) {
                let message = format!("this route already leads to service `{first}`");
                note(route.to_string(), "each host and path once", &message);
            }
        }
    }
}
