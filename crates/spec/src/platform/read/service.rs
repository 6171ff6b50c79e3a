//! Reading how one service is operated.

use std::time::Duration;

use super::host_limits;
use super::limits::longer_than_nothing;
use super::replace::{finish, rolling};
use super::route::route;
use super::trust;
use crate::platform::reader::{At, Fields, Reader, flag, list, text, unit, whole, word};
use crate::platform::{
    CheckKind, EdgeHealthSettings, EdgeHealthWritten, HealthSettings, HealthWritten, HoldSettings, OutlierSettings,
    RouteSettings, ServiceProtocol, ServiceSettings, SharedData, StatusRange, Strategy,
};
use crate::units::{Bytes, parse_duration};
use crate::yaml::Shape;

const CHECKS: [(&str, CheckKind); 5] = [
    ("http", CheckKind::Http),
    ("grpc", CheckKind::Grpc),
    ("tcp", CheckKind::Tcp),
    ("docker", CheckKind::Docker),
    ("stable", CheckKind::Stable),
];

const SHARED_DATA: [(&str, SharedData); 2] = [("safe", SharedData::Safe), ("guarded", SharedData::Guarded)];

const PROTOCOLS: [(&str, ServiceProtocol); 3] =
    [("http", ServiceProtocol::Http), ("grpc", ServiceProtocol::Grpc), ("tcp", ServiceProtocol::Tcp)];

pub(super) fn settings(at: &At<'_>, r: &mut Reader) -> Option<ServiceSettings> {
    let mut f = Fields::open(at, "a service", r)?;
    let strategy = f.get(r, "strategy", strategy);
    let port = f.get(r, "port", port);
    let health = f.get(r, "health", health);
    let routes = routes(&mut f, at, r);
    let mut time = |r: &mut Reader, key| f.get(r, key, |at, r| unit(at, r, key, parse_duration));
    let (drain, drain_websocket) = (time(r, "drain"), time(r, "drain_websocket"));
    let warm = time(r, "warm");
    let soak = f.get(r, "soak", trust::soak);
    let canary = f.get(r, "canary", trust::canary);
    let migrate = f.get(r, "migrate", trust::migrate);
    let hold = f.get(r, "hold", hold);
    let rolling = f.get(r, "rolling", rolling);
    let finish = f.get(r, "finish", finish);
    let job_timeout = f.get(r, "job_timeout", |at, r| unit(at, r, "job_timeout", parse_duration));
    let stop_grace = f.get(r, "stop_grace", |at, r| unit(at, r, "stop_grace", parse_duration));
    let limits = f.get(r, "limits", host_limits);
    let shared_data = f.get(r, "shared_data", |at, r| word(at, r, "shared_data", &SHARED_DATA));
    let protocol = f.get(r, "protocol", |at, r| word(at, r, "protocol", &PROTOCOLS));
    let edge_health = f.get(r, "edge_health", edge_health);
    let outlier = f.get(r, "outlier", outlier);
    let slow_start = f.get(r, "slow_start", |at, r| unit(at, r, "slow_start", parse_duration));
    let (connect_timeout, response_timeout) =
        (patience(&mut f, r, "connect_timeout"), patience(&mut f, r, "response_timeout"));
    f.close(r, &[]);
    Some(ServiceSettings {
        strategy,
        port,
        health,
        routes,
        drain,
        drain_websocket,
        warm,
        soak,
        canary,
        migrate,
        hold,
        rolling,
        finish,
        job_timeout,
        protocol,
        edge_health,
        outlier,
        slow_start,
        connect_timeout,
        response_timeout,
        stop_grace,
        limits,
        shared_data,
    })
}

/// A time after which the edge gives up, which must not be at once.
fn patience(f: &mut Fields<'_>, r: &mut Reader, key: &'static str) -> Option<Duration> {
    f.get(r, key, |at, r| unit(at, r, key, parse_duration).filter(|time| longer_than_nothing(at, r, *time)))
}

fn strategy(at: &At<'_>, r: &mut Reader) -> Option<Strategy> {
    let words = Strategy::ALL.map(|strategy| (strategy.as_str(), strategy));
    word(at, r, "strategy", &words)
}

