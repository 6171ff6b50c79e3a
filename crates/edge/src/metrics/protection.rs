//! What was refused, and why.

use std::fmt::Write;

use super::{head, value};
use crate::edge::Edge;

/// In the order of [`crate::snapshot::Priority`].
const PRIORITIES: [&str; 4] = ["low", "normal", "high", "critical"];

pub(super) fn render(text: &mut String, edge: &Edge) {
    let name = "mainstay_edge_refused_total";
    head(text, name, "counter", "Requests and connections refused or not served, by the reason's word.");
    for (word, count) in edge.counts.refusals.all() {
        let _ = writeln!(text, "{name}{{reason=\"{word}\"}} {count}");
    }
    head(text, "mainstay_edge_log_dropped_total", "counter", "Lines of the access log that were not written.");
    let _ = writeln!(text, "mainstay_edge_log_dropped_total {}", edge.log.dropped());
    let shedder = &edge.protection.shedder;
    head(text, "mainstay_edge_shed_total", "counter", "Requests shed, by priority.");
    for (priority, count) in PRIORITIES.iter().zip(&shedder.refused) {
        let _ = writeln!(text, "mainstay_edge_shed_total{{priority=\"{priority}\"}} {}", value(count));
    }
    let table = edge.table.load();
    if table.rules.sheds {
        head(text, "mainstay_edge_shed_limit", "gauge", "Requests under way at which `low` is shed.");
        let _ = writeln!(text, "mainstay_edge_shed_limit {}", shedder.limit());
        head(text, "mainstay_edge_shed_under_way", "gauge", "Requests under way as shedding counts them.");
        let _ = writeln!(text, "mainstay_edge_shed_under_way {}", shedder.under_way());
    }
    head(text, "mainstay_edge_queue_waiting", "gauge", "Requests that wait for a place of their route.");
    for rules in table.rules.all() {
        if let Some(gate) = rules.guard.as_ref().and_then(|guard| guard.gate.as_ref()) {
            let labels = super::routes::labels(&rules.label);
            let _ = writeln!(text, "mainstay_edge_queue_waiting{{{labels}}} {}", gate.waiting());
        }
    }
}
