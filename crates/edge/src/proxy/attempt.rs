//! Getting one response out of a generation: a pooled connection, or a new one, and at most one second try.
//!
//! A second try happens only when it cannot do anything twice: the target was never reached, or not one byte of the
//! request was sent, or the request is idempotent, has no body, and its pooled connection died before it answered.

use std::io;
use std::time::Instant;

use http::{Request, Response, StatusCode};
use hyper::body::Incoming;

use super::answer::Reason;
use super::memo::Memo;
use super::upload::{RequestBody, UploadError};
use crate::edge::Edge;
use crate::seen::record::Trail;
use crate::upstream::gate::Waiting;
use crate::upstream::generation::Generation;
use crate::upstream::link::{Failure, FailureKind, Link};
use crate::upstream::tally::count;
use crate::uptime::ms;

/// A response head, and the connection its body comes over.
pub(crate) struct Answered {
    pub(crate) response: Response<Incoming>,
    pub(crate) link: Link,
    pub(crate) target: usize,
}

/// A connection to one of the targets.
struct Reached {
    link: Link,
    target: usize,
    is_pooled: bool,
}

/// Sends the request to one of the generation's targets, the preferred one if it is well.
/// Whatever comes of it, `tried` says which of them was asked last.
pub(crate) async fn attempt(
    edge: &Edge,
    generation: &Generation,
    prefer: Option<usize>,
    mut request: Request<RequestBody>,
    place: Option<Waiting>,
    mut trail: Option<&mut Trail>,
    tried: &mut Option<usize>,
) -> Result<Answered, Reason> {
    let mut reached = reach(edge, generation, prefer, true, trail.as_deref_mut(), tried).await?;
    // Who waits behind comes after; its turn begins when this task has written and lets others run.
    drop(place);
    let memo = remember(&mut reached, &request);
    request.body_mut().goes_to(reached.link.state());
    let failure = match exchange(&mut reached.link, request, trail.as_deref_mut()).await {
        Ok(response) => return Ok(answered(generation, response, reached, memo)),
        Err(failure) => failure,
    };
    // A connection that had rested is no witness: the target may close it as it likes.
    if !reached.is_pooled {
        generation.did(reached.target, false);
    }
    let Some(mut again) = second_request(failure, memo)? else {
        return Err(broken_off());
    };
    count(&generation.tally.retries);
    // Not from the pool again: what killed the first connection has most likely killed its neighbours.
    let mut reached = reach(edge, generation, prefer, false, trail.as_deref_mut(), tried).await?;
    again.body_mut().goes_to(reached.link.state());
    match exchange(&mut reached.link, again, trail).await {
        Ok(response) => Ok(answered(generation, response, reached, None)),
        Err(failure) => {
            generation.did(reached.target, false);
            Err(if matches!(failure.kind, FailureKind::Silent) { silent() } else { broken_off() })
        }
    }
}

/// Sends the request; the clock is read only where the access log wants the time.
async fn exchange(
    link: &mut Link,
    request: Request<RequestBody>,
    trail: Option<&mut Trail>,
) -> Result<Response<Incoming>, Failure> {
    let Some(trail) = trail else { return link.exchange(request).await };
    let sent = Instant::now();
    let outcome = link.exchange(request).await;
    trail.first_byte = outcome.is_ok().then(|| sent.elapsed());
    outcome
}

fn answered(
    generation: &Generation,
    response: Response<Incoming>,
    mut reached: Reached,
    memo: Option<Memo>,
) -> Answered {
    // That it did well is known when its body has ended.
    if response.status().is_server_error() || response.status() == StatusCode::SWITCHING_PROTOCOLS {
        generation.did(reached.target, !response.status().is_server_error());
    }
    if let Some(memo) = memo {
        reached.link.scratch = memo.into_scratch();
    }
    Answered { response, link: reached.link, target: reached.target }
}

fn remember(reached: &mut Reached, request: &Request<RequestBody>) -> Option<Memo> {
    if !reached.is_pooled {
        return None;
    }
    match Memo::of(request, std::mem::take(&mut reached.link.scratch)) {
        Ok(memo) => Some(memo),
        Err(scratch) => {
            reached.link.scratch = scratch;
            None
        }
    }
}

/// The request for the second try, if there may be one.
fn second_request(failure: Failure, memo: Option<Memo>) -> Result<Option<Request<RequestBody>>, Reason> {
    match failure {
        Failure { unsent: Some(request), .. } => Ok(Some(request)),
        Failure { kind: FailureKind::Silent, .. } => Err(silent()),
        Failure { kind: FailureKind::Broken(error), .. } => match request_fault(&error) {
            Some(reason) => Err(reason),
            // A parse error is an answer, if a bad one; only a connection that ended without one is stale.
            None if error.is_parse() => Err(bad_answer(&error)),
            None => Ok(memo.map(|memo| memo.request())),
        },
    }
}

