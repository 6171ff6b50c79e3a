//! Making CPU and memory limits fit the host.
//! Limits are scaled in proportion, because their ratio is what the author of the compose file knew about the services.

use super::plan::{HostSize, Limits, ResourceReport, ServicePlan};
use crate::defaults::{CPU_OVERCOMMIT, LEAST_CPUS, LEAST_MEMORY};
use crate::platform::{LimitSettings, ResourceMode, Strategy};
use crate::units::Bytes;

/// What the services may have altogether, and how to say it.
struct Room {
    cpus: f64,
    memory: Bytes,
    words_cpus: String,
    words_memory: String,
}

/// Scales the limits of the services in place and reports what was done and why.
pub(super) fn fit(
    services: &mut [ServicePlan],
    mode: ResourceMode,
    share: Option<LimitSettings>,
    host: &HostSize,
) -> ResourceReport {
    let room = room(host, share);
    let mut report = ResourceReport { mode, ..ResourceReport::default() };
    if mode == ResourceMode::Fit {
        let all_cpus = running(services, |limits| limits.cpus);
        let all_memory = running(services, |limits| limits.memory.map(|bytes| bytes.0 as f64));
        report.factor_cpu = factor(&all_cpus, room.cpus * CPU_OVERCOMMIT, LEAST_CPUS);
        report.factor_memory = factor(&all_memory, room.memory.0 as f64, LEAST_MEMORY.0 as f64);
        let (cpus, memory) = (total(&all_cpus), total(&all_memory));
        explain(&mut report, &room, cpus, memory);
    }
    for plan in services.iter_mut() {
        let declared = plan.limits;
        plan.limits = scaled(declared, plan.strategy, &report, &room, host);
        report.lines.extend(change(plan, declared));
    }
    if mode == ResourceMode::Fit {
        warn_if_still_too_much(services, &room, &mut report);
    }
    report
}

/// The host less a reserve for the system, or the environment's own share of it.
fn room(host: &HostSize, share: Option<LimitSettings>) -> Room {
    let share = share.unwrap_or_default();
    let reserve_cpus = (host.cpus * 0.1).clamp(0.1, 1.0).min(host.cpus / 4.0);
    let tenth = Bytes(host.memory.0 / 10);
    let reserve_memory = tenth.clamp(Bytes::mib(256), Bytes::gib(4)).min(Bytes(host.memory.0 / 4));
    let (cpus, words_cpus) = match share.cpus {
        Some(cpus) => (cpus.min(host.cpus), "the environment may have".to_owned()),
        None => (
            host.cpus - reserve_cpus,
            format!(
                "the host has {}, {} of them kept for the system, which leaves",
                tidy(host.cpus),
                tidy(reserve_cpus)
            ),
        ),
    };
    let (memory, words_memory) = match share.memory {
        Some(memory) => (memory.min(host.memory), "the environment may have".to_owned()),
        None => (
            Bytes(host.memory.0 - reserve_memory.0),
            format!("the host has {}, {reserve_memory} of it kept for the system, which leaves", host.memory),
        ),
    };
    Room { cpus, memory, words_cpus, words_memory }
}

/// The limits of all services that run at the same time, with their copies; jobs are over before the others start.
fn running(services: &[ServicePlan], limit: impl Fn(&Limits) -> Option<f64>) -> Vec<(f64, f64)> {
    let running = services.iter().filter(|plan| plan.strategy != Strategy::Job);
    running.filter_map(|plan| Some((limit(&plan.limits)?, f64::from(plan.replicas.max(1))))).collect()
}

fn total(limits: &[(f64, f64)]) -> f64 {
    limits.iter().map(|(limit, copies)| limit * copies).sum()
}

