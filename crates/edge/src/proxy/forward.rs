//! The path of one request: check, find the way, count in, try, hand the response on.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Instant;

use http::header::{CONNECTION, CONTENT_TYPE, EXPECT, HOST, UPGRADE, VIA};
use http::{HeaderValue, Request, Response, StatusCode, Version};
use hyper::body::Incoming;

use super::answer::{Reason, Shape, answer};
use super::attempt::{Answered, attempt};
use super::download::{Home, ResponseBody};
use super::headers::{self, Claims, FORWARDED_PREFIX, REQUEST_ID};
use super::hold::{Early, Waited};
use super::pace::Pace;
use super::stay::{self, Stay};
use super::talk::{Share, Verdict};
use super::upload::RequestBody;
use super::{call, check, gate, grpc, hold, tunnel, websocket, whom};
use crate::downstream::client::Client;
use crate::downstream::presence::{Busy, Presence};
use crate::downstream::visitor::Visitor;
use crate::edge::Edge;
use crate::protect::rules::RouteRules;
use crate::protect::{self, Asked, Entry};
use crate::seen::record::Record;
use crate::seen::trace;
use crate::snapshot::{Protocol, Scope};
use crate::table::Table;
use crate::table::policy::Policy;
use crate::upstream::gate::Waiting;
use crate::upstream::generation::{Generation, InFlight};

/// Answers one request; never fails, because every failure is an answer too.
pub(crate) async fn handle(
    visitor: Arc<Visitor>,
    request: Request<Incoming>,
) -> Result<Response<ResponseBody>, Infallible> {
    let mut response = respond(&visitor, request).await?;
    if visitor.presence.is_last() && response.status() != StatusCode::SWITCHING_PROTOCOLS {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response)
}

async fn respond(visitor: &Arc<Visitor>, mut request: Request<Incoming>) -> Result<Response<ResponseBody>, Infallible> {
    let began = Instant::now();
    let mut busy = Presence::begin(&visitor.presence);
    if let Some(log) = visitor.edge.log.current() {
        let mut record = Record::begin(log, &request, visitor.client.ip, began);
        record.session = visitor.session.clone();
        busy.record = Some(record);
    }
    let shape = Shape::of(&request);
    let refused = |request: &mut Request<Incoming>, reason: Reason, mut busy: Busy| {
        // Whoever reports the page can be found in the log.
        let id = headers::own_id(request.headers_mut());
        visitor.edge.counts.own_answer(&reason);
        note(&mut busy, |record| {
            (record.status, record.code, record.head) = (Some(reason.status), Some(reason.code), Some(began.elapsed()));
            record.id = id.clone();
        });
        answer(&reason, &shape, id, busy)
    };
    let introduced = match visitor.introduced(request.headers()) {
        Ok(introduced) => introduced,
        Err(doubt) => {
            let reason = Reason::new(StatusCode::BAD_REQUEST, "forwarding", doubt.reason());
            return Ok(refused(&mut request, reason, busy));
        }
    };
    let client = introduced.as_deref().unwrap_or(&visitor.client);
    note(&mut busy, |record| (record.client, record.is_secure) = (client.ip, client.is_secure));
    let way = match admit(visitor, client, &mut request, &mut busy, began).await {
        Ok(way) if way.in_flight.generation().is_held() => {
            let since = Instant::now();
            let way = Box::pin(held(visitor, way, &mut request)).await;
            note(&mut busy, |record| record.held = Some(since.elapsed()));
            way
        }
        admitted => admitted,
    };
    let way = match way {
        Ok(way) => way,
        Err(reason) => return Ok(refused(&mut request, reason, busy)),
    };
    let id = request.headers().get(REQUEST_ID).cloned();
    let tally = way.in_flight.generation().tally.clone();
    let policy = way.policy.clone();
    let rules = way.rules.clone();
    note(&mut busy, |record| {
        record.id = id.clone();
        record.trace = trace::id(request.headers());
        record.generation = Some(way.in_flight.generation().clone());
        record.route = rules.clone();
    });
    let answered = |status, busy: &mut Busy| {
        let took = began.elapsed();
        note(busy, |record| (record.status, record.head) = (Some(status), Some(took)));
        busy.has_failed = status.is_server_error();
        busy.guest.as_ref().unwrap_or(&tally).answered(status, took);
        if let Some(rules) = &rules {
            rules.tally.answered(status, took);
        }
        if let Some(permit) = &busy.permit {
            permit.answered(took);
        }
    };
    Ok(match pass(visitor, client, request, way, busy).await {
        Ok(mut response) => {
            answered(response.status(), response.body_mut().busy());
            response
        }
        Err((reason, mut busy)) => {
            answered(reason.status, &mut busy);
            note(&mut busy, |record| record.code = Some(reason.code));
            crate::upstream::tally::count(&busy.guest.as_ref().unwrap_or(&tally).unanswered);
            visitor.edge.counts.own_answer(&reason);
            let reason = policy.iter().fold(reason, |reason, policy| gate::sign(policy, client, reason));
            answer(&reason, &shape, id, busy)
        }
    })
}

