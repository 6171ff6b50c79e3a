//! Active health: looking at each target all the time, over connections of its own.
//!
//! A target starts as well, because the agent has gated it before it was routed.

use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, HOST, USER_AGENT};
use http::request::Builder;
use http::{Request, StatusCode};
use http_body_util::Empty;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use machine::net::{GrpcHealth, grpc_health};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::generation::Generation;
use crate::snapshot::{Health, Protocol};
use crate::uptime::now_ms;

/// Starts one task per target; all end at once when the token is cancelled or the generation is gone.
pub(crate) fn start(generation: &Arc<Generation>, health: &Health, stop: &CancellationToken) {
    for index in 0..generation.targets.len() {
        let look = keep_looking(Arc::downgrade(generation), index, health.clone(), generation.pool.protocol);
        let stop = stop.clone();
        tokio::spawn(async move {
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                () = look => {}
            }
        });
    }
}

async fn keep_looking(generation: Weak<Generation>, index: usize, health: Health, protocol: Protocol) {
    let (mut failures, mut successes) = (0u32, 0u32);
    loop {
        tokio::time::sleep(jittered(health.interval_ms)).await;
        let Some(addr) = generation.upgrade().map(|generation| generation.targets[index].addr) else { return };
        let limit = Duration::from_millis(health.timeout_ms.max(1));
        let is_well = match &health.grpc {
            Some(service) => is_serving(addr, service, limit).await,
            None => tokio::time::timeout(limit, look(addr, &health, protocol)).await.unwrap_or(false),
        };
        (failures, successes) =
            if is_well { (0, successes.saturating_add(1)) } else { (failures.saturating_add(1), 0) };
        let Some(generation) = generation.upgrade() else { return };
        let condition = &generation.targets[index].condition;
        if failures >= health.fall.max(1) && !condition.is_sick() {
            condition.looked(true, now_ms());
        } else if successes >= health.rise.max(1) && condition.is_sick() {
            condition.looked(false, now_ms());
        }
    }
}

/// One look: 2xx and 3xx are well.
async fn look(addr: SocketAddr, health: &Health, protocol: Protocol) -> bool {
    let asked = match protocol {
        Protocol::Http1 => ask(addr, health).await,
        Protocol::H2c => ask_h2c(addr, health).await,
    };
    asked.is_ok_and(|status| status.is_success() || status.is_redirection())
}

/// One that does not have the protocol has been asked by the gate whether it must, and it has answered.
async fn is_serving(addr: SocketAddr, service: &str, limit: Duration) -> bool {
    let said = grpc_health(addr, service, limit).await;
    matches!(said, Ok(GrpcHealth::Serving | GrpcHealth::NoHealthService))
}

async fn ask_h2c(addr: SocketAddr, health: &Health) -> Result<StatusCode, Box<dyn std::error::Error + Send + Sync>> {
    let stream = TcpStream::connect(addr).await?;
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    // It ends with the sender, when the look is over or given up.
    tokio::spawn(connection);
    let (host, path) = (host(addr, health), &health.path);
    let request = Request::get(format!("http://{host}{path}")).header(USER_AGENT, "mainstay-edge");
    let request = as_told(request, health).body(Empty::<Bytes>::new())?;
    Ok(sender.send_request(request).await?.status())
}

/// What the looks are asked for.
fn host(addr: SocketAddr, health: &Health) -> String {
    health.host.clone().unwrap_or_else(|| addr.to_string())
}

/// Behind TLS many an application sends whoever comes without it away.
fn as_told(request: Builder, health: &Health) -> Builder {
    if health.https { request.header("x-forwarded-proto", "https") } else { request }
}

async fn ask(addr: SocketAddr, health: &Health) -> Result<StatusCode, Box<dyn std::error::Error + Send + Sync>> {
    let stream = TcpStream::connect(addr).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get(&health.path)
        .header(HOST, host(addr, health))
        .header(USER_AGENT, "mainstay-edge")
        .header(CONNECTION, "close");
    let request = as_told(request, health).body(Empty::<Bytes>::new())?;
    let mut answer = std::pin::pin!(sender.send_request(request));
    let mut connection = std::pin::pin!(connection);
    // Driven here, so that nothing of it is left when the look is given up.
    tokio::select! {
        biased;
        answer = &mut answer => Ok(answer?.status()),
        ended = &mut connection => {
            ended?;
            Ok(answer.await?.status())
        }
    }
}

/// Between nine tenths and eleven tenths, so that the targets of a host are not all asked in one moment.
fn jittered(interval_ms: u64) -> Duration {
    use std::hash::{BuildHasher, Hasher};
    let random = std::collections::hash_map::RandomState::new().build_hasher().finish() % 201;
    Duration::from_millis((interval_ms.max(1) * (900 + random) / 1000).max(1))
}
