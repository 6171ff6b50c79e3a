//! HTTP/2 to targets while releases change: what runs goes on, what is new goes to the new one, and connections end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::support::calls::*;
use crate::support::*;
use edge::snapshot::Health;
use edge::{Limits, Pool};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::sync::mpsc;

type Feed = mpsc::Sender<hyper::body::Frame<bytes::Bytes>>;

/// A stream that has begun.
async fn stream(sender: &hyper::client::conn::http2::SendRequest<Stream>, first: &str) -> (Feed, Incoming) {
    let (feed, body) = fed();
    let answering = sender.clone().send_request(call(body));
    feed.send(data("1")).await.unwrap();
    let mut body = answering.await.unwrap().into_body();
    assert_eq!(piece(&mut body).await.as_deref(), Some(first));
    (feed, body)
}

#[tokio::test]
async fn streams_that_run_go_on_and_new_calls_of_the_same_client_go_to_the_new_release() {
    let (old, new) = (echo_calls("old").await, echo_calls("new").await);
    let lab = lab_with(quick(), h2c("r1", &[old.address])).await;
    let sender = connect(&lab).await;
    let (feed, mut body) = stream(&sender, "old:1").await;
    let applied = lab.control.apply(&snapshot(2, h2c("r2", &[new.address]))).await.unwrap();
    assert!(applied.problems.is_empty(), "{:?}", applied.problems);
    assert_eq!(ask(&sender, call(message("x"))).await.body, "new:x");
    feed.send(data("2")).await.unwrap();
    assert_eq!(piece(&mut body).await.as_deref(), Some("old:2"));
    assert_eq!(lab.control.status().await.unwrap().draining[0].in_flight, 1);
    assert_eq!(old.open(), 1);
    drop(feed);
    assert_eq!(body.collect().await.unwrap().trailers().unwrap()["grpc-status"], "0");
    assert_eq!(lab.control.drained(POOL, "r1", Duration::from_secs(5)).await.unwrap(), 0);
    wait_for("the old connection to end with its last stream", || async { old.open() == 0 }).await;
}

#[tokio::test]
async fn a_connection_without_a_call_ends_with_the_switch() {
    let (old, new) = (echo_calls("old").await, echo_calls("new").await);
    let lab = lab_with(quick(), h2c("r1", &[old.address])).await;
    let sender = connect(&lab).await;
    ask(&sender, call(message("x"))).await;
    assert_eq!(old.open(), 1);
    lab.control.apply(&snapshot(2, h2c("r2", &[new.address]))).await.unwrap();
    wait_for("the connection to end", || async { old.open() == 0 }).await;
}

#[tokio::test]
async fn streams_without_an_end_are_told_that_their_time_is_over_and_come_back_to_the_new_release() {
    let (old, new) = (echo_calls("old").await, echo_calls("new").await);
    let mut first = h2c("r1", &[old.address]);
    first.drain_websocket_ms = 400;
    let lab = lab_with(quick(), first).await;
    let sender = connect(&lab).await;
    let (feed, mut body) = stream(&sender, "old:1").await;
    let began = Instant::now();
    lab.control.apply(&snapshot(2, h2c("r2", &[new.address]))).await.unwrap();
    feed.send(data("2")).await.unwrap();
    assert_eq!(piece(&mut body).await.as_deref(), Some("old:2"));
    let end = body.collect().await.unwrap().trailers().cloned().expect("trailers");
    assert!(began.elapsed() >= Duration::from_millis(350), "ended after {:?}", began.elapsed());
    assert_eq!(end["grpc-status"], "14");
    assert!(end["grpc-message"].to_str().unwrap().contains("release-over"), "{end:?}");
    assert_eq!(lab.control.drained(POOL, "r1", Duration::from_secs(5)).await.unwrap(), 0);
    wait_for("the target's connection to end", || async { old.open() == 0 }).await;
    // The client's connection is as good as before.
    let _begun = stream(&sender, "new:1").await;
}

#[tokio::test]
async fn a_stream_that_was_not_answered_yet_ends_too_and_a_long_piece_of_work_does_not() {
    let slow = |request: http::Request<Incoming>| async move {
        if request.uri().path() == "/work" {
            tokio::time::sleep(Duration::from_millis(1200)).await;
            return echoed("old", request);
        }
        std::future::pending().await
    };
    let old = server(slow).await;
    let mut first = h2c("r1", &[old.address]);
    first.drain_websocket_ms = 200;
    let lab = lab_with(quick(), first).await;
    let sender = connect(&lab).await;
    let (feed, body) = fed();
    let (waiting, working) = (sender.clone(), sender.clone());
    let waiting = tokio::spawn(async move { ask(&waiting, call(body)).await });
    let mut work = call(message("x"));
    *work.uri_mut() = "http://lab/work".parse().unwrap();
    let working = tokio::spawn(async move { ask(&working, work).await });
    wait_for("both calls", || async { old.calls() == 2 }).await;
    lab.control.apply(&snapshot(2, h2c("r2", &[echo_calls("new").await.address]))).await.unwrap();
    let outcome = waiting.await.unwrap();
    assert_eq!(outcome.code(), "14");
    assert!(outcome.message().contains("release-over"), "{}", outcome.message());
    assert_eq!(working.await.unwrap().body, "old:x");
    drop(feed);
}

#[tokio::test]
async fn a_roll_back_in_time_keeps_the_stream_and_its_connection() {
    let old = echo_calls("old").await;
    let mut first = h2c("r1", &[old.address]);
    first.drain_websocket_ms = 300;
    let lab = lab_with(quick(), first.clone()).await;
    let sender = connect(&lab).await;
    let (feed, mut body) = stream(&sender, "old:1").await;
    lab.control.apply(&snapshot(2, h2c("r2", &[echo_calls("new").await.address]))).await.unwrap();
    lab.control.apply(&snapshot(3, first)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(700)).await;
    feed.send(data("2")).await.unwrap();
    assert_eq!(piece(&mut body).await.as_deref(), Some("old:2"));
    assert_eq!(ask(&sender, call(message("x"))).await.body, "old:x");
}