pub(super) fn port(at: &At<'_>, r: &mut Reader) -> Option<u16> {
    whole(at, r, "a port", 1, 65535).and_then(|port| u16::try_from(port).ok())
}

/// `route` and `routes` mean the same; writing both would leave open which one counts.
fn routes(f: &mut Fields<'_>, at: &At<'_>, r: &mut Reader) -> Option<Vec<RouteSettings>> {
    let both = f.has("route") && f.has("routes");
    let several = f.get(r, "routes", |at, r| list(at, r, route));
    let single = f.get(r, "route", |at, r| list(at, r, route));
    if both {
        r.refuse(at, "`route` and `routes` are both written", "one of the two");
    }
    several.or(single)
}

/// A path of a URL without query and fragment.
pub(super) fn url_path(at: &At<'_>, r: &mut Reader) -> Option<String> {
    let path = text(at, r, "a path")?;
    let clean = !path.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '?' | '#'));
    if path.starts_with('/') && clean {
        return Some(path.to_owned());
    }
    let meant = (clean && !path.contains("://")).then(|| format!("/{path}"));
    r.refuse_meant(at, "this is not a path of a URL", "a path that begins with `/`, such as `/api`", meant);
    None
}

/// A host name, without scheme and port.
pub(super) fn host(at: &At<'_>, r: &mut Reader) -> Option<String> {
    let written = text(at, r, "a host name")?;
    let plain = plain_host(written);
    if plain.is_none() {
        r.refuse(at, "this is not a host name", "letters, digits, `-` and dots, such as `www.example.com`");
    }
    plain
}

/// A host name, or `*.` and a host name for every name that ends like that.
pub(super) fn host_or_wildcard(at: &At<'_>, r: &mut Reader) -> Option<String> {
    let written = text(at, r, "a host name")?;
    let Some(rest) = written.strip_prefix("*.") else { return host(at, r) };
    let plain = plain_host(rest).map(|rest| format!("*.{rest}"));
    if plain.is_none() {
        r.refuse(at, "this is not a host name", "`*.` and a host name, such as `*.example.com`");
    }
    plain
}

/// The name as clients ask for it: in small letters, and one beyond ASCII in its form for the DNS (`xn--…`).
fn plain_host(written: &str) -> Option<String> {
    let plain = match written.is_ascii() {
        true => written.to_ascii_lowercase(),
        false => idna::domain_to_ascii(written).ok()?,
    };
    is_host(&plain).then_some(plain)
}

pub(super) fn is_host(written: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    written.len() <= 253 && written.split('.').all(label)
}

fn health(at: &At<'_>, r: &mut Reader) -> Option<HealthWritten> {
    if let Shape::Text { .. } = at.node.shape {
        return url_path(at, r).map(HealthWritten::Path);
    }
    let mut f = Fields::open(at, "a health check", r)?;
    let mut read = HealthSettings {
        check: f.get(r, "check", |at, r| word(at, r, "health check", &CHECKS)),
        path: f.get(r, "path", url_path),
        host: f.get(r, "host", host),
        service: f.get(r, "service", grpc_service),
        port: f.get(r, "port", port),
        status: f.get(r, "status", status),
        successes: f.get(r, "successes", |at, r| whole(at, r, "successes", 1, 100)),
        ..HealthSettings::default()
    };
    let mut time = |r: &mut Reader, key| f.get(r, key, |at, r| unit(at, r, key, parse_duration));
    read.interval = time(r, "interval");
    read.max_interval = time(r, "max_interval");
    read.timeout = time(r, "timeout");
    read.budget = time(r, "budget");
    f.close(r, &[]);
    check_health(&read, at, r);
    Some(HealthWritten::Settings(read))
}

