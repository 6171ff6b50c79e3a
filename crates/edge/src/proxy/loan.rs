//! A request's body as it is lent to a call, and lent again when the target refused the call.
//!
//! A call that was refused (REFUSED_STREAM, or GOAWAY with a lower last stream) was not looked at, so it may be
//! repeated whatever its method. Its body must then begin anew: the first pieces are kept until there is an answer,
//! and when there are too many of them the call cannot be repeated.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::HeaderMap;
use hyper::body::{Body, Frame, SizeHint};
use parking_lot::Mutex;

use super::answer::Reason;
use super::attempt::fault_of;
use super::upload::{RequestBody, UploadError};
use crate::upstream::link::LinkState;

/// As much of a body is kept; the usual call is a message of some hundred bytes.
const KEPT: usize = 64 << 10;

/// The body, and what of it was lent so far.
pub(crate) struct Loan {
    book: Arc<Mutex<Book>>,
}

/// One borrower's hold of the body; it ends when the next one borrows.
pub(crate) struct Lent {
    book: Arc<Mutex<Book>>,
    turn: u32,
}

struct Book {
    body: RequestBody,
    turn: u32,
    kept: Vec<Piece>,
    kept_bytes: usize,
    /// The next kept piece of this turn.
    next: usize,
    is_keeping: bool,
    is_done: bool,
    /// Whoever waits for the client's next piece.
    waker: Option<Waker>,
    fault: Option<Reason>,
}

#[derive(Clone)]
enum Piece {
    Data(Bytes),
    Trailers(HeaderMap),
}

impl Loan {
    pub(crate) fn new(body: RequestBody) -> Loan {
        let book = Book {
            is_done: body.is_end_stream(),
            body,
            turn: 0,
            kept: Vec::new(),
            kept_bytes: 0,
            next: 0,
            is_keeping: true,
            waker: None,
            fault: None,
        };
        Loan { book: Arc::new(Mutex::new(book)) }
    }

    /// The body from its beginning; an earlier borrower gets nothing more of it.
    pub(crate) fn lend(&self, link: &Arc<LinkState>) -> Lent {
        let mut book = self.book.lock();
        book.turn += 1;
        book.next = 0;
        book.body.goes_to(link);
        Lent { book: self.book.clone(), turn: book.turn }
    }

    /// Whether it can be lent again from its beginning.
    pub(crate) fn is_whole(&self) -> bool {
        let book = self.book.lock();
        book.is_keeping && book.fault.is_none()
    }

    /// The client has sent all of it.
    pub(crate) fn is_done(&self) -> bool {
        self.book.lock().is_done
    }

    /// There is an answer: nothing will be repeated.
    pub(crate) fn settle(&self) {
        let mut book = self.book.lock();
        book.is_keeping = false;
        if book.next == book.kept.len() {
            book.forget();
        }
    }

    /// Nothing more of it is wanted: the call's stream is reset, and the client's told that it may stop.
    pub(crate) fn recall(&self) {
        let (body, waker) = {
            let mut book = self.book.lock();
            book.turn += 1;
            (std::mem::replace(&mut book.body, RequestBody::Empty), book.waker.take())
        };
        // Outside the lock, because both may run other tasks' business.
        drop(body);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// What was wrong with the client's side of it.
    pub(crate) fn fault(&self) -> Option<Reason> {
        self.book.lock().fault.take()
    }
}

impl Book {
    fn forget(&mut self) {
        (self.kept, self.next, self.kept_bytes) = (Vec::new(), 0, 0);
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        if let Some(piece) = self.kept.get(self.next).cloned() {
            self.next += 1;
            if !self.is_keeping && self.next == self.kept.len() {
                self.forget();
            }
            return Poll::Ready(Some(Ok(piece.into())));
        }
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => self.keep(frame),
            Poll::Ready(None) => self.is_done = true,
            Poll::Ready(Some(Err(fault))) => self.fault = Some(fault_of(fault)),
            Poll::Pending => self.waker = Some(cx.waker().clone()),
        }
        self.is_done |= self.body.is_end_stream();
        polled
    }

    fn keep(&mut self, frame: &Frame<Bytes>) {
        if !self.is_keeping {
            return;
        }
        match (frame.data_ref(), frame.trailers_ref()) {
            (Some(data), _) if self.kept_bytes + data.len() <= KEPT => {
                self.kept_bytes += data.len();
                self.kept.push(Piece::Data(data.clone()));
            }
            (Some(_), _) => self.is_keeping = false,
            (None, Some(trailers)) => self.kept.push(Piece::Trailers(trailers.clone())),
            (None, None) => {}
        }
        if self.is_keeping {
            self.next = self.kept.len();
        } else {
            self.forget();
        }
    }
}

impl From<Piece> for Frame<Bytes> {
    fn from(piece: Piece) -> Frame<Bytes> {
        match piece {
            Piece::Data(data) => Frame::data(data),
            Piece::Trailers(trailers) => Frame::trailers(trailers),
        }
    }
}

impl Body for Lent {
    type Data = Bytes;
    type Error = UploadError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        let this = self.get_mut();
        let mut book = this.book.lock();
        if book.turn != this.turn {
            return Poll::Ready(Some(Err(UploadError::Recalled(h2::Reason::CANCEL.into()))));
        }
        book.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        let book = self.book.lock();
        book.turn == self.turn && book.next == book.kept.len() && book.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let book = self.book.lock();
        let left: usize = book.kept[book.next..].iter().map(Piece::len).sum();
        match book.body.size_hint().exact() {
            Some(rest) => SizeHint::with_exact(rest + left as u64),
            None => SizeHint::default(),
        }
    }
}

impl Piece {
    fn len(&self) -> usize {
        match self {
            Piece::Data(data) => data.len(),
            Piece::Trailers(_) => 0,
        }
    }
}
