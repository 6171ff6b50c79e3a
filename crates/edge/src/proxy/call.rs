//! Getting one answer out of a generation whose targets speak HTTP/2.
//!
//! A call is repeated only when nothing of it was processed: no connection came about, the request was not sent, or
//! the target refused it unseen (REFUSED_STREAM, GOAWAY with a lower last stream). Nothing else is a reason: a
//! connection that breaks says nothing of what was done before, and in gRPC everything is a POST.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::{CONNECTION, HOST, UPGRADE};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, Version};
use hyper::body::Incoming;

use super::answer::Reason;
use super::attempt::{broken_off, no_target, preferred, silent, unreachable};
use super::loan::{Lent, Loan};
use super::upload::RequestBody;
use super::{grpc, tunnel};
use crate::edge::Edge;
use crate::seen::record::Trail;
use crate::upstream::call::{Call, CallFailure, exchange};
use crate::upstream::gate::Waiting;
use crate::upstream::generation::Generation;
use crate::upstream::link::LinkState;
use crate::upstream::tally::count;
use crate::upstream::trunks::{Berth, NoBerth};

/// Times that a call is sent again after it was refused unseen.
const REPEATS: usize = 2;

/// An answer's head, and the call that its body comes over.
pub(crate) struct Answered {
    pub(crate) response: Response<Incoming>,
    pub(crate) call: Call,
    pub(crate) target: usize,
}

/// A request's head, as it is sent each time.
struct Head {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    is_grpc: bool,
}

/// Sends the request to one of the generation's targets, the preferred one if it is well.
/// Whatever comes of it, `tried` says which of them was asked last.
pub(crate) async fn call(
    edge: &Edge,
    generation: &Arc<Generation>,
    prefer: Option<usize>,
    request: Request<RequestBody>,
    mut place: Option<Waiting>,
    mut trail: Option<&mut Trail>,
    tried: &mut Option<usize>,
) -> Result<Answered, Reason> {
    let (head, loan) = taken_apart(request);
    let patience = patience(generation, &head);
    let (mut avoid, mut repeats) = (None, 0);
    loop {
        let (berth, target) = reach(edge, generation, prefer, avoid, trail.as_deref_mut(), tried).await?;
        // Who waits behind comes after.
        drop(place.take());
        let Berth { sender, place: seat, is_new } = berth;
        let state = Arc::new(LinkState::new(patience));
        edge.links.add(&state);
        let request = head.request(generation, target, loan.lend(&state));
        let sent = Instant::now();
        let asked = exchange(sender, &state, request);
        let outcome = if head.is_grpc { in_time(edge, generation, &loan, asked).await? } else { asked.await };
        let failure = match outcome {
            Ok(response) => {
                loan.settle();
                if let Some(trail) = trail {
                    trail.first_byte = Some(sent.elapsed());
                }
                let may_rest = head.is_grpc && grpc::has_kind(response.headers());
                // That it did well is known at its end.
                if !may_rest && response.status().is_server_error() {
                    generation.did(target, false);
                }
                return Ok(Answered { response, call: Call { state, _place: seat, loan, may_rest }, target });
            }
            Err(failure) => failure,
        };
        if let Some(fault) = loan.fault() {
            return Err(fault);
        }
        match failure {
            CallFailure::Unsent => {
                seat.forsake();
                // One that was open may have ended unnoticed; there are few of them, so this comes to an end.
                repeats += usize::from(is_new);
                if repeats > REPEATS {
                    return Err(broken_off());
                }
            }
            CallFailure::Refused { connection_is_over } => {
                if connection_is_over {
                    seat.forsake();
                }
                if repeats == REPEATS || !loan.is_whole() {
                    return Err(refused());
                }
                repeats += 1;
                // Another one may have room; the only one may have it in a moment.
                avoid = (generation.targets.len() > 1 && !connection_is_over).then_some(target);
            }
            CallFailure::Silent => return Err(silent()),
            CallFailure::Broken(error) => {
                tracing::debug!(%error, "a call over HTTP/2 broke off");
                generation.did(target, false);
                return Err(broken_off());
            }
        }
        count(&generation.tally.retries);
    }
}

/// Waits for an answer; a call whose client may go on for ever ends with its release's time.
///
/// One whose client has said everything may be a long piece of work, and is never ended before its answer.
async fn in_time<T>(
    edge: &Edge,
    generation: &Generation,
    loan: &Loan,
    asked: impl Future<Output = T>,
) -> Result<T, Reason> {
    let mut asked = std::pin::pin!(asked);
    tokio::select! {
        biased;
        outcome = &mut asked => return Ok(outcome),
        () = tunnel::over(generation, edge.limits.close_spread) => {}
    }
    if loan.is_done() { Ok(asked.await) } else { Err(tunnel::ended()) }
}

