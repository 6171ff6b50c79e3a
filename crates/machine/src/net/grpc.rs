//! Asking a gRPC server how it is, by the protocol that gRPC has for that (`grpc.health.v1`).
//!
//! Both messages have one field each, so they are read and written here instead of by a code generator.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Buf, Bytes};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};

use super::{NetError, broken, connect};

/// Larger answers are not this protocol's.
const LARGEST_ANSWER: usize = 4096;

/// What a gRPC server says of itself or of one of its services.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GrpcHealth {
    Serving,
    NotServing,
    /// It knows no service of this name.
    UnknownService,
    /// It speaks gRPC, but not this protocol.
    NoHealthService,
    /// The call failed with this code of gRPC.
    Failed(u32),
}

/// One `Check` on a connection of its own; an empty `service` asks for the whole server.
pub async fn grpc_health(addr: SocketAddr, service: &str, timeout: Duration) -> Result<GrpcHealth, NetError> {
    let mut stage = "accept the connection";
    let work = async {
        let stream = connect(addr).await?;
        stage = "answer a gRPC health check";
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
                .await
                .map_err(|error| not_http2(addr, error))?;
        // Driven beside us; it ends when the sender and the answer are dropped.
        tokio::spawn(connection);
        let response = sender.send_request(question(addr, service)?).await.map_err(|error| not_http2(addr, error))?;
        verdict(response, addr).await
    };
    let answer = tokio::time::timeout(timeout, work).await;
    answer.unwrap_or(Err(NetError::Timeout { addr, stage, after: timeout }))
}

fn question(addr: SocketAddr, service: &str) -> Result<Request<Full<Bytes>>, NetError> {
    Request::post(format!("http://{addr}/grpc.health.v1.Health/Check"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("user-agent", "mainstay")
        .body(Full::from(framed(service)))
        .map_err(|_| NetError::BadRequest { what: addr.to_string() })
}

/// `HealthCheckRequest { service }` behind gRPC's five bytes: not compressed, and so long.
fn framed(service: &str) -> Vec<u8> {
    let mut message = Vec::new();
    if !service.is_empty() {
        // Field 1, of the kind that has a length.
        message.push(0x0A);
        write_varint(&mut message, service.len() as u64);
        message.extend_from_slice(service.as_bytes());
    }
    let mut framed = vec![0];
    framed.extend_from_slice(&u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes());
    framed.extend_from_slice(&message);
    framed
}

fn write_varint(to: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        to.push((value & 0x7F) as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}

async fn verdict(response: Response<Incoming>, addr: SocketAddr) -> Result<GrpcHealth, NetError> {
    // An answer without a message has its status in the head.
    if let Some(code) = status(response.headers()) {
        return Ok(failed(code));
    }
    if !response.status().is_success() {
        return Err(NetError::NotGrpc { addr, status: response.status().as_u16() });
    }
    let (mut body, mut bytes, mut trailers) = (response.into_body(), Vec::new(), None);
    while let Some(frame) = body.frame().await {
        match frame.map_err(|error| broken(addr, error))?.into_data() {
            Ok(data) if bytes.len() + data.len() <= LARGEST_ANSWER => bytes.extend_from_slice(&data),
            Ok(_) => return Err(NetError::Closed { addr }),
            Err(other) => trailers = other.into_trailers().ok(),
        }
        if body.is_end_stream() {
            break;
        }
    }
    match trailers.as_ref().and_then(status) {
        Some(0) => Ok(if is_serving(&bytes) { GrpcHealth::Serving } else { GrpcHealth::NotServing }),
        Some(code) => Ok(failed(code)),
        None => Err(NetError::Closed { addr }),
    }
}

fn status(headers: &HeaderMap) -> Option<u32> {
    headers.get("grpc-status")?.to_str().ok()?.parse().ok()
}

fn failed(code: u32) -> GrpcHealth {
    match code {
        5 => GrpcHealth::UnknownService,
        12 => GrpcHealth::NoHealthService,
        // A call that succeeded has a message.
        0 => GrpcHealth::NotServing,
        code => GrpcHealth::Failed(code),
    }
}

/// Whether the last `status` (field 1) of `HealthCheckResponse` is SERVING (1).
fn is_serving(framed: &[u8]) -> bool {
    let Some((head, mut message)) = framed.split_at_checked(5) else { return false };
    // A compressed message was not asked for.
    if head[0] != 0 {
        return false;
    }
    let mut is_serving = false;
    while message.has_remaining() {
        let Some(tag) = read_varint(&mut message) else { return false };
        match (tag, tag & 7) {
            (0x08, _) => match read_varint(&mut message) {
                Some(value) => is_serving = value == 1,
                None => return false,
            },
            (_, 0) => drop(read_varint(&mut message)),
            (_, 2) => match read_varint(&mut message).and_then(|length| usize::try_from(length).ok()) {
                Some(length) if length <= message.len() => message.advance(length),
                _ => return false,
            },
            _ => return false,
        }
    }
    is_serving
}

fn read_varint(from: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = from.split_first()?;
        *from = rest;
        value |= u64::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// A server that answers in HTTP/1.1, or in something else, breaks the frames of HTTP/2.
fn not_http2(addr: SocketAddr, error: hyper::Error) -> NetError {
    match broken(addr, error) {
        NetError::Closed { addr } => NetError::NotHttp2 { addr },
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_names_its_service() {
        assert_eq!(framed(""), [0, 0, 0, 0, 0]);
        assert_eq!(framed("a.B"), [0, 0, 0, 0, 5, 0x0A, 3, b'a', b'.', b'B']);
        let long = "x".repeat(300);
        assert_eq!(framed(&long)[..8], [0, 0, 0, 0x01, 0x2F, 0x0A, 0xAC, 0x02]);
    }

    #[test]
    fn only_serving_is_serving() {
        assert!(is_serving(&[0, 0, 0, 0, 2, 0x08, 1]));
        for other in
            [&[0, 0, 0, 0, 2, 0x08, 2][..], &[0, 0, 0, 0, 0], &[1, 0, 0, 0, 2, 0x08, 1], &[], &[0, 0, 0, 0, 1, 0x08]]
        {
            assert!(!is_serving(other), "{other:?}");
        }
        // A field that a later version may add, before and after.
        assert!(is_serving(&[0, 0, 0, 0, 7, 0x12, 1, b'x', 0x08, 1, 0x18, 5]));
    }
}
