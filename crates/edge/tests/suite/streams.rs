//! Long and large answers and uploads: through a switch, with bounded memory, and as they came.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::support::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const LARGE: usize = 200 << 20;
const PIECE: usize = 256 << 10;

async fn ask(lab: &Lab, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(lab.address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    stream
}

/// An event every 50 ms, for ever.
async fn events() -> SocketAddr {
    upstream(|mut stream| async move {
        read_head(&mut stream).await;
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
        let _ = stream.write_all(head.as_bytes()).await;
        while stream.write_all(b"9\r\ndata: x\n\n\r\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await
}

#[tokio::test]
async fn events_go_on_through_a_switch_and_end_cleanly_when_their_time_is_over() {
    let mut old = pool("r1", &[events().await]);
    old.drain_websocket_ms = 500;
    let lab = lab_with(quick(), old).await;
    let mut client = ask(&lab, "GET / HTTP/1.1\r\nHost: lab\r\n\r\n").await;
    read_until(&mut client, "data: x").await;
    let began = Instant::now();
    lab.switch(2, "r2", &[echo("new").await]).await;
    read_until(&mut client, "data: x").await;
    assert_eq!(lab.control.drained(POOL, "r1", Duration::from_secs(5)).await.unwrap(), 0);
    assert!(began.elapsed() >= Duration::from_millis(400), "ended after {:?}", began.elapsed());
    // The terminator, and a connection that serves the next request: nothing broke.
    read_until(&mut client, "\r\n0\r\n\r\n").await;
    client.write_all(b"GET / HTTP/1.1\r\nHost: lab\r\n\r\n").await.unwrap();
    read_until(&mut client, "new").await;
}

#[tokio::test]
async fn a_download_longer_than_any_budget_ends_on_its_old_release() {
    let target = upstream(|mut stream| async move {
        read_head(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n").await;
        for _ in 0..20 {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let _ = stream.write_all(b"x").await;
        }
    })
    .await;
    let mut old = pool("r1", &[target]);
    (old.drain_ms, old.drain_websocket_ms) = (100, 100);
    let lab = lab_with(quick(), old).await;
    let mut client = ask(&lab, "GET / HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n").await;
    read_until(&mut client, "x").await;
    lab.switch(2, "r2", &[echo("new").await]).await;
    assert!(read_all(&mut client).await.ends_with(&"x".repeat(15)));
}

/// Resident memory of this process, which is the edge's and the test's own together.
fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

async fn takes(stream: &mut TcpStream) -> usize {
    let (mut buffer, mut all) = (vec![0u8; PIECE], 0);
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        all += count;
    }
    all
}

#[tokio::test]
async fn two_hundred_megabytes_go_both_ways_in_a_few_megabytes_of_memory() {
    let target = upstream(|mut stream| async move {
        let head = read_head(&mut stream).await.unwrap_or_default();
        let piece = vec![b'x'; PIECE];
        if head.starts_with("GET") {
            let _ = stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n").as_bytes()).await;
            for _ in 0..LARGE / PIECE {
                let _ = stream.write_all(&piece).await;
            }
        } else {
            let mut left = LARGE;
            let mut buffer = vec![0u8; PIECE];
            while left > 0 {
                left -= stream.read(&mut buffer).await.unwrap();
            }
            let _ = stream.write_all(ok("took it all").as_bytes()).await;
        }
    })
    .await;
    let lab = lab(&[target]).await;
    let before = resident();
    let mut client = ask(&lab, "GET / HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n").await;
    assert!(takes(&mut client).await > LARGE);
    let head = format!("POST / HTTP/1.1\r\nHost: lab\r\nContent-Length: {LARGE}\r\nConnection: close\r\n\r\n");
    let mut client = ask(&lab, &head).await;
    let piece = vec![b'x'; PIECE];
    for _ in 0..LARGE / PIECE {
        client.write_all(&piece).await.unwrap();
    }
    assert!(read_all(&mut client).await.contains("took it all"));
    let grown = resident().saturating_sub(before);
    assert!(grown < 40 << 20, "grew by {grown} bytes");
}

#[tokio::test]
async fn a_target_that_stalls_stalls_the_upload() {
    let target = upstream(|mut stream| async move {
        read_head(&mut stream).await;
        std::future::pending::<()>().await;
    })
    .await;
    let lab = lab(&[target]).await;
    let mut client = ask(&lab, &format!("POST / HTTP/1.1\r\nHost: lab\r\nContent-Length: {LARGE}\r\n\r\n")).await;
    let (piece, mut sent) = (vec![b'x'; PIECE], 0);
    while let Ok(written) = tokio::time::timeout(Duration::from_millis(300), client.write(&piece)).await {
        sent += written.unwrap();
    }
    // Two pairs of kernel buffers, and what the edge holds.
    assert!(sent < 40 << 20, "{sent} bytes were taken");
}

#[tokio::test]
async fn a_client_that_stalls_stalls_the_download() {
    let written = Arc::new(AtomicU64::new(0));
    let counter = written.clone();
    let target = upstream(move |mut stream| {
        let counter = counter.clone();
        async move {
            read_head(&mut stream).await;
            let piece = vec![b'x'; PIECE];
            let _ = stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n").as_bytes()).await;
            while let Ok(count) = stream.write(&piece).await {
                counter.fetch_add(count as u64, Ordering::SeqCst);
            }
        }
    })
    .await;
    let lab = lab(&[target]).await;
    let client = ask(&lab, "GET / HTTP/1.1\r\nHost: lab\r\n\r\n").await;
    let mut last = 1;
    while last != written.load(Ordering::SeqCst) {
        last = written.load(Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    assert!(last > 0 && last < 40 << 20, "{last} bytes were taken");
    drop(client);
}

#[tokio::test]
async fn ranges_and_heads_go_through_as_they_are() {
    let target = upstream(|mut stream| async move {
        while let Some(head) = read_head(&mut stream).await {
            let answer = if head.starts_with("HEAD") {
                "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\nAccept-Ranges: bytes\r\n\r\n"
            } else {
                assert!(head.to_lowercase().contains("range: bytes=2-4"), "{head}");
                "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 2-4/1000\r\nContent-Length: 3\r\n\r\nabc"
            };
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    })
    .await;
    let lab = lab(&[target]).await;
    let mut client = ask(&lab, "HEAD / HTTP/1.1\r\nHost: lab\r\n\r\n").await;
    let head = read_until(&mut client, "\r\n\r\n").await.to_lowercase();
    assert!(head.contains("content-length: 1000") && head.contains("accept-ranges: bytes"), "{head}");
    client.write_all(b"GET / HTTP/1.1\r\nHost: lab\r\nRange: bytes=2-4\r\n\r\n").await.unwrap();
    let part = read_until(&mut client, "abc").await.to_lowercase();
    assert!(status(&part) == 206 && part.contains("content-range: bytes 2-4/1000"), "{part}");
}

#[tokio::test]
async fn an_expected_body_is_not_asked_for_when_nobody_would_take_it() {
    let lab = lab(&[nobody().await]).await;
    let head = "POST / HTTP/1.1\r\nHost: lab\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    let mut client = ask(&lab, head).await;
    let answer = read_all(&mut client).await;
    assert!(status(&answer) == 502 && !answer.contains("100 Continue"), "{answer}");
}

#[tokio::test]
async fn a_silent_stream_of_events_is_not_cut_and_a_silent_download_is() {
    let target = |kind: &'static str| {
        upstream(move |mut stream| async move {
            read_head(&mut stream).await;
            let head =
                format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n");
            let _ = stream.write_all(head.as_bytes()).await;
            tokio::time::sleep(Duration::from_millis(1_500)).await;
            let _ = stream.write_all(b"3\r\nend\r\n0\r\n\r\n").await;
        })
    };
    for (kind, is_whole) in [("text/event-stream; charset=utf-8", true), ("text/plain", false)] {
        let mut pool = pool("r1", &[target(kind).await]);
        pool.response_timeout_ms = 300;
        let lab = lab_with(quick(), pool).await;
        let mut client = ask(&lab, "GET / HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n").await;
        let all = read_all(&mut client).await;
        assert_eq!(all.contains("end"), is_whole, "{kind}: {all}");
    }
}
