//! Listeners that carry bytes.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::support::*;
use edge::snapshot::{Detect, Hold};
use edge::{Applied, Pool, Route, Snapshot, TcpRoute};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

fn carrying(epoch: u64, pool: Pool, change: impl FnOnce(&mut TcpRoute)) -> Snapshot {
    let mut snapshot = Snapshot::new(epoch);
    snapshot.listeners.push(listener("db", 0));
    let mut route = TcpRoute::new("db", pool.name.clone());
    change(&mut route);
    snapshot.tcp.push(route);
    snapshot.pools.push(pool);
    snapshot.seal()
}

async fn begin(pool: Pool, change: impl FnOnce(&mut TcpRoute)) -> Lab {
    let mut lab = start(tempfile::tempdir().unwrap(), quick()).await;
    let applied = lab.control.apply(&carrying(1, pool, change)).await.unwrap();
    assert!(applied.problems.is_empty(), "{:?}", applied.problems);
    lab.address = applied.listeners[0].bind;
    lab
}

async fn next(lab: &Lab, epoch: u64, pool: Pool) -> Applied {
    lab.control.apply(&carrying(epoch, pool, |_| {})).await.unwrap()
}

/// Speaks first, as databases do, then echoes; after the client's end it says goodbye.
async fn server(name: &'static str) -> SocketAddr {
    upstream(move |mut stream| async move {
        let _ = stream.write_all(name.as_bytes()).await;
        let (mut reading, mut writing) = stream.split();
        let _ = tokio::io::copy(&mut reading, &mut writing).await;
        let _ = writing.write_all(b"goodbye").await;
    })
    .await
}

async fn connect(lab: &Lab) -> TcpStream {
    TcpStream::connect(lab.address).await.unwrap()
}

#[tokio::test]
async fn the_server_may_speak_first_and_a_half_that_ends_leaves_the_other_open() {
    let lab = begin(pool("r1", &[server("hello").await]), |_| {}).await;
    let mut client = connect(&lab).await;
    read_until(&mut client, "hello").await;
    client.write_all(b"question").await.unwrap();
    client.shutdown().await.unwrap();
    assert_eq!(read_all(&mut client).await, "questiongoodbye");
    wait_for("the count to fall", || async { lab.control.status().await.unwrap().pools[0].in_flight == 0 }).await;
    let metrics = lab.control.metrics().await.unwrap();
    let labels = "pool=\"lab/test/web\",release=\"r1\"";
    assert!(metrics.contains(&format!("mainstay_edge_received_bytes_total{{{labels}}} 8")), "{metrics}");
    assert!(metrics.contains(&format!("mainstay_edge_sent_bytes_total{{{labels}}} 20")), "{metrics}");
}

#[tokio::test]
async fn a_target_that_refuses_is_passed_over() {
    let lab = begin(pool("r1", &[nobody().await, server("second").await]), |_| {}).await;
    for _ in 0..4 {
        read_until(&mut connect(&lab).await, "second").await;
    }
}

#[tokio::test]
async fn with_no_target_left_the_connection_is_closed_and_counted() {
    let lab = begin(pool("r1", &[nobody().await]), |_| {}).await;
    assert_eq!(read_all(&mut connect(&lab).await).await, "");
    let metrics = lab.control.metrics().await.unwrap();
    assert!(metrics.contains("mainstay_edge_unanswered_total{pool=\"lab/test/web\",release=\"r1\"} 1"), "{metrics}");
    assert!(metrics.contains("tcp-refused"), "{metrics}");
}

#[tokio::test]
async fn a_drain_sees_connections_and_ends_them_when_their_time_is_over() {
    let mut old = pool("r1", &[server("old").await]);
    old.drain_websocket_ms = 400;
    let lab = begin(old, |_| {}).await;
    let mut client = connect(&lab).await;
    read_until(&mut client, "old").await;
    next(&lab, 2, pool("r2", &[server("new").await])).await;
    let began = Instant::now();
    client.write_all(b"still here").await.unwrap();
    read_until(&mut client, "still here").await;
    assert_eq!(lab.control.status().await.unwrap().draining[0].websockets, 1);
    read_until(&mut connect(&lab).await, "new").await;
    assert_eq!(lab.control.drained(POOL, "r1", Duration::from_secs(5)).await.unwrap(), 0);
    assert!(began.elapsed() >= Duration::from_millis(300), "cut after {:?}", began.elapsed());
    read_all(&mut client).await;
}

