//! A response's body on its way to the client.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};

use super::pace::{Pace, Taking};
use super::talk::{Share, Talk, Verdict};
use super::tunnel;
use crate::downstream::presence::Busy;
use crate::edge::Edge;
use crate::upstream::generation::InFlight;
use crate::upstream::link::{BodyError, Link};
use crate::upstream::tally::count;

/// Up to this size a body is looked for beside the head.
const AT_HAND: u64 = 64 << 10;

/// The body and what lives exactly as long as the response is under way.
pub(crate) struct ResponseBody {
    kind: Kind,
    /// Counted out of the generation when the response is done or given up.
    in_flight: Option<InFlight>,
    /// Counted out of the client's connection likewise.
    busy: Busy,
    /// Whether the client takes it quickly enough; only of what is still coming in.
    taking: Option<Arc<Taking>>,
    /// It broke off, which the client is told when it has got what came before.
    broken: Option<BodyError>,
}

enum Kind {
    Empty,
    Whole(Bytes),
    Stream(Box<Download>),
    Call(Box<Talk>),
}

/// A body that is still coming in.
struct Download {
    /// A piece that came together with the head.
    first: Option<Result<Frame<Bytes>, hyper::Error>>,
    incoming: Incoming,
    /// `None` once the last piece is read and the connection is back in its pool.
    link: Option<Link>,
    home: Home,
    /// Resolves when a stream that never ends by itself has had its time.
    over: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// It broke off because the client's own body did.
    is_clients_fault: bool,
}

/// Where a connection goes back to when its response is complete.
pub(crate) struct Home {
    pub(crate) target: usize,
    pub(crate) most_idle: usize,
    /// The status tells of no failure, so a whole answer is a success of its target.
    pub(crate) is_fine: bool,
}

impl Home {
    /// Puts the connection back into its generation's pool, if it can be used again.
    fn take_back(&self, mut link: Link, in_flight: &InFlight) {
        let generation = in_flight.generation();
        if self.is_fine {
            generation.did(self.target, true);
        }
        if link.settle() && !generation.is_draining() {
            generation.targets[self.target].give_back(link, self.most_idle);
        }
    }
}

impl ResponseBody {
    fn new(kind: Kind, in_flight: Option<InFlight>, mut busy: Busy) -> ResponseBody {
        if !matches!(kind, Kind::Empty) {
            busy.piece(true);
        }
        ResponseBody { kind, in_flight, busy, taking: None, broken: None }
    }

    /// An answer of the edge itself.
    pub(crate) fn own(bytes: Bytes, busy: Busy) -> ResponseBody {
        ResponseBody::new(Kind::Whole(bytes), None, busy)
    }

    /// No body; the guard counts until the head is written.
    pub(crate) fn empty(in_flight: Option<InFlight>, busy: Busy) -> ResponseBody {
        ResponseBody { kind: Kind::Empty, in_flight, busy, taking: None, broken: None }
    }

    /// The target's body. What came together with the head is taken at once, and then often nothing is left to stream.
    pub(crate) fn from_target(
        mut incoming: Incoming,
        link: Link,
        home: Home,
        in_flight: InFlight,
        busy: Busy,
        events: Option<Duration>,
    ) -> ResponseBody {
        let kind = if incoming.is_end_stream() {
            home.take_back(link, &in_flight);
            Kind::Empty
        } else if incoming.size_hint().exact().is_some_and(|length| length <= AT_HAND) {
            match link.frame_at_hand(&mut incoming) {
                Some(Ok(frame)) if incoming.is_end_stream() && frame.is_data() => {
                    home.take_back(link, &in_flight);
                    Kind::Whole(frame.into_data().unwrap_or_default())
                }
                first => Kind::Stream(Box::new(Download {
                    first,
                    incoming,
                    link: Some(link),
                    home,
                    over: None,
                    is_clients_fault: false,
                })),
            }
        } else {
            let over = events.map(|spread| until_over(&in_flight, spread));
            Kind::Stream(Box::new(Download {
                first: None,
                incoming,
                link: Some(link),
                home,
                over,
                is_clients_fault: false,
            }))
        };
        ResponseBody::new(kind, Some(in_flight), busy)
    }
}

impl ResponseBody {
    /// Asks a least rate of the client.
    pub(crate) fn at_least(&mut self, edge: &Edge, pace: impl FnOnce() -> Option<Pace>) {
        if !matches!(self.kind, Kind::Stream(_) | Kind::Call(_)) {
            return;
        }
        self.taking = pace().map(|pace| Taking::begin(edge, pace, self.busy.presence().clone()));
        if let Some(record) = &mut self.busy.record {
            record.taking = self.taking.clone();
        }
    }

