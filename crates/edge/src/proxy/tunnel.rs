//! WebSockets and other upgraded connections: bytes both ways until one side ends, or the release is over.

use std::sync::Arc;
use std::time::Duration;

use http::header::UPGRADE;
use http::{Response, StatusCode};
use hyper::body::Incoming;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt;

use super::answer::{Reason, request_id};
use super::download::ResponseBody;
use super::forward::switching;
use crate::downstream::presence::Busy;
use crate::edge::Edge;
use crate::tcp::meter::{Meter, Passed};
use crate::upstream::generation::{Generation, InFlight, Tunnel};
use crate::upstream::link::Link;

/// Per direction; a WebSocket message is mostly smaller.
const BUFFER: usize = 8 << 10;

/// Answers 101 and starts the tunnel, which counts as in flight until it ends; `stays` lasts as long.
pub(crate) fn open(
    edge: &Edge,
    mut response: Response<Incoming>,
    link: Link,
    client_side: OnUpgrade,
    in_flight: InFlight,
    mut busy: Busy,
    stays: Option<Busy>,
) -> Response<ResponseBody> {
    let target_side = hyper::upgrade::on(&mut response);
    let tunnel = in_flight.tunnel();
    let spread = edge.limits.close_spread;
    let mut record = busy.record.take();
    if let Some(record) = &mut record {
        record.switched();
    }
    edge.tasks.spawn(async move {
        let passed = Passed::new();
        // The socket is handed over when the connection's future has run to its end.
        let (target_side, ()) = futures_util::future::join(target_side, link.run()).await;
        if let (Ok(target), Ok(client)) = (target_side, client_side.await) {
            carry(client, target, &tunnel, spread, &passed).await;
        }
        drop((tunnel, stays));
        if let Some(mut record) = record {
            record.carried(&passed);
            record.end();
        }
    });
    let protocol = response.headers().get(UPGRADE).cloned();
    let headers = std::mem::take(response.headers_mut());
    switching(protocol, headers, ResponseBody::empty(None, busy))
}

async fn carry(client: Upgraded, target: Upgraded, tunnel: &Tunnel, spread: Duration, passed: &Arc<Passed>) {
    let mut client = Meter::new(TokioIo::new(client), tunnel.generation().tally.clone(), passed.clone());
    let mut target = TokioIo::new(target);
    tokio::select! {
        // Which side ended it, and how, is between the two of them.
        _ended = tokio::io::copy_bidirectional_with_sizes(&mut client, &mut target, BUFFER, BUFFER) => {}
        () = over(tunnel.generation(), spread) => {}
    }
    let _ = client.shutdown().await;
}

/// Resolves when the time of the generation's tunnels is over, for each at another moment of the spread.
pub(crate) async fn over(generation: &Generation, spread: Duration) {
    generation.cut().cancelled().await;
    tokio::time::sleep(jitter(spread)).await;
}

/// What a stream without an end is told when its release's time is over.
pub(crate) fn ended() -> Reason {
    let text = "what answered has been replaced, and the time for its streams is over";
    Reason::new(StatusCode::SERVICE_UNAVAILABLE, "release-over", text)
}

/// A random part of the spread, so that not all clients come back in the same moment.
fn jitter(spread: Duration) -> Duration {
    let id = request_id();
    let sum = id.as_bytes().iter().take(4).fold(0u32, |sum, byte| (sum << 4) | u32::from(*byte & 15));
    spread.mul_f64(f64::from(sum) / 65_536.0)
}
