//! One request and its answer on an HTTP/2 connection that it shares with others.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::{Body, Frame, Incoming};
use hyper::client::conn::http2::SendRequest;

use super::link::{BodyError, Expired, LinkState};
use super::trunk::Place;
use crate::proxy::loan::{Lent, Loan};

/// Why a call brought no answer.
#[derive(Debug)]
pub(crate) enum CallFailure {
    /// The connection had ended before the request was sent.
    Unsent,
    /// The target said that it has not looked at it.
    Refused { connection_is_over: bool },
    /// The target kept silent for too long.
    Silent,
    /// The target ended it, or the connection ended.
    Broken(hyper::Error),
}

/// What lives as long as the answer is under way.
pub(crate) struct Call {
    pub(crate) state: Arc<LinkState>,
    /// Kept, so that the connection knows how many calls it carries.
    pub(crate) _place: Place,
    /// The request's body, which may still be on its way.
    pub(crate) loan: Loan,
    /// Whether silence inside the answer is as good as any: a stream has no other way to say that nothing happened.
    pub(crate) may_rest: bool,
}

/// Sends a request and waits for the head of its answer.
pub(crate) async fn exchange(
    mut sender: SendRequest<Lent>,
    state: &LinkState,
    request: Request<Lent>,
) -> Result<Response<Incoming>, CallFailure> {
    state.waits();
    let answer = sender.try_send_request(request);
    // Whoever holds a sender keeps the connection open.
    drop(sender);
    let mut answer = pin!(answer);
    let outcome = std::future::poll_fn(|cx| state.poll_patiently(cx, |cx| answer.as_mut().poll(cx))).await;
    state.rests();
    match outcome {
        Ok(Ok(response)) => Ok(response),
        Ok(Err(mut error)) => Err(match error.take_message() {
            Some(_request) => CallFailure::Unsent,
            None => failure(error.into_error()),
        }),
        Err(Expired) => Err(CallFailure::Silent),
    }
}

/// Whether a target has refused a call unseen: its stream was reset with REFUSED_STREAM, or the connection's GOAWAY
/// named a lower last stream.
fn failure(error: hyper::Error) -> CallFailure {
    match fault(&error) {
        // A stream up to the last one is never ended by GOAWAY itself.
        Some(fault) if fault.is_remote() && fault.is_go_away() => CallFailure::Refused { connection_is_over: true },
        Some(fault) if is_refusal(fault) => CallFailure::Refused { connection_is_over: false },
        _ => CallFailure::Broken(error),
    }
}

fn is_refusal(fault: &h2::Error) -> bool {
    fault.is_remote() && fault.is_reset() && fault.reason() == Some(h2::Reason::REFUSED_STREAM)
}

/// What HTTP/2 knows of a failure.
pub(crate) fn fault(error: &hyper::Error) -> Option<&h2::Error> {
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        if let Some(fault) = inner.downcast_ref::<h2::Error>() {
            return Some(fault);
        }
        source = inner.source();
    }
    None
}

impl Call {
    /// Polls for the next piece of the answer's body.
    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
        body: &mut Incoming,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.may_rest {
            return Pin::new(body).poll_frame(cx).map(|frame| frame.map(|f| f.map_err(BodyError::Broken)));
        }
        match self.state.poll_patiently(cx, |cx| Pin::new(body).poll_frame(cx)) {
            Poll::Pending => {
                self.state.still_waits();
                Poll::Pending
            }
            Poll::Ready(outcome) => {
                self.state.rests();
                Poll::Ready(match outcome {
                    Ok(frame) => frame.map(|f| f.map_err(BodyError::Broken)),
                    Err(Expired) => Some(Err(BodyError::Silent)),
                })
            }
        }
    }
}
