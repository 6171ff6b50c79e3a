//! The counters as Prometheus text.

mod protection;
mod routes;

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::control::TargetCondition;
use crate::edge::Edge;
use crate::seen::histogram::{Histogram, SHOWN_MS, shown};
use crate::upstream::gate::Gate;
use crate::upstream::generation::Generation;
use crate::upstream::tally::Tally;

/// One release with its labels and its living generations.
struct Line {
    labels: String,
    tally: Arc<Tally>,
    in_flight: usize,
    tunnels: usize,
}

/// Renders everything.
pub(crate) fn render(edge: &Edge) -> String {
    let lines = lines(edge);
    let mut text = String::with_capacity(2048 + lines.len() * 2048);
    requests(&mut text, &lines);
    times(&mut text, &lines);
    gauges(&mut text, &lines);
    connections(&mut text, &lines);
    holds(&mut text, edge);
    targets(&mut text, edge);
    own(&mut text, edge);
    routes::render(&mut text, edge);
    protection::render(&mut text, edge);
    tls(&mut text, edge);
    text
}

fn lines(edge: &Edge) -> Vec<Line> {
    let table = edge.table.load_full();
    let state = edge.state.lock();
    let living = || table.generations.iter().chain(&state.draining);
    let of = |key: &(String, String), count: fn(&Generation) -> usize| {
        living().filter(|g| g.pool.name == key.0 && g.pool.release == key.1).map(|g| count(g)).sum()
    };
    let line = |(key, tally): (&(String, String), &Arc<Tally>)| Line {
        labels: format!("pool=\"{}\",release=\"{}\"", escaped(&key.0), escaped(&key.1)),
        tally: tally.clone(),
        in_flight: of(key, Generation::in_flight),
        tunnels: of(key, Generation::tunnels),
    };
    state.tallies.iter().map(line).collect()
}

fn requests(text: &mut String, lines: &[Line]) {
    head(text, "mainstay_edge_requests_total", "counter", "Answers by pool, release and status class.");
    for Line { labels, tally, .. } in lines {
        for (class, count) in tally.classes.iter().enumerate() {
            let (class, count) = (class + 1, value(count));
            let _ = writeln!(text, "mainstay_edge_requests_total{{{labels},code=\"{class}xx\"}} {count}");
        }
    }
}

fn times(text: &mut String, lines: &[Line]) {
    let name = "mainstay_edge_response_seconds";
    head(text, name, "histogram", "Time from a request's head to its response's head.");
    for Line { labels, tally, .. } in lines {
        histogram(text, name, labels, &tally.times);
    }
}

/// One series of a histogram.
fn histogram(text: &mut String, name: &str, labels: &str, times: &Histogram) {
    let (below, all) = shown(&times.counts());
    for (bound, count) in SHOWN_MS.iter().zip(below) {
        let _ = writeln!(text, "{name}_bucket{{{labels},le=\"{}\"}} {count}", seconds(*bound));
    }
    let _ = writeln!(text, "{name}_bucket{{{labels},le=\"+Inf\"}} {all}");
    let micros = times.micros();
    let _ = writeln!(text, "{name}_sum{{{labels}}} {}.{:06}", micros / 1_000_000, micros % 1_000_000);
    let _ = writeln!(text, "{name}_count{{{labels}}} {all}");
}

fn gauges(text: &mut String, lines: &[Line]) {
    head(text, "mainstay_edge_in_flight", "gauge", "Requests and WebSockets under way.");
    for line in lines {
        let _ = writeln!(text, "mainstay_edge_in_flight{{{}}} {}", line.labels, line.in_flight);
    }
    head(text, "mainstay_edge_websockets", "gauge", "WebSockets and other tunnels under way.");
    for line in lines {
        let _ = writeln!(text, "mainstay_edge_websockets{{{}}} {}", line.labels, line.tunnels);
    }
}

fn connections(text: &mut String, lines: &[Line]) {
    type Pick = fn(&Tally) -> &AtomicU64;
    let counters: [(&str, &str, Pick); 9] = [
        ("mainstay_edge_connects_total", "New connections to targets.", |tally| &tally.connects),
        ("mainstay_edge_connect_errors_total", "Connections that did not come about.", |tally| &tally.connect_errors),
        ("mainstay_edge_retries_total", "Second tries.", |tally| &tally.retries),
        ("mainstay_edge_unanswered_total", "Requests the edge answered for a pool.", |tally| &tally.unanswered),
        ("mainstay_edge_failed_calls_total", "Calls of gRPC that their targets failed.", |tally| &tally.failed_calls),
        ("mainstay_edge_broken_answers_total", "Answers that broke off after their head.", |tally| &tally.broken),
        ("mainstay_edge_ejections_total", "Targets taken out for their answers.", |tally| &tally.ejections),
        ("mainstay_edge_received_bytes_total", "Bodies, WebSockets and TCP from clients.", |tally| &tally.bytes_in),
        ("mainstay_edge_sent_bytes_total", "Bodies, WebSockets and TCP to clients.", |tally| &tally.bytes_out),
    ];
    for (name, help, pick) in counters {
        head(text, name, "counter", help);
        for Line { labels, tally, .. } in lines {
            let _ = writeln!(text, "{name}{{{labels}}} {}", value(pick(tally)));
        }
    }
}

