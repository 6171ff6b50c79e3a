//! How an operation ended, in words and as an exit code.

use deploy::report::{Failure as Cause, Outcome, Report, ServiceReport, Traffic};
use deploy::status::Status;
use deploy::{Ending, Removed, Scope};

use crate::client::Client;
use crate::commands::Context;
use crate::errors::Failure;
use crate::messages::Ended;
use crate::out::result;
use crate::show::{json, tables};

pub async fn print(context: &Context, client: &Client, scope: Option<&Scope>, ended: Ended) -> Result<u8, Failure> {
    if context.global.json {
        result(format_args!("{}\n", json(&ended)));
    }
    match ended {
        Ended::Failed { failure } => Err(failure),
        Ended::Waits { operation } => {
            eprintln!("It goes on as {operation} without this command; `mainstay status` shows how it stands.");
            Ok(0)
        }
        Ended::Removed { removed } => {
            if !context.global.json {
                gone(scope, &removed);
            }
            Ok(0)
        }
        Ended::Released { released } => {
            if !context.global.json {
                handed(&released);
            }
            Ok(0)
        }
        Ended::Pruned { pruned } => {
            if !context.global.json {
                cleared(&pruned);
            }
            Ok(0)
        }
        // As a shell says it of a program that was interrupted.
        Ended::Left { .. } => Ok(130),
        Ended::Report { report } => {
            if !context.global.json {
                // It is over and decided by now: that nobody can look at it any more does not make it a failure.
                match client.post::<Status>("/v1/status", &Some(&report.scope)).await {
                    Ok(status) => table(&report, &status),
                    Err(failure) => eprintln!("how it stands now could not be asked: {}", failure.in_a_line()),
                }
                report_of(&report);
            }
            Ok(report.ending.exit_code())
        }
    }
}

fn table(report: &Report, status: &Status) {
    if let Some(platform) = status.platforms.iter().find(|platform| platform.scope == report.scope) {
        result(format_args!("{}\n", tables::platform(platform)));
    }
}

fn report_of(report: &Report) {
    for (service, cause) in report.failures() {
        failure(service, cause);
    }
    for service in &report.services {
        if let Outcome::WentBack { because } = &service.result {
            let to = service.release.as_ref().map_or_else(|| "nothing".to_owned(), |id| format!("release {id}"));
            eprintln!("\nwent back: {} serves {to} again, because {because}", service.service);
        }
    }
    let seconds = report.took_ms as f64 / 1000.0;
    let changed = report.services.iter().filter(|service| service.result == Outcome::Done).count();
    match report.ending {
        Ending::Done if changed == 0 => eprintln!("Nothing had to be changed ({seconds:.1} s)."),
        Ending::Done => eprintln!("{changed} changed in {seconds:.1} s."),
        _ => eprintln!("Not all went well; it took {seconds:.1} s."),
    }
}

/// The cause, the last lines, the kept container, the next command.
fn failure(service: &ServiceReport, cause: &Cause) {
    let release = service.release.as_ref().map(ToString::to_string).unwrap_or_default();
    eprintln!("\nfailed: {} {release} at `{}`: {}", service.service, cause.step, cause.cause);
    if !cause.logs.is_empty() {
        eprintln!("  its last lines:");
        for line in &cause.logs {
            eprintln!("  | {line}");
        }
    }
    match cause.ending {
        Ending::Failed => eprintln!("  nothing was changed"),
        Ending::RolledBack if cause.is_of_a_watch() => {
            eprintln!("  it was rolled back: traffic is back on the release before, no `rollback` is needed");
        }
        Ending::RolledBack => eprintln!("  it was rolled back{}", traffic(&cause.traffic)),
        Ending::Stuck => {
            eprintln!("  it is stuck and needs a person: `mainstay status` shows how it stands");
            // One that serves although it does worse says itself what goes back.
            if !cause.is_of_a_watch() {
                eprintln!(
                    "hint: put right what the cause names, then `mainstay up` brings the service to what its files say"
                );
            }
        }
        _ => {}
    }
    if let Some(kept) = &cause.kept {
        eprintln!("  its container is kept: {kept}");
        eprintln!("hint: docker logs {kept}");
    }
}

/// Traffic "stayed" only where it really did.
fn traffic(traffic: &Traffic) -> String {
    match traffic {
        Traffic::Unsaid => String::new(),
        Traffic::Stayed => ": traffic stayed where it was".to_owned(),
        Traffic::WentBack { release } => format!(": {release} has all the traffic again"),
        Traffic::RunsAgain { release, away_ms: None } => format!(": {release} runs again"),
        Traffic::RunsAgain { release, away_ms: Some(ms) } => {
            format!(": {release} runs again (it was away for {:.0} s)", (*ms as f64 / 1000.0).max(1.0))
        }
    }
}

fn handed(released: &deploy::to_compose::Released) {
    let away = spec::units::human_duration(std::time::Duration::from_millis(released.away_ms));
    eprintln!(
        "{} is Docker Compose's from now on: project `{}`, {} containers run; handed over: it was away for {away}.",
        released.scope,
        released.project,
        released.runs.len()
    );
    eprintln!("`{} ps` shows it, and `mainstay up` takes it back.", released.command);
}

fn cleared(pruned: &deploy::prune::Pruned) {
    for (name, reason) in &pruned.kept {
        eprintln!("{name} stays: {reason}");
    }
    let size = crate::commands::size(pruned.bytes);
    eprintln!("{} things removed, {size} of images freed.", pruned.removed.len());
}

fn gone(scope: Option<&Scope>, removed: &Removed) {
    let scope = scope.map_or_else(|| "The platform".to_owned(), ToString::to_string);
    eprintln!(
        "{scope} is gone: {} containers, {} networks, {} volumes.",
        removed.containers.len(),
        removed.networks.len(),
        removed.volumes.len()
    );
    for (network, why) in &removed.kept_networks {
        eprintln!("Network {network} stays, it is in use: {why}");
        eprintln!(
            "hint: `docker network inspect {network}` names who is on it; where that container is gone, restart Docker and run this again"
        );
    }
    for (volume, why) in &removed.used_volumes {
        eprintln!("Volume {volume} stays, it is in use: {why}");
    }
    if !removed.volumes.is_empty() {
        eprintln!("Its data is gone from: {}", removed.volumes.join(", "));
    }
    if !removed.kept_volumes.is_empty() {
        eprintln!("Its data stays in: {}", removed.kept_volumes.join(", "));
    }
}
