//! What is wrong with a request's head by itself, before its way is looked up.

use http::header::{CONNECTION, TRANSFER_ENCODING};
use http::{HeaderValue, Method, Request, StatusCode, Version};
use hyper::body::Incoming;

use super::answer::Reason;
use super::{headers, websocket, whom};
use crate::downstream::fault::Fault;
use crate::downstream::visitor::Visitor;

/// Refuses what is not a request that every reader understands alike, or is larger than allowed.
pub(super) fn check(visitor: &Visitor, request: &mut Request<Incoming>) -> Result<(), Reason> {
    let bad = |code, text: &str| Err(Reason::new(StatusCode::BAD_REQUEST, code, text));
    check_framing(visitor, request)?;
    // `PRI` is how an HTTP/2 connection begins, and no method (RFC 9113, 11.6).
    let is_refused = matches!(*request.method(), Method::CONNECT | Method::TRACE) || request.method().as_str() == "PRI";
    if is_refused && !websocket::is_asked_over_h2(request) {
        let text = format!("the method {} is not served", request.method());
        return Err(Reason::new(StatusCode::METHOD_NOT_ALLOWED, "method", text));
    }
    if let Err(vague) = whom::settle(request) {
        return bad(vague.code(), vague.reason());
    }
    // HTTP/1.1 has blanks around its values and drops them; in HTTP/2 they would be part of it (RFC 9113, 8.2.1).
    if request.version() == Version::HTTP_2 && request.headers().values().any(headers::is_padded) {
        return bad("bad-header", "the value of a header begins or ends with a blank");
    }
    let limits = &visitor.edge.limits;
    if headers::size(request.headers()) > limits.header_bytes {
        let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        return Err(Reason::new(status, "headers-too-large", "the request's headers are too large"));
    }
    if request.headers().len() > limits.header_count && headers::count(request.headers()) > limits.header_count {
        let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        return Err(Reason::new(status, "headers-too-many", "the request has too many headers"));
    }
    if request.uri().path_and_query().is_some_and(|path| path.as_str().len() > limits.uri_bytes) {
        return Err(Reason::new(StatusCode::URI_TOO_LONG, "uri-too-long", "the request's address is too long"));
    }
    Ok(())
}

/// What two readers of the same bytes might read in two ways; after that nothing on the connection can be believed.
fn check_framing(visitor: &Visitor, request: &Request<Incoming>) -> Result<(), Reason> {
    let bad = |code, text: &str| {
        let close = HeaderValue::from_static("close");
        Err(Reason::new(StatusCode::BAD_REQUEST, code, text).with(CONNECTION, close))
    };
    if visitor.presence.has_fault(Fault::BareLineFeed) {
        return bad("bare-line-feed", "a line of the request's head does not end in CR LF");
    }
    let Some(coding) = request.headers().get(TRANSFER_ENCODING) else { return Ok(()) };
    if visitor.presence.has_fault(Fault::TwoLengths) {
        return bad("two-lengths", "the request has both Content-Length and Transfer-Encoding");
    }
    // Another coding before `chunked` would be lost on the way, and two lines of it are read in two ways.
    let is_repeated = request.headers().get_all(TRANSFER_ENCODING).iter().nth(1).is_some();
    if is_repeated || !coding.as_bytes().eq_ignore_ascii_case(b"chunked") {
        return bad("bad-transfer-encoding", "the request's Transfer-Encoding is not `chunked`");
    }
    Ok(())
}