fn targets(text: &mut String, edge: &Edge) {
    head(text, "mainstay_edge_target_well", "gauge", "1 when a target gets its turns, 0 when it rests.");
    for generation in &edge.table.load_full().generations {
        let (pool, release) = (escaped(&generation.pool.name), escaped(&generation.pool.release));
        for target in &generation.targets {
            let (addr, well) = (target.addr, u8::from(target.state() == TargetCondition::Well));
            let _ = writeln!(
                text,
                "mainstay_edge_target_well{{pool=\"{pool}\",release=\"{release}\",target=\"{addr}\"}} {well}"
            );
        }
    }
}

fn holds(text: &mut String, edge: &Edge) {
    let gates = edge.state.lock().gates.clone();
    type Pick = fn(&Gate) -> u64;
    let rows: [(&str, &str, &str, Pick); 5] = [
        ("mainstay_edge_held", "gauge", "Requests that wait for a pool's next release.", |gate| gate.waiting() as u64),
        ("mainstay_edge_held_bytes", "gauge", "Of their bodies already read.", |gate| gate.bytes()),
        ("mainstay_edge_held_total", "counter", "Requests that had to wait.", |gate| value(&gate.held_total)),
        ("mainstay_edge_hold_full_total", "counter", "Refused, too many waited.", |gate| value(&gate.full_total)),
        ("mainstay_edge_hold_late_total", "counter", "Waited for too long.", |gate| value(&gate.late_total)),
    ];
    for (name, kind, help, pick) in rows {
        head(text, name, kind, help);
        for (pool, gate) in &gates {
            let _ = writeln!(text, "{name}{{pool=\"{}\"}} {}", escaped(pool), pick(gate));
        }
    }
}

fn own(text: &mut String, edge: &Edge) {
    head(text, "mainstay_edge_own_answers_total", "counter", "Answers of the edge itself.");
    let counts = &edge.counts;
    for (kind, count) in [
        ("redirected", &counts.redirected),
        ("not-found", &counts.not_found),
        ("refused", &counts.refused),
        ("unanswered", &counts.unanswered),
    ] {
        let _ = writeln!(text, "mainstay_edge_own_answers_total{{kind=\"{kind}\"}} {}", value(count));
    }
    head(text, "mainstay_edge_snapshots_total", "counter", "Snapshots taken since the start.");
    let _ = writeln!(text, "mainstay_edge_snapshots_total {}", value(&counts.snapshots));
    head(text, "mainstay_edge_snapshot_epoch", "gauge", "The served epoch.");
    let _ = writeln!(text, "mainstay_edge_snapshot_epoch {}", edge.table.load().epoch);
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        let tasks = runtime.metrics().num_alive_tasks();
        head(text, "mainstay_edge_tasks", "gauge", "Tasks of the process that have not ended.");
        let _ = writeln!(text, "mainstay_edge_tasks {tasks}");
    }
    let mut clients = 0;
    edge.presences.visit(|_| clients += 1);
    head(text, "mainstay_edge_client_connections", "gauge", "Open connections of clients.");
    let _ = writeln!(text, "mainstay_edge_client_connections {clients}");
    head(text, "mainstay_edge_client_connections_resting", "gauge", "Of them, idle and taken down to their socket.");
    let _ = writeln!(text, "mainstay_edge_client_connections_resting {}", value(&counts.resting));
}

fn tls(text: &mut String, edge: &Edge) {
    let name = "mainstay_edge_tls_handshakes_total";
    head(text, name, "counter", "TLS handshakes that came about.");
    for (version, kind, count) in edge.tls.tally.handshakes() {
        let _ = writeln!(text, "{name}{{version=\"{version}\",kind=\"{kind}\"}} {count}");
    }
    let name = "mainstay_edge_tls_failures_total";
    head(text, name, "counter", "TLS handshakes that came to nothing.");
    for (reason, count) in edge.tls.tally.failures() {
        let _ = writeln!(text, "{name}{{reason=\"{reason}\"}} {count}");
    }
    let name = "mainstay_edge_certificate_end_seconds";
    head(text, name, "gauge", "When the certificate that is served for a name ends, in Unix time.");
    for (host, end) in edge.tls.store.ends() {
        let _ = writeln!(text, "{name}{{name=\"{}\"}} {end}", escaped(&host));
    }
}

fn head(text: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

fn value(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

fn seconds(ms: u64) -> String {
    let text = format!("{}.{:03}", ms / 1000, ms % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn escaped(label: &str) -> String {
    label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
