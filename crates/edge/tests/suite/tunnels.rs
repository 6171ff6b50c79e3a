//! WebSockets: through, drained, and cut in their own time.

use std::time::{Duration, Instant};

use crate::support::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const ASK: &str =
    "GET /ws HTTP/1.1\r\nHost: lab\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n";

/// Agrees to the upgrade and echoes bytes.
async fn sockets() -> std::net::SocketAddr {
    upstream(|mut stream| async move {
        let head = read_head(&mut stream).await.unwrap_or_default().to_lowercase();
        assert!(head.contains("upgrade: websocket") && head.contains("connection: upgrade"), "{head}");
        let agreed = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: y\r\n\r\n";
        let _ = stream.write_all(agreed.as_bytes()).await;
        let (mut reading, mut writing) = stream.split();
        let _ = tokio::io::copy(&mut reading, &mut writing).await;
    })
    .await
}

async fn open(lab: &Lab) -> TcpStream {
    let mut stream = TcpStream::connect(lab.address).await.unwrap();
    stream.write_all(ASK.as_bytes()).await.unwrap();
    let answer = read_until(&mut stream, "\r\n\r\n").await.to_lowercase();
    assert!(
        answer.contains("101") && answer.contains("upgrade: websocket") && answer.contains("sec-websocket-accept: y"),
        "{answer}"
    );
    stream
}

#[tokio::test]
async fn bytes_sent_with_the_handshake_are_not_lost() {
    let lab = lab(&[sockets().await]).await;
    let mut stream = TcpStream::connect(lab.address).await.unwrap();
    stream.write_all(format!("{ASK}first").as_bytes()).await.unwrap();
    read_until(&mut stream, "first").await;
    stream.write_all(b"second").await.unwrap();
    read_until(&mut stream, "second").await;
}

#[tokio::test]
async fn a_refused_upgrade_is_an_ordinary_answer() {
    let lab = lab(&[echo("plain").await]).await;
    let mut stream = TcpStream::connect(lab.address).await.unwrap();
    stream.write_all(ASK.as_bytes()).await.unwrap();
    let answer = read_until(&mut stream, "plain").await;
    assert_eq!(status(&answer), 200);
}

#[tokio::test]
async fn a_websocket_counts_survives_the_switch_and_is_cut_when_its_time_is_over() {
    let mut pool = pool("r1", &[sockets().await]);
    pool.drain_websocket_ms = 700;
    let lab = lab_with(quick(), pool).await;
    let mut stream = open(&lab).await;
    let status = lab.control.status().await.unwrap();
    assert_eq!((status.pools[0].in_flight, status.pools[0].websockets), (1, 1));
    lab.switch(2, "r2", &[echo("new").await]).await;
    let began = Instant::now();
    stream.write_all(b"still here").await.unwrap();
    read_until(&mut stream, "still here").await;
    let status = lab.control.status().await.unwrap();
    assert_eq!(status.draining[0].websockets, 1);
    assert_eq!(lab.control.drained(POOL, "r1", Duration::from_secs(5)).await.unwrap(), 0);
    assert!(began.elapsed() >= Duration::from_millis(500), "cut after {:?}", began.elapsed());
    read_all(&mut stream).await;
}

#[tokio::test]
async fn a_roll_back_in_time_keeps_the_websocket() {
    let target = sockets().await;
    let mut first = pool("r1", &[target]);
    first.drain_websocket_ms = 300;
    let lab = lab_with(quick(), first.clone()).await;
    let mut stream = open(&lab).await;
    lab.switch(2, "r2", &[echo("new").await]).await;
    lab.control.apply(&snapshot(3, first)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(600)).await;
    stream.write_all(b"kept").await.unwrap();
    read_until(&mut stream, "kept").await;
}

#[tokio::test]
async fn when_the_client_leaves_the_target_is_told_and_the_count_falls() {
    let lab = lab(&[sockets().await]).await;
    let stream = open(&lab).await;
    drop(stream);
    wait_for("the tunnel to end", || async { lab.control.status().await.unwrap().pools[0].in_flight == 0 }).await;
}

#[tokio::test]
async fn a_shutdown_does_not_wait_for_websockets_for_ever() {
    let lab = lab(&[sockets().await]).await;
    let mut stream = open(&lab).await;
    let began = Instant::now();
    lab.stop().await;
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
}
