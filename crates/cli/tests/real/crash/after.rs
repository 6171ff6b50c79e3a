//! What has to be true after every crash, whatever it was.
//!
//! Four witnesses are heard and must agree: the ledger (what was decided), Docker (what is there), the edge (what it
//! serves), and the status (what a person is told). What they disagree about is a list, not a panic, so that it is counted.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use deploy::release::{Release, State};
use serde_json::Value;
use spec::Strategy;

use super::super::load::ask;
use super::super::place::{Place, block_on, lines};

/// How long recovery and the reconciler get until everything has to be as it should.
const SETTLED: Duration = Duration::from_secs(45);
/// What takes longer than this is worth a line.
const TELLING: Duration = Duration::from_secs(4);
const AGAIN: Duration = Duration::from_millis(150);

/// Nothing, or what is still wrong when the time is over.
pub fn broken(place: &Place) -> Vec<String> {
    let began = Instant::now();
    let mut last = String::new();
    loop {
        let found = look(place);
        if found.is_empty() || began.elapsed() > SETTLED {
            if began.elapsed() > TELLING {
                eprintln!("settled only after {:?}; the last trouble was: {last}", began.elapsed());
            }
            return found;
        }
        last.clone_from(&found[0]);
        std::thread::sleep(AGAIN);
    }
}

/// What the ledger says.
struct Decided {
    releases: Vec<Release>,
    /// Service by service, the keys of what serves.
    serving: BTreeMap<String, String>,
    open: Vec<String>,
}

fn look(place: &Place) -> Vec<String> {
    let decided = match decided(place) {
        Ok(decided) => decided,
        Err(error) => return vec![format!("the ledger cannot be read: {error}")],
    };
    let there = containers(place);
    let mut broken = decided.open.clone();
    broken.extend(of_releases(&decided, &there));
    broken.extend(of_leftovers(place));
    broken.extend(of_edge(place, &decided, &there));
    broken.extend(of_status(place, &decided, &there));
    broken.extend(of_answer(place, &decided));
    broken
}

fn decided(place: &Place) -> ledger::Result<Decided> {
    let clock = std::sync::Arc::new(machine::clock::SystemClock::new());
    let ledger = ledger::Ledger::open(&place.state().join("ledger.db"), clock)?;
    let releases: Vec<Release> = ledger.list_records("release", "")?.into_iter().map(|(_, release)| release).collect();
    let serving: BTreeMap<String, String> = ledger.list_records("serving", "")?.into_iter().collect();
    let mut open = Vec::new();
    for saga in ledger.unfinished_sagas()? {
        open.push(format!("the saga {} is neither finished nor undone", saga.id));
    }
    for (id, operation) in ledger.list_records::<Value>("operation", "")? {
        if operation["ended"].is_null() {
            open.push(format!("the operation {id} has no end"));
        }
    }
    let scopes: BTreeSet<String> = releases.iter().map(|release| release.scope.lease()).collect();
    for scope in scopes {
        if let Some(held) = ledger.holder(&scope)? {
            open.push(format!("the lock {scope} is held: {}", held.holder.note));
        }
    }
    Ok(Decided { releases, serving, open })
}

#[derive(Debug)]
struct Container {
    state: String,
    addresses: Vec<IpAddr>,
    is_one_off: bool,
}

/// Everything that carries the platform's label, by name.
fn containers(place: &Place) -> BTreeMap<String, Container> {
    let ids = lines(&place.docker(&["ps", "--all", "--quiet", "--filter", &place.label()]));
    if ids.is_empty() {
        return BTreeMap::new();
    }
    let format = "{{.Name}}|{{.State.Status}}|{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}|{{index .Config.Labels \"dev.mainstay.one-off\"}}";
    let mut words = vec!["inspect", "--format", format];
    words.extend(ids.iter().map(String::as_str));
    // One that is removed between the two calls is looked for again in the next round.
    let Ok(text) = place.try_docker(&words) else { return BTreeMap::new() };
    let one = |line: &str| {
        let parts: Vec<&str> = line.split('|').collect();
        let [name, state, addresses, one_off] = parts.as_slice() else { return None };
        let addresses = addresses.split_whitespace().filter_map(|address| address.parse().ok()).collect();
        let container = Container { state: (*state).to_owned(), addresses, is_one_off: !one_off.is_empty() };
        Some((name.trim_start_matches('/').to_owned(), container))
    };
    text.lines().filter_map(one).collect()
}

/// Exactly one release of a service serves, each container belongs to a release, and is as that one's state says.
fn of_releases(decided: &Decided, there: &BTreeMap<String, Container>) -> Vec<String> {
    let mut broken = Vec::new();
    let services: BTreeSet<String> = decided.releases.iter().map(Release::pool).collect();
    for service in &services {
        let of_it = || decided.releases.iter().filter(|release| release.pool() == *service);
        let serve: Vec<String> = of_it().filter(|release| release.state == State::Serving).map(Release::key).collect();
        let pointer = decided.serving.get(service);
        if serve.len() != 1 || pointer != serve.first() {
            broken.push(format!("of {service} serve {serve:?}, and the pointer says {pointer:?}"));
        }
        for release in of_it().filter(|release| matches!(release.state, State::Prepared | State::Starting)) {
            broken.push(format!("{} is still {}", release.container, release.state.word()));
        }
    }
    for release in &decided.releases {
        for name in release.containers() {
            let is = there.get(&name).map_or("gone", |container| container.state.as_str());
            let is_job = release.plan.strategy == Strategy::Job;
            let legal = match &release.state {
                State::Serving if is_job => matches!(is, "exited" | "gone"),
                State::Serving | State::Parked => is == "running",
                State::Retired => is == "gone",
                State::Failed { .. } => matches!(is, "exited" | "created" | "gone"),
                State::Prepared | State::Starting => true,
            };
            if !legal {
                broken.push(format!("{name} is {is}, and its release is {}", release.state.word()));
            }
        }
    }
    for (name, container) in there {
        let known = decided.releases.iter().any(|release| release.containers().contains(name));
        if container.is_one_off || !known {
            broken.push(format!("the container {name} ({}) belongs to nobody", container.state));
        }
    }
    broken
}