/// The factor with which the limits fit, counting those that stay at the floor at what they really take.
fn factor(limits: &[(f64, f64)], room: f64, floor: f64) -> f64 {
    let mut factor = 1.0;
    // Each round can only push more limits to the floor, so there are at most as many rounds as limits.
    for _ in 0..=limits.len() {
        let (low, high): (Vec<_>, Vec<_>) = limits.iter().partition(|(limit, _)| limit * factor <= floor);
        let floored: f64 = low.iter().map(|(limit, copies)| limit.min(floor) * copies).sum();
        let rest = total(&high);
        let next = if rest > 0.0 { ((room - floored) / rest).max(0.0) } else { factor };
        if next >= factor {
            break;
        }
        factor = next;
    }
    factor
}

fn explain(report: &mut ResourceReport, room: &Room, cpus: f64, memory: f64) {
    if report.factor_cpu < 1.0 {
        report.lines.push(format!(
            "CPU limits add up to {}; {} {}, and may add up to {CPU_OVERCOMMIT} times that: each is scaled to {}",
            tidy(cpus),
            room.words_cpus,
            tidy(room.cpus),
            share_of_hundred(report.factor_cpu)
        ));
    }
    if report.factor_memory < 1.0 {
        report.lines.push(format!(
            "memory limits add up to {}; {} {}: each is scaled to {}",
            Bytes(memory as u64),
            room.words_memory,
            room.memory,
            share_of_hundred(report.factor_memory)
        ));
    }
}

fn scaled(declared: Limits, strategy: Strategy, report: &ResourceReport, room: &Room, host: &HostSize) -> Limits {
    let (by_cpu, by_memory) = match strategy {
        Strategy::Job => (1.0, 1.0),
        _ => (report.factor_cpu, report.factor_memory),
    };
    let fit = report.mode == ResourceMode::Fit;
    let cpus = declared.cpus.map(|cpus| {
        let scaled = if by_cpu < 1.0 { (hundredths(cpus * by_cpu)).max(LEAST_CPUS.min(cpus)) } else { cpus };
        // Docker refuses a container that may use more processors than there are, whatever the sum is.
        let most = if fit { room.cpus.max(LEAST_CPUS) } else { host.cpus };
        if scaled > most { hundredths(most).max(LEAST_CPUS.min(most)) } else { scaled }
    });
    let memory = declared.memory.map(|memory| {
        let scaled = if by_memory < 1.0 { memory.scaled(by_memory).max(LEAST_MEMORY.min(memory)) } else { memory };
        if fit { scaled.min(room.memory.max(LEAST_MEMORY)) } else { scaled }
    });
    Limits { cpus, memory }
}

/// The plan's line about one service, if its limits are not as declared.
fn change(plan: &mut ServicePlan, declared: Limits) -> Option<String> {
    let mut parts = Vec::new();
    if let (Some(before), Some(after)) = (declared.cpus, plan.limits.cpus)
        && before != after
    {
        parts.push(format!("{} -> {} CPUs", tidy(before), tidy(after)));
    }
    if let (Some(before), Some(after)) = (declared.memory, plan.limits.memory)
        && before != after
    {
        parts.push(format!("{before} -> {after} of memory"));
    }
    if parts.is_empty() {
        return None;
    }
    let line = parts.join(", ");
    plan.reasons.insert("limits".to_owned(), format!("{line}, to fit the host"));
    Some(format!("{}: {line}", plan.name))
}

fn warn_if_still_too_much(services: &[ServicePlan], room: &Room, report: &mut ResourceReport) {
    let memory = total(&running(services, |limits| limits.memory.map(|bytes| bytes.0 as f64)));
    if report.factor_memory < 1.0 && memory > room.memory.0 as f64 {
        report.lines.push(format!(
            "memory limits still add up to {}, because none goes below {LEAST_MEMORY}: the host is too small for all services",
            Bytes(memory as u64)
        ));
    }
}

fn hundredths(cpus: f64) -> f64 {
    (cpus * 100.0 + 1e-9).floor() / 100.0
}

fn tidy(cpus: f64) -> f64 {
    (cpus * 100.0).round() / 100.0
}

fn share_of_hundred(factor: f64) -> String {
    format!("{} %", (factor * 1000.0).round() / 10.0)
}
