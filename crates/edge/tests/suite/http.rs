//! What a request may look like, and what becomes of it.

use std::time::{Duration, Instant};

use crate::support::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::test]
async fn a_request_reaches_the_target_with_the_edges_headers() {
    let lab = lab(&[echo("a").await]).await;
    let answer = lab.get("/x?y=1").await;
    assert_eq!(status(&answer), 200, "{answer}");
    assert!(answer.contains("GET /x?y=1 HTTP/1.1"), "{answer}");
    for header in [
        "host: lab",
        "x-forwarded-for: 127.0.0.1",
        "x-forwarded-proto: http",
        "x-forwarded-host: lab",
        "x-request-id: ",
    ] {
        assert!(answer.contains(header), "{header} in {answer}");
    }
    assert!(answer.contains("via: 1.1 mainstay"), "{answer}");
    assert!(!answer.contains("mainstay-edge"), "a service's answer is not signed by the edge: {answer}");
}

#[tokio::test]
async fn both_lengths_are_refused_in_either_order() {
    let lab = lab(&[echo("a").await]).await;
    for lengths in
        ["Content-Length: 4\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked\r\nContent-Length: 4"]
    {
        let text = format!(
            "POST / HTTP/1.1\r\nHost: lab\r\n{lengths}\r\n\r\n0\r\n\r\nGET /second HTTP/1.1\r\nHost: lab\r\n\r\n"
        );
        let answer = raw(lab.address, text.as_bytes()).await;
        assert_eq!(status(&answer), 400, "{answer}");
        assert!(!answer.contains("/second"), "{answer}");
    }
}

#[tokio::test]
async fn a_coding_after_chunked_is_refused() {
    let lab = lab(&[echo("a").await]).await;
    let text = "POST / HTTP/1.1\r\nHost: lab\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n";
    assert_eq!(status(&raw(lab.address, text.as_bytes()).await), 400);
}

#[tokio::test]
async fn headers_named_in_connection_end_at_the_edge() {
    let lab = lab(&[echo("a").await]).await;
    let text = "GET / HTTP/1.1\r\nHost: lab\r\nConnection: close, X-Secret\r\nX-Secret: 1\r\nKeep-Alive: 5\r\nX-Kept: 1\r\n\r\n";
    let answer = raw(lab.address, text.as_bytes()).await.to_lowercase();
    assert!(!answer.contains("x-secret"), "{answer}");
    assert!(!answer.contains("keep-alive: 5"), "{answer}");
    assert!(answer.contains("x-kept: 1"), "{answer}");
}

#[tokio::test]
async fn a_strangers_forwarding_headers_are_replaced() {
    let lab = lab(&[echo("a").await]).await;
    let text = "GET / HTTP/1.1\r\nHost: lab\r\nConnection: close\r\nX-Forwarded-For: 9.9.9.9\r\nForwarded: for=9.9.9.9\r\n\r\n";
    let answer = raw(lab.address, text.as_bytes()).await;
    assert!(!answer.contains("9.9.9.9"), "{answer}");
}

/// Takes a request with a body (chunked or not) and answers with the body's bytes.
async fn body_echo() -> std::net::SocketAddr {
    upstream(|mut stream| async move {
        while let Some(head) = read_head(&mut stream).await {
            let head = head.to_lowercase();
            let mut body = Vec::new();
            if head.contains("transfer-encoding: chunked") {
                while !body.ends_with(b"0\r\n\r\n") {
                    let mut buffer = [0u8; 1024];
                    let count = stream.read(&mut buffer).await.unwrap_or(0);
                    if count == 0 {
                        return;
                    }
                    body.extend_from_slice(&buffer[..count]);
                }
            } else if let Some(length) = head.split("content-length: ").nth(1) {
                let length: usize = length.split("\r\n").next().unwrap().parse().unwrap();
                body.resize(length, 0);
                if stream.read_exact(&mut body).await.is_err() {
                    return;
                }
            }
            let text = String::from_utf8_lossy(&body).into_owned();
            let _ = stream.write_all(ok(&format!("{head}{text}")).as_bytes()).await;
        }
    })
    .await
}

