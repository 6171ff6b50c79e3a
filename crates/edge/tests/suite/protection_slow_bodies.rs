//! Bodies that are sent or taken too slowly, byte by byte, for ever; and those whose slowness is nobody's fault.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::support::frames::*;
use crate::support::*;
use edge::Limits;
use edge::snapshot::AccessLog;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Of each test in which nothing may end: longer than the grace by far.
const WHILE: Duration = Duration::from_millis(1_500);

/// Ten thousand bytes a second, with three tenths of a second to fall behind.
fn strict() -> Limits {
    let long = Duration::from_secs(20);
    let grace = Duration::from_millis(300);
    Limits { body_rate: 10_000, body_grace: grace, request_body_idle: long, client_write: long, ..quick() }
}

/// Answers when it has all of a body of so many bytes, which it begins to read after a while.
async fn taking(bytes: usize, after: Duration) -> SocketAddr {
    upstream(move |mut stream| async move {
        while read_head(&mut stream).await.is_some() {
            tokio::time::sleep(after).await;
            let mut body = vec![0u8; bytes];
            if stream.read_exact(&mut body).await.is_err() {
                return;
            }
            let _ = stream.write_all(ok("taken").as_bytes()).await;
        }
    })
    .await
}

/// Answers with more than any buffer holds.
async fn endless(kind: &'static str) -> SocketAddr {
    upstream(move |mut stream| async move {
        read_head(&mut stream).await;
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nConnection: close\r\n\r\n");
        let _ = stream.write_all(head.as_bytes()).await;
        let piece = vec![b'.'; 64 << 10];
        while stream.write_all(&piece).await.is_ok() {}
    })
    .await
}