/// Tells the access log, where there is one.
fn note(busy: &mut Busy, tell: impl FnOnce(&mut Record)) {
    if let Some(record) = &mut busy.record {
        tell(record);
    }
}

/// Where a request goes, decided.
struct Way {
    in_flight: InFlight,
    policy: Option<Arc<Policy>>,
    stay: Stay,
    rules: Option<Arc<RouteRules>>,
    upgrade: Option<HeaderValue>,
    /// The upgrade is a WebSocket over HTTP/2, where no status says that protocols are changed.
    is_over_h2: bool,
    /// The client sends its body only when it is told to.
    expects: bool,
    waited: Option<Box<Waited>>,
}

/// Checks the request, finds its way and makes its head the target's.
async fn admit(
    visitor: &Visitor,
    client: &Client,
    request: &mut Request<Incoming>,
    busy: &mut Busy,
    began: Instant,
) -> Result<Way, Reason> {
    check::check(visitor, request)?;
    let mut found = find(visitor, client, request)?;
    check_length(visitor, &found, client, request)?;
    if found.is_guarded()
        && let Some(rules) = found.rules.clone()
    {
        let entered = guarded(visitor, client, request, busy, began, found, &rules).await;
        found = entered.inspect_err(|reason| rules.tally.answered(reason.status, began.elapsed()))?;
    }
    if let Some(prefix) = &found.strip
        && let Some(uri) = whom::stripped(request.uri(), prefix.len())
    {
        *request.uri_mut() = uri;
    }
    let expects = found.in_flight.generation().is_held() && request.headers().contains_key(EXPECT);
    let is_over_h2 = websocket::is_asked_over_h2(request);
    if is_over_h2 {
        websocket::become_http_1(request);
    }
    let mut upgrade = headers::towards_target(request.headers_mut(), client, claims(visitor));
    if request.version() != Version::HTTP_11 && !is_over_h2 {
        upgrade = None;
    }
    *request.version_mut() = Version::HTTP_11;
    if let Some(prefix) = found.strip {
        request.headers_mut().insert(FORWARDED_PREFIX, prefix);
    }
    if let Some(rules) = found.policy.as_ref().and_then(|policy| policy.request.as_ref()) {
        rules.apply(request.headers_mut());
    }
    let Found { in_flight, policy, stay, rules, .. } = found;
    Ok(Way { in_flight, policy, stay, rules, upgrade, is_over_h2, expects, waited: None })
}

/// Services that call each other may speak for their visitors; on public listeners only trusted proxies may, and what
/// they say is in the client already.
fn claims(visitor: &Visitor) -> Claims {
    if visitor.view().scope() == Scope::Internal { Claims::Kept } else { Claims::Replaced }
}

