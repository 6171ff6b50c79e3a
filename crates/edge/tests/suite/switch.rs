//! Changing the release under traffic, draining, and coming back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::support::*;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// Answers after a while.
async fn slow(name: &'static str, time: Duration) -> std::net::SocketAddr {
    upstream(move |mut stream| async move {
        while read_head(&mut stream).await.is_some() {
            tokio::time::sleep(time).await;
            let _ = stream.write_all(ok(name).as_bytes()).await;
        }
    })
    .await
}

#[tokio::test]
async fn a_running_request_ends_on_the_old_release_and_the_next_begins_on_the_new() {
    let lab = lab(&[slow("old", Duration::from_millis(1500)).await]).await;
    let address = lab.address;
    let running =
        tokio::spawn(async move { raw(address, b"GET / HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n").await });
    wait_for("the request to run", || async { lab.control.status().await.unwrap().pools[0].in_flight == 1 }).await;
    let applied = lab.switch(2, "r2", &[echo("new").await]).await;
    assert!(applied.changed);
    let began = Instant::now();
    assert!(lab.get("/").await.contains("new"));
    assert!(began.elapsed() < Duration::from_secs(1));
    let status = lab.control.status().await.unwrap();
    assert_eq!((status.draining[0].release.as_str(), status.draining[0].in_flight), ("r1", 1));
    assert_eq!(lab.control.drained(POOL, "r1", Duration::from_millis(50)).await.unwrap(), 1);
    assert_eq!(lab.control.drained(POOL, "r1", Duration::from_secs(10)).await.unwrap(), 0);
    assert!(running.await.unwrap().contains("old"));
}

#[tokio::test]
async fn a_release_that_comes_back_while_it_drains_is_taken_back() {
    let old = slow("old", Duration::from_millis(400)).await;
    let lab = lab(&[old]).await;
    let address = lab.address;
    let running =
        tokio::spawn(async move { raw(address, b"GET / HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n").await });
    wait_for("the request to run", || async { lab.control.status().await.unwrap().pools[0].in_flight == 1 }).await;
    lab.switch(2, "r2", &[echo("new").await]).await;
    lab.switch(3, "r1", &[old]).await;
    let status = lab.control.status().await.unwrap();
    assert_eq!((status.pools[0].release.as_str(), status.pools[0].in_flight), ("r1", 1));
    assert!(status.draining.is_empty(), "{:?}", status.draining);
    assert!(lab.get("/").await.contains("old"));
    assert!(running.await.unwrap().contains("old"));
}

#[tokio::test]
async fn no_idle_connection_to_an_old_release_survives_the_switch() {
    let open = Arc::new(AtomicUsize::new(0));
    let counter = open.clone();
    let target = upstream(move |mut stream| {
        let counter = counter.clone();
        async move {
            counter.fetch_add(1, Ordering::SeqCst);
            while read_head(&mut stream).await.is_some() {
                let _ = stream.write_all(ok("x").as_bytes()).await;
            }
            counter.fetch_sub(1, Ordering::SeqCst);
        }
    })
    .await;
    let lab = lab(&[target]).await;
    lab.get("/").await;
    assert_eq!(open.load(Ordering::SeqCst), 1);
    lab.switch(2, "r2", &[echo("new").await]).await;
    wait_for("the idle connection to close", || async { open.load(Ordering::SeqCst) == 0 }).await;
}

/// Keep-alive clients that ask until told to stop; counts answers and failures.
fn load(
    address: std::net::SocketAddr,
    clients: usize,
    stop: Arc<AtomicBool>,
) -> Vec<tokio::task::JoinHandle<(usize, usize)>> {
    (0..clients)
        .map(|_| {
            let stop = stop.clone();
            tokio::spawn(async move {
                let (mut fine, mut failed) = (0, 0);
                let mut stream = TcpStream::connect(address).await.unwrap();
                while !stop.load(Ordering::Relaxed) {
                    let sent = stream.write_all(b"GET / HTTP/1.1\r\nHost: lab\r\n\r\n").await;
                    match (sent, answered(&mut stream).await) {
                        (Ok(()), true) => fine += 1,
                        _ => {
                            failed += 1;
                            stream = TcpStream::connect(address).await.unwrap();
                        }
                    }
                }
                (fine, failed)
            })
        })
        .collect()
}

