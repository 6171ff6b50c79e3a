//! Waiting for the next release instead of failing at one that is being replaced.

use std::collections::VecDeque;
use std::pin::{Pin, pin};
use std::task::Poll;

use bytes::Bytes;
use http::StatusCode;
use hyper::body::{Body, Frame, Incoming};

use super::answer::Reason;
use crate::edge::Edge;
use crate::upstream::gate::{Held, Waiting};
use crate::upstream::generation::InFlight;

/// What of a body was read while its request waited.
pub(crate) type Early = VecDeque<Frame<Bytes>>;

/// What a request brings from its wait.
pub(crate) struct Waited {
    pub(crate) early: Early,
    /// Dropped when a target is reached, so that the next one comes after this one there, too, and a service that
    /// has just started does not get all connections in one burst.
    pub(crate) place: Waiting,
}

/// Waits until the pool's gate opens, and counts into the generation that is current then.
///
/// The request is counted out of the old generation before it waits, so that a drain does not wait for it.
/// Only the pool's name is looked up again: the route was decided when the request came.
pub(crate) async fn wait(
    edge: &Edge,
    in_flight: InFlight,
    body: Option<&mut Incoming>,
) -> Result<(InFlight, Box<Waited>), Reason> {
    let pool = in_flight.generation().pool.name.clone();
    let gate = in_flight.generation().gate.clone();
    drop(in_flight);
    let mut early = Early::new();
    let mut place = gate.join().map_err(refused)?;
    if let Some(body) = body {
        take_early(&mut place, body, &mut early).await?;
    }
    loop {
        place.turn().await.map_err(refused)?;
        let in_flight = enter(edge, &pool)?;
        if !in_flight.generation().is_held() {
            return Ok((in_flight, Box::new(Waited { early, place })));
        }
    }
}

/// Counts into the current generation of a pool; see `find` for why it looks twice.
pub(crate) fn enter(edge: &Edge, pool: &str) -> Result<InFlight, Reason> {
    loop {
        let table = edge.table.load_full();
        let Some(generation) = table.generations.iter().find(|generation| generation.pool.name == pool) else {
            let text = format!("the service `{pool}` is not there any more");
            return Err(Reason::new(StatusCode::BAD_GATEWAY, "no-pool", text));
        };
        let in_flight = generation.enter();
        if std::sync::Arc::ptr_eq(&table, &edge.table.load()) {
            return Ok(in_flight);
        }
    }
}

/// Reads the body while waiting, as long as the pool's budget lasts; beyond it the client is not read from.
///
/// Not for the bytes' sake: hyper sees that a client has left only once it has read all that the client has sent.
async fn take_early(place: &mut Waiting, body: &mut Incoming, early: &mut Early) -> Result<(), Reason> {
    loop {
        if body.is_end_stream() || !place.has_room() {
            return Ok(());
        }
        let frame = {
            let mut turn = pin!(place.turn());
            std::future::poll_fn(|cx| {
                // Whether the gate opened or the time is over, the caller asks again.
                if turn.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(None);
                }
                Pin::new(&mut *body).poll_frame(cx)
            })
            .await
        };
        match frame {
            None => return Ok(()),
            Some(Ok(frame)) => {
                place.took(frame.data_ref().map_or(0, |data| data.len() as u64));
                early.push_back(frame);
            }
            Some(Err(_broken)) => {
                let text = "the client's request body broke off";
                return Err(Reason::new(StatusCode::BAD_REQUEST, "body-broken", text));
            }
        }
    }
}

fn refused(held: Held) -> Reason {
    let (code, text, seconds) = match held {
        Held::Full => ("hold-full", "the service is being replaced, and too many requests wait for it", 5),
        Held::TooLong => ("hold-too-long", "the service is being replaced, which takes longer than expected", 5),
        Held::Leaving => ("hold-ended", "the edge is being replaced", 1),
    };
    Reason::new(StatusCode::SERVICE_UNAVAILABLE, code, text).retry_after(seconds)
}
