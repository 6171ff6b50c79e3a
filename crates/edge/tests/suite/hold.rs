//! Requests that wait while their pool is being replaced.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::support::*;
use edge::Pool;
use edge::snapshot::Hold;
use parking_lot::Mutex;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

fn holding(release: &str, targets: &[SocketAddr], most: u32, max_ms: u64) -> Pool {
    Pool { hold: Some(Hold { now: true, max_requests: most, max_bytes: 1 << 20, max_ms }), ..pool(release, targets) }
}

async fn hold(lab: &Lab, epoch: u64, pool: Pool) {
    lab.control.apply(&snapshot(epoch, pool)).await.unwrap();
}

async fn waiting(lab: &Lab, count: u64) {
    wait_for("requests to wait", || async { lab.control.status().await.unwrap().pools[0].held == count }).await;
}

async fn ask(lab: &Lab, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(lab.address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    stream
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n")
}

/// Notes the one path of each connection, by the order in which the connections came.
async fn noting(paths: Arc<Mutex<BTreeMap<usize, String>>>) -> SocketAddr {
    let count = AtomicUsize::new(0);
    upstream(move |mut stream| {
        let (paths, number) = (paths.clone(), count.fetch_add(1, Ordering::SeqCst));
        async move {
            if let Some(head) = read_head(&mut stream).await {
                paths.lock().insert(number, head.split(' ').nth(1).unwrap_or("").to_owned());
                let _ = stream.write_all(ok("new").as_bytes()).await;
            }
        }
    })
    .await
}

#[tokio::test]
async fn who_waits_goes_to_the_new_release_in_order_and_each_once() {
    let paths = Arc::new(Mutex::new(BTreeMap::new()));
    let new = noting(paths.clone()).await;
    let lab = lab(&[echo("old").await]).await;
    hold(&lab, 2, holding("r1", &[nobody().await], 100, 10_000)).await;
    let mut clients = Vec::new();
    for number in 0..20 {
        clients.push(ask(&lab, &get(&format!("/{number}"))).await);
        waiting(&lab, number + 1).await;
    }
    assert_eq!(lab.control.status().await.unwrap().pools[0].in_flight, 0, "who waits is not in flight");
    lab.switch(3, "r2", &[new]).await;
    for client in &mut clients {
        assert_eq!(status(&read_all(client).await), 200);
    }
    let asked: Vec<_> = paths.lock().values().cloned().collect();
    assert_eq!(asked, (0..20).map(|number| format!("/{number}")).collect::<Vec<_>>());
    let metrics = lab.control.metrics().await.unwrap();
    assert!(metrics.contains("mainstay_edge_held_total{pool=\"lab/test/web\"} 20"), "{metrics}");
    assert!(metrics.contains("mainstay_edge_held{pool=\"lab/test/web\"} 0"), "{metrics}");
}

#[tokio::test]
async fn a_pool_without_a_target_holds_too_and_names_no_problem() {
    let lab = lab(&[echo("old").await]).await;
    let applied = lab.control.apply(&snapshot(2, holding("r1", &[], 10, 10_000))).await.unwrap();
    assert!(applied.problems.is_empty(), "{:?}", applied.problems);
    let mut client = ask(&lab, &get("/")).await;
    waiting(&lab, 1).await;
    lab.switch(3, "r1", &[echo("again").await]).await;
    assert!(read_all(&mut client).await.contains("again"));
}

#[tokio::test]
async fn what_was_under_way_ends_on_the_old_target_and_a_drain_of_it_waits_for_nobody_else() {
    let old = upstream(|mut stream| async move {
        read_head(&mut stream).await;
        read_until(&mut stream, "go").await;
        let _ = stream.write_all(ok("old").as_bytes()).await;
    })
    .await;
    let lab = lab(&[old]).await;
    let mut running = ask(&lab, "POST / HTTP/1.1\r\nHost: lab\r\nContent-Length: 2\r\nConnection: close\r\n\r\n").await;
    wait_for("the request to run", || async { lab.control.status().await.unwrap().pools[0].in_flight == 1 }).await;
    hold(&lab, 2, holding("r1", &[old], 10, 10_000)).await;
    let mut waits = ask(&lab, &get("/")).await;
    waiting(&lab, 1).await;
    let status = lab.control.status().await.unwrap();
    assert_eq!((status.pools[0].in_flight, status.draining.len()), (1, 0), "holding makes no new generation");
    running.write_all(b"go").await.unwrap();
    assert!(read_all(&mut running).await.contains("old"));
    wait_for("the drain", || async { lab.control.status().await.unwrap().pools[0].in_flight == 0 }).await;
    lab.switch(3, "r2", &[echo("new").await]).await;
    assert!(read_all(&mut waits).await.contains("new"));
}

#[tokio::test]
async fn drained_sees_what_is_under_way_while_holding() {
    let old = upstream(|mut stream| async move {
        read_head(&mut stream).await;
        tokio::time::sleep(Duration::from_millis(400)).await;
        let _ = stream.write_all(ok("old").as_bytes()).await;
    })
    .await;
    let lab = lab(&[old]).await;
    let mut running = ask(&lab, &get("/")).await;
    wait_for("the request to run", || async { lab.control.status().await.unwrap().pools[0].in_flight == 1 }).await;
    // As a stop-first deploy does it: the next release is routed without a target, and held.
    hold(&lab, 2, holding("r2", &[], 10, 10_000)).await;
    let mut waits = ask(&lab, &get("/")).await;
    waiting(&lab, 1).await;
    assert_eq!(lab.control.drained(POOL, "r1", Duration::from_millis(20)).await.unwrap(), 1);
    assert_eq!(lab.control.drained(POOL, "r1", Duration::from_secs(5)).await.unwrap(), 0);
    assert!(read_all(&mut running).await.contains("old"));
    lab.switch(3, "r2", &[echo("new").await]).await;
    assert!(read_all(&mut waits).await.contains("new"));
}

#[tokio::test]
async fn one_too_many_is_told_at_once_and_the_others_still_wait() {
    let lab = lab(&[echo("old").await]).await;
    hold(&lab, 2, holding("r1", &[], 2, 10_000)).await;
    let mut clients = [ask(&lab, &get("/1")).await, ask(&lab, &get("/2")).await];
    waiting(&lab, 2).await;
    let answer = lab.get("/3").await;
    assert_eq!(status(&answer), 503);
    assert!(answer.contains("hold-full") && answer.to_lowercase().contains("retry-after: "), "{answer}");
    lab.switch(3, "r2", &[echo("new").await]).await;
    for client in &mut clients {
        assert!(read_all(client).await.contains("new"));
    }
    let metrics = lab.control.metrics().await.unwrap();
    assert!(metrics.contains("mainstay_edge_hold_full_total{pool=\"lab/test/web\"} 1"), "{metrics}");
}

#[tokio::test]
async fn who_waits_for_too_long_is_told_to_come_back() {
    let lab = lab(&[echo("old").await]).await;
    hold(&lab, 2, holding("r1", &[], 10, 150)).await;
    let began = Instant::now();
    let answer = lab.get("/").await;
    assert_eq!(status(&answer), 503);
    assert!(answer.contains("hold-too-long") && answer.to_lowercase().contains("retry-after: "), "{answer}");
    assert!(began.elapsed() >= Duration::from_millis(150) && began.elapsed() < Duration::from_secs(2));
    waiting(&lab, 0).await;
}

#[tokio::test]
async fn who_leaves_while_waiting_gives_the_place_back_at_once() {
    let lab = lab(&[echo("old").await]).await;
    hold(&lab, 2, holding("r1", &[], 2, 10_000)).await;
    let plain = ask(&lab, &get("/")).await;
    let with_body = ask(&lab, "POST / HTTP/1.1\r\nHost: lab\r\nContent-Length: 5\r\n\r\nhello").await;
    waiting(&lab, 2).await;
    let metrics = lab.control.metrics().await.unwrap();
    assert!(metrics.contains("mainstay_edge_held_bytes{pool=\"lab/test/web\"} 5"), "{metrics}");
    drop((plain, with_body));
    waiting(&lab, 0).await;
    let metrics = lab.control.metrics().await.unwrap();
    assert!(metrics.contains("mainstay_edge_held_bytes{pool=\"lab/test/web\"} 0"), "{metrics}");
}

#[tokio::test]
async fn a_body_sent_before_and_after_the_wait_arrives_whole() {
    let new = upstream(|mut stream| async move {
        let head = read_head(&mut stream).await.unwrap_or_default().to_lowercase();
        assert!(head.contains("content-length: 11") && !head.contains("chunked"), "{head}");
        read_until(&mut stream, "hello world").await;
        let _ = stream.write_all(ok("whole").as_bytes()).await;
    })
    .await;
    let lab = lab(&[echo("old").await]).await;
    hold(&lab, 2, holding("r1", &[], 2, 10_000)).await;
    let head = "POST / HTTP/1.1\r\nHost: lab\r\nContent-Length: 11\r\nConnection: close\r\n\r\nhello";
    let mut client = ask(&lab, head).await;
    waiting(&lab, 1).await;
    client.write_all(b" wor").await.unwrap();
    lab.switch(3, "r2", &[new]).await;
    client.write_all(b"ld").await.unwrap();
    assert!(read_all(&mut client).await.contains("whole"));
}

#[tokio::test]
async fn a_large_body_is_not_read_beyond_the_budget_while_it_waits() {
    let lab = lab(&[echo("old").await]).await;
    let mut held = holding("r1", &[], 2, 10_000);
    held.hold.as_mut().unwrap().max_bytes = 100_000;
    hold(&lab, 2, held).await;
    let mut client = ask(&lab, "POST / HTTP/1.1\r\nHost: lab\r\nContent-Length: 100000000\r\n\r\n").await;
    let piece = vec![b'x'; 1 << 20];
    let mut sent = 0;
    // Written until the kernel's buffers are full, too: then nothing moves any more.
    while let Ok(written) = tokio::time::timeout(Duration::from_millis(300), client.write(&piece)).await {
        sent += written.unwrap();
        assert!(sent < 50_000_000, "the edge reads without bounds");
    }
    let metrics = lab.control.metrics().await.unwrap();
    let line = metrics.lines().find(|line| line.starts_with("mainstay_edge_held_bytes{")).unwrap();
    let bytes: u64 = line.rsplit(' ').next().unwrap().parse().unwrap();
    assert!((100_000..400_000).contains(&bytes), "{bytes} of {sent} sent");
}

#[tokio::test]
async fn an_expected_body_is_not_asked_for_while_waiting() {
    let new = upstream(|mut stream| async move {
        read_head(&mut stream).await;
        read_until(&mut stream, "hello").await;
        let _ = stream.write_all(ok("new").as_bytes()).await;
    })
    .await;
    let lab = lab(&[echo("old").await]).await;
    hold(&lab, 2, holding("r1", &[], 2, 10_000)).await;
    let head = "POST / HTTP/1.1\r\nHost: lab\r\nExpect: 100-continue\r\nContent-Length: 5\r\nConnection: close\r\n\r\n";
    let mut client = ask(&lab, head).await;
    waiting(&lab, 1).await;
    let mut byte = [0u8; 1];
    let early = tokio::time::timeout(Duration::from_millis(100), client.peek(&mut byte)).await;
    assert!(early.is_err(), "the edge spoke before there was a target");
    lab.switch(3, "r2", &[new]).await;
    read_until(&mut client, "100 Continue").await;
    client.write_all(b"hello").await.unwrap();
    assert!(read_all(&mut client).await.contains("new"));
}

#[tokio::test]
async fn a_websocket_handshake_waits_too() {
    let new = upstream(|mut stream| async move {
        read_head(&mut stream).await;
        let agreed = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nhi";
        let _ = stream.write_all(agreed.as_bytes()).await;
        let _ = read_head(&mut stream).await;
    })
    .await;
    let lab = lab(&[echo("old").await]).await;
    hold(&lab, 2, holding("r1", &[], 2, 10_000)).await;
    let ask_for = "GET /ws HTTP/1.1\r\nHost: lab\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let mut client = ask(&lab, ask_for).await;
    waiting(&lab, 1).await;
    lab.switch(3, "r2", &[new]).await;
    assert_eq!(status(&read_until(&mut client, "hi").await), 101);
}

#[tokio::test]
async fn holding_again_before_the_first_hold_is_over_keeps_everybody() {
    let lab = lab(&[echo("old").await]).await;
    hold(&lab, 2, holding("r1", &[], 100, 10_000)).await;
    let mut clients = Vec::new();
    for number in 0..10 {
        clients.push(ask(&lab, &get(&format!("/{number}"))).await);
    }
    waiting(&lab, 10).await;
    let new = echo("new").await;
    for epoch in 3..9 {
        lab.switch(epoch * 2, "r2", &[new]).await;
        hold(&lab, epoch * 2 + 1, holding("r2", &[new], 100, 10_000)).await;
    }
    lab.switch(100, "r2", &[new]).await;
    for client in &mut clients {
        assert!(read_all(client).await.contains("new"));
    }
}

#[tokio::test]
async fn a_pool_that_vanishes_sends_everybody_away() {
    let lab = lab(&[echo("old").await]).await;
    hold(&lab, 2, holding("r1", &[], 2, 10_000)).await;
    let mut client = ask(&lab, &get("/")).await;
    waiting(&lab, 1).await;
    let mut empty = edge::Snapshot::new(3);
    empty.listeners.push(listener("web", 0));
    lab.control.apply(&empty.seal()).await.unwrap();
    assert_eq!(status(&read_all(&mut client).await), 502);
}

#[tokio::test]
async fn a_shutdown_sends_who_waits_to_the_next_edge() {
    let lab = lab(&[echo("old").await]).await;
    hold(&lab, 2, holding("r1", &[], 2, 10_000)).await;
    let mut client = ask(&lab, &get("/")).await;
    waiting(&lab, 1).await;
    lab.shutdown.cancel();
    let answer = read_all(&mut client).await;
    assert!(status(&answer) == 503 && answer.contains("hold-ended"), "{answer}");
}

/// Answers `/slow` after this long and everything else at once.
async fn slow(name: &'static str, time: Duration) -> SocketAddr {
    upstream(move |mut stream| async move {
        while let Some(head) = read_head(&mut stream).await {
            if head.starts_with("GET /slow") {
                tokio::time::sleep(time).await;
            }
            let _ = stream.write_all(ok(name).as_bytes()).await;
        }
    })
    .await
}

async fn in_flight(lab: &Lab, count: u64) {
    wait_for("requests to run", || async { lab.control.status().await.unwrap().pools[0].in_flight == count }).await;
}

#[tokio::test]
async fn what_is_under_way_is_waited_for_while_others_are_served() {
    let lab = lab(&[slow("old", Duration::from_millis(600)).await]).await;
    let mut first = ask(&lab, &get("/slow")).await;
    in_flight(&lab, 1).await;
    let settled = lab.control.settled(POOL, "r1", Duration::from_secs(10));
    let others = async {
        // Others come and go all the while, and one more long one comes.
        let mut second = None;
        for round in 0..20 {
            assert!(read_all(&mut ask(&lab, &get("/")).await).await.contains("old"));
            if round == 15 {
                second = Some(ask(&lab, &get("/slow")).await);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        second.unwrap()
    };
    let began = Instant::now();
    let (left, mut second) = tokio::join!(settled, others);
    assert_eq!(left.unwrap(), 0);
    assert!(began.elapsed() < Duration::from_millis(900), "it did not wait for what came later: {:?}", began.elapsed());
    assert!(read_all(&mut first).await.contains("old"));
    assert_eq!(lab.control.settled(POOL, "r1", Duration::from_millis(20)).await.unwrap(), 1, "the second one");
    assert!(read_all(&mut second).await.contains("old"));
    assert_eq!(lab.control.settled(POOL, "r1", Duration::from_secs(5)).await.unwrap(), 0);
}

#[tokio::test]
async fn a_drain_while_requests_are_held_ends_streams_at_once_and_lets_requests_finish() {
    let events = upstream(|mut stream| async move {
        let head = read_head(&mut stream).await.unwrap_or_default();
        if head.starts_with("GET /slow") {
            tokio::time::sleep(Duration::from_millis(700)).await;
            let _ = stream.write_all(ok("finished").as_bytes()).await;
            return;
        }
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
        let _ = stream.write_all(head.as_bytes()).await;
        while stream.write_all(b"9\r\ndata: x\n\n\r\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    let lab = lab_with(edge::Limits { close_spread: Duration::from_secs(60), ..quick() }, pool("r1", &[events])).await;
    let mut stream = ask(&lab, &get("/events")).await;
    read_until(&mut stream, "data: x").await;
    let mut request = ask(&lab, &get("/slow")).await;
    in_flight(&lab, 2).await;
    hold(&lab, 2, holding("r1", &[], 10, 10_000)).await;
    let began = Instant::now();
    assert_eq!(lab.control.drained(POOL, "r1", Duration::from_secs(10)).await.unwrap(), 0);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert!(read_all(&mut request).await.contains("finished"));
    assert!(read_all(&mut stream).await.ends_with("0\r\n\r\n"), "an ordinary end, after which its client comes back");
    // And back it comes after all: streams of the same release are not ended any more.
    hold(&lab, 3, pool("r1", &[events])).await;
    let mut stream = ask(&lab, &get("/events")).await;
    read_until(&mut stream, "data: x").await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    read_until(&mut stream, "data: x").await;
}