/// No network and no Compose project beside those of the platform.
fn of_leftovers(place: &Place) -> Vec<String> {
    let named = format!("name={}", place.name);
    let all = lines(&place.docker(&["network", "ls", "--quiet", "--filter", &named]));
    let ours = place.networks();
    all.iter().filter(|id| !ours.contains(id)).map(|id| format!("the network {id} belongs to nobody")).collect()
}

/// The edge sends the requests of each service to the running copies of the release that serves, and nowhere else.
fn of_edge(place: &Place, decided: &Decided, there: &BTreeMap<String, Container>) -> Vec<String> {
    let control = edge::Control::new(place.state().join("run/edge.sock"));
    let status = match block_on(control.status()) {
        Ok(status) => status,
        Err(error) => return vec![format!("the edge does not answer: {error}")],
    };
    let mut broken = Vec::new();
    let mut seen = BTreeSet::new();
    for pool in &status.pools {
        if !seen.insert(&pool.name) {
            broken.push(format!("{} is routed to two releases", pool.name));
        }
        if pool.is_held {
            broken.push(format!("requests to {} wait", pool.name));
        }
        let service = pool.name.split(':').next().unwrap_or_default();
        let release = decided.serving.get(service).and_then(|key| by_key(decided, key));
        let Some(release) = release.filter(|release| release.id.as_ref() == pool.release) else {
            broken.push(format!("{} is routed to {}, which does not serve", pool.name, pool.release));
            continue;
        };
        let running: BTreeSet<IpAddr> = release
            .containers()
            .iter()
            .filter_map(|name| there.get(name).filter(|container| container.state == "running"))
            .flat_map(|container| container.addresses.clone())
            .collect();
        let targets: BTreeSet<IpAddr> = pool.targets.iter().map(SocketAddr::ip).collect();
        if targets != running {
            broken.push(format!("{} is routed to {targets:?}, and its copies are at {running:?}", pool.name));
        }
    }
    for (service, key) in &decided.serving {
        let wants = by_key(decided, key).is_some_and(|release| !release.targets.is_empty());
        if wants && !status.pools.iter().any(|pool| pool.name.split(':').next() == Some(service)) {
            broken.push(format!("{service} is not routed"));
        }
    }
    broken
}

fn by_key<'a>(decided: &'a Decided, key: &str) -> Option<&'a Release> {
    decided.releases.iter().find(|release| release.key() == key)
}

/// What a person is told agrees with the other three.
fn of_status(place: &Place, decided: &Decided, there: &BTreeMap<String, Container>) -> Vec<String> {
    let ran = place.run(&["status", "--json"]);
    let Ok(status) = serde_json::from_str::<Value>(&ran.out) else {
        return vec![format!("there is no status: {}", ran.err.trim())];
    };
    let mut broken = Vec::new();
    if status["edge"]["in_sync"] != true {
        broken.push(format!("the edge is told to be out of step: {}", status["edge"]));
    }
    let mut told = BTreeSet::new();
    for platform in status["platforms"].as_array().into_iter().flatten() {
        if platform["strays"] != serde_json::json!([]) {
            broken.push(format!("strays are told: {}", platform["strays"]));
        }
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let scope = format!("{}/{}", word(&platform["scope"]["platform"]), word(&platform["scope"]["environment"]));
        for service in platform["services"].as_array().into_iter().flatten() {
            let name = format!("{scope}/{}", word(&service["service"]));
            broken.extend(of_service(&name, service, decided, there));
            told.insert(name);
        }
    }
    let silent = decided.serving.keys().filter(|service| !told.contains(*service));
    broken.extend(silent.map(|service| format!("the status does not tell of {service}")));
    broken
}

fn of_service(name: &str, told: &Value, decided: &Decided, there: &BTreeMap<String, Container>) -> Option<String> {
    let serving = decided.serving.get(name).and_then(|key| by_key(decided, key));
    let Some(release) = serving.filter(|release| told["release"] == release.id.as_ref()) else {
        return Some(format!("{name}: {} is told to serve", told["release"]));
    };
    let runs = |name: &String| there.get(name).is_some_and(|container| container.state == "running");
    let running = release.containers().iter().filter(|name| runs(name)).count();
    let is_job = release.plan.strategy == Strategy::Job;
    let state = if is_job { "done" } else { "running" };
    let is_right = told["state"] == state
        && told["routed"] != false
        && told["canary"].is_null()
        && told["running"] == running
        && told["copies"] == release.copies
        && (is_job || u32::try_from(running) == Ok(release.copies));
    (!is_right).then(|| format!("{name}: {running} of {} run, and the status tells {told}", release.copies))
}

/// A request is answered, by the release that serves.
fn of_answer(place: &Place, decided: &Decided) -> Option<String> {
    let key = decided.serving.get(&format!("{}/production/web", place.name))?;
    let release = by_key(decided, key)?;
    match ask(place.port) {
        Ok(body) if release.image.reference.contains(&format!(":{body}-")) => None,
        Ok(body) => Some(format!("`{body}` answers, and {} serves", release.image.reference)),
        Err(error) => Some(format!("a request is not answered: {error}")),
    }
}
