//! One carried connection: to a target of the pool, both ways, until one side ends or its time is over.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncWriteExt, copy_bidirectional_with_sizes};
use tokio::net::TcpStream;

use super::header::version_2;
use super::lines::Line;
use super::meter::{Meter, Passed};
use crate::downstream::arrival::Arrival;
use crate::downstream::presence::{Presence, Wish};
use crate::edge::Edge;
use crate::proxy::hold::{self, Waited};
use crate::proxy::tunnel;
use crate::upstream::generation::{Generation, InFlight, Tunnel};
use crate::upstream::tally::count;
use crate::uptime::{ms, now_ms};

/// Per direction.
const BUFFER: usize = 16 << 10;

/// Carries a connection to its end. One that reaches no target is closed and counted.
pub(crate) async fn carry(edge: &Edge, line: &Line, client: TcpStream, arrival: Arrival, presence: &Arc<Presence>) {
    // A connection under way is not idle, whatever the limits for idle HTTP connections say.
    let _busy = Presence::begin(presence);
    let entered = tokio::select! {
        biased;
        () = is_gone(&client) => return,
        entered = enter(edge, &line.pool) => entered,
    };
    let Some((in_flight, waited)) = entered else {
        edge.counts.refusals.count("tcp-refused");
        return;
    };
    let Some(target) = connect(in_flight.generation()).await else {
        count(&in_flight.generation().tally.unanswered);
        edge.counts.refusals.count("tcp-refused");
        return;
    };
    drop(waited);
    both_ways(edge, line, client, target, arrival, presence, &in_flight.tunnel()).await;
}

/// A connection to a target on which nobody has spoken yet.
pub(crate) struct Opened {
    pub(crate) in_flight: InFlight,
    pub(crate) target: TcpStream,
}

/// Opens one; `None` where no target takes it, which is counted.
pub(crate) async fn open(edge: &Edge, line: &Line) -> Option<Opened> {
    let opened = async {
        let (in_flight, _waited) = enter(edge, &line.pool).await?;
        let target = connect(in_flight.generation()).await;
        if target.is_none() {
            count(&in_flight.generation().tally.unanswered);
        }
        Some(Opened { target: target?, in_flight })
    };
    let opened = opened.await;
    if opened.is_none() {
        edge.counts.refusals.count("tcp-refused");
    }
    opened
}

/// Carries a connection whose target is there already.
pub(crate) async fn go_on(
    edge: &Edge,
    line: &Line,
    client: TcpStream,
    opened: Opened,
    arrival: Arrival,
    presence: &Arc<Presence>,
) {
    let _busy = Presence::begin(presence);
    let Opened { in_flight, target } = opened;
    both_ways(edge, line, client, target, arrival, presence, &in_flight.tunnel()).await;
}

/// Counts into the pool's current generation, after its hold if there is one.
async fn enter(edge: &Edge, pool: &str) -> Option<(InFlight, Option<Box<Waited>>)> {
    let in_flight = hold::enter(edge, pool).ok()?;
    if !in_flight.generation().is_held() {
        return Some((in_flight, None));
    }
    let (in_flight, waited) = hold::wait(edge, in_flight, None).await.ok()?;
    Some((in_flight, Some(waited)))
}

/// A client that leaves before there is a target gives its place back; one that has sent something is taken at its word.
async fn is_gone(client: &TcpStream) {
    let mut byte = [0u8; 1];
    match client.peek(&mut byte).await {
        Ok(0) | Err(_) => {}
        Ok(_) => std::future::pending().await,
    }
}

/// A connection to a target; each is tried once, until one takes it.
async fn connect(generation: &Generation) -> Option<TcpStream> {
    let mut avoid = None;
    for _ in 0..generation.targets.len().min(3) {
        let index = generation.choose(avoid)?;
        let target = &generation.targets[index];
        count(&generation.tally.connects);
        let connecting = tokio::time::timeout(generation.connect_timeout(), TcpStream::connect(target.addr));
        let connected = connecting.await.unwrap_or_else(|_elapsed| Err(io::ErrorKind::TimedOut.into()));
        match connected {
            Ok(stream) => {
                target.reached();
                generation.did(index, true);
                let _ = stream.set_nodelay(true);
                return Some(stream);
            }
            Err(error) => {
                count(&generation.tally.connect_errors);
                target.missed(error.kind() == io::ErrorKind::TimedOut);
                generation.did(index, false);
                avoid = Some(index);
            }
        }
    }
    None
}

async fn both_ways(
    edge: &Edge,
    line: &Line,
    client: TcpStream,
    mut target: TcpStream,
    arrival: Arrival,
    presence: &Presence,
    tunnel: &Tunnel,
) {
    if line.send_proxy && introduce(&mut target, arrival.peer, arrival.local).await.is_err() {
        return;
    }
    let generation = tunnel.generation();
    let passed = Passed::new();
    let mut client = Meter::new(client, generation.tally.clone(), passed.clone());
    tokio::select! {
        // A half that ended is passed on as such; the other may go on.
        _ended = copy_bidirectional_with_sizes(&mut client, &mut target, BUFFER, BUFFER) => {}
        () = tunnel::over(generation, edge.limits.close_spread) => {}
        () = is_silent(line.idle, &passed.last) => {}
        () = is_broken_off(presence) => {}
    }
    let _ = client.shutdown().await;
}

async fn introduce(target: &mut TcpStream, source: SocketAddr, destination: SocketAddr) -> io::Result<()> {
    target.write_all(&version_2(source, destination)).await
}

/// Resolves when no byte went by for so long.
async fn is_silent(limit: Option<Duration>, last: &AtomicU64) {
    let Some(limit) = limit else { return std::future::pending().await };
    loop {
        let silent = now_ms().saturating_sub(last.load(Ordering::Relaxed));
        let Some(left) = ms(limit).checked_sub(silent).filter(|left| *left > 0) else { return };
        tokio::time::sleep(Duration::from_millis(left)).await;
    }
}

/// Resolves when the shutdown's time is over; until then a carried connection goes on.
async fn is_broken_off(presence: &Presence) {
    std::future::poll_fn(|cx| {
        presence.hears(cx.waker());
        if presence.wish() == Wish::Break { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}
