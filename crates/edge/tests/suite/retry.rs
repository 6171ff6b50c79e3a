//! Dead connections, dead targets, and what may be tried twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::support::*;
use edge::Limits;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// Answers one request per connection as if it would stay, and then closes: the worst of keep-alive.
async fn closes_after_one(seen: Arc<AtomicUsize>, delay: Duration) -> std::net::SocketAddr {
    upstream(move |mut stream| {
        let seen = seen.clone();
        async move {
            if read_head(&mut stream).await.is_some() {
                seen.fetch_add(1, Ordering::SeqCst);
                let _ = stream.write_all(ok("one").as_bytes()).await;
                tokio::time::sleep(delay).await;
            }
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_gets_over_connections_that_the_target_closes_all_succeed() {
    for delay in [Duration::ZERO, Duration::from_millis(1), Duration::from_millis(5)] {
        let seen = Arc::new(AtomicUsize::new(0));
        let lab = lab(&[closes_after_one(seen.clone(), delay).await]).await;
        let mut stream = TcpStream::connect(lab.address).await.unwrap();
        for round in 0..20u64 {
            stream.write_all(b"GET / HTTP/1.1\r\nHost: lab\r\n\r\n").await.unwrap();
            let answer = read_until(&mut stream, "one").await;
            assert_eq!(status(&answer), 200, "{answer}");
            tokio::time::sleep(Duration::from_micros(700 * (round % 10))).await;
        }
        assert_eq!(seen.load(Ordering::SeqCst), 20);
    }
}

/// Answers the first request of a connection, and closes without a word when it has read the second.
async fn dies_at_the_second(seen: Arc<AtomicUsize>) -> std::net::SocketAddr {
    upstream(move |mut stream| {
        let seen = seen.clone();
        async move {
            for turn in 0..2 {
                if read_head(&mut stream).await.is_none() {
                    return;
                }
                seen.fetch_add(1, Ordering::SeqCst);
                if turn == 0 {
                    let _ = stream.write_all(ok("fine").as_bytes()).await;
                }
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_get_on_a_dying_pooled_connection_is_repeated_and_a_post_is_not() {
    let seen = Arc::new(AtomicUsize::new(0));
    let lab = lab(&[dies_at_the_second(seen.clone()).await]).await;
    let ask = |method: &str| {
        let text = format!("{method} / HTTP/1.1\r\nHost: lab\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        async move { status(&raw(lab.address, text.as_bytes()).await) }
    };
    assert_eq!(ask("GET").await, 200);
    // Dies unanswered on the pooled connection, and is sent again on a new one.
    assert_eq!(ask("GET").await, 200);
    assert_eq!(seen.load(Ordering::SeqCst), 3);
    // The same for a POST would do it twice.
    assert_eq!(ask("POST").await, 502);
    assert_eq!(seen.load(Ordering::SeqCst), 4);
    let metrics = lab.control.metrics().await.unwrap();
    assert!(metrics.contains("mainstay_edge_retries_total{pool=\"lab/test/web\",release=\"r1\"} 1"), "{metrics}");
}

#[tokio::test]
async fn a_dead_target_is_left_out_and_all_dead_is_a_quick_502() {
    let (dead, alive) = (nobody().await, echo("alive").await);
    let both = lab(&[dead, alive]).await;
    for _ in 0..10 {
        assert_eq!(status(&both.get("/").await), 200);
    }
    let none = lab(&[dead, nobody().await]).await;
    let began = Instant::now();
    let answer = none.get("/").await;
    assert_eq!(status(&answer), 502, "{answer}");
    assert!(answer.contains("refuses connections"), "{answer}");
    assert!(began.elapsed() < Duration::from_millis(500), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_target_that_comes_back_is_used_at_once() {
    let address = nobody().await;
    let lab = lab(&[address]).await;
    assert_eq!(status(&lab.get("/").await), 502);
    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            read_head(&mut stream).await;
            let _ = stream.write_all(ok("back").as_bytes()).await;
        }
    });
    assert_eq!(status(&lab.get("/").await), 200);
}

#[tokio::test]
async fn a_silent_target_is_a_504_within_its_time() {
    let target = upstream(|mut stream| async move {
        read_head(&mut stream).await;
        tokio::time::sleep(Duration::from_secs(30)).await;
    })
    .await;
    let mut pool = pool("r1", &[target]);
    pool.response_timeout_ms = 300;
    let lab = lab_with(quick(), pool).await;
    let began = Instant::now();
    let answer = lab.get("/").await;
    assert_eq!(status(&answer), 504, "{answer}");
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_target_that_falls_silent_inside_its_answer_is_cut() {
    let target = upstream(|mut stream| async move {
        read_head(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf").await;
        tokio::time::sleep(Duration::from_secs(30)).await;
    })
    .await;
    let mut pool = pool("r1", &[target]);
    pool.response_timeout_ms = 300;
    let lab = lab_with(quick(), pool).await;
    let began = Instant::now();
    let answer = lab.get("/").await;
    assert!(answer.ends_with("half"), "{answer}");
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

#[tokio::test]
async fn an_idle_connection_to_a_target_is_closed_in_time() {
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
    let limits = Limits { target_idle: Duration::from_millis(150), ..quick() };
    let lab = lab_with(limits, pool("r1", &[target])).await;
    lab.get("/").await;
    assert_eq!(open.load(Ordering::SeqCst), 1);
    wait_for("the idle connection to close", || async { open.load(Ordering::SeqCst) == 0 }).await;
}

#[tokio::test]
async fn a_client_that_dribbles_its_head_is_dropped_and_an_idle_one_too() {
    let limits = Limits { header_read: Duration::from_millis(300), client_idle: Duration::from_millis(600), ..quick() };
    let lab = lab_with(limits, pool("r1", &[echo("a").await])).await;
    let mut slow = TcpStream::connect(lab.address).await.unwrap();
    slow.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    let began = Instant::now();
    read_all(&mut slow).await;
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    let mut idle = TcpStream::connect(lab.address).await.unwrap();
    idle.write_all(b"GET / HTTP/1.1\r\nHost: lab\r\n\r\n").await.unwrap();
    let began = Instant::now();
    assert!(read_all(&mut idle).await.contains("200 OK"));
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    let mut mute = TcpStream::connect(lab.address).await.unwrap();
    read_all(&mut mute).await;
}

#[tokio::test]
async fn a_client_that_stops_inside_its_body_is_not_waited_for() {
    let limits = Limits { request_body_idle: Duration::from_millis(300), ..quick() };
    let target = upstream(|mut stream| async move {
        read_head(&mut stream).await;
        tokio::time::sleep(Duration::from_secs(20)).await;
    })
    .await;
    let lab = lab_with(limits, pool("r1", &[target])).await;
    let text = "POST / HTTP/1.1\r\nHost: lab\r\nContent-Length: 100\r\n\r\nhalf";
    let began = Instant::now();
    let answer = raw(lab.address, text.as_bytes()).await;
    assert_eq!(status(&answer), 408, "{answer}");
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_body_over_the_limit_is_413() {
    let limits = Limits { body_bytes: Some(10), ..quick() };
    let lab = lab_with(limits, pool("r1", &[echo("a").await])).await;
    let text = "POST / HTTP/1.1\r\nHost: lab\r\nConnection: close\r\nContent-Length: 11\r\n\r\nhello world";
    assert_eq!(status(&raw(lab.address, text.as_bytes()).await), 413);
}
