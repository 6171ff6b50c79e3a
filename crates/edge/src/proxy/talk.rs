//! An answer's body that comes over a connection which other calls share.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};

use super::grpc::{self, Code};
use super::tunnel;
use crate::upstream::call::{Call, fault};
use crate::upstream::link::BodyError;

/// A body that is still coming in.
pub(super) struct Talk {
    /// `None` once it has ended: dropping both resets the stream, if its target has not ended it.
    open: Option<(Incoming, Call)>,
    /// Resolves when a stream that never ends by itself has had its time.
    over: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

type Polled = Poll<Option<Result<Frame<Bytes>, BodyError>>>;

impl Talk {
    pub(super) fn new(incoming: Incoming, call: Call, over: Option<Pin<Box<dyn Future<Output = ()> + Send>>>) -> Talk {
        Talk { open: Some((incoming, call)), over }
    }

    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Polled {
        let Some((incoming, call)) = &mut self.open else { return Poll::Ready(None) };
        let is_grpc = call.may_rest;
        if let Some(over) = &mut self.over
            && over.as_mut().poll(cx).is_ready()
        {
            self.break_off();
            // An ordinary end of events, whose client comes back by itself; a call's client is told why.
            return Poll::Ready(is_grpc.then(|| {
                let reason = tunnel::ended();
                Ok(Frame::trailers(grpc::trailers(Code::Unavailable, &reason.text, reason.code)))
            }));
        }
        let polled = call.poll_frame(cx, incoming);
        match &polled {
            Poll::Ready(Some(Ok(_))) if !incoming.is_end_stream() => {}
            Poll::Ready(Some(Err(broken))) => {
                let is_told = is_grpc && !is_targets_own(broken);
                self.break_off();
                if is_told {
                    let text = "the service closed the connection inside its answer";
                    let trailers = grpc::trailers(Code::Unavailable, text, "target-broke-off");
                    return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
                }
            }
            Poll::Ready(_) => self.end(),
            Poll::Pending => {}
        }
        polled
    }

    fn end(&mut self) {
        (self.open, self.over) = (None, None);
    }

    /// Ends it from this side, with what its client may still be sending.
    fn break_off(&mut self) {
        if let Some((_, call)) = &self.open {
            call.loan.recall();
        }
        self.end();
    }

    pub(super) fn is_end_stream(&self) -> bool {
        self.open.as_ref().is_none_or(|(incoming, _)| incoming.is_end_stream())
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        self.open.as_ref().map_or_else(SizeHint::default, |(incoming, _)| incoming.size_hint())
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        self.break_off();
    }
}

/// Whether the target has reset the stream: its client gets the same word. All else is the edge's to explain.
fn is_targets_own(broken: &BodyError) -> bool {
    match broken {
        BodyError::Silent => false,
        BodyError::Broken(error) => fault(error).is_some_and(|fault| fault.is_remote() && fault.is_reset()),
    }
}