/// Sends a body of so many bytes in pieces, 20 ms apart; the answer.
async fn upload(lab: &Lab, more: &str, bytes: usize, piece: usize) -> String {
    let stream = TcpStream::connect(lab.address).await.unwrap();
    let (mut reading, mut writing) = stream.into_split();
    let head = format!("POST / HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n{more}Content-Length: {bytes}\r\n\r\n");
    writing.write_all(head.as_bytes()).await.unwrap();
    tokio::spawn(async move {
        let mut left = bytes;
        while left > 0 {
            let now = left.min(piece);
            if writing.write_all(&vec![b'.'; now]).await.is_err() {
                return;
            }
            left -= now;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        // Open until the answer is there.
        std::future::pending::<()>().await;
    });
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(15), reading.read_to_end(&mut answer)).await;
    read.expect("the edge did not answer").unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

/// Reads a little every 20 ms for a while; whether the response still goes on.
async fn sips(lab: &Lab, stream: &mut TcpStream, time: Duration) -> bool {
    let began = Instant::now();
    let mut sip = [0u8; 16];
    while began.elapsed() < time {
        tokio::time::sleep(Duration::from_millis(20)).await;
        if !matches!(stream.read(&mut sip).await, Ok(1..)) {
            return false;
        }
    }
    lab.control.status().await.unwrap().pools[0].in_flight == 1
}

async fn asked(lab: &Lab) -> TcpStream {
    let mut stream = TcpStream::connect(lab.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: lab\r\n\r\n").await.unwrap();
    stream
}

#[tokio::test]
async fn an_upload_below_the_rate_is_refused_with_its_word() {
    let lab = lab_with(strict(), pool("r1", &[taking(5_000, Duration::ZERO).await])).await;
    let began = Instant::now();
    let answer = upload(&lab, "", 5_000, 1).await;
    assert!(status(&answer) == 408 && answer.contains("slow-upload"), "{answer}");
    assert!(began.elapsed() >= Duration::from_millis(300) && began.elapsed() < Duration::from_secs(5));
    assert_eq!(lab.refused("slow-upload").await, 1.0);
}

#[tokio::test]
async fn an_upload_above_the_rate_goes_on() {
    let lab = lab_with(strict(), pool("r1", &[taking(50_000, Duration::ZERO).await])).await;
    let began = Instant::now();
    assert_eq!(status(&upload(&lab, "", 50_000, 800).await), 200);
    assert!(began.elapsed() > Duration::from_secs(1), "it lasted longer than the grace: {:?}", began.elapsed());
}

#[tokio::test]
async fn a_service_that_is_slow_to_read_is_not_the_clients_fault() {
    let bytes = 8 << 20;
    let lab = lab_with(strict(), pool("r1", &[taking(bytes, WHILE).await])).await;
    assert_eq!(status(&upload(&lab, "", bytes, bytes).await), 200);
}

#[tokio::test]
async fn uploads_of_grpc_and_of_routes_that_ask_nothing_are_free() {
    let (bytes, target) = (100, taking(100, Duration::ZERO).await);
    let lab = lab_with(strict(), pool("r1", &[target])).await;
    assert_eq!(status(&upload(&lab, "Content-Type: application/grpc+proto\r\n", bytes, 1).await), 200);
    let free = lab_with_snapshot(strict(), pool("r1", &[target]), |s| s.routes[0].limits.body_rate = Some(0)).await;
    assert_eq!(status(&upload(&free, "", bytes, 1).await), 200);
}

#[tokio::test]
async fn a_route_may_ask_for_more_than_the_edge() {
    let limits = Limits { body_rate: 0, ..strict() };
    let target = taking(5_000, Duration::ZERO).await;
    let lab = lab_with_snapshot(limits, pool("r1", &[target]), |s| s.routes[0].limits.body_rate = Some(10_000)).await;
    assert!(upload(&lab, "", 5_000, 1).await.contains("slow-upload"));
}

#[tokio::test]
async fn a_download_below_the_rate_is_ended_and_told_of() {
    // What the kernel keeps for the client counts as taken, so the rate is one at which its buffers do not matter.
    let limits = Limits { body_rate: 100 << 20, ..strict() };
    let log =
        AccessLog { file: None, sample: 1, slow_ms: 60_000, mask: vec![], mask_client: false, rotate_bytes: 1 << 20 };
    let target = endless("text/plain").await;
    let lab = lab_with_snapshot(limits, pool("r1", &[target]), |s| s.access_log = Some(log)).await;
    let mut stream = asked(&lab).await;
    let began = Instant::now();
    sips(&lab, &mut stream, Duration::from_secs(10)).await;
    wait_for("it to be counted", || async { lab.refused("slow-download").await == 1.0 }).await;
    assert!(began.elapsed() < Duration::from_secs(12));
    wait_for("nothing to be left", || async { lab.control.status().await.unwrap().pools[0].in_flight == 0 }).await;
    let file = lab.folder.path().join("state/access.log");
    wait_for("its line", || async { std::fs::read_to_string(&file).is_ok_and(|t| t.contains("slow-download")) }).await;
}

#[tokio::test]
async fn events_are_free_and_so_is_a_route_that_asks_nothing() {
    let limits = || Limits { body_rate: 100 << 20, ..strict() };
    let lab = lab_with(limits(), pool("r1", &[endless("text/event-stream").await])).await;
    assert!(sips(&lab, &mut asked(&lab).await, WHILE).await);
    let target = endless("text/plain").await;
    let free = lab_with_snapshot(limits(), pool("r1", &[target]), |s| s.routes[0].limits.body_rate = Some(0)).await;
    assert!(sips(&free, &mut asked(&free).await, WHILE).await);
}

#[tokio::test]
async fn a_service_that_is_slow_to_answer_is_not_the_clients_fault() {
    let drips = upstream(|mut stream| async move {
        read_head(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n").await;
        for _ in 0..30 {
            tokio::time::sleep(WHILE / 30).await;
            let _ = stream.write_all(b".").await;
        }
    })
    .await;
    let lab = lab_with(strict(), pool("r1", &[drips])).await;
    assert!(lab.get("/").await.ends_with(&".".repeat(30)));
}

#[tokio::test]
async fn a_websocket_is_free() {
    let sockets = upstream(|mut stream| async move {
        read_head(&mut stream).await;
        let agreed = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
        let _ = stream.write_all(agreed.as_bytes()).await;
        let (mut reading, mut writing) = stream.split();
        let _ = tokio::io::copy(&mut reading, &mut writing).await;
    })
    .await;
    let lab = lab_with(strict(), pool("r1", &[sockets])).await;
    let mut stream = TcpStream::connect(lab.address).await.unwrap();
    let asked = "GET / HTTP/1.1\r\nHost: lab\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    stream.write_all(asked.as_bytes()).await.unwrap();
    read_until(&mut stream, "101").await;
    for _ in 0..15 {
        tokio::time::sleep(WHILE / 15).await;
        stream.write_all(b"x").await.unwrap();
        read_until(&mut stream, "x").await;
    }
}

#[tokio::test]
async fn over_http_2_the_slow_stream_alone_is_reset() {
    let limits = Limits { body_rate: 1 << 20, ..strict() };
    let quick = echo("quick").await;
    let lab = lab_with_snapshot(limits, pool("r1", &[endless("text/plain").await]), |snapshot| {
        snapshot.pools.push(edge::Pool::new("quick", "r1", vec![quick]));
        snapshot.routes.push(route(None, "/quick", "quick"));
    })
    .await;
    let mut raw = Raw::connect(lab.address, &[]).await;
    raw.send(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &get("/", &[]))).await;
    let began = Instant::now();
    // A window of one byte now and then: something moves all the time.
    let mut reset = None;
    while reset.is_none() && began.elapsed() < Duration::from_secs(20) {
        raw.send(&frame(WINDOW_UPDATE, 0, 1, &1u32.to_be_bytes())).await;
        let came = tokio::time::timeout(Duration::from_millis(50), raw.next()).await;
        reset = came.ok().flatten().filter(|came| came.kind == RST_STREAM && came.stream == 1);
    }
    assert!(reset.is_some(), "the stream goes on");
    assert_eq!(lab.refused("slow-download").await, 1.0);
    wait_for("nothing to be left", || async { lab.control.status().await.unwrap().pools[0].in_flight == 0 }).await;
    raw.send(&frame(HEADERS, END_STREAM | END_HEADERS, 3, &get("/quick", &[]))).await;
    assert!(raw.find(|came| came.kind == HEADERS && came.stream == 3).await.is_some(), "the connection goes on");
}
