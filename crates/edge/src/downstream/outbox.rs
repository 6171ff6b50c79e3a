//! What an HTTP/2 connection writes, gathered until its turn is over.
//!
//! `h2` holds no more than one piece of a body and flushes it before the next, so ten small responses of one turn would
//! be ten system calls, and over TLS ten records.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::presence::Presence;
use super::rest::Socket;
use super::wire::Wire;

/// As much is gathered; a client that takes less than it is offered holds up no more than this beside its socket.
const GATHERED: usize = 16 << 10;

/// A piece as large as this goes straight through: copying it would cost more than its system call.
const LARGE: usize = 4 << 10;

/// See the module's text.
struct Outbox<S> {
    wire: Wire<S>,
    gathered: BytesMut,
    /// Why nothing more can be written; its next flush tells the connection.
    broken: Option<io::ErrorKind>,
}

/// The outbox as the connection's socket. The connection's own task is all that ever locks it.
pub(super) struct Slot<S>(Arc<Mutex<Outbox<S>>>);

impl<S> Clone for Slot<S> {
    fn clone(&self) -> Slot<S> {
        Slot(self.0.clone())
    }
}

impl<S: Socket> Slot<S> {
    pub(super) fn new(wire: Wire<S>) -> Slot<S> {
        Slot(Arc::new(Mutex::new(Outbox { wire, gathered: BytesMut::new(), broken: None })))
    }

    /// The turn is over: what it has gathered is sent.
    pub(super) fn send(&self, cx: &mut Context<'_>, presence: &Presence) {
        let mut outbox = self.0.lock();
        // It was called for that already, and a connection that does not flush now would be called for ever.
        if outbox.broken.is_some() {
            return;
        }
        match outbox.poll_sent(cx) {
            // Who has nothing under way keeps no room for it.
            Poll::Ready(Ok(())) if presence.is_idle() => outbox.gathered = BytesMut::new(),
            Poll::Ready(Err(_)) => cx.waker().wake_by_ref(),
            Poll::Ready(Ok(())) | Poll::Pending => {}
        }
    }
}

impl<S: Socket> Outbox<S> {
    /// Everything gathered is with the system.
    fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = self.poll_written(cx);
        if let Poll::Ready(Err(error)) = &polled {
            self.broken = Some(error.kind());
        }
        polled
    }

    fn poll_written(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.is_whole()?;
        while !self.gathered.is_empty() {
            match ready!(Pin::new(&mut self.wire).poll_write(cx, &self.gathered))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.gathered.advance(count),
            }
        }
        self.gathered.clear();
        Pin::new(&mut self.wire).poll_flush(cx)
    }

    fn is_whole(&self) -> io::Result<()> {
        self.broken.map_or(Ok(()), |kind| Err(kind.into()))
    }

    fn poll_taken(&mut self, cx: &mut Context<'_>, bufs: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.is_whole()?;
        let length = bufs.iter().map(|buf| buf.len()).sum();
        if !self.gathered.is_empty() && self.gathered.len() + length > GATHERED {
            ready!(self.poll_sent(cx))?;
        }
        if self.gathered.is_empty() && length >= LARGE {
            return Pin::new(&mut self.wire).poll_write_vectored(cx, bufs);
        }
        if self.gathered.capacity() == 0 {
            self.gathered.reserve(LARGE);
        }
        bufs.iter().for_each(|buf| self.gathered.extend_from_slice(buf));
        Poll::Ready(Ok(length))
    }
}

impl<S: Socket> AsyncRead for Slot<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.lock().wire).poll_read(cx, buf)
    }
}