/// The way once the pool's hold is over.
async fn held(visitor: &Visitor, way: Way, request: &mut Request<Incoming>) -> Result<Way, Reason> {
    // An upgraded connection's bytes are no body, and reading an expected body would ask the client to send it.
    let body = (!way.expects && way.upgrade.is_none()).then_some(request.body_mut());
    let (in_flight, waited) = hold::wait(&visitor.edge, way.in_flight, body).await?;
    Ok(Way { in_flight, waited: Some(waited), stay: way.stay.elsewhere(), ..way })
}

/// Asks protection, and waits where it says so.
async fn guarded(
    visitor: &Visitor,
    client: &Client,
    request: &mut Request<Incoming>,
    busy: &mut Busy,
    began: Instant,
    found: Found,
    rules: &RouteRules,
) -> Result<Found, Reason> {
    note(busy, |record| record.route = found.rules.clone());
    let asked = Asked { client: client.ip, headers: request.headers(), at: began };
    match protect::enter(&visitor.edge.protection, rules, found.sheds, &asked)? {
        Entry::In(permit) => {
            busy.permit = Some(permit);
            Ok(found)
        }
        Entry::Wait(turn) => {
            // Who waits is not in flight: a drain does not wait for it, and after the wait it goes where the newest
            // table says.
            drop(found);
            busy.permit = Some(turn.come().await?);
            find(visitor, client, request)
        }
    }
}

