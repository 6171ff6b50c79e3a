//! WebSockets and other upgraded connections: bytes both ways until one side ends, or the release is over.

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http::header::UPGRADE;
use http::{Response, StatusCode};
use hyper::body::Incoming;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::answer::{Reason, request_id};
use super::download::ResponseBody;
use super::forward::switching;
use super::goodbye::{Followed, Place};
use crate::downstream::presence::Busy;
use crate::edge::Edge;
use crate::tcp::meter::{Meter, Passed};
use crate::upstream::generation::{Generation, InFlight, Tunnel};
use crate::upstream::link::Link;

/// Per direction; a WebSocket message is mostly smaller.
const BUFFER: usize = 8 << 10;

/// How long a message that is under way may go on before a WebSocket ends, and how long its client may take to answer
/// the last frame.
const LAST_MESSAGE: Duration = Duration::from_secs(1);
const LAST_ANSWER: Duration = Duration::from_secs(2);

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
    busy.becomes_tunnel();
    let spread = edge.limits.close_spread;
    let is_websocket =
        response.headers().get(UPGRADE).is_some_and(|name| name.as_bytes().eq_ignore_ascii_case(b"websocket"));
    let mut record = busy.record.take();
    if let Some(record) = &mut record {
        record.switched();
    }
    edge.tasks.spawn(async move {
        let passed = Passed::new();
        // The socket is handed over when the connection's future has run to its end.
        let (target_side, ()) = futures_util::future::join(target_side, link.run()).await;
        if let (Ok(target), Ok(client)) = (target_side, client_side.await) {
            let way = Carried { tunnel: &tunnel, spread, is_websocket };
            carry(client, target, way, &passed).await;
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

/// What is carried, and until when.
struct Carried<'a> {
    tunnel: &'a Tunnel,
    spread: Duration,
    is_websocket: bool,
}

async fn carry(client: Upgraded, target: Upgraded, way: Carried<'_>, passed: &Arc<Passed>) {
    let generation = way.tunnel.generation();
    let (client, to_client) = Followed::new(TokioIo::new(client));
    let (mut target, to_target) = Followed::new(TokioIo::new(target));
    let mut client = Meter::new(client, generation.tally.clone(), passed.clone());
    let is_cut = {
        let copying = tokio::io::copy_bidirectional_with_sizes(&mut client, &mut target, BUFFER, BUFFER);
        let mut copying = std::pin::pin!(copying);
        tokio::select! {
            // Which side ended it, and how, is between the two of them.
            _ended = &mut copying => false,
            () = over(generation, way.spread) => {
                // What is under way goes on to the end of its message, where the last frame may be put.
                let free = std::future::poll_fn(|cx| match copying.as_mut().poll(cx) {
                    Poll::Pending if !to_client.is_free() => Poll::Pending,
                    _ => Poll::Ready(()),
                });
                if way.is_websocket {
                    let _ = tokio::time::timeout(LAST_MESSAGE, free).await;
                }
                way.is_websocket
            }
        }
    };
    if is_cut {
        if let Some(goodbye) = to_target.goodbye_to_target() {
            let _ = tokio::time::timeout(LAST_ANSWER, target.write_all(goodbye)).await;
        }
        if let Some(goodbye) = to_client.goodbye_to_client() {
            let _ = tokio::time::timeout(LAST_ANSWER, say_goodbye(&mut client, goodbye)).await;
        }
    }
    let _ = client.shutdown().await;
}

/// Sends the last frame and reads on until the client has answered it: bytes that nobody reads would make the kernel
/// throw the frame away.
async fn say_goodbye(client: &mut (impl AsyncRead + AsyncWrite + Unpin), goodbye: &[u8]) {
    if client.write_all(goodbye).await.is_ok() && client.flush().await.is_ok() {
        let (mut rest, mut place) = ([0u8; 512], Place::default());
        // Its own last frame is all there is to wait for: then it is the server that ends the connection.
        while let Ok(count @ 1..) = client.read(&mut rest).await {
            place.pass(&rest[..count]);
            if place.has_closed() {
                return;
            }
        }
    }
}

/// Resolves when the time of the generation's tunnels is over, for each at another moment of the spread.
pub(crate) async fn over(generation: &Generation, spread: Duration) {
    generation.cut().cancelled().await;
    // Who comes back while requests are held waits, and goes on in turn.
    if !generation.is_hurried() {
        tokio::time::sleep(jitter(spread)).await;
    }
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