impl<S: Socket> AsyncWrite for Slot<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.0.lock().poll_taken(cx, &[io::IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.0.lock().poll_taken(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.0.lock().is_whole())
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut outbox = self.0.lock();
        ready!(outbox.poll_sent(cx))?;
        Pin::new(&mut outbox.wire).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Wake, Waker};

    use super::super::sniff::Sniff;
    use super::super::wire::Look;
    use super::*;

    /// Takes so much, and keeps what it was given at each call.
    struct Sink {
        calls: Arc<Mutex<Vec<usize>>>,
        room: Arc<Mutex<usize>>,
        is_gone: bool,
    }
    impl AsyncRead for Sink {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }
    impl AsyncWrite for Sink {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            let mut room = self.room.lock();
            let taken = buf.len().min(*room);
            if self.is_gone {
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            }
            if taken == 0 {
                return Poll::Pending;
            }
            *room -= taken;
            self.calls.lock().push(taken);
            Poll::Ready(Ok(taken))
        }
        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }
    impl Socket for Sink {
        const IS_TLS: bool = false;
        fn poll_stirred(&self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

    #[derive(Default)]
    struct Calls(AtomicUsize);
    impl Wake for Calls {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    struct Place {
        slot: Slot<Sink>,
        presence: Arc<Presence>,
        calls: Arc<Mutex<Vec<usize>>>,
        room: Arc<Mutex<usize>>,
    }

    impl Place {
        fn new(room: usize, is_gone: bool) -> Place {
            let presence = Arc::new(Presence::new(1));
            let (calls, room) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(room)));
            let sink = Sink { calls: calls.clone(), room: room.clone(), is_gone };
            let slot = Slot::new(Wire::new(sink, presence.clone(), Look::Heads(Sniff::default())));
            Place { slot, presence, calls, room }
        }

        fn write(&mut self, length: usize) -> Poll<io::Result<usize>> {
            Pin::new(&mut self.slot).poll_write(&mut Context::from_waker(Waker::noop()), &vec![7; length])
        }

        fn flush(&mut self) -> Poll<io::Result<()>> {
            Pin::new(&mut self.slot).poll_flush(&mut Context::from_waker(Waker::noop()))
        }

        fn send(&self) -> Vec<usize> {
            self.slot.send(&mut Context::from_waker(Waker::noop()), &self.presence);
            std::mem::take(&mut *self.calls.lock())
        }
    }

    #[test]
    fn what_a_turn_writes_is_sent_in_one_go() {
        let mut place = Place::new(usize::MAX, false);
        for _ in 0..5 {
            assert!(matches!(place.write(1_100), Poll::Ready(Ok(1_100))));
            assert!(place.flush().is_ready());
        }
        assert_eq!(*place.calls.lock(), Vec::<usize>::new());
        assert_eq!(place.send(), [5_500]);
        assert_eq!(place.send(), Vec::<usize>::new());
    }

    #[test]
    fn a_large_piece_goes_straight_through_and_after_what_was_written_before() {
        let mut place = Place::new(usize::MAX, false);
        assert!(place.write(100).is_ready());
        assert!(place.write(GATHERED).is_ready());
        assert!(place.write(100).is_ready());
        assert_eq!(place.send(), [100, GATHERED, 100]);
    }

    #[test]
    fn a_client_that_takes_nothing_holds_up_no_more_than_the_outbox_may_gather() {
        let mut place = Place::new(150, false);
        let mut gathered = 0;
        while let Poll::Ready(Ok(count)) = place.write(1_000) {
            gathered += count;
            assert!(gathered <= GATHERED + 1_000, "{gathered} bytes are held up");
        }
        assert_eq!(*place.calls.lock(), [150]);
        // It takes again, and gets everything once.
        *place.room.lock() = usize::MAX;
        assert_eq!(place.send(), [150, gathered - 150]);
    }

    #[test]
    fn a_connection_whose_client_is_gone_is_called_once_and_told_at_its_next_flush() {
        let mut place = Place::new(usize::MAX, true);
        assert!(place.write(100).is_ready());
        assert!(matches!(place.flush(), Poll::Ready(Ok(()))));
        let calls = Arc::new(Calls::default());
        let waker = Waker::from(calls.clone());
        for _ in 0..3 {
            place.slot.send(&mut Context::from_waker(&waker), &place.presence);
        }
        assert_eq!(calls.0.load(Ordering::SeqCst), 1);
        let Poll::Ready(Err(error)) = place.flush() else { panic!("the connection is told nothing") };
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        assert!(matches!(place.write(100), Poll::Ready(Err(_))));
    }

    #[tokio::test]
    async fn a_shutdown_sends_what_is_gathered_before() {
        let mut place = Place::new(usize::MAX, false);
        assert!(place.write(100).is_ready());
        assert!(tokio::io::AsyncWriteExt::shutdown(&mut place.slot).await.is_ok());
        assert_eq!(*place.calls.lock(), [100]);
    }
}