#[tokio::test]
async fn silence_ends_a_connection_and_traffic_keeps_it() {
    let lab = begin(pool("r1", &[server("hello").await]), |route| route.idle_ms = Some(400)).await;
    let mut client = connect(&lab).await;
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_millis(150)).await;
        client.write_all(b".").await.unwrap();
    }
    read_until(&mut client, "hello....").await;
    let began = Instant::now();
    read_all(&mut client).await;
    assert!(began.elapsed() > Duration::from_millis(200) && began.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn the_target_is_told_whose_connection_it_is() {
    let target = upstream(|mut stream| async move {
        let mut header = [0u8; 28];
        stream.read_exact(&mut header).await.unwrap();
        let port = u16::from_be_bytes([header[24], header[25]]);
        let is_fine = header.starts_with(b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c") && header[16..20] == [127, 0, 0, 1];
        let _ = stream.write_all(format!("{is_fine} {port}").as_bytes()).await;
    })
    .await;
    let lab = begin(pool("r1", &[target]), |route| route.send_proxy = true).await;
    let mut client = connect(&lab).await;
    let wanted = format!("true {}", client.local_addr().unwrap().port());
    assert_eq!(read_all(&mut client).await, wanted);
}

#[tokio::test]
async fn a_new_connection_waits_while_its_pool_is_held() {
    let lab = begin(pool("r1", &[server("old").await]), |_| {}).await;
    let hold = Hold { now: true, max_requests: 2, max_bytes: 0, max_ms: 10_000 };
    next(&lab, 2, Pool { hold: Some(hold), ..pool("r1", &[]) }).await;
    let mut client = connect(&lab).await;
    let leaves = connect(&lab).await;
    let held = |count| {
        let lab = &lab;
        async move { lab.control.status().await.unwrap().pools[0].held == count }
    };
    wait_for("both to wait", || held(2)).await;
    drop(leaves);
    wait_for("one to leave", || held(1)).await;
    next(&lab, 3, pool("r2", &[server("new").await])).await;
    read_until(&mut client, "new").await;
}

#[tokio::test]
async fn what_cannot_work_is_named() {
    let lab = start(tempfile::tempdir().unwrap(), quick()).await;
    let mut snapshot = carrying(1, pool("r1", &[server("x").await]), |_| {});
    let mut shown = route(None, "/", POOL);
    shown.listeners.push("db".into());
    snapshot.routes.push(shown);
    let unknown = TcpRoute::new("nowhere", "none");
    snapshot.tcp.push(unknown);
    let applied = lab.control.apply(&snapshot.seal()).await.unwrap();
    let problems = applied.problems.join("\n");
    assert!(problems.contains("`db`: routes name it too"), "{problems}");
    assert!(problems.contains("`nowhere`: there is no such listener"), "{problems}");
}

/// A listener that takes requests and bytes.
fn both(epoch: u64, pool: Pool, detect: Detect) -> Snapshot {
    let mut snapshot = carrying(epoch, pool, |route| route.detect = Some(detect));
    snapshot.routes.push(Route { listeners: vec!["db".into()], ..Route::new(None, "/", POOL) });
    snapshot.seal()
}

async fn begin_both(pool: Pool, detect: Detect) -> Lab {
    let mut lab = start(tempfile::tempdir().unwrap(), quick()).await;
    let applied = lab.control.apply(&both(1, pool, detect)).await.unwrap();
    assert!(applied.problems.is_empty(), "{:?}", applied.problems);
    lab.address = applied.listeners[0].bind;
    lab
}

/// Answers what looks like a request as a web server, and sends everything else back.
async fn either() -> SocketAddr {
    upstream(|mut stream| async move {
        let mut first = [0u8; 1024];
        while let Ok(count) = stream.read(&mut first).await {
            let answer = match &first[..count] {
                [] => return,
                request if request.starts_with(b"GET") => {
                    let is_forwarded = String::from_utf8_lossy(request).to_lowercase().contains("x-forwarded-for");
                    format!("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n{is_forwarded:5}").into_bytes()
                }
                bytes => bytes.to_vec(),
            };
            let _ = stream.write_all(&answer).await;
        }
    })
    .await
}

#[tokio::test]
async fn on_a_listener_for_both_a_request_is_one_and_everything_else_is_carried() {
    for detect in [Detect::Likely, Detect::Unknown] {
        let lab = begin_both(pool("r1", &[either().await]), detect).await;
        for text in ["\x16\x03\x01 a handshake", "hello there\n", "\0"] {
            let mut client = connect(&lab).await;
            client.write_all(text.as_bytes()).await.unwrap();
            read_until(&mut client, text).await;
        }
        let mut client = connect(&lab).await;
        client.write_all(b"GET /a HT").await.unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
        client.write_all(b"TP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        read_until(&mut client, "true").await;
    }
}

#[tokio::test]
async fn on_a_listener_for_both_whoever_speaks_first_decides() {
    let lab = begin_both(pool("r1", &[server("hello").await]), Detect::Unknown).await;
    let mut client = connect(&lab).await;
    read_until(&mut client, "hello").await;
    client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    read_until(&mut client, "GET / HTTP/1.1").await;

    let lab = begin_both(pool("r1", &[either().await]), Detect::Unknown).await;
    let mut late = connect(&lab).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    late.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    read_until(&mut late, "true").await;
}

#[tokio::test]
async fn on_a_listener_for_both_silence_keeps_no_release_from_draining() {
    let mut old = pool("r1", &[either().await]);
    old.drain_websocket_ms = 60_000;
    let lab = begin_both(old, Detect::Unknown).await;
    let mut silent = connect(&lab).await;
    wait_for("its connection to a target", || async { lab.control.status().await.unwrap().pools[0].in_flight == 1 })
        .await;
    lab.control.apply(&both(2, pool("r2", &[server("new").await]), Detect::Unknown)).await.unwrap();
    assert_eq!(lab.control.drained(POOL, "r1", Duration::from_secs(2)).await.unwrap(), 0);
    read_until(&mut silent, "new").await;
}
