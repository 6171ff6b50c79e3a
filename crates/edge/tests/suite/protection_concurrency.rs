//! Places: so many requests at a time, a short queue, and every place given back whatever happens.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::support::*;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

#[tokio::test]
async fn beyond_the_places_and_the_queue_is_overload() {
    let (target, gate, count) = gated().await;
    let lab = lab_with_route(&[target], |route| {
        route.limits.in_flight = Some(2);
        route.limits.queue = Some(1);
        route.limits.queue_ms = Some(10_000);
    })
    .await;
    let under_way = [asking(lab.address, "/1"), asking(lab.address, "/2")];
    wait_for("two under way", || async { count.load(Ordering::SeqCst) == 2 }).await;
    let queued = asking(lab.address, "/3");
    let waiting = "mainstay_edge_queue_waiting{host=\"*\",path=\"/\"}";
    wait_for("one waiting", || async { lab.metric(waiting).await == 1.0 }).await;
    let answer = lab.get("/4").await;
    assert_eq!(status(&answer), 503, "{answer}");
    assert!(answer.contains("\"code\":\"overloaded\""), "{answer}");
    assert!(header(&answer, "retry-after").is_some(), "{answer}");
    assert_eq!(count.load(Ordering::SeqCst), 2, "nothing of the queue has reached the target");
    gate.add_permits(3);
    for asked in under_way.into_iter().chain([queued]) {
        assert_eq!(status(&asked.await.unwrap()), 200);
    }
    assert_eq!(lab.metric("mainstay_edge_queue_refused_total{host=\"*\",path=\"/\",why=\"full\"}").await, 1.0);
}

#[tokio::test]
async fn who_waits_for_too_long_is_answered() {
    let (target, gate, count) = gated().await;
    let lab = lab_with_route(&[target], |route| {
        route.limits.in_flight = Some(1);
        route.limits.queue = Some(5);
        route.limits.queue_ms = Some(100);
    })
    .await;
    let under_way = asking(lab.address, "/");
    wait_for("one under way", || async { count.load(Ordering::SeqCst) == 1 }).await;
    let began = Instant::now();
    let answer = lab.get("/").await;
    assert_eq!(status(&answer), 503, "{answer}");
    assert!(answer.contains("overloaded") && began.elapsed() >= Duration::from_millis(100), "{answer}");
    gate.add_permits(1);
    assert_eq!(status(&under_way.await.unwrap()), 200);
}

#[tokio::test]
async fn one_client_cannot_take_more_than_its_share() {
    let (target, gate, count) = gated().await;
    let lab = lab_with_route(&[target], |route| route.limits.in_flight_per_client = Some(1)).await;
    let under_way = asking(lab.address, "/");
    wait_for("one under way", || async { count.load(Ordering::SeqCst) == 1 }).await;
    let answer = lab.get("/").await;
    assert_eq!(status(&answer), 429, "{answer}");
    assert!(answer.contains("too-many-at-once") && header(&answer, "retry-after").is_some(), "{answer}");
    // Another address of the loopback network is another client.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.9:0".parse().unwrap()).unwrap();
    let mut other = socket.connect(lab.address).await.unwrap();
    gate.add_permits(2);
    other.write_all(b"GET / HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n").await.unwrap();
    assert_eq!(status(&read_all(&mut other).await), 200);
    assert_eq!(status(&under_way.await.unwrap()), 200);
}

#[tokio::test]
async fn a_place_is_free_only_when_the_body_has_ended() {
    let target = upstream(|mut stream| async move {
        while let Some(head) = read_head(&mut stream).await {
            if head.starts_with("GET /long") {
                let text = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbegun\r\n";
                stream.write_all(text.as_bytes()).await.unwrap();
                tokio::time::sleep(Duration::from_millis(300)).await;
                stream.write_all(b"0\r\n\r\n").await.unwrap();
            } else {
                stream.write_all(ok("short").as_bytes()).await.unwrap();
            }
        }
    })
    .await;
    let lab = lab_with_route(&[target], |route| route.limits.in_flight = Some(1)).await;
    let mut long = TcpStream::connect(lab.address).await.unwrap();
    long.write_all(b"GET /long HTTP/1.1\r\nHost: lab\r\n\r\n").await.unwrap();
    read_until(&mut long, "begun").await;
    assert_eq!(status(&lab.get("/short").await), 503, "the head is there, the body is not over");
    read_until(&mut long, "0\r\n\r\n").await;
    assert_eq!(status(&lab.get("/short").await), 200);
}