    /// The answer broke off behind its head, which said that all is well.
    ///
    /// The head, and what came before the break, go out first: hyper gives up what it has not sent when a body fails.
    fn break_off(&mut self, broken: BodyError, cx: &Context<'_>) {
        let culprit = match &self.kind {
            Kind::Stream(download) => (!download.is_clients_fault).then_some(download.home.target),
            Kind::Call(talk) => talk.culprit(),
            Kind::Empty | Kind::Whole(_) => None,
        };
        if let (Some(target), Some(in_flight)) = (culprit, &self.in_flight) {
            let generation = in_flight.generation();
            if !self.busy.has_failed {
                count(&self.busy.guest.as_ref().unwrap_or(&generation.tally).broken);
            }
            generation.did(target, false);
            if let Some(record) = &mut self.busy.record {
                record.code = record.code.or(Some(broken.code()));
            }
        }
        self.broken = Some(broken);
        cx.waker().wake_by_ref();
    }

    fn count(&mut self, bytes: u64) {
        if let Some(in_flight) = &self.in_flight {
            in_flight.generation().tally.bytes_out.fetch_add(bytes, Ordering::Relaxed);
        }
        if let Some(record) = &mut self.busy.record {
            record.sent += bytes;
        }
    }

    /// The body of an answer that came over a shared connection.
    pub(crate) fn from_call(
        incoming: Incoming,
        share: Share,
        in_flight: InFlight,
        busy: Busy,
        over: Option<Duration>,
        verdict: Option<Verdict>,
    ) -> ResponseBody {
        if incoming.is_end_stream() {
            if share.is_fine && !share.is_grpc {
                in_flight.generation().did(share.target, true);
            }
            return ResponseBody::new(Kind::Empty, Some(in_flight), busy);
        }
        let over = over.map(|spread| until_over(&in_flight, spread));
        ResponseBody::new(Kind::Call(Box::new(Talk::new(incoming, share, over, verdict))), Some(in_flight), busy)
    }
}

impl ResponseBody {
    /// What lives as long as this body.
    pub(crate) fn busy(&mut self) -> &mut Busy {
        &mut self.busy
    }
}

fn until_over(in_flight: &InFlight, spread: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    let generation = in_flight.generation().clone();
    Box::pin(async move { tunnel::over(&generation, spread).await })
}

impl Download {
    fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
        in_flight: Option<&InFlight>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(over) = &mut self.over
            && over.as_mut().poll(cx).is_ready()
        {
            // An ordinary end, so that the client's EventSource comes back by itself, to the new release.
            (self.over, self.first, self.link) = (None, None, None);
            return Poll::Ready(None);
        }
        let polled = match (self.first.take(), self.link.as_mut()) {
            (Some(first), _) => Poll::Ready(Some(first.map_err(BodyError::Broken))),
            (None, Some(link)) => link.poll_frame(cx, &mut self.incoming),
            (None, None) => Poll::Ready(None),
        };
        match &polled {
            Poll::Ready(Some(Err(_broken))) => {
                self.is_clients_fault = self.link.as_ref().is_some_and(|link| link.state().is_clients_fault());
                self.link = None;
            }
            Poll::Ready(Some(Ok(_))) if !self.incoming.is_end_stream() => {}
            // The last piece: the connection is free before the client has taken it.
            Poll::Ready(_) => {
                if let (Some(link), Some(in_flight)) = (self.link.take(), in_flight) {
                    self.home.take_back(link, in_flight);
                }
            }
            Poll::Pending => {}
        }
        polled
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        if let Some(taking) = &this.taking {
            taking.asked();
        }
        if let Some(broken) = this.broken.take() {
            return Poll::Ready(Some(Err(broken)));
        }
        let polled = match &mut this.kind {
            Kind::Empty => return Poll::Ready(None),
            Kind::Whole(bytes) => {
                let bytes = std::mem::take(bytes);
                this.kind = Kind::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Kind::Stream(download) => download.poll_frame(cx, this.in_flight.as_ref()),
            Kind::Call(talk) => {
                let polled = talk.poll_frame(cx);
                if let (Some(target), Some(in_flight)) = (talk.succeeded(), &this.in_flight) {
                    in_flight.generation().did(target, true);
                }
                polled
            }
        };
        let polled = match polled {
            Poll::Ready(Some(Err(broken))) => {
                this.break_off(broken, cx);
                return Poll::Pending;
            }
            other => other,
        };
        this.busy.piece(polled.is_ready());
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
            this.count(bytes);
            if let Some(taking) = &this.taking {
                taking.given(bytes);
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Empty => true,
            Kind::Whole(_) => false,
            _ if self.broken.is_some() => false,
            Kind::Stream(download) => download.first.is_none() && download.incoming.is_end_stream(),
            Kind::Call(talk) => talk.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Empty => SizeHint::with_exact(0),
            Kind::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Kind::Call(talk) => talk.size_hint(),
            Kind::Stream(download) => match (&download.first, download.incoming.size_hint().exact()) {
                (Some(Ok(frame)), Some(rest)) => {
                    SizeHint::with_exact(rest + frame.data_ref().map_or(0, |data| data.len() as u64))
                }
                _ => download.incoming.size_hint(),
            },
        }
    }
}
