//! HTTP/2 requests that would become something else in HTTP/1.1 are refused, and counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::frames::*;
use crate::support::*;

/// Sends one request's frames; the stream must end without a 200, and the target must not have seen it.
async fn refused(frames: &[u8], word: &str) {
    let count = Arc::new(AtomicUsize::new(0));
    let lab = lab(&[counting(count.clone()).await]).await;
    let mut raw = Raw::connect(lab.address, &[]).await;
    raw.send(frames).await;
    let end = raw.find(|f| matches!(f.kind, RST_STREAM | GOAWAY) || (f.kind == HEADERS && f.stream == 1)).await;
    if let Some(head) = end.filter(|f| f.kind == HEADERS) {
        assert_eq!(head.payload.first().map(|first| first & 127), Some(12), "answered, and not by 400: {head:?}");
    }
    wait_for(word, || async { lab.refused(word).await >= 1.0 }).await;
    assert_eq!(count.load(Ordering::SeqCst), 0, "the target saw the request");
}

fn request(more: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, 1, &get("/", more))
}

#[tokio::test]
async fn headers_of_the_connection() {
    for (name, value) in [
        ("connection", "keep-alive"),
        ("connection", "x-secret"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "websocket"),
    ] {
        refused(&request(&[(name, value)]), "h2-malformed").await;
    }
}

#[tokio::test]
async fn a_te_other_than_trailers() {
    refused(&request(&[("te", "gzip")]), "h2-malformed").await;
}

#[tokio::test]
async fn names_with_capitals_and_odd_characters() {
    for name in ["X-Upper", "x y", "x\r\ny", "x:y", ""] {
        refused(&request(&[(name, "1")]), "h2-protocol").await;
    }
}

#[tokio::test]
async fn line_ends_and_nul_in_values() {
    for value in ["a\r\nx-injected: 1", "a\nb", "a\rb", "a\0b"] {
        refused(&request(&[("x-value", value)]), "h2-protocol").await;
    }
}

#[tokio::test]
async fn blanks_around_a_value() {
    for value in [" a", "a ", "\ta", "a\t"] {
        refused(&request(&[("x-value", value)]), "bad-header").await;
    }
}

#[tokio::test]
async fn an_asterisk_that_is_not_for_options() {
    let fields = block(&[(":method", "GET"), (":scheme", "http"), (":authority", "lab"), (":path", "*")]);
    refused(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &fields), "target").await;
}

#[tokio::test]
async fn line_ends_in_what_becomes_the_request_line() {
    for path in ["/\r\nx: 1", "/ HTTP/1.1\r\nhost: x", "/a b", "no-slash", ""] {
        let fields = block(&[(":method", "GET"), (":scheme", "http"), (":authority", "lab"), (":path", path)]);
        refused(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &fields), "h2-malformed").await;
    }
    for method in ["GET /x HTTP/1.1\r\nx:", "G T", ""] {
        let fields = block(&[(":method", method), (":scheme", "http"), (":authority", "lab"), (":path", "/")]);
        refused(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &fields), "h2-protocol").await;
    }
}

#[tokio::test]
async fn pseudo_headers_that_are_late_double_unknown_or_missing() {
    let plain = [(":method", "GET"), (":scheme", "http"), (":authority", "lab")];
    for fields in [
        [&plain[..], &[("x-first", "1"), (":path", "/")]].concat(),
        [&plain[..], &[(":path", "/"), (":path", "/other")]].concat(),
        [&plain[..], &[(":path", "/"), (":status", "200")]].concat(),
        plain.to_vec(),
        vec![(":path", "/"), (":scheme", "http"), (":authority", "lab")],
    ] {
        refused(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&fields)), "h2-malformed").await;
    }
    refused(&request(&[(":unknown", "1")]), "h2-protocol").await;
}

#[tokio::test]
async fn a_host_beside_another_authority() {
    refused(&request(&[("host", "other")]), "host").await;
}

/// An upstream that answers only what has arrived whole.
async fn whole(count: Arc<AtomicUsize>) -> std::net::SocketAddr {
    upstream(move |mut stream| {
        let count = count.clone();
        async move {
            use tokio::io::{AsyncReadExt, AsyncWriteExt};
            while let Some(head) = read_head(&mut stream).await {
                let length = header(&head, "content-length").and_then(|l| l.parse().ok()).unwrap_or(0);
                if stream.read_exact(&mut vec![0; length]).await.is_err() {
                    return;
                }
                count.fetch_add(1, Ordering::SeqCst);
                let _ = stream.write_all(ok("whole").as_bytes()).await;
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_content_length_that_the_data_does_not_keep() {
    let post = |length: &str, pieces: &[&[u8]]| {
        let plain = [
            (":method", "POST"),
            (":scheme", "http"),
            (":authority", "lab"),
            (":path", "/"),
            ("content-length", length),
        ];
        let mut bytes = frame(HEADERS, END_HEADERS, 1, &block(&plain));
        for (index, piece) in pieces.iter().enumerate() {
            let flags = if index + 1 == pieces.len() { END_STREAM } else { 0 };
            bytes.extend(frame(DATA, flags, 1, piece));
        }
        bytes
    };
    for frames in [post("5", &[b"123"]), post("3", &[b"12345"]), post("3", &[b"123", b"GET / HTTP/1.1\r\n"])] {
        let count = Arc::new(AtomicUsize::new(0));
        let lab = lab(&[whole(count.clone()).await]).await;
        let mut raw = Raw::connect(lab.address, &[]).await;
        raw.send(&frames).await;
        wait_for("it to be refused", || async { lab.refused("h2-malformed").await >= 1.0 }).await;
        // The connection to the target is not used again: what comes after is a request of its own.
        let answer = lab.get("/").await;
        assert!(answer.ends_with("whole"), "{answer}");
        assert_eq!(count.load(Ordering::SeqCst), 1, "the broken request was taken for a whole one");
    }
}
