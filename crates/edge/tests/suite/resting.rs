//! Idle connections are taken down to their sockets, and nobody notices.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::secure::{Ca, secure_lab};
use crate::support::*;
use edge::{Limits, Pool};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

const RESTING: &str = "mainstay_edge_client_connections_resting";

async fn resting(lab: &Lab) -> u64 {
    lab.metric(RESTING).await as u64
}

async fn rests(lab: &Lab, wanted: u64) {
    wait_for("the connections to rest", || async { resting(lab).await == wanted }).await;
}

/// One request over a connection that stays open.
async fn ask(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), path: &str) -> String {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: lab\r\n\r\n").as_bytes()).await.unwrap();
    answer(stream).await
}

async fn answer(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = header(head, "content-length").unwrap().parse().unwrap();
            if body.len() >= length {
                return text;
            }
        }
        let mut piece = [0u8; 4096];
        let count = stream.read(&mut piece).await.unwrap();
        assert!(count > 0, "closed in the middle of {text}");
        bytes.extend_from_slice(&piece[..count]);
    }
}

#[tokio::test]
async fn a_connection_that_has_rested_serves_on() {
    let lab = lab(&[echo("a").await]).await;
    let mut stream = TcpStream::connect(lab.address).await.unwrap();
    for path in ["/first", "/second", "/third"] {
        assert!(ask(&mut stream, path).await.contains(path));
        rests(&lab, 1).await;
    }
    drop(stream);
    rests(&lab, 0).await;
}

#[tokio::test]
async fn a_head_that_comes_in_pieces_after_a_rest_is_one_head() {
    let lab = lab(&[echo("a").await]).await;
    let mut stream = TcpStream::connect(lab.address).await.unwrap();
    ask(&mut stream, "/first").await;
    rests(&lab, 1).await;
    for piece in ["GET /sec", "ond HTTP/1.1\r\nHo", "st: lab\r\n", "\r\n"] {
        stream.write_all(piece.as_bytes()).await.unwrap();
        wait_for("the piece to be read", || async { resting(&lab).await == 0 }).await;
    }
    assert!(answer(&mut stream).await.contains("/second"));
}

#[tokio::test]
async fn half_a_head_does_not_rest_and_is_refused_in_time() {
    let limits = Limits { header_read: Duration::from_millis(1_500), ..quick() };
    let lab = lab_with(limits, pool("r1", &[echo("a").await])).await;
    let mut stream = TcpStream::connect(lab.address).await.unwrap();
    ask(&mut stream, "/first").await;
    rests(&lab, 1).await;
    stream.write_all(b"GET /second HTTP/1.1\r\n").await.unwrap();
    let rest = read_all(&mut stream).await;
    assert!(!rest.contains("200"), "{rest}");
    assert_eq!(resting(&lab).await, 0);
}

#[tokio::test]
async fn what_is_wrong_with_a_head_is_seen_after_a_rest_too() {
    let lab = lab(&[echo("a").await]).await;
    let mut stream = TcpStream::connect(lab.address).await.unwrap();
    ask(&mut stream, "/first").await;
    rests(&lab, 1).await;
    let text = "POST / HTTP/1.1\r\nHost: lab\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    stream.write_all(text.as_bytes()).await.unwrap();
    assert_eq!(status(&read_all(&mut stream).await), 400);
}

#[tokio::test]
async fn a_resting_connection_is_closed_when_its_time_is_over_and_when_the_edge_ends() {
    let limits = Limits { client_idle: Duration::from_millis(1_600), ..quick() };
    let lab = lab_with(limits, pool("r1", &[echo("a").await])).await;
    let mut stream = TcpStream::connect(lab.address).await.unwrap();
    ask(&mut stream, "/first").await;
    rests(&lab, 1).await;
    assert_eq!(read_all(&mut stream).await, "", "an ordinary end");
    let mut stream = TcpStream::connect(lab.address).await.unwrap();
    ask(&mut stream, "/first").await;
    rests(&lab, 1).await;
    lab.stop().await;
    assert_eq!(read_all(&mut stream).await, "");
}

#[tokio::test]
async fn a_slow_answer_does_not_rest() {
    let (slow, gate, asked) = gated().await;
    let quick_target = echo("quick").await;
    let lab = lab_with_snapshot(quick(), pool("r1", &[slow]), |snapshot| {
        snapshot.pools.push(Pool::new("lab/test/quick", "r1", vec![quick_target]));
        snapshot.routes.push(route(None, "/quick", "lab/test/quick"));
    })
    .await;
    let waiting = asking(lab.address, "/slow");
    wait_for("the slow request", || async { asked.load(Ordering::SeqCst) == 1 }).await;
    let mut idle = TcpStream::connect(lab.address).await.unwrap();
    ask(&mut idle, "/quick").await;
    // The one with nothing to do rests, and by then the other has been waiting for longer.
    rests(&lab, 1).await;
    gate.add_permits(1);
    assert_eq!(status(&waiting.await.unwrap()), 200);
}

#[tokio::test]
async fn connections_over_tls_rest_and_serve_on() {
    let ca = Ca::new();
    let (lab, _) = secure_lab(&[echo("a").await], vec![ca.certificate(&["lab"])]).await;
    let mut stream = ca.client().connect(lab.address, "lab").await.unwrap();
    for path in ["/first", "/second"] {
        assert!(ask(&mut stream, path).await.contains(path));
        rests(&lab, 1).await;
    }
    drop(stream);
    rests(&lab, 0).await;
}

#[tokio::test]
async fn a_request_after_a_rest_goes_to_the_release_that_serves_then() {
    let lab = lab(&[echo("old").await]).await;
    let mut stream = TcpStream::connect(lab.address).await.unwrap();
    ask(&mut stream, "/").await;
    rests(&lab, 1).await;
    lab.switch(2, "r2", &[echo("new").await]).await;
    assert!(ask(&mut stream, "/").await.contains("new"));
}