#[tokio::test]
async fn a_connection_that_rests_for_long_is_closed_and_opened_again_when_it_is_needed() {
    let server = echo_calls("a").await;
    let limits = Limits { target_idle_h2: Duration::from_millis(100), ..quick() };
    let lab = lab_with(limits, h2c("r1", &[server.address])).await;
    let sender = connect(&lab).await;
    let (feed, mut body) = stream(&sender, "a:1").await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(server.open(), 1, "one with a call does not rest");
    drop(feed);
    while piece(&mut body).await.is_some() {}
    wait_for("the idle connection to close", || async { server.open() == 0 }).await;
    assert_eq!(ask(&sender, call(message("x"))).await.body, "a:x");
    assert_eq!(server.accepted(), 2);
}

#[tokio::test]
async fn a_target_that_stops_finishes_its_streams_and_takes_no_new_ones() {
    let (going, staying) = (echo_calls("a").await, echo_calls("b").await);
    let lab = lab_with(quick(), h2c("r1", &[going.address])).await;
    let sender = connect(&lab).await;
    let (feed, mut body) = stream(&sender, "a:1").await;
    going.going.cancel();
    // The same release with one more target, as when a copy is replaced.
    lab.control.apply(&snapshot(2, h2c("r1", &[staying.address]))).await.unwrap();
    assert_eq!(ask(&sender, call(message("x"))).await.body, "b:x");
    feed.send(data("2")).await.unwrap();
    assert_eq!(piece(&mut body).await.as_deref(), Some("a:2"));
    drop(feed);
    assert_eq!(body.collect().await.unwrap().trailers().unwrap()["grpc-status"], "0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_switches_under_calls_fail_none_and_drained_means_drained() {
    let servers = [echo_calls("a").await, echo_calls("b").await];
    let lab = lab_with(quick(), h2c("r1", &[servers[0].address])).await;
    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let (stop, done, address) = (stop.clone(), done.clone(), lab.address);
            tokio::spawn(async move {
                let stream = tokio::net::TcpStream::connect(address).await.unwrap();
                let sender = over(hyper_util::rt::TokioIo::new(stream)).await;
                while !stop.load(Ordering::Relaxed) {
                    let outcome = ask(&sender, call(message("x"))).await;
                    assert_eq!((outcome.code(), &outcome.body[1..]), ("0", ":x"), "{outcome:?}");
                    done.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for epoch in 2..52u64 {
        let (to, from) = (usize::from(epoch % 2 == 0), usize::from(epoch % 2 == 1));
        lab.control.apply(&snapshot(epoch, h2c(&format!("r{epoch}"), &[servers[to].address]))).await.unwrap();
        let left = lab.control.drained(POOL, &format!("r{}", epoch - 1), Duration::from_secs(5)).await.unwrap();
        assert_eq!(left, 0);
        let before = servers[from].calls();
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(servers[from].calls(), before, "epoch {epoch}");
    }
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    assert!(done.load(Ordering::Relaxed) > 500, "{done:?} calls");
}

#[tokio::test]
async fn a_shutdown_ends_streams_with_a_word() {
    let server = echo_calls("a").await;
    let lab = lab_with(quick(), h2c("r1", &[server.address])).await;
    let sender = connect(&lab).await;
    let (_feed, body) = stream(&sender, "a:1").await;
    lab.stop().await;
    assert_eq!(body.collect().await.unwrap().trailers().unwrap()["grpc-status"], "14");
}

/// A gRPC server whose health is what the word says.
async fn with_health(name: &'static str, word: Arc<parking_lot::Mutex<&'static str>>) -> Server {
    server(move |request| {
        let word = *word.lock();
        async move {
            if request.uri().path() != "/grpc.health.v1.Health/Check" {
                return echoed(name, request);
            }
            let (sender, stream) = fed();
            let status = match word {
                "serving" => Some(1),
                "not serving" => Some(2),
                _ => None,
            };
            if let Some(status) = status {
                tokio::spawn(async move {
                    let _ = sender.send(data(vec![0, 0, 0, 0, 2, 8, status])).await;
                    let _ = sender.send(trailers("0")).await;
                });
                return answer(stream);
            }
            let mut response = answer(Stream::default());
            response.headers_mut().insert("grpc-status", "12".parse().unwrap());
            response
        }
    })
    .await
}

#[tokio::test]
async fn a_target_that_says_it_is_not_serving_is_left_out_and_one_without_the_protocol_is_not() {
    let (one, two) = (Arc::new(parking_lot::Mutex::new("serving")), Arc::new(parking_lot::Mutex::new("none")));
    let (a, b) = (with_health("a", one.clone()).await, with_health("b", two).await);
    let health = Health {
        path: String::new(),
        grpc: Some(String::new()),
        host: None,
        https: false,
        interval_ms: 20,
        timeout_ms: 500,
        fall: 2,
        rise: 2,
    };
    let pool = Pool { health: Some(health), ..h2c("r1", &[a.address, b.address]) };
    let lab = lab_with(quick(), pool).await;
    let sender = connect(&lab).await;
    let who = || async {
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..6 {
            seen.insert(ask(&sender, call(message("x"))).await.body);
        }
        seen.into_iter().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(who().await, "a:x b:x");
    *one.lock() = "not serving";
    wait_for("the first to be left out", || async { who().await == "b:x" }).await;
    *one.lock() = "serving";
    wait_for("the first to come back", || async { who().await == "a:x b:x" }).await;
}
