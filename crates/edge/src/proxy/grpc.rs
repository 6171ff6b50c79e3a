//! gRPC as the edge must know it: which requests are gRPC, how long they wait, and how it is told that the edge itself
//! has answered.
//!
//! A gRPC client reads no HTTP status: what went wrong stands in `grpc-status` and `grpc-message`.

use std::fmt::Write;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};

use super::answer::Reason;

pub(crate) const STATUS: HeaderName = HeaderName::from_static("grpc-status");
pub(crate) const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

const KIND: &[u8] = b"application/grpc";

/// The codes that the edge gives; their numbers are gRPC's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    Unknown = 2,
    DeadlineExceeded = 4,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    FailedPrecondition = 9,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
    Unauthenticated = 16,
}

impl Code {
    /// What a status of HTTP means to a gRPC client.
    ///
    /// As gRPC's own table has it for answers of proxies, but for limits and times, which have codes of their own.
    fn of(status: StatusCode) -> Code {
        match status.as_u16() {
            300..=399 => Code::FailedPrecondition,
            400 => Code::Internal,
            401 => Code::Unauthenticated,
            403 => Code::PermissionDenied,
            404 | 405 => Code::Unimplemented,
            408 | 504 => Code::DeadlineExceeded,
            413 | 414 | 429 | 431 => Code::ResourceExhausted,
            502 | 503 => Code::Unavailable,
            _ => Code::Unknown,
        }
    }
}

/// Whether the end of a call says that its target failed, as a status from 500 on would.
///
/// What a client has asked wrongly, may not do or has asked too often is an answer like any other.
pub(crate) fn has_failed(end: &HeaderMap) -> bool {
    const UNKNOWN: u8 = 2;
    const DEADLINE_EXCEEDED: u8 = 4;
    const INTERNAL: u8 = 13;
    const UNAVAILABLE: u8 = 14;
    const DATA_LOSS: u8 = 15;
    let code = end.get(STATUS).and_then(|code| code.to_str().ok()?.parse().ok());
    matches!(code, Some(UNKNOWN | DEADLINE_EXCEEDED | INTERNAL | UNAVAILABLE | DATA_LOSS))
}

/// Whether a request is a call of gRPC; other methods than POST do not pay for the look.
pub(crate) fn is_call<B>(request: &Request<B>) -> bool {
    *request.method() == Method::POST && has_kind(request.headers())
}

/// Whether a head announces messages of gRPC.
pub(crate) fn has_kind(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(KIND))
}

/// The head of the edge's own answer to a call: the status and the words of it are all there is.
pub(crate) fn answer(reason: &Reason, kind: Option<&HeaderValue>, headers: &mut HeaderMap) {
    // The client's own words for it, as far as they are gRPC's.
    let kind = kind.filter(|kind| kind.as_bytes().starts_with(KIND)).cloned();
    headers.insert(CONTENT_TYPE, kind.unwrap_or_else(|| HeaderValue::from_static("application/grpc")));
    headers.extend(trailers(Code::of(reason.status), &reason.text, reason.code));
}

/// The end of a call that the edge ends itself.
pub(crate) fn trailers(code: Code, text: &str, word: &str) -> HeaderMap {
    let mut map = HeaderMap::with_capacity(2);
    map.insert(STATUS, HeaderValue::from(code as u16));
    map.insert(MESSAGE, message(&format!("mainstay-edge: {text} ({word})")));
    map
}

/// Percent-encoded: all that is not printable ASCII, and the percent sign.
fn message(text: &str) -> HeaderValue {
    let encoded = text.bytes().fold(String::with_capacity(text.len()), |mut encoded, byte| {
        if (b' '..=b'~').contains(&byte) && byte != b'%' {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    });
    HeaderValue::from_maybe_shared(Bytes::from(encoded)).unwrap_or_else(|_| HeaderValue::from_static("mainstay-edge"))
}

/// How long the client waits for the whole of its call, when it says so.
pub(crate) fn deadline(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(TIMEOUT)?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(count * 3600),
        "M" => Duration::from_secs(count * 60),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &'static str) -> Option<Duration> {
        deadline(&HeaderMap::from_iter([(TIMEOUT, HeaderValue::from_static(text))]))
    }

    #[test]
    fn a_deadline_has_a_number_and_a_unit() {
        assert_eq!(of("1500m"), Some(Duration::from_millis(1500)));
        assert_eq!(of("2H"), Some(Duration::from_secs(7200)));
        assert_eq!(of("99999999S"), Some(Duration::from_secs(99_999_999)));
        for bad in ["", "S", "5", "5x", "-5S", "999999999S", "1.5S"] {
            assert_eq!(of(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_message_is_percent_encoded() {
        assert_eq!(message("100 % für\n"), "100 %25 f%C3%BCr%0A");
    }

    #[test]
    fn every_answer_of_the_edge_has_a_code() {
        for (status, code) in [
            (308, Code::FailedPrecondition),
            (400, Code::Internal),
            (401, Code::Unauthenticated),
            (403, Code::PermissionDenied),
            (404, Code::Unimplemented),
            (408, Code::DeadlineExceeded),
            (413, Code::ResourceExhausted),
            (429, Code::ResourceExhausted),
            (502, Code::Unavailable),
            (503, Code::Unavailable),
            (504, Code::DeadlineExceeded),
            (418, Code::Unknown),
        ] {
            assert_eq!(Code::of(StatusCode::from_u16(status).unwrap()), code, "{status}");
        }
    }
}
