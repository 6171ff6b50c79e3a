//! One request as the access log tells it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http::header::HOST;
use http::{HeaderValue, Method, Request, StatusCode, Uri, Version};
use serde::Serialize;

use super::log::Log;
use super::mask;
use crate::protect::rules::RouteRules;
use crate::proxy::pace::{SLOW, Taking};
use crate::snapshot::AccessLog;
use crate::tcp::meter::Passed;
use crate::tls::accept::Session;
use crate::upstream::generation::Generation;

/// A client that went away before there was an answer; no status of HTTP, but the usual word for it.
const LEFT: u16 = 499;

/// Collected while the request is under way; made only while the log is on.
pub(crate) struct Record {
    log: Arc<Log>,
    began: Instant,
    method: Method,
    uri: Uri,
    host: Option<HeaderValue>,
    protocol: Version,
    pub(crate) client: IpAddr,
    pub(crate) is_secure: bool,
    pub(crate) status: Option<StatusCode>,
    pub(crate) head: Option<Duration>,
    /// Bytes of the request's body, counted as they pass.
    pub(crate) received: Arc<AtomicU64>,
    pub(crate) sent: u64,
    pub(crate) generation: Option<Arc<Generation>>,
    pub(crate) trail: Trail,
    /// How long it waited for the next release.
    pub(crate) held: Option<Duration>,
    pub(crate) session: Option<Session>,
    pub(crate) taking: Option<Arc<Taking>>,
    pub(crate) route: Option<Arc<RouteRules>>,
    pub(crate) id: Option<HeaderValue>,
    pub(crate) trace: Option<HeaderValue>,
    /// Why the edge answered itself.
    pub(crate) code: Option<&'static str>,
}

/// The way to a target.
#[derive(Debug, Default)]
pub(crate) struct Trail {
    /// How often the request, or a connection for it, was tried.
    pub(crate) attempts: u32,
    /// The last one tried.
    pub(crate) target: Option<SocketAddr>,
    /// The last connection's making; `None` over one that had rested.
    pub(crate) connect: Option<Duration>,
    /// From the last sending to the head of the answer.
    pub(crate) first_byte: Option<Duration>,
}

impl Trail {
    pub(crate) fn tries(&mut self, target: SocketAddr) {
        self.attempts += 1;
        self.target = Some(target);
        self.connect = None;
    }
}

impl Record {
    pub(crate) fn begin<B>(log: Arc<Log>, request: &Request<B>, client: IpAddr, began: Instant) -> Box<Record> {
        Box::new(Record {
            log,
            began,
            method: request.method().clone(),
            uri: request.uri().clone(),
            host: request.headers().get(HOST).cloned(),
            protocol: request.version(),
            client,
            is_secure: false,
            status: None,
            head: None,
            received: Arc::new(AtomicU64::new(0)),
            sent: 0,
            generation: None,
            trail: Trail::default(),
            held: None,
            session: None,
            taking: None,
            route: None,
            id: None,
            trace: None,
            code: None,
        })
    }

    /// The request has become a tunnel, whose line is written at its end.
    pub(crate) fn switched(&mut self) {
        (self.status, self.head) = (Some(StatusCode::SWITCHING_PROTOCOLS), Some(self.began.elapsed()));
    }

    /// What went through the tunnel counts as the request's bytes.
    pub(crate) fn carried(&mut self, passed: &Passed) {
        self.received.fetch_add(passed.received.load(Ordering::Relaxed), Ordering::Relaxed);
        self.sent += passed.sent.load(Ordering::Relaxed);
    }

    /// The request is over: its line is written, if it is one of those that are.
    pub(crate) fn end(self: Box<Record>) {
        let log = self.log.clone();
        let total = self.began.elapsed();
        let is_fine = self.code.is_none() && self.status.is_some_and(|status| status.as_u16() < 400);
        let is_slow = total.as_millis() > u128::from(log.settings.slow_ms);
        if !is_fine || is_slow || log.is_sampled() {
            log.offer(Entry { record: self, total });
        }
    }
}

/// A finished record on its way to the file.
pub(crate) struct Entry {
    record: Box<Record>,
    total: Duration,
}

#[derive(Serialize)]
struct Line<'a> {
    time: String,
    client: String,
    method: &'a str,
    host: Option<&'a str>,
    path: &'a str,
    query: Option<String>,
    protocol: &'static str,
    tls: bool,
    tls_version: Option<&'static str>,
    sni: Option<&'a str>,
    status: u16,
    bytes_in: u64,
    bytes_out: u64,
    head_ms: Option<f64>,
    total_ms: f64,
    held_ms: Option<f64>,
    connect_ms: Option<f64>,
    first_byte_ms: Option<f64>,
    attempts: u32,
    route: Option<String>,
    pool: Option<&'a str>,
    release: Option<&'a str>,
    target: Option<SocketAddr>,
    request_id: Option<&'a str>,
    trace_id: Option<&'a str>,
    code: Option<&'a str>,
}

impl Entry {
    /// Adds the line; `now_ms` is the wall clock and `now` the same moment on the other one.
    pub(crate) fn render(&self, settings: &AccessLog, now_ms: i64, now: Instant, to: &mut Vec<u8>) {
        let record = &self.record;
        let age = i64::try_from(now.saturating_duration_since(record.began).as_millis()).unwrap_or(0);
        let (generation, session, trail) = (record.generation.as_ref(), record.session.as_ref(), &record.trail);
        let line = Line {
            time: moment(now_ms.saturating_sub(age)),
            client: if settings.mask_client { mask::client(record.client) } else { record.client }.to_string(),
            method: record.method.as_str(),
            host: record.host.as_ref().and_then(|host| host.to_str().ok()).or(record.uri.host()),
            path: record.uri.path(),
            query: record.uri.query().map(|query| mask::query(query, &settings.mask)),
            protocol: protocol(record.protocol),
            tls: record.is_secure,
            tls_version: session.map(|session| session.version),
            sni: session.and_then(|session| session.name.as_deref()),
            status: record.status.map_or(LEFT, |status| status.as_u16()),
            bytes_in: record.received.load(Ordering::Relaxed),
            bytes_out: record.sent,
            head_ms: record.head.map(millis),
            total_ms: millis(self.total),
            held_ms: record.held.map(millis),
            connect_ms: trail.connect.map(millis),
            first_byte_ms: trail.first_byte.map(millis),
            attempts: trail.attempts,
            route: record.route.as_ref().map(|rules| format!("{}{}", rules.label.0, rules.label.1)),
            pool: generation.map(|generation| generation.pool.name.as_str()),
            release: generation.map(|generation| generation.pool.release.as_str()),
            target: trail.target,
            request_id: record.id.as_ref().and_then(|id| id.to_str().ok()),
            trace_id: record.trace.as_ref().and_then(|trace| trace.to_str().ok()?.get(3..35)),
            code: record.code.or_else(|| ending(record)),
        };
        if serde_json::to_writer(&mut *to, &line).is_ok() {
            to.push(b'\n');
        }
    }
}

/// Why the edge or the client ended it.
fn ending(record: &Record) -> Option<&'static str> {
    let is_slow = record.taking.as_ref().is_some_and(|taking| taking.is_over());
    match record.status {
        None => Some("client-left"),
        Some(_) => is_slow.then_some(SLOW),
    }
}

fn moment(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map(|time| format!("{time:.3}")).unwrap_or_default()
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2",
        _ => "HTTP/1.1",
    }
}

/// Milliseconds to the microsecond.
fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1_000_000.0).round() / 1_000.0
}
