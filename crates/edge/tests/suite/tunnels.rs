//! WebSockets: through, drained, and cut in their own time.

use std::time::{Duration, Instant};

use crate::support::*;
use edge::Limits;
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

/// Code 1001, as a server sends it, and as a client answers it or is spoken for.
const GOING_AWAY: [u8; 4] = [0x88, 0x02, 0x03, 0xe9];
const ANSWERED: [u8; 8] = [0x88, 0x82, 1, 2, 3, 4, 0x02, 0xeb];

async fn bytes(stream: &mut TcpStream, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    let read = tokio::time::timeout(Duration::from_secs(8), stream.read_exact(&mut bytes)).await;
    read.expect("in time").expect("so many bytes");
    bytes
}

/// Agrees to the upgrade, sends these pieces with a pause between them, and hands over what it was sent.
async fn speaking(
    pieces: &'static [&'static [u8]],
    heard: tokio::sync::mpsc::UnboundedSender<Vec<u8>>,
) -> std::net::SocketAddr {
    upstream(move |mut stream| {
        let heard = heard.clone();
        async move {
            read_head(&mut stream).await;
            let agreed = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: y\r\n\r\n";
            let _ = stream.write_all(agreed.as_bytes()).await;
            for piece in pieces {
                let _ = stream.write_all(piece).await;
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest).await;
            let _ = heard.send(rest);
        }
    })
    .await
}

async fn open_whole(lab: &Lab) -> TcpStream {
    let mut stream = TcpStream::connect(lab.address).await.unwrap();
    stream.write_all(ASK.as_bytes()).await.unwrap();
    assert!(read_head(&mut stream).await.unwrap().contains("101"));
    stream
}

#[tokio::test]
async fn a_websocket_whose_time_is_over_is_told_that_its_server_goes_away() {
    let (heard, mut hears) = tokio::sync::mpsc::unbounded_channel();
    let mut pool = pool("r1", &[speaking(&[b"\x81\x02hi"], heard).await]);
    pool.drain_websocket_ms = 400;
    let lab = lab_with(quick(), pool).await;
    let mut stream = open_whole(&lab).await;
    assert_eq!(bytes(&mut stream, 4).await, b"\x81\x02hi");
    lab.switch(2, "r2", &[echo("new").await]).await;
    assert_eq!(bytes(&mut stream, 4).await, GOING_AWAY);
    let began = Instant::now();
    stream.write_all(&ANSWERED).await.unwrap();
    assert_eq!(stream.read(&mut [0u8; 8]).await.unwrap_or(0), 0, "then the connection ends");
    assert!(began.elapsed() < Duration::from_secs(1), "as soon as the client has answered: {:?}", began.elapsed());
    assert_eq!(hears.recv().await.unwrap(), [0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe9], "the service is told, too");
}

#[tokio::test]
async fn a_message_that_is_under_way_comes_to_its_end_before_the_goodbye() {
    let (heard, _hears) = tokio::sync::mpsc::unbounded_channel();
    let target = speaking(&[b"\x81\x06one", b"two"], heard).await;
    let mut pool = pool("r1", &[target]);
    pool.drain_websocket_ms = 50;
    let lab = lab_with(Limits { close_spread: Duration::ZERO, ..quick() }, pool).await;
    let mut stream = open_whole(&lab).await;
    assert_eq!(bytes(&mut stream, 5).await, b"\x81\x06one");
    lab.switch(2, "r2", &[echo("new").await]).await;
    assert_eq!(bytes(&mut stream, 7).await, [b"two".as_slice(), &GOING_AWAY].concat());
}

#[tokio::test]
async fn a_message_that_never_ends_does_not_keep_its_websocket() {
    let (heard, _hears) = tokio::sync::mpsc::unbounded_channel();
    let mut pool = pool("r1", &[speaking(&[b"\x81\x06one"], heard).await]);
    pool.drain_websocket_ms = 50;
    let lab = lab_with(quick(), pool).await;
    let mut stream = open_whole(&lab).await;
    assert_eq!(bytes(&mut stream, 5).await, b"\x81\x06one");
    lab.switch(2, "r2", &[echo("new").await]).await;
    let mut rest = Vec::new();
    tokio::time::timeout(Duration::from_secs(4), stream.read_to_end(&mut rest)).await.expect("its end").ok();
    assert!(rest.is_empty(), "inside a message no frame may be put: {rest:?}");
}

#[tokio::test]
async fn what_a_service_has_closed_itself_is_not_closed_once_more() {
    let (heard, _hears) = tokio::sync::mpsc::unbounded_channel();
    let mut pool = pool("r1", &[speaking(&[b"\x88\x02\x0f\xa1"], heard).await]);
    pool.drain_websocket_ms = 50;
    let lab = lab_with(quick(), pool).await;
    let mut stream = open_whole(&lab).await;
    lab.switch(2, "r2", &[echo("new").await]).await;
    let mut all = Vec::new();
    tokio::time::timeout(Duration::from_secs(4), stream.read_to_end(&mut all)).await.expect("its end").ok();
    assert_eq!(all, b"\x88\x02\x0f\xa1", "4001, and nothing after it");
}

#[tokio::test]
async fn a_client_that_leaves_a_websocket_without_a_word_ends_it_at_once() {
    let lab = lab(&[sockets().await]).await;
    let mut stream = open(&lab).await;
    stream.write_all(b"hello").await.unwrap();
    read_until(&mut stream, "hello").await;
    let left = Instant::now();
    stream.shutdown().await.unwrap();
    // The service sees the end, ends as well, and so the client sees the end.
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    assert!(left.elapsed() < Duration::from_secs(2), "after {:?}", left.elapsed());
}