/// The length that a request announces; one that announces none is measured as it comes.
fn check_length(visitor: &Visitor, found: &Found, client: &Client, request: &Request<Incoming>) -> Result<(), Reason> {
    let policy = found.policy.as_deref();
    let length = hyper::body::Body::size_hint(request.body()).lower();
    if most_bytes(&visitor.edge, policy).is_none_or(|most| length <= most) {
        return Ok(());
    }
    let text = "the request body is larger than allowed";
    let reason = Reason::new(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", text);
    Err(policy.into_iter().fold(reason, |reason, policy| gate::sign(policy, client, reason)))
}

/// A route's own limit goes before the edge's, in both directions.
fn most_bytes(edge: &Edge, policy: Option<&Policy>) -> Option<u64> {
    policy.and_then(|policy| policy.body_bytes).or(edge.limits.body_bytes)
}

struct Found {
    in_flight: InFlight,
    strip: Option<HeaderValue>,
    policy: Option<Arc<Policy>>,
    stay: Stay,
    rules: Option<Arc<RouteRules>>,
    /// Whether shedding is on.
    sheds: bool,
}

impl Found {
    fn is_guarded(&self) -> bool {
        self.sheds || self.rules.as_ref().is_some_and(|rules| rules.guard.is_some())
    }
}

/// Looks the way up and counts the request in.
///
/// Count in, then look again: a request that had read the old table just before a switch would otherwise not be
/// seen by the drain, and its container could be stopped under it.
fn find(visitor: &Visitor, client: &Client, request: &Request<Incoming>) -> Result<Found, Reason> {
    let tables = &visitor.edge.table;
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or("");
    let path = request.uri().path();
    loop {
        let table = tables.load();
        let Some(way) = table.find(visitor.view(), host, path) else {
            return Err(no_route(&table, host, path));
        };
        let way = if way.takes_all() {
            way
        } else {
            way.for_method(request.method()).ok_or_else(|| gate::wrong_method(way, request))?
        };
        let (generation, stay) = match &way.policy {
            None => (way.generation.as_ref(), Stay::default()),
            Some(policy) => {
                gate::pass(policy, visitor, client, request)?;
                stay::choose(policy, way, request.headers())
            }
        };
        let Some(generation) = generation else {
            return Err(no_pool(way));
        };
        let in_flight = generation.enter();
        if Arc::ptr_eq(&table, &tables.load()) {
            let rules = table.rules.of(way.route).cloned();
            let (strip, policy) = (way.strip.clone(), way.policy.clone());
            return Ok(Found { in_flight, strip, policy, stay, rules, sheds: table.rules.sheds });
        }
    }
}

#[cold]
fn no_pool(way: &crate::table::Way) -> Reason {
    let text = match &*way.pool {
        "" => "no share of the route takes the request".to_owned(),
        pool => format!("the route's service `{pool}` is not there"),
    };
    Reason::new(StatusCode::BAD_GATEWAY, "no-pool", text)
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
    client: &Client,
    mut request: Request<Incoming>,
    mut way: Way,
    mut busy: Busy,
) -> Result<Response<ResponseBody>, (Reason, Busy)> {
    let edge: &Edge = &visitor.edge;
    let client_side = way.upgrade.is_some().then(|| hyper::upgrade::on(&mut request));
    let (parts, body) = request.into_parts();
    let (early, place) = match way.waited.take() {
        None => (Early::new(), None),
        Some(waited) => (waited.early, Some(waited.place)),
    };
    let policy = way.policy.as_deref();
    let mut body = RequestBody::new(body, early, edge.limits.request_body_idle, most_bytes(edge, policy));
    body.at_least(|| if grpc::has_kind(&parts.headers) { None } else { pace(edge, policy) });
    let generation = way.in_flight.generation().clone();
    body.count_for(&generation.tally, busy.record.as_ref().map(|record| &record.received));
    let mut request = Request::from_parts(parts, body);
    if generation.pool.protocol == Protocol::H2c {
        // Boxed, so that the usual request does not carry the room for it.
        return Box::pin(pass_call(edge, client, &generation, way, request, place, busy)).await;
    }
    headers::announce_body(&mut request);
    let trail = busy.record.as_mut().map(|record| &mut record.trail);
    let mut tried = None;
    let attempt = attempt(edge, &generation, way.stay.target, request, place, trail, &mut tried);
    let attempted = match policy.and_then(|policy| policy.response_time) {
        None => attempt.await,
        // Boxed, so that a route without a limit does not carry the room for one that has it.
        Some(limit) => tokio::time::timeout(limit, Box::pin(attempt)).await.unwrap_or_else(|_elapsed| Err(too_long())),
    };
    busy.guest = generation.guest(tried).cloned();
    let Answered { response, mut link, target } = match attempted {
        Ok(answered) => answered,
        Err(reason) => return Err((reason, busy)),
    };
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return match client_side {
            Some(client_side) => {
                // Over HTTP/2 the connection is the client's for other things, and is not at rest while this lasts.
                let stays = way.is_over_h2.then(|| Presence::begin(&visitor.presence));
                let mut response = tunnel::open(edge, response, link, client_side, way.in_flight, busy, stays);
                if way.is_over_h2 {
                    websocket::agree_over_h2(&mut response);
                }
                if let Some(policy) = policy {
                    let headers = response.headers_mut();
                    stay::tell(policy, way.stay, &generation, target, client.is_secure, headers);
                }
                Ok(response)
            }
            None => {
                let text = "the service changed protocols without being asked";
                Err((Reason::new(StatusCode::BAD_GATEWAY, "target-garbled", text), busy))
            }
        };
    }
    if way.is_over_h2 && response.status().is_success() {
        return Err((websocket::refused(), busy));
    }
    let (mut parts, incoming) = response.into_parts();
    dress(&mut parts, "1.1 mainstay", client, policy);
    if let Some(policy) = policy {
        stay::tell(policy, way.stay, &generation, target, client.is_secure, &mut parts.headers);
    }
    let is_fine = generation.pool.outlier.is_some() && !parts.status.is_server_error();
    let home = Home { target, most_idle: edge.limits.idle_per_target, is_fine };
    let events = is_events(&parts.headers, &incoming).then_some(edge.limits.close_spread);
    let is_free = events.is_some() || grpc::has_kind(&parts.headers);
    link.may_rest = is_free;
    let mut body = ResponseBody::from_target(incoming, link, home, way.in_flight, busy, events);
    if !is_free {
        body.at_least(edge, || pace(edge, policy));
    }
    Ok(Response::from_parts(parts, body))
}