fn check_health(read: &HealthSettings, at: &At<'_>, r: &mut Reader) {
    match read.check {
        Some(CheckKind::Http) if read.path.is_none() => {
            r.refuse(at, "an HTTP health check needs a path", "path: /health");
        }
        None | Some(CheckKind::Http) => {}
        Some(_) if read.path.is_some() || read.status.is_some() || read.host.is_some() => {
            r.refuse(at, "`path`, `host` and `status` belong to an HTTP health check", "check: http");
        }
        Some(_) => {}
    }
    if read.host.is_some() && read.path.is_none() && read.check.is_none() {
        r.refuse(at, "`host` belongs to an HTTP health check, which needs a path", "path: /health");
    }
    if read.service.is_some() && read.check != Some(CheckKind::Grpc) {
        r.refuse(at, "`service` belongs to a gRPC health check", "check: grpc");
    }
    let (first, last) = (read.interval.unwrap_or_default(), read.max_interval);
    if last.is_some_and(|last| first > last) {
        r.refuse(at, "the first interval is longer than the longest", "interval at most max_interval");
    }
}

/// A full name as `.proto` files have it.
fn grpc_service(at: &At<'_>, r: &mut Reader) -> Option<String> {
    let written = text(at, r, "a gRPC service")?;
    let part = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if written.len() <= 253 && written.split('.').all(part) {
        return Some(written.to_owned());
    }
    r.refuse(at, "this is not the name of a gRPC service", "a name as in the `.proto` file, such as `shop.Orders`");
    None
}

fn status(at: &At<'_>, r: &mut Reader) -> Option<StatusRange> {
    let range = StatusRange::parse(text(at, r, "status")?);
    if range.is_none() {
        r.refuse(at, "this is not a range of HTTP status codes", "a code or two with `-`, such as `200-299`");
    }
    range
}

/// A command as separate words. One text is refused, because splitting it would need a shell's rules.
pub(super) fn command(at: &At<'_>, r: &mut Reader) -> Option<Vec<String>> {
    match &at.node.shape {
        Shape::List(items) if !items.is_empty() => {
            // An empty word is legal in a list of words, so only its being a text is checked.
            list(at, r, |at, r| match &at.node.shape {
                Shape::Text { text, .. } => Some(text.clone()),
                _ => {
                    r.refuse(at, "a word of a command is a text", "a text, in quotes if it looks like something else");
                    None
                }
            })
        }
        Shape::Text { text, .. } => {
            let words: Vec<&str> = text.split_whitespace().collect();
            let meant = Some(format!("[{}]", words.join(", ")));
            r.refuse_meant(at, "a command is a list of words", "a list such as `[alembic, upgrade, head]`", meant);
            None
        }
        _ => {
            r.refuse(at, "a command is a list of words", "a list such as `[alembic, upgrade, head]`");
            None
        }
    }
}

fn hold(at: &At<'_>, r: &mut Reader) -> Option<HoldSettings> {
    let mut f = Fields::open(at, "hold", r)?;
    let read = HoldSettings {
        time: f.get(r, "time", |at, r| unit(at, r, "time", parse_duration)),
        requests: f.get(r, "requests", |at, r| whole(at, r, "requests", 0, 1_000_000)),
        bytes: f.get(r, "bytes", |at, r| unit(at, r, "bytes", Bytes::parse)),
    };
    f.close(r, &[]);
    Some(read)
}

fn edge_health(at: &At<'_>, r: &mut Reader) -> Option<EdgeHealthWritten> {
    if let Shape::Text { .. } = at.node.shape {
        return flag(at, r, "edge_health").map(EdgeHealthWritten::Switch);
    }
    let mut f = Fields::open(at, "edge_health", r)?;
    let read = EdgeHealthSettings {
        path: f.get(r, "path", url_path),
        interval: patience(&mut f, r, "interval"),
        timeout: patience(&mut f, r, "timeout"),
        fall: f.get(r, "fall", |at, r| whole(at, r, "fall", 1, 100)),
        rise: f.get(r, "rise", |at, r| whole(at, r, "rise", 1, 100)),
    };
    f.close(r, &[]);
    Some(EdgeHealthWritten::Settings(read))
}

fn outlier(at: &At<'_>, r: &mut Reader) -> Option<OutlierSettings> {
    let mut f = Fields::open(at, "outlier", r)?;
    let read = OutlierSettings {
        failures: f.get(r, "failures", |at, r| whole(at, r, "failures", 1, 1000)),
        eject: patience(&mut f, r, "eject"),
    };
    f.close(r, &[]);
    Some(read)
}
