//! Answers of the edge itself: they say that it was the edge, and why.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, SERVER};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};

use super::chance::{mixed, seed};
use super::download::ResponseBody;
use super::grpc;
use crate::downstream::presence::Busy;

/// Why the edge answered instead of a service.
pub(crate) struct Reason {
    pub(crate) status: StatusCode,
    /// A stable word for programs and for the failure pages.
    pub(crate) code: &'static str,
    pub(crate) text: String,
    /// Whether trying again soon makes sense.
    pub(crate) retry_after: Option<u32>,
    /// Headers that belong to this answer, as `Location` or `Allow`.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    /// Shown to people instead of the edge's own page.
    pub(crate) page: Option<Arc<str>>,
}

impl Reason {
    pub(crate) fn new(status: StatusCode, code: &'static str, text: impl Into<String>) -> Reason {
        Reason { status, code, text: text.into(), retry_after: None, headers: Vec::new(), page: None }
    }

    pub(crate) fn with(mut self, name: HeaderName, value: HeaderValue) -> Reason {
        self.headers.push((name, value));
        self
    }

    pub(crate) fn retry_after(mut self, seconds: u32) -> Reason {
        self.retry_after = Some(seconds);
        self
    }
}

/// In which form a client understands what the edge itself has to say.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Shape {
    Json,
    /// For a person with a browser.
    Page,
    /// For a call of gRPC, with the kind of its content.
    Call(Option<HeaderValue>),
}

impl Shape {
    pub(crate) fn of<B>(request: &Request<B>) -> Shape {
        if grpc::is_call(request) {
            Shape::Call(request.headers().get(CONTENT_TYPE).cloned())
        } else if wants_page(request.headers()) {
            Shape::Page
        } else {
            Shape::Json
        }
    }
}

/// Writes the answer in the client's shape.
pub(crate) fn answer(reason: &Reason, shape: &Shape, id: Option<HeaderValue>, busy: Busy) -> Response<ResponseBody> {
    let id_text = id.as_ref().and_then(|id| id.to_str().ok()).unwrap_or("-");
    let (kind, text) = match shape {
        Shape::Page => {
            let own = || page(reason, id_text);
            ("text/html; charset=utf-8", reason.page.as_ref().map_or_else(own, |page| page.to_string()))
        }
        Shape::Json => ("application/json", json(reason, id_text)),
        Shape::Call(kind) => return to_call(reason, kind.as_ref(), id, busy),
    };
    let mut response = Response::new(ResponseBody::own(Bytes::from(text), busy));
    *response.status_mut() = reason.status;
    let headers = response.headers_mut();
    headers.insert(SERVER, HeaderValue::from_static("mainstay-edge"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(id) = id {
        headers.insert(super::headers::REQUEST_ID, id);
    }
    for (name, value) in &reason.headers {
        headers.insert(name.clone(), value.clone());
    }
    if reason.status.is_redirection() {
        // How long an address has moved for is what its status says.
        headers.remove(CACHE_CONTROL);
    }
    if let Some(seconds) = reason.retry_after {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// Where HTTP succeeded and only the call failed: the status of HTTP is for others.
fn to_call(reason: &Reason, kind: Option<&HeaderValue>, id: Option<HeaderValue>, busy: Busy) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::empty(None, busy));
    let headers = response.headers_mut();
    headers.insert(SERVER, HeaderValue::from_static("mainstay-edge"));
    if let Some(id) = id {
        headers.insert(super::headers::REQUEST_ID, id);
    }
    headers.extend(reason.headers.iter().cloned());
    if let Some(seconds) = reason.retry_after {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    grpc::answer(reason, kind, headers);
    response
}

/// Whether a client is a person with a browser.
fn wants_page(headers: &HeaderMap) -> bool {
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("");
    match (accept.find("text/html"), accept.find("json")) {
        (Some(page), Some(json)) => page < json,
        (page, _) => page.is_some(),
    }
}

fn json(reason: &Reason, id: &str) -> String {
    let value = serde_json::json!({
        "error": {
            "from": "mainstay-edge",
            "status": reason.status.as_u16(),
            "code": reason.code,
            "reason": reason.text,
            "request_id": id,
        }
    });
    format!("{value}\n")
}

fn page(reason: &Reason, id: &str) -> String {
    let status = reason.status.as_u16();
    let name = reason.status.canonical_reason().unwrap_or("Error");
    let (text, id, code) = (escaped(&reason.text), escaped(id), reason.code);
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{status} {name}</title>\
         <body style=\"font:16px/1.5 system-ui;max-width:36rem;margin:15vh auto;padding:0 1rem\">\
         <h1>{status} {name}</h1><p>{text}.</p>\
         <p style=\"color:#777;font-size:14px\">Answered by the edge ({code}), not by the service. Request {id}.</p>\n"
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A new request id: 32 hexadecimal digits, unique over processes and restarts, and not a secret.
pub(crate) fn request_id() -> HeaderValue {
    let (one, two) = random();
    let mut text = [0u8; 32];
    write_hex(one, &mut text[..16]);
    write_hex(two, &mut text[16..]);
    HeaderValue::from_bytes(&text).unwrap_or_else(|_| HeaderValue::from_static("-"))
}

/// Two numbers that nobody else has, and that are not secret.
pub(crate) fn random() -> (u64, u64) {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let seed = seed();
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    (mixed(seed ^ count), mixed(seed.rotate_left(32).wrapping_add(count)))
}

pub(crate) fn write_hex(value: u64, to: &mut [u8]) {
    for (byte, digits) in value.to_be_bytes().iter().zip(to.chunks_exact_mut(2)) {
        digits[0] = b"0123456789abcdef"[usize::from(byte >> 4)];
        digits[1] = b"0123456789abcdef"[usize::from(byte & 15)];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_ids_differ() {
        let ids: std::collections::HashSet<_> = (0..10_000).map(|_| request_id()).collect();
        assert_eq!(ids.len(), 10_000);
    }

    #[test]
    fn a_browser_gets_a_page_and_a_program_gets_json() {
        let accept = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, HeaderValue::from_static(text));
            wants_page(&headers)
        };
        assert!(accept("text/html,application/xhtml+xml,*/*;q=0.8"));
        assert!(!accept("application/json, text/html"));
        assert!(!accept("*/*"));
        assert!(!wants_page(&HeaderMap::new()));
    }

    #[test]
    fn a_page_does_not_repeat_markup_from_a_request() {
        let reason = Reason::new(StatusCode::NOT_FOUND, "no-route", "no route for `<script>`");
        assert!(!page(&reason, "x").contains("<script>"));
    }
}