#[tokio::test]
async fn a_client_that_leaves_gives_its_place_back() {
    let (target, gate, count) = gated().await;
    let lab = lab_with_route(&[target], |route| route.limits.in_flight = Some(1)).await;
    let mut leaving = TcpStream::connect(lab.address).await.unwrap();
    leaving.write_all(b"GET / HTTP/1.1\r\nHost: lab\r\n\r\n").await.unwrap();
    wait_for("it to be under way", || async { count.load(Ordering::SeqCst) == 1 }).await;
    assert_eq!(status(&lab.get("/").await), 503);
    drop(leaving);
    gate.add_permits(10);
    wait_for("the place to be free", || async { status(&lab.get("/").await) == 200 }).await;
}

#[tokio::test]
async fn a_client_that_leaves_the_queue_makes_room_in_it() {
    let (target, gate, count) = gated().await;
    let lab = lab_with_route(&[target], |route| {
        route.limits.in_flight = Some(1);
        route.limits.queue = Some(1);
        route.limits.queue_ms = Some(10_000);
    })
    .await;
    let under_way = asking(lab.address, "/");
    wait_for("one under way", || async { count.load(Ordering::SeqCst) == 1 }).await;
    let mut leaving = TcpStream::connect(lab.address).await.unwrap();
    leaving.write_all(b"GET / HTTP/1.1\r\nHost: lab\r\n\r\n").await.unwrap();
    let waiting = "mainstay_edge_queue_waiting{host=\"*\",path=\"/\"}";
    wait_for("one waiting", || async { lab.metric(waiting).await == 1.0 }).await;
    drop(leaving);
    wait_for("none waiting", || async { lab.metric(waiting).await == 0.0 }).await;
    gate.add_permits(1);
    assert_eq!(status(&under_way.await.unwrap()), 200);
}

#[tokio::test]
async fn who_waits_in_the_queue_goes_where_the_newest_snapshot_says() {
    let (target, gate, count) = gated().await;
    let limited = |snapshot: &mut edge::Snapshot| {
        snapshot.routes[0].limits.in_flight = Some(1);
        snapshot.routes[0].limits.queue = Some(1);
        snapshot.routes[0].limits.queue_ms = Some(10_000);
    };
    let lab = lab_with_snapshot(quick(), pool("r1", &[target]), limited).await;
    let under_way = asking(lab.address, "/");
    wait_for("one under way", || async { count.load(Ordering::SeqCst) == 1 }).await;
    let queued = asking(lab.address, "/");
    let waiting = "mainstay_edge_queue_waiting{host=\"*\",path=\"/\"}";
    wait_for("one waiting", || async { lab.metric(waiting).await == 1.0 }).await;
    let mut next = snapshot(2, pool("r2", &[echo("new").await]));
    limited(&mut next);
    lab.control.apply(&next.seal()).await.unwrap();
    assert_eq!(lab.metric(waiting).await, 1.0, "the queue outlives the snapshot");
    gate.add_permits(1);
    assert!(under_way.await.unwrap().contains("let go"));
    assert!(queued.await.unwrap().contains("new\n"), "the queued request went to the old release");
}

#[tokio::test]
async fn a_route_has_its_own_time_and_its_own_body_size() {
    let (target, _gate, _count) = gated().await;
    let lab = lab_with_route(&[target], |route| {
        route.limits.response_ms = Some(80);
        route.limits.body_bytes = Some(4);
    })
    .await;
    let answer = lab.get("/").await;
    assert_eq!(status(&answer), 504, "{answer}");
    assert!(answer.contains("response-time"), "{answer}");
    let post = |lengths: &str, body: &str| {
        let text = format!("POST / HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n{lengths}\r\n\r\n{body}");
        let address = lab.address;
        async move { raw(address, text.as_bytes()).await }
    };
    assert_eq!(status(&post("Content-Length: 5", "12345").await), 413);
    assert_eq!(status(&post("Transfer-Encoding: chunked", "5\r\n12345\r\n0\r\n\r\n").await), 413);
    assert_eq!(lab.refused("body-too-large").await, 2.0);
}
