//! A first platform file from a compose project, with the reason beside each choice.
//! It says nothing that would not be derived anyway, so it is safe to use unread and easy to change.

use std::collections::BTreeSet;

use crate::compose::Project;
use crate::defaults;
use crate::ids::{EnvironmentName, PlatformName};
use crate::platform::{Environment, PlatformFile, ServiceProtocol, Strategy};
use crate::problem::Problems;
use crate::render::{comment, quoted};
use crate::resolve::{Check, HostSize, Platform, Route, ServicePlan, resolve};
use crate::units::Bytes;

/// A commented `mainstay.yaml` for this project.
/// Where the project itself has a problem, the file says so and leaves the services out.
pub fn platform_file(project: &Project) -> String {
    platform_file_of(project, &[defaults::COMPOSE_FILE.to_owned()])
}

/// The same for a project that was read from these files.
pub fn platform_file_of(project: &Project, files: &[String]) -> String {
    let name = platform_name(&project.name);
    let profiles = profiles(project);
    let derived = derive(project, name.clone(), &profiles);
    let http = derived.as_ref().map(|platform| platform.http.clone()).unwrap_or_default();
    // Where services have ports of their own, saying where the edge listens would take these away; and where no route
    // leads anywhere, it need not listen at all.
    let own = derived.as_ref().is_ok_and(|platform| !platform.edge.ports.is_empty());
    let edge = if own || http.is_empty() { String::new() } else { format!(", edge: {{http: {}}}", port(&http)) };
    let mut text = head(&name, files, &profiles, &edge);
    match derived {
        Ok(platform) => platform.services.iter().for_each(|plan| service(&mut text, plan)),
        Err(problems) => {
            text.push_str("  # Nothing could be derived:\n");
            problems.to_string().lines().for_each(|line| text.push_str(&format!("  {}\n", comment(line))));
        }
    }
    if !text.ends_with("services:\n") { text } else { text.replace("\nservices:\n", "") }
}

/// The project's name as a platform's name; what is not allowed in one becomes `-`.
fn platform_name(project: &str) -> Option<PlatformName> {
    let tidy = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c.to_ascii_lowercase() } else { '-' };
    let name: String = project.chars().map(tidy).take(63).collect();
    PlatformName::parse(name.trim_matches(['-', '_'])).or_else(|_| PlatformName::parse("platform")).ok()
}

fn profiles(project: &Project) -> Vec<String> {
    let all: BTreeSet<&String> = project.services.values().flat_map(|service| &service.profiles).collect();
    all.into_iter().cloned().collect()
}

fn derive(project: &Project, name: Option<PlatformName>, profiles: &[String]) -> Result<Platform, Problems> {
    let production = EnvironmentName::parse(defaults::ENVIRONMENT).map_err(|_| Problems::default())?;
    let settings = Environment { profiles: Some(profiles.to_vec()), ..Environment::default() };
    let file = PlatformFile {
        platform: name,
        environments: [(production.clone(), settings)].into(),
        ..PlatformFile::default()
    };
    // The host is not known here, and nothing that is written depends on it.
    resolve(&file, project, &production, &HostSize { cpus: 1024.0, memory: Bytes::gib(1 << 20) })
}

fn head(name: &Option<PlatformName>, files: &[String], profiles: &[String], edge: &str) -> String {
    let name = name.as_ref().map(|name| format!("platform: {}\n", quoted(name.as_ref()))).unwrap_or_default();
    let profiles: Vec<String> = profiles.iter().map(|profile| quoted(profile)).collect();
    format!(
        "# How this platform is operated; the containers stay described in compose.yaml.\n\
         # Every line below is what would be derived without it, with the reason beside it.\n\
         version: 1\n\
         {name}\
         compose: [{compose}]\n\
         \n\
         # Scales CPU and memory limits down when the host has less than they add up to.\n\
         resources: fit\n\
         \n\
         default_environment: {environment}\n\
         environments:\n\
         \x20 {environment}: {{profiles: [{profiles}]{edge}}}\n\
         \n\
         services:\n",
        compose = files.iter().map(|file| quoted(file)).collect::<Vec<_>>().join(", "),
        environment = defaults::ENVIRONMENT,
        profiles = profiles.join(", "),
    )
}

/// `80` for every address, `"127.0.0.1:8080"` for one, a list for several.
fn port(http: &[String]) -> String {
    let six = |four: &str| http.iter().any(|bind| bind.strip_prefix("[::]:") == Some(four));
    let is_said = |bind: &&String| {
        let port = bind.strip_prefix("[::]:");
        !port.is_some_and(|port| http.iter().any(|other| other.strip_prefix("0.0.0.0:") == Some(port)))
    };
    let one = |bind: &String| match bind.strip_prefix("0.0.0.0:").filter(|port| six(port)) {
        Some(port) => port.to_owned(),
        None => format!("\"{bind}\""),
    };
    match http.iter().filter(is_said).map(one).collect::<Vec<_>>().as_slice() {
        [only] => only.clone(),
        several => format!("[{}]", several.join(", ")),
    }
}

fn service(text: &mut String, plan: &ServicePlan) {
    text.push_str(&format!("  {}:\n", quoted(plan.name.as_ref())));
    line(text, "strategy", plan.strategy.as_str(), &plan.reason);
    let reason = |key: &str| plan.reasons.get(key).cloned().unwrap_or_default();
    if let Some(port) = plan.port {
        line(text, "port", &port.to_string(), &reason("port"));
        // A port that is written is taken for one of HTTP.
        if plan.protocol == ServiceProtocol::Tcp {
            line(text, "protocol", "tcp", &reason("protocol"));
        }
    }
    match &plan.health.check {
        Check::Http { path, port, .. } if Some(*port) == plan.port => {
            line(text, "health", &quoted(path), &reason("health"))
        }
        _ if plan.strategy == Strategy::Job => {}
        other => text.push_str(&format!("    # health: {other}; {}\n", reason("health"))),
    }
    if !plan.routes.is_empty() {
        let routes: Vec<String> = plan.routes.iter().map(route).collect();
        line(text, "routes", &format!("[{}]", routes.join(", ")), &reason("routes"));
    }
    // What the health line above has already said is not said again.
    for warning in plan.warnings.iter().filter(|warning| !warning.starts_with("no health check")) {
        text.push_str(&format!("    {}\n", comment(warning)));
    }
}

fn line(text: &mut String, key: &str, value: &str, reason: &str) {
    text.push_str(&format!("    {key}: {value}  {}\n", comment(reason)));
}

fn route(route: &Route) -> String {
    match &route.host {
        None => format!("{{path: {}}}", quoted(&route.path)),
        Some(host) if route.path == "/" => format!("{{host: {}}}", quoted(host)),
        Some(host) => format!("{{host: {}, path: {}}}", quoted(host), quoted(&route.path)),
    }
}
