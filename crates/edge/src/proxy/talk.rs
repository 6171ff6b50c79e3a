//! An answer's body that comes over a connection which other calls share.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use hyper::body::{Body, Frame, Incoming, SizeHint};

use super::grpc::{self, Code};
use super::tunnel;
use crate::upstream::call::{Call, fault};
use crate::upstream::generation::Generation;
use crate::upstream::link::BodyError;
use crate::upstream::tally::count;

/// A call as its answer's body knows it.
pub(crate) struct Share {
    pub(crate) call: Call,
    pub(crate) target: usize,
    /// How it went is in its trailers, and an end by the edge is told there.
    pub(crate) is_grpc: bool,
    /// The status tells of no failure.
    pub(crate) is_fine: bool,
}

/// A body that is still coming in.
pub(super) struct Talk {
    /// `None` once it has ended: dropping both resets the stream, if its target has not ended it.
    open: Option<(Incoming, Call)>,
    /// Resolves when a stream that never ends by itself has had its time.
    over: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// Until it is known how the call went.
    verdict: Option<Verdict>,
    is_grpc: bool,
    target: usize,
    /// It broke off because the client's own body did.
    is_clients_fault: bool,
    /// A whole answer is a success that nobody has been told of yet.
    is_fine: bool,
}

/// Who is told how a call of gRPC went; its head says nothing of it.
pub(crate) struct Verdict {
    pub(crate) generation: Arc<Generation>,
    pub(crate) target: usize,
}

impl Verdict {
    pub(super) fn tell(self, has_failed: bool) {
        if has_failed {
            let tally = self.generation.guest(Some(self.target)).unwrap_or(&self.generation.tally);
            count(&tally.failed_calls);
        }
        self.generation.did(self.target, !has_failed);
    }

    /// Where a head is all there is, it says everything, and nothing is left to tell.
    pub(crate) fn of_head(self, head: &HeaderMap) -> Option<Verdict> {
        self.tell(grpc::has_failed(head));
        None
    }
}

type Polled = Poll<Option<Result<Frame<Bytes>, BodyError>>>;

impl Talk {
    pub(super) fn new(
        incoming: Incoming,
        share: Share,
        over: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
        verdict: Option<Verdict>,
    ) -> Talk {
        let Share { call, target, is_grpc, is_fine } = share;
        Talk { open: Some((incoming, call)), over, verdict, is_grpc, target, is_clients_fault: false, is_fine }
    }

    /// The target whose answer has just come to its end, where no verdict on a call of gRPC says how it went.
    pub(super) fn succeeded(&mut self) -> Option<usize> {
        let is_told = self.open.is_none() && std::mem::take(&mut self.is_fine);
        (is_told && !self.is_grpc).then_some(self.target)
    }

    /// The target that has broken the answer off, where nobody else counts that: neither the verdict on a call of gRPC
    /// nor the answer to a client whose own body was at fault.
    pub(super) fn culprit(&self) -> Option<usize> {
        (!self.is_grpc && !self.is_clients_fault).then_some(self.target)
    }

    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Polled {
        let Some((incoming, call)) = &mut self.open else { return Poll::Ready(None) };
        let is_grpc = self.is_grpc;
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
            Poll::Ready(Some(Ok(frame))) if frame.is_trailers() => {
                let has_failed = frame.trailers_ref().is_some_and(grpc::has_failed);
                self.tell(has_failed);
                self.end();
            }
            Poll::Ready(Some(Ok(_))) if !incoming.is_end_stream() => {}
            Poll::Ready(Some(Err(broken))) => {
                let is_told = is_grpc && !is_targets_own(broken);
                (self.is_clients_fault, self.is_fine) = (call.loan.fault().is_some(), false);
                self.tell(true);
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

    fn tell(&mut self, has_failed: bool) {
        if let Some(verdict) = self.verdict.take() {
            verdict.tell(has_failed);
        }
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