#[tokio::test]
async fn a_chunked_upload_arrives_whole() {
    let lab = lab(&[body_echo().await]).await;
    let text = "POST / HTTP/1.1\r\nHost: lab\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n";
    let answer = raw(lab.address, text.as_bytes()).await;
    assert!(answer.contains("hello") && answer.contains(" world"), "{answer}");
    assert!(answer.contains("transfer-encoding: chunked"), "{answer}");
}

#[tokio::test]
async fn an_expecting_client_is_told_to_continue() {
    let lab = lab(&[body_echo().await]).await;
    let mut stream = TcpStream::connect(lab.address).await.unwrap();
    let head = "POST / HTTP/1.1\r\nHost: lab\r\nConnection: close\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    read_until(&mut stream, "100 Continue").await;
    stream.write_all(b"body").await.unwrap();
    let answer = read_all(&mut stream).await;
    assert!(answer.contains("200 OK") && answer.ends_with("body"), "{answer}");
    assert!(!answer.contains("expect:"), "{answer}");
}

#[tokio::test]
async fn server_sent_events_are_passed_on_at_once() {
    let events = upstream(|mut stream| async move {
        read_head(&mut stream).await;
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
        stream.write_all(format!("{head}9\r\ndata: 1\n\n\r\n").as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(600)).await;
        let _ = stream.write_all(b"9\r\ndata: 2\n\n\r\n0\r\n\r\n").await;
    })
    .await;
    let lab = lab(&[events]).await;
    let mut stream = TcpStream::connect(lab.address).await.unwrap();
    let began = Instant::now();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n").await.unwrap();
    read_until(&mut stream, "data: 1").await;
    assert!(began.elapsed() < Duration::from_millis(400), "{:?}", began.elapsed());
    read_until(&mut stream, "data: 2").await;
}

#[tokio::test]
async fn a_head_answer_keeps_its_length_and_has_no_body() {
    let target = upstream(|mut stream| async move {
        while let Some(head) = read_head(&mut stream).await {
            let body = if head.starts_with("HEAD") { "" } else { "1234567" };
            let _ = stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{body}").as_bytes()).await;
        }
    })
    .await;
    let lab = lab(&[target]).await;
    let text = "HEAD / HTTP/1.1\r\nHost: lab\r\n\r\nGET / HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n";
    let answer = raw(lab.address, text.as_bytes()).await;
    assert_eq!(answer.matches("content-length: 7").count(), 2, "{answer}");
    assert_eq!(answer.matches("1234567").count(), 1, "{answer}");
}

