//! What each route did. Labels are the host and path as configured, so their number is the routes'.

use std::fmt::Write;

use super::{escaped, head, histogram, value};
use crate::edge::Edge;
use crate::seen::routes::Label;

/// A route's labels.
pub(super) fn labels((host, path): &Label) -> String {
    format!("host=\"{}\",path=\"{}\"", escaped(host), escaped(path))
}

pub(super) fn render(text: &mut String, edge: &Edge) {
    let lines: Vec<_> = edge.routes.all().into_iter().map(|(label, tally)| (labels(&label), tally)).collect();
    head(text, "mainstay_edge_route_requests_total", "counter", "Answers by route and status class.");
    for (labels, tally) in &lines {
        for (class, count) in tally.classes.iter().enumerate() {
            let (class, count) = (class + 1, value(count));
            let _ = writeln!(text, "mainstay_edge_route_requests_total{{{labels},code=\"{class}xx\"}} {count}");
        }
    }
    let name = "mainstay_edge_route_response_seconds";
    head(text, name, "histogram", "Time from a request's head to its response's head, by route.");
    for (labels, tally) in &lines {
        histogram(text, name, labels, &tally.times);
    }
    head(text, "mainstay_edge_rate_limited_total", "counter", "Requests over a route's rate.");
    for (labels, tally) in &lines {
        let count = value(&tally.rate_limited);
        let _ = writeln!(text, "mainstay_edge_rate_limited_total{{{labels}}} {count}");
    }
    let name = "mainstay_edge_queue_refused_total";
    head(text, name, "counter", "Requests that found a route's queue full, or waited in vain.");
    for (labels, tally) in &lines {
        for (why, count) in [("full", &tally.queue_full), ("late", &tally.queue_late)] {
            let _ = writeln!(text, "{name}{{{labels},why=\"{why}\"}} {}", value(count));
        }
    }
}
