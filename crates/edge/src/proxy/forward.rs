//! The path of one request: check, find the way, count in, try, hand the response on.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use http::header::{CONNECTION, HOST, TRANSFER_ENCODING, UPGRADE, VIA};
use http::{HeaderValue, Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming;

use super::answer::{Reason, answer, wants_page};
use super::attempt::{Answered, attempt};
use super::download::{Home, ResponseBody};
use super::headers::{self, Client, REQUEST_ID};
use super::upload::RequestBody;
use super::{tunnel, whom};
use crate::downstream::presence::{Busy, Presence};
use crate::downstream::visitor::{View, Visitor};
use crate::edge::Edge;
use crate::table::Table;
use crate::upstream::generation::InFlight;

/// Answers one request; never fails, because every failure is an answer too.
pub(crate) async fn handle(
    visitor: Arc<Visitor>,
    mut request: Request<Incoming>,
) -> Result<Response<ResponseBody>, Infallible> {
    let began = Instant::now();
    let busy = Presence::begin(&visitor.presence);
    let page = wants_page(request.headers());
    let way = match admit(&visitor, &mut request) {
        Ok(way) => way,
        Err(reason) => {
            visitor.edge.counts.own_answer(reason.status);
            let id = request.headers().get(REQUEST_ID).cloned();
            return Ok(answer(&reason, page, id, busy));
        }
    };
    let id = request.headers().get(REQUEST_ID).cloned();
    let tally = way.in_flight.generation().tally.clone();
    Ok(match pass(&visitor, request, way, busy).await {
        Ok(response) => {
            tally.answered(response.status(), began);
            response
        }
        Err((reason, busy)) => {
            tally.answered(reason.status, began);
            crate::upstream::tally::count(&tally.unanswered);
            visitor.edge.counts.own_answer(reason.status);
            answer(&reason, page, id, busy)
        }
    })
}

/// Where a request goes, decided.
struct Way {
    in_flight: InFlight,
    upgrade: Option<HeaderValue>,
}

/// Checks the request, finds its way and makes its head the target's.
fn admit(visitor: &Visitor, request: &mut Request<Incoming>) -> Result<Way, Reason> {
    check(visitor, request)?;
    let found = find(&visitor.edge.table, visitor.view(), request)?;
    if found.strip > 0
        && let Some(uri) = whom::stripped(request.uri(), found.strip)
    {
        *request.uri_mut() = uri;
    }
    let client = Client { address: &visitor.address, is_secure: false };
    let mut upgrade = headers::towards_target(request.headers_mut(), &client);
    if request.version() != Version::HTTP_11 {
        upgrade = None;
    }
    *request.version_mut() = Version::HTTP_11;
    Ok(Way { in_flight: found.in_flight, upgrade })
}

fn check(visitor: &Visitor, request: &mut Request<Incoming>) -> Result<(), Reason> {
    let bad = |code, text: &str| Err(Reason::new(StatusCode::BAD_REQUEST, code, text));
    if request.headers().contains_key(TRANSFER_ENCODING) && visitor.presence.saw_two_lengths() {
        return bad("two-lengths", "the request has both Content-Length and Transfer-Encoding");
    }
    if matches!(*request.method(), Method::CONNECT | Method::TRACE) {
        let text = format!("the method {} is not served", request.method());
        return Err(Reason::new(StatusCode::METHOD_NOT_ALLOWED, "method", text));
    }
    if let Err(vague) = whom::settle(request) {
        return bad("host", vague.reason());
    }
    let limits = &visitor.edge.limits;
    if headers::size(request.headers()) > limits.header_bytes {
        let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        return Err(Reason::new(status, "headers-too-large", "the request's headers are too large"));
    }
    let length = hyper::body::Body::size_hint(request.body()).lower();
    if limits.body_bytes.is_some_and(|most| length > most) {
        let text = "the request body is larger than allowed";
        return Err(Reason::new(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", text));
    }
    Ok(())
}

struct Found {
    in_flight: InFlight,
    strip: usize,
}

/// Looks the way up and counts the request in.
///
/// Count in, then look again: a request that had read the old table just before a switch would otherwise not be
/// seen by the drain, and its container could be stopped under it.
fn find(tables: &ArcSwap<Table>, view: &View, request: &Request<Incoming>) -> Result<Found, Reason> {
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or("");
    let path = request.uri().path();
    loop {
        let table = tables.load();
        let Some(way) = table.find(view, host, path) else {
            return Err(no_route(&table, host, path));
        };
        let Some(generation) = &way.generation else {
            let text = format!("the route's service `{}` is not there", way.pool);
            return Err(Reason::new(StatusCode::BAD_GATEWAY, "no-pool", text));
        };
        let in_flight = generation.enter();
        if Arc::ptr_eq(&table, &tables.load()) {
            return Ok(Found { in_flight, strip: way.strip });
        }
    }
}

#[cold]
fn no_route(table: &Table, host: &str, path: &str) -> Reason {
    if table.epoch == 0 {
        let text = "the edge has no routes yet";
        return Reason::new(StatusCode::SERVICE_UNAVAILABLE, "no-snapshot", text).retry_after(2);
    }
    let shown: String = path.chars().take(200).collect();
    Reason::new(StatusCode::NOT_FOUND, "no-route", format!("no route for host `{host}` and path `{shown}`"))
}

async fn pass(
    visitor: &Visitor,
    mut request: Request<Incoming>,
    way: Way,
    busy: Busy,
) -> Result<Response<ResponseBody>, (Reason, Busy)> {
    let edge: &Edge = &visitor.edge;
    let client_side = way.upgrade.is_some().then(|| hyper::upgrade::on(&mut request));
    let (parts, body) = request.into_parts();
    let body = RequestBody::new(body, edge.limits.request_body_idle, edge.limits.body_bytes);
    let request = Request::from_parts(parts, body);
    let generation = way.in_flight.generation().clone();
    let Answered { response, link, target } = match attempt(edge, &generation, request).await {
        Ok(answered) => answered,
        Err(reason) => return Err((reason, busy)),
    };
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return match client_side {
            Some(client_side) => Ok(tunnel::open(edge, response, link, client_side, way.in_flight, busy)),
            None => {
                let text = "the service changed protocols without being asked";
                Err((Reason::new(StatusCode::BAD_GATEWAY, "target-garbled", text), busy))
            }
        };
    }
    let (mut parts, incoming) = response.into_parts();
    headers::towards_client(&mut parts.headers);
    parts.headers.append(VIA, HeaderValue::from_static("1.1 mainstay"));
    parts.version = Version::HTTP_11;
    // What hyper left for itself in there is of no use to the client's side.
    parts.extensions.clear();
    let home = Home { target, most_idle: edge.limits.idle_per_target };
    Ok(Response::from_parts(parts, ResponseBody::from_target(incoming, link, home, way.in_flight, busy)))
}

/// The head of a 101 as the client should see it.
pub(crate) fn switching(
    upgrade: Option<HeaderValue>,
    mut headers: http::HeaderMap,
    body: ResponseBody,
) -> Response<ResponseBody> {
    headers::towards_client(&mut headers);
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    if let Some(protocol) = upgrade {
        headers.insert(UPGRADE, protocol);
    }
    *response.headers_mut() = headers;
    response
}