/// Faults of the client's own body, which travel through hyper as errors of the exchange.
fn request_fault(error: &hyper::Error) -> Option<Reason> {
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        if let Some(fault) = inner.downcast_ref::<UploadError>() {
            return Some(fault_of(fault));
        }
        source = inner.source();
    }
    None
}

/// The answer to a client whose body broke its request.
pub(crate) fn fault_of(fault: &UploadError) -> Reason {
    match fault {
        UploadError::TooLarge => Reason::new(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", fault.to_string()),
        UploadError::TooSlow => Reason::new(StatusCode::REQUEST_TIMEOUT, "slow-upload", fault.to_string()),
        UploadError::Silent => Reason::new(StatusCode::REQUEST_TIMEOUT, "body-silent", fault.to_string()),
        UploadError::Broken(source) if is_bad_chunk(source) => {
            Reason::new(StatusCode::BAD_REQUEST, "bad-chunk", "the request body's chunks are not well formed")
        }
        UploadError::Broken(_) | UploadError::Recalled(_) => {
            Reason::new(StatusCode::BAD_REQUEST, "body-broken", fault.to_string())
        }
    }
}

/// Whether a body broke off because its chunks could not be read.
fn is_bad_chunk(error: &hyper::Error) -> bool {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<io::Error>());
    source.is_some_and(|error| matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData))
}

/// A connection to a target; a target that cannot be reached costs one second try with the next one.
async fn reach(
    edge: &Edge,
    generation: &Generation,
    prefer: Option<usize>,
    may_pool: bool,
    mut trail: Option<&mut Trail>,
    tried: &mut Option<usize>,
) -> Result<Reached, Reason> {
    let mut avoid = None;
    loop {
        let Some(index) = preferred(generation, prefer, avoid).or_else(|| generation.choose(avoid)) else {
            return Err(no_target());
        };
        *tried = Some(index);
        let target = &generation.targets[index];
        if let Some(trail) = trail.as_deref_mut() {
            trail.tries(target.addr);
        }
        if may_pool && let Some(link) = target.take_idle(ms(edge.limits.target_idle)) {
            return Ok(Reached { link, target: index, is_pooled: true });
        }
        if target.is_swallowing() {
            return Err(unreachable(None));
        }
        count(&generation.tally.connects);
        let since = trail.is_some().then(Instant::now);
        let opened = Link::open(target.addr, generation.connect_timeout(), generation.response_timeout()).await;
        if let (Some(trail), Some(since)) = (trail.as_deref_mut(), since) {
            trail.connect = Some(since.elapsed());
        }
        match opened {
            Ok(link) => {
                target.reached();
                edge.links.add(link.state());
                return Ok(Reached { link, target: index, is_pooled: false });
            }
            Err(error) => {
                count(&generation.tally.connect_errors);
                target.missed(error.kind() == io::ErrorKind::TimedOut);
                generation.did(index, false);
                if avoid.is_some() {
                    return Err(unreachable(Some(&error)));
                }
                count(&generation.tally.retries);
                avoid = Some(index);
            }
        }
    }
}

/// Where the client was before, unless something speaks against it or it has just failed.
pub(super) fn preferred(generation: &Generation, prefer: Option<usize>, avoid: Option<usize>) -> Option<usize> {
    prefer.filter(|index| Some(*index) != avoid && generation.may_keep(*index))
}

pub(super) fn unreachable(error: Option<&io::Error>) -> Reason {
    let why = match error.map(io::Error::kind) {
        Some(io::ErrorKind::ConnectionRefused) => "refuses connections",
        Some(io::ErrorKind::TimedOut) | None => "does not take connections in time",
        Some(_) => "cannot be reached",
    };
    Reason::new(StatusCode::BAD_GATEWAY, "target-unreachable", format!("the service {why}")).retry_after(1)
}

pub(super) fn no_target() -> Reason {
    Reason::new(StatusCode::SERVICE_UNAVAILABLE, "no-target", "the service has no running target").retry_after(2)
}

pub(super) fn silent() -> Reason {
    Reason::new(StatusCode::GATEWAY_TIMEOUT, "target-silent", "the service did not answer in time")
}

pub(super) fn broken_off() -> Reason {
    Reason::new(StatusCode::BAD_GATEWAY, "target-broke-off", "the service closed the connection without an answer")
}

fn bad_answer(error: &hyper::Error) -> Reason {
    // hyper keeps its kinds to itself; see `downstream/fault.rs`.
    if error.to_string().starts_with("message head is too large") {
        let text = "the head of the service's answer has more than 256 lines or 128 KB";
        return Reason::new(StatusCode::BAD_GATEWAY, "target-head-too-large", text);
    }
    Reason::new(StatusCode::BAD_GATEWAY, "target-garbled", "the service's answer was not valid HTTP")
}
