//! A request's body on its way to the target.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep};

use super::hold::Early;
use super::pace::{Credit, Pace};
use crate::upstream::link::LinkState;
use crate::upstream::tally::Tally;

/// Nothing, or what the client sends as it sends it.
pub(crate) enum RequestBody {
    Empty,
    Stream(Box<Upload>),
}

/// A streamed body with its limits.
pub(crate) struct Upload {
    /// What was read before there was anybody to send it to.
    early: Early,
    incoming: Incoming,
    /// Whose patience counts only while the client is not the slow one.
    link: Option<Arc<LinkState>>,
    /// `None` where a client may say nothing for as long as it likes, as in a stream of gRPC.
    idle: Option<Duration>,
    /// How far the client may still fall behind the least rate.
    credit: Option<Credit>,
    /// Since when the client has had the word.
    since: Option<Instant>,
    /// Made at the first wait; most bodies come with their head.
    timer: Option<Pin<Box<Sleep>>>,
    left: u64,
    /// Counts the release's bytes.
    tally: Option<Arc<Tally>>,
    /// Bytes so far, for the access log.
    counted: Option<Arc<AtomicU64>>,
}

/// Why a request body ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UploadError {
    #[error("the client's request body broke off")]
    Broken(#[source] hyper::Error),
    #[error("the client fell silent inside its request body")]
    Silent,
    #[error("the request body is larger than allowed")]
    TooLarge,
    #[error("the client sent its request body too slowly")]
    TooSlow,
    #[error("the request is not wanted there any more")]
    Recalled(#[source] h2::Error),
}

impl RequestBody {
    pub(crate) fn new(incoming: Incoming, early: Early, idle: Duration, most: Option<u64>) -> RequestBody {
        if incoming.is_end_stream() && early.is_empty() {
            return RequestBody::Empty;
        }
        let left = most.unwrap_or(u64::MAX);
        let (link, credit, since, timer, tally, counted) = (None, None, None, None, None, None);
        let idle = Some(idle);
        let upload = Upload { early, incoming, link, idle, credit, since, timer, left, tally, counted };
        RequestBody::Stream(Box::new(upload))
    }

    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, RequestBody::Empty)
    }

    /// Counts the bytes that pass, for the release and for the access log where it is on.
    pub(crate) fn count_for(&mut self, tally: &Arc<Tally>, log: Option<&Arc<AtomicU64>>) {
        if let RequestBody::Stream(upload) = self {
            (upload.tally, upload.counted) = (Some(tally.clone()), log.cloned());
        }
    }

    /// Asks a least rate of the client.
    pub(crate) fn at_least(&mut self, pace: impl FnOnce() -> Option<Pace>) {
        if let RequestBody::Stream(upload) = self {
            upload.credit = pace().map(Credit::new);
        }
    }

    /// The client may fall silent inside it: whether it is still there is asked by pings.
    pub(crate) fn may_rest(&mut self) {
        if let RequestBody::Stream(upload) = self {
            upload.idle = None;
        }
    }

    /// Tells the body which target waits for it.
    pub(crate) fn goes_to(&mut self, link: &Arc<LinkState>) {
        if let RequestBody::Stream(upload) = self {
            upload.link = Some(link.clone());
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = UploadError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        match self.get_mut() {
            RequestBody::Empty => Poll::Ready(None),
            RequestBody::Stream(upload) => upload.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            RequestBody::Empty => true,
            RequestBody::Stream(upload) => upload.early.is_empty() && upload.incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            RequestBody::Empty => SizeHint::with_exact(0),
            RequestBody::Stream(upload) => upload.size_hint(),
        }
    }
}

impl Upload {
    /// The next piece; a body that breaks off takes the exchange with it, which is no fault of the target.
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        let polled = self.poll_piece(cx);
        if let (Poll::Ready(Some(Err(_))), Some(link)) = (&polled, &self.link) {
            link.blame_client();
        }
        polled
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        if let Some(frame) = self.early.pop_front() {
            return Poll::Ready(Some(self.admit(Ok(frame))));
        }
        match Pin::new(&mut self.incoming).poll_frame(cx) {
            Poll::Ready(item) => {
                self.timer = None;
                if let (Some(since), Some(credit)) = (self.since.take(), &mut self.credit) {
                    credit.waited(since.elapsed());
                }
                if let Some(link) = &self.link {
                    link.waits();
                }
                Poll::Ready(item.map(|frame| self.admit(frame)))
            }
            Poll::Pending => {
                if let Some(link) = &self.link {
                    link.rests();
                }
                let Some(idle) = self.idle else { return Poll::Pending };
                let since = *self.since.get_or_insert_with(Instant::now);
                let until = since + self.credit.as_ref().map_or(idle, |credit| credit.left().min(idle));
                let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until)));
                ready!(timer.as_mut().poll(cx));
                let is_silent = since.elapsed() >= idle;
                Poll::Ready(Some(Err(if is_silent { UploadError::Silent } else { UploadError::TooSlow })))
            }
        }
    }

    /// What is left of the body; a known length stays known, so that the next hop gets it too.
    fn size_hint(&self) -> SizeHint {
        let rest = self.incoming.size_hint();
        let early: u64 = self.early.iter().filter_map(Frame::data_ref).map(|data| data.len() as u64).sum();
        match rest.exact() {
            _ if early == 0 => rest,
            Some(rest) => SizeHint::with_exact(rest + early),
            None => SizeHint::default(),
        }
    }

    fn admit(&mut self, frame: Result<Frame<Bytes>, hyper::Error>) -> Result<Frame<Bytes>, UploadError> {
        let frame = frame.map_err(UploadError::Broken)?;
        let length = frame.data_ref().map_or(0, |data| data.len() as u64);
        if let Some(tally) = &self.tally {
            tally.bytes_in.fetch_add(length, Ordering::Relaxed);
        }
        if let Some(counted) = &self.counted {
            counted.fetch_add(length, Ordering::Relaxed);
        }
        if let Some(credit) = &mut self.credit {
            credit.moved(length);
        }
        self.left = self.left.checked_sub(length).ok_or(UploadError::TooLarge)?;
        Ok(frame)
    }
}
