//! Tables.

use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};
use deploy::canary::Canary;
use deploy::release::{Release, State};
use deploy::standing::Kind;
use deploy::status::{EdgeStatus, PlatformStatus, ServiceStatus, Status};
use machine::docker::Health;

use crate::messages::{Ended, Operation, Told};

fn table(head: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(head.iter().copied());
    table
}

pub fn status(status: &Status) -> String {
    let mut text = String::new();
    if status.platforms.is_empty() {
        text.push_str("No platform is up. Run `mainstay up` in the folder of a compose.yaml.\n");
    }
    for one in &status.platforms {
        text.push_str(&format!("{}  {}\n{}\n\n", one.scope, one.dir.display(), platform(one)));
        for kind in [Kind::Pause, Kind::Lock] {
            if let Some(order) = one.standing.of(kind) {
                let why = if order.why.is_empty() { String::new() } else { format!(": {}", order.why) };
                text.push_str(&format!("{} by {} since {}{why}\n", kind.word(), order.by, when(order.since_ms)));
            }
        }
        if one.maintenance {
            text.push_str("maintenance: its public routes answer with a page\n");
        }
        for stopped in &one.stopped {
            text.push_str(&format!("{}\n", stopped.text()));
        }
        for intruder in &one.intruders {
            text.push_str(&format!("{}; {}\n", intruder.text(), intruder.advice()));
        }
        for stray in &one.strays {
            text.push_str(&format!("stray container: {stray}\n"));
        }
    }
    match &status.edge {
        EdgeStatus::Serving { epoch, version, in_sync, .. } => {
            let sync = if *in_sync { "in step" } else { "NOT in step with what should serve" };
            text.push_str(&format!("edge {version}: epoch {epoch}, {sync}\n"));
        }
        EdgeStatus::Unreachable { reason } => text.push_str(&format!("edge: DOES NOT ANSWER ({reason})\n")),
    }
    text
}

pub fn platform(platform: &PlatformStatus) -> String {
    let mut table = table(&["SERVICE", "STATE", "RELEASE", "STRATEGY", "HEALTHY IN", "OPEN"]);
    for service in &platform.services {
        table.add_row([
            service.service.to_string(),
            state(service),
            release(service),
            service.strategy.to_string(),
            service.healthy_after_ms.map_or(String::new(), |ms| format!("{:.1} s", ms as f64 / 1000.0)),
            service.addresses.join("\n"),
        ]);
    }
    table.trim_fmt()
}

fn state(service: &ServiceStatus) -> String {
    let mut text = service.state.clone();
    let unhealthy = service.health.iter().filter(|one| one.health == Health::Unhealthy).count();
    if service.copies > 1 {
        text = format!("{}/{} {}", service.running, service.copies, service.state);
        if service.running < service.copies {
            text = format!("{}/{} running, one is {}", service.running, service.copies, service.state);
        } else if unhealthy > 0 {
            text = format!("{}/{} running, {unhealthy} unhealthy", service.running, service.copies);
        }
    }
    // What is worse is in the word itself.
    if unhealthy == 0 && !service.health.is_empty() && service.running == service.copies {
        let starts = service.health.iter().any(|one| one.health == Health::Starting);
        text.push_str(if starts { " (starting)" } else { " (healthy)" });
    }
    match service.routed {
        Some(false) => format!("{text}, NOT ROUTED"),
        _ => text,
    }
}

fn release(service: &ServiceStatus) -> String {
    let mut text = service.release.to_string();
    if !service.warm.is_empty() {
        let warm: Vec<String> = service.warm.iter().map(ToString::to_string).collect();
        text.push_str(&format!(" (warm: {})", warm.join(", ")));
    }
    if let Some(canary) = &service.canary {
        text.push_str(&format!(" (canary: {} at {})", canary.release, canary.share));
    }
    if let Some(failed) = service.failed.last() {
        text.push_str(&format!(" (failed: {})", failed.release));
    }
    text
}

pub fn canaries(canaries: &[Canary]) -> String {
    let mut table = table(&["SERVICE", "RELEASE", "BESIDE", "SHARE", "NEXT", "PAUSE", "SINCE", "OPERATION"]);
    for canary in canaries {
        table.add_row([
            format!("{} ({})", canary.service, canary.scope),
            canary.release.to_string(),
            canary.beside.to_string(),
            canary.share.to_string(),
            canary.next().map_or("all".into(), |next| next.to_string()),
            canary.pause.to_string(),
            when(canary.since_ms),
            canary.operation.clone(),
        ]);
    }
    table.trim_fmt()
}

pub fn releases(releases: &[Release]) -> String {
    let mut table = table(&["RELEASE", "SERVICE", "STATE", "IMAGE", "COMMIT", "CREATED", "BY", "WHY"]);
    for release in releases {
        let state = match &release.state {
            State::Failed { reason } => format!("failed: {reason}"),
            other => other.word().into(),
        };
        table.add_row([
            release.id.to_string(),
            release.service.to_string(),
            state,
            release.image.reference.clone(),
            release.origin.commit.as_ref().map_or(String::new(), |commit| commit.short()),
            when(release.created_ms),
            release.by.clone(),
            release.why.clone(),
        ]);
    }
    table.trim_fmt()
}

/// One line; what an event says of itself comes last.
pub fn event(event: &Told) -> String {
    let service = event.service.as_ref().map_or(String::new(), |service| format!("/{service}"));
    let data = match event.data.get("text").and_then(|text| text.as_str()) {
        Some(text) => text.to_owned(),
        None => event.data.to_string(),
    };
    format!("{}  {}/{}{service}  {}  {data}", when(event.at_ms), event.platform, event.environment, event.kind)
}

pub fn operations(operations: &[Operation]) -> String {
    if operations.is_empty() {
        return "Nothing has been done yet.\n".into();
    }
    let mut table = table(&["OPERATION", "WHAT", "PLATFORM", "BY", "BEGUN", "ENDED"]);
    for operation in operations {
        table.add_row([
            operation.id.clone(),
            operation.word.trim_end_matches('$').to_owned(),
            operation.scope.as_ref().map_or(String::new(), ToString::to_string),
            operation.by.clone(),
            when(operation.started_ms),
            operation.ended.as_ref().map_or_else(|| "under way".to_owned(), end),
        ]);
    }
    format!("{}\n", table.trim_fmt())
}

fn end(ended: &Ended) -> String {
    match ended {
        Ended::Report { report } => format!("{:?}", report.ending).to_lowercase(),
        Ended::Removed { .. } | Ended::Released { .. } | Ended::Pruned { .. } => "done".into(),
        Ended::Failed { failure } => failure.message.clone(),
        Ended::Left { .. } | Ended::Waits { .. } => String::new(),
    }
}

/// UTC, to the second.
fn when(ms: i64) -> String {
    let second = jiff::Timestamp::from_millisecond(ms).map(|stamp| stamp.strftime("%Y-%m-%d %H:%M:%SZ").to_string());
    second.unwrap_or_default()
}
