//! Looking at addresses from outside, as a health check does: bounded in time and in bytes.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::{Body, Incoming};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

mod grpc;
pub mod namespace;
mod ports;
mod post;
mod reach;

pub use crate::error::NetError;
pub use grpc::{GrpcHealth, grpc_health};
pub use ports::listening_ports;
pub use post::{PostError, post_json};
pub use reach::is_behind_a_bridge;

/// A health answer is short; whatever comes after this is not read.
const LARGEST_BODY: usize = 64 * 1024;

/// What is asked for over HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpQuestion<'a> {
    /// The `Host`.
    pub host: &'a str,
    pub path: &'a str,
    /// Whether the request says that it came over HTTPS (`X-Forwarded-Proto`), as behind a proxy that ends TLS: many
    /// an application answers whatever else comes with a redirect.
    pub https: bool,
}

/// As `http_ask`, of a host without TLS.
pub async fn http_get(addr: SocketAddr, host: &str, path: &str, timeout: Duration) -> Result<(u16, Vec<u8>), NetError> {
    http_ask(addr, &HttpQuestion { host, path, https: false }, timeout).await
}

/// One GET on a connection of its own; redirects are answers, not invitations. The body is cut at 64 KB.
pub async fn http_ask(
    addr: SocketAddr,
    question: &HttpQuestion<'_>,
    timeout: Duration,
) -> Result<(u16, Vec<u8>), NetError> {
    let mut stage = "accept the connection";
    let work = async {
        let stream = connect(addr).await?;
        stage = "answer";
        let response = ask(stream, addr, question).await?;
        stage = "send its whole body";
        let status = response.status();
        Ok((status.as_u16(), read_body(response.into_body(), addr, status).await?))
    };
    let answer = tokio::time::timeout(timeout, work).await;
    answer.unwrap_or(Err(NetError::Timeout { addr, stage, after: timeout }))
}

/// Whether something accepts connections there.
pub async fn tcp_connect(addr: SocketAddr, timeout: Duration) -> Result<(), NetError> {
    match tokio::time::timeout(timeout, connect(addr)).await {
        Ok(connected) => connected.map(drop),
        Err(_) => Err(NetError::Timeout { addr, stage: "accept the connection", after: timeout }),
    }
}

/// Whether a listener could be opened there now. Somebody may take it a moment later.
pub fn port_free(addr: SocketAddr) -> bool {
    TcpListener::bind(addr).is_ok()
}

async fn connect(addr: SocketAddr) -> Result<TcpStream, NetError> {
    TcpStream::connect(addr).await.map_err(|source| match source.kind() {
        std::io::ErrorKind::ConnectionRefused => NetError::Refused { addr },
        std::io::ErrorKind::ConnectionReset => NetError::Reset { addr },
        _ => NetError::Unreachable { addr, source },
    })
}

async fn ask(stream: TcpStream, addr: SocketAddr, question: &HttpQuestion<'_>) -> Result<Response<Incoming>, NetError> {
    let HttpQuestion { host, path, https } = question;
    let mut request =
        Request::get(*path).header("host", *host).header("user-agent", "mainstay").header("connection", "close");
    if *https {
        request = request.header("x-forwarded-proto", "https");
    }
    let request =
        request.body(Empty::<Bytes>::new()).map_err(|_| NetError::BadRequest { what: format!("{host}{path}") })?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| broken(addr, error))?;
    // The connection is driven beside us and ends when the response body is dropped.
    tokio::spawn(connection);
    sender.send_request(request).await.map_err(|error| broken(addr, error))
}

async fn read_body(mut body: Incoming, addr: SocketAddr, status: StatusCode) -> Result<Vec<u8>, NetError> {
    let mut bytes = Vec::new();
    while !body.is_end_stream() && bytes.len() < LARGEST_BODY {
        let Some(frame) = body.frame().await else { break };
        let frame = frame.map_err(|error| broken(addr, error))?;
        if let Ok(data) = frame.into_data() {
            let room = LARGEST_BODY - bytes.len();
            bytes.extend_from_slice(&data[..data.len().min(room)]);
        }
    }
    tracing::trace!(%addr, status = status.as_u16(), bytes = bytes.len(), "probe answered");
    Ok(bytes)
}

fn broken(addr: SocketAddr, error: hyper::Error) -> NetError {
    if error.is_parse() {
        return NetError::NotHttp { addr, source: error.into() };
    }
    let mut cause: Option<&dyn std::error::Error> = std::error::Error::source(&error);
    while let Some(current) = cause {
        if let Some(io) = current.downcast_ref::<std::io::Error>() {
            use std::io::ErrorKind::{BrokenPipe, ConnectionReset};
            if matches!(io.kind(), ConnectionReset | BrokenPipe) {
                return NetError::Reset { addr };
            }
        }
        cause = current.source();
    }
    NetError::Closed { addr }
}

#[cfg(test)]
mod grpc_tests;
#[cfg(test)]
mod tests;