/// Reads one answer of a known small body; true when it is a 200.
async fn answered(stream: &mut TcpStream) -> bool {
    use tokio::io::AsyncReadExt;
    let mut bytes = Vec::new();
    let mut buffer = [0u8; 2048];
    loop {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return false,
            Ok(count) => bytes.extend_from_slice(&buffer[..count]),
        }
        if bytes.ends_with(b"counted") {
            return bytes.starts_with(b"HTTP/1.1 200");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_switches_under_load_fail_no_request_and_drained_means_drained() {
    let counts: Vec<_> = (0..2).map(|_| Arc::new(AtomicUsize::new(0))).collect();
    let targets = [counting(counts[0].clone()).await, counting(counts[1].clone()).await];
    let lab = lab(&[targets[0]]).await;
    let stop = Arc::new(AtomicBool::new(false));
    let clients = load(lab.address, 16, stop.clone());
    let began = Instant::now();
    for epoch in 2..52u64 {
        let (to, from) = (usize::from(epoch % 2 == 0), usize::from(epoch % 2 == 1));
        lab.switch(epoch, &format!("r{epoch}"), &[targets[to]]).await;
        let left = lab.control.drained(POOL, &format!("r{}", epoch - 1), Duration::from_secs(5)).await.unwrap();
        assert_eq!(left, 0);
        // Drained: not one request reaches the old target from here on.
        let before = counts[from].load(Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(30)).await;
        assert_eq!(counts[from].load(Ordering::SeqCst), before, "epoch {epoch}");
    }
    stop.store(true, Ordering::Relaxed);
    let (mut fine, mut failed) = (0, 0);
    for client in clients {
        let (f, x) = client.await.unwrap();
        (fine, failed) = (fine + f, failed + x);
    }
    assert_eq!(failed, 0, "of {fine} requests in {:?}", began.elapsed());
    assert!(fine > 1_000, "{fine} requests in {:?}", began.elapsed());
}

#[tokio::test]
async fn counters_go_on_when_a_release_comes_back() {
    let (a, b) = (echo("a").await, echo("b").await);
    let lab = lab(&[a]).await;
    lab.get("/").await;
    lab.switch(2, "r2", &[b]).await;
    lab.get("/").await;
    lab.switch(3, "r1", &[a]).await;
    lab.get("/").await;
    let metrics = lab.control.metrics().await.unwrap();
    let line = |release: &str, count: u32| {
        format!("mainstay_edge_requests_total{{pool=\"lab/test/web\",release=\"{release}\",code=\"2xx\"}} {count}")
    };
    assert!(metrics.contains(&line("r1", 2)) && metrics.contains(&line("r2", 1)), "{metrics}");
    assert!(metrics.contains("mainstay_edge_snapshot_epoch 3"), "{metrics}");
}

#[tokio::test]
async fn a_shutdown_finishes_what_is_under_way_and_takes_nothing_new() {
    let lab = lab(&[slow("done", Duration::from_millis(500)).await]).await;
    let address = lab.address;
    let mut idle = TcpStream::connect(address).await.unwrap();
    let running = tokio::spawn(async move { raw(address, b"GET / HTTP/1.1\r\nHost: lab\r\n\r\n").await });
    wait_for("the request to run", || async { lab.control.status().await.unwrap().pools[0].in_flight == 1 }).await;
    lab.shutdown.cancel();
    let answer = running.await.unwrap();
    assert!(answer.contains("done") && answer.to_lowercase().contains("connection: close"), "{answer}");
    read_all(&mut idle).await;
    lab.serving.await.unwrap().unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}