/// A gRPC client that says how long it waits is believed, if that is longer than the pool's own patience.
fn patience(generation: &Generation, head: &Head) -> Duration {
    let own = generation.response_timeout();
    let deadline = if head.is_grpc { grpc::deadline(&head.headers) } else { None };
    deadline.map_or(own, |deadline| deadline.max(own))
}

fn taken_apart(request: Request<RequestBody>) -> (Head, Loan) {
    let is_grpc = grpc::is_call(&request);
    let (parts, mut body) = request.into_parts();
    if is_grpc {
        body.may_rest();
    }
    let mut headers = parts.headers;
    // HTTP/2 has no such names; the wish for trailers stays, without the word that it is for this hop only.
    headers.remove(CONNECTION);
    headers.remove(UPGRADE);
    (Head { method: parts.method, uri: parts.uri, headers, is_grpc }, Loan::new(body))
}

impl Head {
    fn request(&self, generation: &Generation, target: usize, body: Lent) -> Request<Lent> {
        let mut request = Request::new(body);
        *request.method_mut() = self.method.clone();
        *request.version_mut() = Version::HTTP_2;
        *request.headers_mut() = self.headers.clone();
        let host = request.headers_mut().remove(HOST);
        // A client of HTTP/1.0 may name none.
        let host =
            host.and_then(|host| Authority::from_maybe_shared(bytes::Bytes::copy_from_slice(host.as_bytes())).ok());
        let host = host.or_else(|| generation.targets[target].addr.to_string().parse().ok());
        let mut uri = http::uri::Parts::default();
        uri.scheme = Some(Scheme::HTTP);
        uri.authority = host;
        uri.path_and_query = self.uri.path_and_query().cloned().or_else(|| Some(PathAndQuery::from_static("/")));
        // All three are there, and each is valid.
        *request.uri_mut() = Uri::from_parts(uri).unwrap_or_default();
        request
    }
}

/// A place at a target; a target that cannot be reached costs one second try with the next one.
async fn reach(
    edge: &Edge,
    generation: &Generation,
    prefer: Option<usize>,
    avoid: Option<usize>,
    mut trail: Option<&mut Trail>,
    tried: &mut Option<usize>,
) -> Result<(Berth, usize), Reason> {
    let (mut avoid, mut has_missed) = (avoid, false);
    loop {
        let Some(index) = preferred(generation, prefer, avoid).or_else(|| generation.choose(avoid)) else {
            return Err(no_target());
        };
        *tried = Some(index);
        let target = &generation.targets[index];
        if let Some(trail) = trail.as_deref_mut() {
            trail.tries(target.addr);
        }
        if target.is_swallowing() {
            return Err(unreachable(None));
        }
        let (connect, wait) = (generation.connect_timeout(), generation.response_timeout());
        let since = Instant::now();
        match target.trunks.enter(target.addr, connect, wait, &edge.limits).await {
            Ok(berth) => {
                if berth.is_new {
                    if let Some(trail) = trail {
                        trail.connect = Some(since.elapsed());
                    }
                    count(&generation.tally.connects);
                    target.reached();
                }
                return Ok((berth, index));
            }
            Err(NoBerth::Full) => return Err(full()),
            Err(NoBerth::Unreachable(error)) => {
                count(&generation.tally.connects);
                count(&generation.tally.connect_errors);
                target.missed(error.kind() == io::ErrorKind::TimedOut);
                generation.did(index, false);
                if has_missed {
                    return Err(no_way(&error));
                }
                count(&generation.tally.retries);
                (avoid, has_missed) = (Some(index), true);
            }
        }
    }
}

fn no_way(error: &io::Error) -> Reason {
    if error.kind() == io::ErrorKind::InvalidData {
        let text = "the service does not speak HTTP/2 without TLS, which is what gRPC needs";
        return Reason::new(StatusCode::BAD_GATEWAY, "target-garbled", text);
    }
    unreachable(Some(error))
}

fn refused() -> Reason {
    let text = "the service refuses the call without having looked at it";
    Reason::new(StatusCode::SERVICE_UNAVAILABLE, "target-refused", text).retry_after(1)
}

fn full() -> Reason {
    let text = "the service has taken as many calls at once as it can, for too long";
    Reason::new(StatusCode::SERVICE_UNAVAILABLE, "target-full", text).retry_after(1)
}
