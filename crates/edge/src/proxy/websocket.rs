//! WebSockets that a client asks for over HTTP/2 (RFC 8441), to services that know them over HTTP/1.1.
//!
//! There a stream becomes the WebSocket by CONNECT and 200, here a connection does by GET and 101.

use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::ext::Protocol;

use super::answer::{Reason, random, write_hex};
use super::download::ResponseBody;

const WEBSOCKET: &str = "websocket";

/// Whether a request is the CONNECT that begins a WebSocket.
pub(super) fn is_asked_over_h2<B>(request: &Request<B>) -> bool {
    *request.method() == Method::CONNECT
        && request.extensions().get::<Protocol>().is_some_and(|protocol| protocol.as_str() == WEBSOCKET)
}

/// Makes it the request that the same client would have sent over HTTP/1.1.
pub(super) fn become_http_1<B>(request: &mut Request<B>) {
    *request.method_mut() = Method::GET;
    request.extensions_mut().remove::<Protocol>();
    let headers = request.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static(WEBSOCKET));
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(SEC_WEBSOCKET_KEY, key());
}

/// The base64 of sixteen bytes: digits of base 16 are among those of base 64, and the last but two carries four bits.
fn key() -> HeaderValue {
    let (one, two) = random();
    let mut text = *b"0123456789abcdef01234A==";
    write_hex(one, &mut text[..16]);
    write_hex(two, &mut text[16..21]);
    HeaderValue::from_bytes(&text).unwrap_or_else(|_| HeaderValue::from_static("bWFpbnN0YXkgZWRnZSAhIQ=="))
}

/// Makes the 101 of the service what the client waits for.
pub(super) fn agree_over_h2(response: &mut Response<ResponseBody>) {
    *response.status_mut() = StatusCode::OK;
    for name in [CONNECTION, UPGRADE, SEC_WEBSOCKET_ACCEPT] {
        response.headers_mut().remove(name);
    }
}

/// A service that answers as if there were no upgrade: passed on, its success would mean that there was one.
pub(super) fn refused() -> Reason {
    let text = "the service did not agree to a WebSocket";
    Reason::new(StatusCode::BAD_GATEWAY, "target-no-websocket", text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_the_form_of_sixteen_bytes_in_base64_and_is_new_each_time() {
        let (one, two) = (key(), key());
        assert_eq!((one.len(), &one.as_bytes()[21..]), (24, &b"A=="[..]));
        assert_ne!(one, two);
    }
}
