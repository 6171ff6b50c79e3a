//! Answers that break off behind a head that said that all is well: failures of their target.

use std::time::Duration;

use crate::support::calls::*;
use crate::support::*;
use edge::Pool;
use edge::snapshot::Outlier;
use http_body_util::BodyExt;
use tokio::io::AsyncWriteExt;

/// Announces a hundred bytes, sends fifty and closes; the pause lets the head go out first.
async fn cutting(pause: Duration) -> std::net::SocketAddr {
    upstream(move |mut stream| async move {
        if read_head(&mut stream).await.is_some() {
            let text = format!("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}", "x".repeat(50));
            let _ = stream.write_all(text.as_bytes()).await;
            tokio::time::sleep(pause).await;
        }
    })
    .await
}

/// All answers, and the failures among them.
async fn counted(lab: &Lab) -> (u64, u64) {
    let total = lab.control.figures(POOL).await.unwrap().of("r1").total;
    let metric = "mainstay_edge_broken_answers_total{pool=\"lab/test/web\",release=\"r1\"}";
    assert_eq!(lab.metric(metric).await, total.broken as f64);
    (total.requests(), total.errors())
}

#[tokio::test]
async fn the_client_gets_what_came_and_the_target_is_blamed() {
    for pause in [Duration::ZERO, Duration::from_millis(100)] {
        let lab = lab(&[cutting(pause).await]).await;
        let answer = raw(lab.address, b"GET / HTTP/1.1\r\nHost: lab\r\n\r\n").await;
        assert_eq!(status(&answer), 200, "{answer}");
        assert!(answer.contains("content-length: 100\r\n") && answer.ends_with(&"x".repeat(50)), "{answer}");
        assert_eq!(counted(&lab).await, (1, 1), "{pause:?}");
    }
}

#[tokio::test]
async fn over_http_2_the_stream_is_reset_and_the_target_is_blamed() {
    let lab = lab(&[cutting(Duration::from_millis(50)).await]).await;
    let mut sender = connect(&lab).await;
    let answer = sender.send_request(call(message(""))).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(answer.into_body().collect().await.is_err(), "a broken answer must not look whole");
    assert_eq!(counted(&lab).await, (1, 1));
}

#[tokio::test]
async fn an_answer_over_http_2_that_is_no_call_of_grpc_is_counted_too() {
    let service = server(|_| async move {
        let (sender, stream) = fed();
        tokio::spawn(async move {
            let _ = sender.send(data("piece")).await;
        });
        // Of the length that is announced, no more than a piece comes.
        let mut answer = http::Response::new(stream);
        answer.headers_mut().insert("content-length", "100".parse().unwrap());
        answer
    })
    .await;
    let lab = lab_with(quick(), h2c("r1", &[service.address])).await;
    let answer = raw(lab.address, b"GET / HTTP/1.1\r\nHost: lab\r\n\r\n").await;
    assert!(answer.ends_with("piece"), "{answer}");
    assert_eq!(counted(&lab).await, (1, 1));
}

#[tokio::test]
async fn a_client_that_leaves_inside_an_answer_blames_nobody() {
    let target = upstream(|mut stream| async move {
        read_head(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n").await;
        while stream.write_all(&[b'x'; 1_000]).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    let lab = lab(&[target]).await;
    let mut client = tokio::net::TcpStream::connect(lab.address).await.unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nHost: lab\r\n\r\n").await.unwrap();
    read_until(&mut client, "xxx").await;
    drop(client);
    wait_for("the request to end", || async { lab.control.status().await.unwrap().pools[0].in_flight == 0 }).await;
    assert_eq!(counted(&lab).await, (1, 0));
}

#[tokio::test]
async fn a_client_whose_body_breaks_off_inside_the_answer_blames_itself() {
    // Answers at once and reads on.
    let target = upstream(|mut stream| async move {
        read_head(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nxxx").await;
        let mut rest = Vec::new();
        let _ = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut rest).await;
    })
    .await;
    let lab = lab(&[target]).await;
    let mut client = tokio::net::TcpStream::connect(lab.address).await.unwrap();
    client.write_all(b"POST / HTTP/1.1\r\nHost: lab\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n").await.unwrap();
    read_until(&mut client, "xxx").await;
    client.write_all(b"no chunk\r\n").await.unwrap();
    wait_for("the request to end", || async { lab.control.status().await.unwrap().pools[0].in_flight == 0 }).await;
    assert_eq!(counted(&lab).await, (1, 0));
}

#[tokio::test]
async fn a_target_that_breaks_its_answers_off_gets_no_more_of_them() {
    let outlier = Some(Outlier { consecutive: 2, eject_ms: 60_000 });
    let targets = [cutting(Duration::from_millis(20)).await, echo("good").await];
    let lab = lab_with(quick(), Pool { outlier, ..pool("r1", &targets) }).await;
    for _ in 0..12 {
        raw(lab.address, b"GET / HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n").await;
    }
    let (requests, broken) = counted(&lab).await;
    assert_eq!(requests, 12);
    assert!((1..=4).contains(&broken), "it is taken out after a few: {broken}");
}

#[tokio::test]
async fn the_access_log_says_that_it_broke_off_and_leaves_no_such_line_out() {
    let log = edge::snapshot::AccessLog {
        file: None,
        // No line of what is fine would be written but each thousandth.
        sample: 1_000,
        slow_ms: 60_000,
        mask: vec![],
        mask_client: false,
        rotate_bytes: 1 << 20,
    };
    let target = cutting(Duration::from_millis(20)).await;
    let lab = lab_with_snapshot(quick(), pool("r1", &[target]), |snapshot| snapshot.access_log = Some(log)).await;
    for _ in 0..3 {
        raw(lab.address, b"GET / HTTP/1.1\r\nHost: lab\r\n\r\n").await;
    }
    let file = lab.folder.path().join("state/access.log");
    let lines = || std::fs::read_to_string(&file).unwrap_or_default();
    wait_for("three lines", || async { lines().lines().count() == 3 }).await;
    for line in lines().lines() {
        assert!(line.contains("\"status\":200") && line.contains("\"code\":\"target-broke-off\""), "{line}");
    }
}
