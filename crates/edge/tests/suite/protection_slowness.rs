//! Slowness: every phase in which a client can let the edge wait has an end, and a word in the metrics.

use std::time::{Duration, Instant};

use crate::support::frames::*;
use crate::support::*;
use edge::Limits;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

fn hasty() -> Limits {
    let (short, long) = (Duration::from_millis(250), Duration::from_millis(500));
    Limits { header_read: short, client_write: short, request_body_idle: short, client_idle: long, ..quick() }
}

/// Drips bytes until the edge ends the connection, which must be soon.
async fn drip(lab: &Lab, begin: &[u8], drop: &[u8]) {
    let mut stream = TcpStream::connect(lab.address).await.unwrap();
    stream.write_all(begin).await.unwrap();
    let began = Instant::now();
    let (mut reading, mut writing) = stream.into_split();
    let dripping = async {
        while writing.write_all(drop).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let mut answer = Vec::new();
    let ending = tokio::io::AsyncReadExt::read_to_end(&mut reading, &mut answer);
    tokio::select! {
        () = dripping => {}
        _ended = ending => {}
    }
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_head_that_comes_byte_by_byte() {
    let lab = lab_with(hasty(), pool("r1", &[echo("a").await])).await;
    drip(&lab, b"GET / HTTP/1.1\r\nHost: lab\r\nX-Slow: ", b"a").await;
    wait_for("it to be counted", || async { lab.refused("slow-head").await == 1.0 }).await;
}

#[tokio::test]
async fn a_second_head_that_comes_byte_by_byte() {
    let lab = lab_with(hasty(), pool("r1", &[echo("a").await])).await;
    drip(&lab, b"GET / HTTP/1.1\r\nHost: lab\r\n\r\nGET / HTTP/1.1\r\nX: ", b"a").await;
    wait_for("it to be counted", || async { lab.refused("slow-head").await == 1.0 }).await;
}

#[tokio::test]
async fn a_connection_that_says_nothing() {
    let lab = lab_with(hasty(), pool("r1", &[echo("a").await])).await;
    let mut stream = TcpStream::connect(lab.address).await.unwrap();
    assert_eq!(read_all(&mut stream).await, "");
}

#[tokio::test]
async fn an_idle_connection_kept_alive() {
    let lab = lab_with(hasty(), pool("r1", &[echo("a").await])).await;
    let mut stream = TcpStream::connect(lab.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: lab\r\n\r\n").await.unwrap();
    let answer = read_all(&mut stream).await;
    assert_eq!(status(&answer), 200, "{answer}");
}

#[tokio::test]
async fn a_body_that_stops() {
    let target = upstream(|mut stream| async move { drop(read_all(&mut stream).await) }).await;
    let lab = lab_with(hasty(), pool("r1", &[target])).await;
    let text = b"POST / HTTP/1.1\r\nHost: lab\r\nContent-Length: 10\r\n\r\n123";
    let answer = raw(lab.address, text).await;
    assert_eq!(status(&answer), 408, "{answer}");
    assert_eq!(lab.refused("body-silent").await, 1.0);
}

#[tokio::test]
async fn a_client_that_does_not_read() {
    let target = upstream(|mut stream| async move {
        read_head(&mut stream).await;
        let size = 64 << 20;
        let _ = stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n").as_bytes()).await;
        let piece = vec![0u8; 64 << 10];
        while stream.write_all(&piece).await.is_ok() {}
    })
    .await;
    let lab = lab_with(hasty(), pool("r1", &[target])).await;
    let mut stream = TcpStream::connect(lab.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: lab\r\n\r\n").await.unwrap();
    wait_for("it to be counted", || async { lab.refused("slow-reader").await == 1.0 }).await;
    wait_for("nothing to be left", || async { lab.control.status().await.unwrap().pools[0].in_flight == 0 }).await;
}

#[tokio::test]
async fn a_preface_that_comes_byte_by_byte() {
    let lab = lab_with(hasty(), pool("r1", &[echo("a").await])).await;
    for begin in [&PREFACE[..2], &PREFACE[..8], PREFACE, &[PREFACE, &[0, 0, 0, 4]].concat()] {
        let began = Instant::now();
        let mut stream = TcpStream::connect(lab.address).await.unwrap();
        stream.write_all(begin).await.unwrap();
        read_all(&mut stream).await;
        assert!(began.elapsed() < Duration::from_millis(1_500), "{begin:?}: {:?}", began.elapsed());
    }
    assert_eq!(lab.refused("slow-head").await, 3.0);
}

#[tokio::test]
async fn an_http_2_header_block_that_never_ends() {
    let lab =
        lab_with(Limits { client_idle: Duration::from_secs(60), ..hasty() }, pool("r1", &[echo("a").await])).await;
    let mut raw = Raw::connect(lab.address, &[]).await;
    raw.send(&frame(HEADERS, END_STREAM, 1, &get("/", &[]))).await;
    raw.ended().await;
    assert_eq!(lab.refused("slow-head").await, 1.0);
}

#[tokio::test]
async fn an_http_2_body_that_stops() {
    let target = upstream(|mut stream| async move { drop(read_all(&mut stream).await) }).await;
    let lab = lab_with(hasty(), pool("r1", &[target])).await;
    let mut raw = Raw::connect(lab.address, &[]).await;
    let fields = block(&[(":method", "POST"), (":scheme", "http"), (":authority", "lab"), (":path", "/")]);
    raw.send(&[frame(HEADERS, END_HEADERS, 1, &fields), frame(DATA, 0, 1, b"begun")].concat()).await;
    assert!(raw.find(|f| f.kind == HEADERS && f.stream == 1).await.is_some());
    assert_eq!(lab.refused("body-silent").await, 1.0);
}