/// As [`pass`], to targets that speak HTTP/2.
async fn pass_call(
    edge: &Edge,
    client: &Client,
    generation: &Arc<Generation>,
    way: Way,
    request: Request<RequestBody>,
    place: Option<Waiting>,
    mut busy: Busy,
) -> Result<Response<ResponseBody>, (Reason, Busy)> {
    if way.is_over_h2 {
        return Err((websocket::refused(), busy));
    }
    let policy = way.policy.as_deref();
    let trail = busy.record.as_mut().map(|record| &mut record.trail);
    let mut tried = None;
    let asked = call::call(edge, generation, way.stay.target, request, place, trail, &mut tried);
    let asked = match policy.and_then(|policy| policy.response_time) {
        None => asked.await,
        Some(limit) => tokio::time::timeout(limit, asked).await.unwrap_or_else(|_elapsed| Err(too_long())),
    };
    busy.guest = generation.guest(tried).cloned();
    let call::Answered { response, mut call, target } = match asked {
        Ok(answered) => answered,
        Err(reason) => return Err((reason, busy)),
    };
    let (mut parts, incoming) = response.into_parts();
    dress(&mut parts, "2 mainstay", client, policy);
    if let Some(policy) = policy {
        stay::tell(policy, way.stay, generation, target, client.is_secure, &mut parts.headers);
    }
    let is_grpc = call.may_rest;
    call.may_rest |= is_events(&parts.headers, &incoming);
    let is_endless = call.may_rest;
    let over = is_endless.then_some(edge.limits.close_spread);
    let is_fine = generation.pool.outlier.is_some() && !parts.status.is_server_error();
    let verdict = is_grpc.then(|| Verdict { generation: generation.clone(), target });
    let verdict = verdict.and_then(|verdict| match hyper::body::Body::is_end_stream(&incoming) {
        true => verdict.of_head(&parts.headers),
        false => Some(verdict),
    });
    let mut body =
        ResponseBody::from_call(incoming, Share { call, target, is_grpc, is_fine }, way.in_flight, busy, over, verdict);
    if !is_endless {
        body.at_least(edge, || pace(edge, policy));
    }
    Ok(Response::from_parts(parts, body))
}

/// Makes a target's head the client's.
fn dress(parts: &mut http::response::Parts, via: &'static str, client: &Client, policy: Option<&Policy>) {
    headers::towards_client(&mut parts.headers, parts.status);
    parts.headers.append(VIA, HeaderValue::from_static(via));
    if let Some(policy) = policy {
        policy.dress(&mut parts.headers, client.is_secure);
    }
    parts.version = Version::HTTP_11;
    // What hyper left for itself in there is of no use to the client's side.
    parts.extensions.clear();
}

/// The least rate of bodies: the route's goes before the edge's.
fn pace(edge: &Edge, policy: Option<&Policy>) -> Option<Pace> {
    let rate = policy.and_then(|policy| policy.body_rate).unwrap_or(edge.limits.body_rate);
    Pace::new(rate, edge.limits.body_grace)
}

/// Server-sent events have no length and no end; a deploy would wait for them until its budget is over.
fn is_events(headers: &http::HeaderMap, body: &Incoming) -> bool {
    hyper::body::Body::size_hint(body).exact().is_none()
        && headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"))
}

fn too_long() -> Reason {
    Reason::new(StatusCode::GATEWAY_TIMEOUT, "response-time", "the service did not answer in the route's time")
}

/// The head of a 101 as the client should see it.
pub(crate) fn switching(
    upgrade: Option<HeaderValue>,
    mut headers: http::HeaderMap,
    body: ResponseBody,
) -> Response<ResponseBody> {
    headers::towards_client(&mut headers, StatusCode::SWITCHING_PROTOCOLS);
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    if let Some(protocol) = upgrade {
        headers.insert(UPGRADE, protocol);
    }
    *response.headers_mut() = headers;
    response
}