#[tokio::test]
async fn not_modified_and_no_content_pass() {
    let target = upstream(|mut stream| async move {
        while let Some(head) = read_head(&mut stream).await {
            let answer = if head.starts_with("GET /304") {
                "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nContent-Length: 99\r\n\r\n"
            } else {
                "HTTP/1.1 204 No Content\r\n\r\n"
            };
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    })
    .await;
    let lab = lab(&[target]).await;
    let text = "GET /304 HTTP/1.1\r\nHost: lab\r\n\r\nGET /204 HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n";
    let answer = raw(lab.address, text.as_bytes()).await;
    assert!(answer.contains("304 Not Modified") && answer.contains("204 No Content"), "{answer}");
}

#[tokio::test]
async fn trailers_pass_when_they_are_wanted() {
    let target = upstream(|mut stream| async move {
        let head = read_head(&mut stream).await.unwrap_or_default();
        assert!(head.contains("te: trailers"), "{head}");
        let text =
            "HTTP/1.1 200 OK\r\nTrailer: x-sum\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nx-sum: 42\r\n\r\n";
        let _ = stream.write_all(text.as_bytes()).await;
    })
    .await;
    let lab = lab(&[target]).await;
    let text = "GET / HTTP/1.1\r\nHost: lab\r\nTE: trailers\r\nConnection: TE, close\r\n\r\n";
    let answer = raw(lab.address, text.as_bytes()).await;
    assert!(answer.contains("x-sum: 42"), "{answer}");
}

#[tokio::test]
async fn a_large_body_passes_both_ways() {
    let lab = lab(&[body_echo().await]).await;
    let body = "0123456789".repeat(300_000);
    let text =
        format!("PUT / HTTP/1.1\r\nHost: lab\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let mut stream = TcpStream::connect(lab.address).await.unwrap();
    let (mut reading, mut writing) = stream.split();
    let mut answer = Vec::new();
    let (sent, read) = tokio::join!(writing.write_all(text.as_bytes()), reading.read_to_end(&mut answer));
    sent.unwrap();
    read.unwrap();
    assert!(answer.ends_with(body.as_bytes()), "{} bytes came back", answer.len());
}

#[tokio::test]
async fn a_slow_client_holds_the_target_back_instead_of_filling_memory() {
    let sent = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counter = sent.clone();
    let target = upstream(move |mut stream| {
        let counter = counter.clone();
        async move {
            read_head(&mut stream).await;
            let size = 64 << 20;
            let _ = stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n").as_bytes()).await;
            let piece = vec![0u8; 64 << 10];
            while stream.write_all(&piece).await.is_ok() {
                counter.fetch_add(piece.len(), std::sync::atomic::Ordering::SeqCst);
            }
        }
    })
    .await;
    let lab = lab(&[target]).await;
    let mut stream = TcpStream::connect(lab.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: lab\r\n\r\n").await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    // What the sockets' own buffers hold on four ends, and no more.
    let held = sent.load(std::sync::atomic::Ordering::SeqCst);
    assert!(held < 24 << 20, "{held} bytes were taken from the target");
    drop(stream);
}

#[tokio::test]
async fn large_headers_are_431_and_many_headers_too() {
    let lab = lab(&[echo("a").await]).await;
    let big = format!("GET / HTTP/1.1\r\nHost: lab\r\nConnection: close\r\nX-Big: {}\r\n\r\n", "a".repeat(40_000));
    assert_eq!(status(&raw(lab.address, big.as_bytes()).await), 431);
    let many: String = (0..150).map(|i| format!("X-H{i}: 1\r\n")).collect();
    let many = format!("GET / HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n{many}\r\n");
    assert_eq!(status(&raw(lab.address, many.as_bytes()).await), 431);
}

#[tokio::test]
async fn ambiguous_hosts_are_refused_and_absolute_uris_understood() {
    let lab = lab(&[echo("a").await]).await;
    for head in ["GET / HTTP/1.1", "GET / HTTP/1.1\r\nHost: a\r\nHost: b", "GET / HTTP/1.1\r\nHost: a b"] {
        let answer = raw(lab.address, format!("{head}\r\nConnection: close\r\n\r\n").as_bytes()).await;
        assert_eq!(status(&answer), 400, "{head}: {answer}");
    }
    let answer = raw(lab.address, b"GET http://real/x HTTP/1.1\r\nHost: real\r\nConnection: close\r\n\r\n").await;
    assert!(answer.contains("GET /x HTTP/1.1") && answer.contains("host: real"), "{answer}");
}

#[tokio::test]
async fn an_http_1_0_client_is_served_and_its_connection_closed() {
    let lab = lab(&[echo("a").await]).await;
    let answer = raw(lab.address, b"GET / HTTP/1.0\r\n\r\n").await;
    assert_eq!(status(&answer), 200, "{answer}");
}

#[tokio::test]
async fn an_answer_of_the_edge_says_so_and_why() {
    let mut snapshot = edge::Snapshot::new(1);
    snapshot.listeners.push(listener("web", 0));
    snapshot.routes.push(route(Some("known"), "/", POOL));
    snapshot.routes.push(route(Some("lost"), "/", "nowhere"));
    snapshot.pools.push(pool("r1", &[]));
    let lab = start(tempfile::tempdir().unwrap(), quick()).await;
    let applied = lab.control.apply(&snapshot.seal()).await.unwrap();
    assert_eq!(applied.problems.len(), 2, "{:?}", applied.problems);
    let address = applied.listeners[0].bind;
    let ask = |host: &str, accept: &str| {
        let text = format!("GET / HTTP/1.1\r\nHost: {host}\r\nAccept: {accept}\r\nConnection: close\r\n\r\n");
        async move { raw(address, text.as_bytes()).await }
    };
    let answer = ask("stranger", "*/*").await;
    assert_eq!(status(&answer), 404);
    assert!(answer.contains("server: mainstay-edge") && answer.contains("\"code\":\"no-route\""), "{answer}");
    let answer = ask("known", "text/html").await;
    assert_eq!(status(&answer), 503);
    assert!(answer.contains("text/html") && answer.contains("retry-after: "), "{answer}");
    assert_eq!(status(&ask("lost", "*/*").await), 502);
}

#[tokio::test]
async fn a_prefix_can_be_stripped() {
    let mut snapshot = snapshot(1, pool("r1", &[echo("a").await]));
    snapshot.routes.push(edge::Route { strip_prefix: true, ..route(None, "/api", POOL) });
    let lab = start(tempfile::tempdir().unwrap(), quick()).await;
    let address = lab.control.apply(&snapshot.seal()).await.unwrap().listeners[0].bind;
    let ask = |path: &str| {
        let text = format!("GET {path} HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n");
        async move { raw(address, text.as_bytes()).await }
    };
    assert!(ask("/api/users?a=1").await.contains("GET /users?a=1 HTTP/1.1"));
    assert!(ask("/api").await.contains("GET / HTTP/1.1"));
    assert!(ask("/apix").await.contains("GET /apix HTTP/1.1"));
}

#[tokio::test]
async fn a_garbled_answer_is_a_502() {
    let target = upstream(|mut stream| async move {
        read_head(&mut stream).await;
        let _ = stream.write_all(b"SSH-2.0-OpenSSH\r\n\r\n").await;
    })
    .await;
    let lab = lab(&[target]).await;
    let answer = lab.get("/").await;
    assert_eq!(status(&answer), 502, "{answer}");
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let lab = lab(&[echo("a").await]).await;
    let text = "GET /1 HTTP/1.1\r\nHost: lab\r\n\r\nGET /2 HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n";
    let answer = raw(lab.address, text.as_bytes()).await;
    let (one, two) = (answer.find("GET /1").unwrap(), answer.find("GET /2").unwrap());
    assert!(one < two);
}

#[tokio::test]
async fn a_body_of_a_get_arrives_however_it_is_framed() {
    let target = upstream(|mut stream| async move {
        let head = read_head(&mut stream).await.unwrap();
        let end = if head.contains("transfer-encoding: chunked") { "\r\n0\r\n\r\n" } else { "hello" };
        let body = read_until(&mut stream, end).await;
        let _ = stream.write_all(ok(&format!("{head}{body}")).as_bytes()).await;
    })
    .await;
    let lab = lab(&[target]).await;
    for framing in ["Content-Length: 5\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"] {
        let request = format!("GET / HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n{framing}");
        let answer = raw(lab.address, request.as_bytes()).await;
        assert!(answer.contains("hello"), "{answer}");
    }
}

#[tokio::test]
async fn an_answer_of_the_edge_itself_has_an_id_that_is_no_strangers_text() {
    let lab = lab_with_route(&[echo("a").await], |route| route.path = "/app".into()).await;
    for (sent, is_kept) in [("", false), ("X-Request-Id: mine-1\r\n", true), ("X-Request-Id: <b>\r\n", false)] {
        let ask = format!("GET /elsewhere HTTP/1.1\r\nHost: lab\r\n{sent}Connection: close\r\n\r\n");
        let answer = raw(lab.address, ask.as_bytes()).await;
        let id = header(&answer, "x-request-id").unwrap_or_default().to_owned();
        assert_eq!((status(&answer), id == "mine-1"), (404, is_kept), "{answer}");
        assert!(is_kept || id.len() == 32, "{answer}");
        assert!(answer.contains(&format!("\"request_id\":\"{id}\"")), "{answer}");
    }
}
