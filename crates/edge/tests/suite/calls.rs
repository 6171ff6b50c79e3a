//! Pools that are spoken to in HTTP/2: calls of every kind, for gRPC clients and for others.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::secure::{Ca, secure_lab_with, secured};
use crate::support::calls::*;
use crate::support::*;
use bytes::Bytes;
use edge::Limits;
use edge::snapshot::Tls;
use http::{HeaderMap, HeaderValue, Request};
use http_body_util::BodyExt;
use hyper::body::Frame;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

#[tokio::test]
async fn a_call_with_one_message_arrives_as_http_2_and_its_trailers_come_back() {
    let server = echo_calls("a").await;
    let lab = lab_with(quick(), h2c("r1", &[server.address])).await;
    let outcome = ask(&connect(&lab).await, call(message("hello"))).await;
    assert_eq!((outcome.status, outcome.code(), outcome.body.as_str()), (200, "0", "a:hello"));
    assert_eq!(outcome.headers["content-type"], "application/grpc");
    assert_eq!(outcome.headers["via"], "2 mainstay");
    let seen = outcome.headers["x-seen"].to_str().unwrap();
    assert!(seen.starts_with("HTTP/2.0 http://lab/shop.Orders/Place"), "{seen}");
    for part in ["\"te\": \"trailers\"", "\"x-forwarded-for\": \"127.0.0.1\"", "\"x-request-id\""] {
        assert!(seen.contains(part), "{part} in {seen}");
    }
    assert!(!seen.contains("\"connection\"") && !seen.contains("\"host\""), "{seen}");
}

#[tokio::test]
async fn messages_go_both_ways_one_after_the_other_and_trailers_too() {
    let server = echo_calls("a").await;
    let lab = lab_with(quick(), h2c("r1", &[server.address])).await;
    let (feed, body) = fed();
    let answering = connect(&lab).await.send_request(call(body));
    feed.send(data("1")).await.unwrap();
    let mut response = answering.await.unwrap().into_body();
    assert_eq!(piece(&mut response).await.as_deref(), Some("a:1"));
    for (text, answer) in [("2", "a:2"), ("3", "a:3")] {
        feed.send(data(text)).await.unwrap();
        assert_eq!(piece(&mut response).await.as_deref(), Some(answer));
    }
    let asked = HeaderMap::from_iter([(http::HeaderName::from_static("x-asked"), HeaderValue::from_static("yes"))]);
    feed.send(Frame::trailers(asked)).await.unwrap();
    drop(feed);
    let end = response.collect().await.unwrap().trailers().cloned().unwrap();
    assert_eq!(
        (&end["grpc-status"], &end["x-count"], &end["x-asked"]),
        (&"0".parse().unwrap(), &"3".parse().unwrap(), &"yes".parse().unwrap())
    );
    wait_for("the call to be counted out", || async { lab.control.status().await.unwrap().pools[0].in_flight == 0 })
        .await;
}

#[tokio::test]
async fn an_answer_of_trailers_alone_comes_as_it_is() {
    let server = server(|_| async {
        let mut response = answer(Stream::default());
        response.headers_mut().insert("grpc-status", HeaderValue::from_static("5"));
        response
    })
    .await;
    let lab = lab_with(quick(), h2c("r1", &[server.address])).await;
    let outcome = ask(&connect(&lab).await, call(message("x"))).await;
    assert_eq!((outcome.code(), outcome.body.as_str(), outcome.trailers.len()), ("5", "", 0));
    assert!(!outcome.headers.contains_key("content-length"), "{:?}", outcome.headers);
}

#[tokio::test]
async fn a_call_over_tls_is_no_different() {
    let server = echo_calls("a").await;
    let ca = Ca::new();
    let mut wanted = secured(1, &[], Tls::default(), vec![ca.certificate(&["lab.test"])]);
    wanted.pools[0] = h2c("r1", &[server.address]);
    let (lab, applied) = secure_lab_with(quick(), wanted.seal()).await;
    assert!(applied.problems.is_empty(), "{:?}", applied.problems);
    let stream = ca.client().speaking(&["h2"]).connect(lab.address, "lab.test").await.unwrap();
    let mut request = call(message("x"));
    *request.uri_mut() = "https://lab.test/shop.Orders/Place".parse().unwrap();
    let outcome = ask(&over(TokioIo::new(stream)).await, request).await;
    assert_eq!((outcome.code(), outcome.body.as_str()), ("0", "a:x"));
    assert!(outcome.headers["x-seen"].to_str().unwrap().contains("\"x-forwarded-proto\": \"https\""));
}

#[tokio::test]
async fn a_client_of_http_1_gets_ordinary_answers_of_an_http_2_service() {
    let server = echo_calls("a").await;
    let lab = lab_with(quick(), h2c("r1", &[server.address])).await;
    let post = b"POST /x?y HTTP/1.1\r\nHost: lab:80\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";
    let answer = raw(lab.address, post).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("a:hello"), "{answer}");
    assert!(answer.contains("HTTP/2.0 http://lab:80/x?y") && answer.contains("\"content-length\": \"5\""), "{answer}");
    let answer = lab.get("/").await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("transfer-encoding: chunked"), "{answer}");
    // An upgrade is no word of HTTP/2; the request is answered as any other.
    let upgrade = b"GET /ws HTTP/1.1\r\nHost: lab\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n\r\n";
    let answer = raw(lab.address, upgrade).await;
    assert!(answer.starts_with("HTTP/1.1 200") && !answer.contains("\"upgrade\""), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_calls_share_few_connections() {
    let server = echo_calls("a").await;
    let lab = lab_with(quick(), h2c("r1", &[server.address])).await;
    let sender = connect(&lab).await;
    let other = connect(&lab).await;
    for round in 0..5 {
        let asking = (0..200).map(|i| {
            let sender = if i % 2 == 0 { sender.clone() } else { other.clone() };
            tokio::spawn(async move { ask(&sender, call(message("x"))).await.code().to_owned() })
        });
        for asked in asking.collect::<Vec<_>>() {
            assert_eq!(asked.await.unwrap(), "0", "round {round}");
        }
    }
    assert!((1..=4).contains(&server.accepted()), "{} connections", server.accepted());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_takes_few_calls_at_once_gets_no_more_and_the_others_wait() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (inside, highest) = (now.clone(), most.clone());
    let few = |builder: &mut hyper::server::conn::http2::Builder<_>| {
        builder.max_concurrent_streams(2);
    };
    let server = server_with(few, move |request| {
        let (inside, highest) = (inside.clone(), highest.clone());
        async move {
            highest.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(20)).await;
            inside.fetch_sub(1, Ordering::SeqCst);
            echoed("a", request)
        }
    })
    .await;
    let lab = lab_with(quick(), h2c("r1", &[server.address])).await;
    let sender = connect(&lab).await;
    let asking = (0..100).map(|_| {
        let sender = sender.clone();
        tokio::spawn(async move { ask(&sender, call(message("x"))).await.code().to_owned() })
    });
    for asked in asking.collect::<Vec<_>>() {
        assert_eq!(asked.await.unwrap(), "0");
    }
    assert!(server.accepted() <= 8, "{} connections", server.accepted());
    assert!(most.load(Ordering::SeqCst) <= 2 * server.accepted(), "{most:?} at once");
    assert_eq!(lab.metric("mainstay_edge_retries_total{pool=\"lab/test/web\",release=\"r1\"}").await, 0.0);
}

#[tokio::test]
async fn a_target_that_is_full_for_too_long_is_told_as_such() {
    let one = |builder: &mut hyper::server::conn::http2::Builder<_>| {
        builder.max_concurrent_streams(1);
    };
    let server = server_with(one, |_| std::future::pending()).await;
    let mut pool = h2c("r1", &[server.address]);
    pool.response_timeout_ms = 600;
    let lab = lab_with(quick(), pool).await;
    let sender = connect(&lab).await;
    let held: Vec<_> = (0..8)
        .map(|_| {
            let (feed, body) = fed();
            (feed, tokio::spawn(sender.clone().send_request(call(body))))
        })
        .collect();
    wait_for("all places to be taken", || async { server.calls() == 8 }).await;
    let outcome = ask(&sender, call(message("x"))).await;
    assert_eq!(outcome.code(), "14");
    assert!(outcome.message().contains("target-full"), "{}", outcome.message());
    drop(held);
}

/// Sends pieces as long as anybody takes them, and counts their bytes.
async fn fountain(sent: Arc<AtomicUsize>) -> Server {
    server(move |request: Request<_>| {
        let sent = sent.clone();
        async move {
            if request.uri().path() != "/fountain" {
                return echoed("a", request);
            }
            let (sender, stream) = fed();
            tokio::spawn(async move {
                while sender.send(data(vec![b'x'; 16 << 10])).await.is_ok() {
                    sent.fetch_add(16 << 10, Ordering::SeqCst);
                }
            });
            answer(stream)
        }
    })
    .await
}

#[tokio::test]
async fn slow_readers_stop_their_own_streams_and_nobody_elses() {
    let sent = Arc::new(AtomicUsize::new(0));
    let server = fountain(sent.clone()).await;
    let lab = lab_with(quick(), h2c("r1", &[server.address])).await;
    let mut slow = Vec::new();
    for _ in 0..20 {
        // A connection each, so that only the edge's side is shared.
        let mut request = call(message("x"));
        *request.uri_mut() = "http://lab/fountain".parse().unwrap();
        let mut sender = connect(&lab).await;
        slow.push((sender.send_request(request).await.unwrap(), sender));
    }
    let mut before = 0;
    loop {
        tokio::time::sleep(Duration::from_millis(200)).await;
        match sent.load(Ordering::SeqCst) {
            now if now == before => break,
            now => before = now,
        }
        assert!(before < 80 << 20, "{before} bytes and no end");
    }
    let outcome = ask(&connect(&lab).await, call(message("quick"))).await;
    assert_eq!(outcome.body, "a:quick");
    assert_eq!(server.accepted(), 1, "all over one connection");
    // Two megabytes are the window of each client; the rest is what the edge and the server hold for it.
    assert!(before < 20 * (3 << 20), "{before} bytes for 20 slow readers");
    // And each goes on when it is read.
    let mut body = slow.pop().unwrap().0.into_body();
    for _ in 0..1000 {
        assert!(body.frame().await.unwrap().is_ok());
    }
}

#[tokio::test]
async fn a_target_that_does_not_read_stops_its_client() {
    let server = server(|request: Request<hyper::body::Incoming>| async move {
        // Keeps the body, unread.
        let (sender, stream) = fed();
        tokio::spawn(async move {
            sender.closed().await;
            drop(request);
        });
        answer(stream)
    })
    .await;
    let lab = lab_with(quick(), h2c("r1", &[server.address])).await;
    let (feed, body) = fed();
    let response = connect(&lab).await.send_request(call(body)).await.unwrap();
    let mut sent = 0usize;
    while let Ok(taken) = tokio::time::timeout(Duration::from_millis(500), feed.send(data(vec![b'x'; 16 << 10]))).await
    {
        taken.unwrap();
        sent += 16 << 10;
        assert!(sent < 16 << 20, "{sent} bytes and no end");
    }
    drop(response);
}

#[tokio::test]
async fn a_client_that_leaves_is_told_to_the_target() {
    let left = Arc::new(AtomicUsize::new(0));
    let told = left.clone();
    let server = server(move |_| {
        let told = told.clone();
        async move {
            let (sender, stream) = fed();
            tokio::spawn(async move {
                let _ = sender.send(data("x")).await;
                sender.closed().await;
                told.fetch_add(1, Ordering::SeqCst);
            });
            answer(stream)
        }
    })
    .await;
    let lab = lab_with(quick(), h2c("r1", &[server.address])).await;
    let mut sender = connect(&lab).await;
    let mut response = sender.send_request(call(message("x"))).await.unwrap().into_body();
    assert_eq!(piece(&mut response).await.as_deref(), Some("x"));
    drop(response);
    wait_for("the target to be told", || async { left.load(Ordering::SeqCst) == 1 }).await;
    // One that leaves before there is an answer.
    drop(tokio::time::timeout(Duration::from_millis(1), sender.send_request(call(fed().1))).await);
    wait_for("nothing to be in flight", || async { lab.control.status().await.unwrap().pools[0].in_flight == 0 }).await;
    assert_eq!(sender.send_request(call(message("x"))).await.unwrap().status(), 200);
    assert_eq!(server.accepted(), 1, "the connection is as good as before");
}

#[tokio::test]
async fn a_stream_may_be_silent_for_longer_than_any_answer() {
    let server = echo_calls("a").await;
    let mut pool = h2c("r1", &[server.address]);
    pool.response_timeout_ms = 250;
    let lab = lab_with(Limits { request_body_idle: Duration::from_millis(250), ..quick() }, pool).await;
    let (feed, body) = fed();
    let answering = connect(&lab).await.send_request(call(body));
    feed.send(data("1")).await.unwrap();
    let mut response = answering.await.unwrap().into_body();
    assert_eq!(piece(&mut response).await.as_deref(), Some("a:1"));
    tokio::time::sleep(Duration::from_millis(1200)).await;
    feed.send(data("2")).await.unwrap();
    assert_eq!(piece(&mut response).await.as_deref(), Some("a:2"));
}

#[tokio::test]
async fn what_does_not_speak_http_2_is_found_out_before_anything_is_sent() {
    let lab = lab_with(quick(), h2c("r1", &[echo("old").await])).await;
    let outcome = ask(&connect(&lab).await, call(message("x"))).await;
    assert_eq!(outcome.code(), "14");
    assert!(outcome.message().contains("does not speak HTTP/2"), "{}", outcome.message());
    let answer = lab.get("/").await;
    assert!(status(&answer) == 502 && answer.contains("target-garbled"), "{answer}");
}

#[tokio::test]
async fn a_client_of_http_1_may_not_hide_a_second_host_and_may_leave_its_host_out() {
    let server = echo_calls("a").await;
    let lab = lab_with(quick(), h2c("r1", &[server.address])).await;
    let answer = raw(lab.address, b"GET / HTTP/1.0\r\n\r\n").await;
    assert!(answer.contains(" 200 ") && answer.contains(&format!("http://{}/", server.address)), "{answer}");
    let mut stream = TcpStream::connect(lab.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n").await.unwrap();
    read_until(&mut stream, " 400 ").await;
}

#[tokio::test]
async fn a_body_that_is_too_large_ends_the_call_with_its_reason() {
    let server = server(|request: Request<hyper::body::Incoming>| async move {
        let _ = request.into_body().collect().await;
        answer(message("took it"))
    })
    .await;
    let lab = lab_with_snapshot(quick(), h2c("r1", &[server.address]), |snapshot| {
        snapshot.routes[0].limits.body_bytes = Some(1000);
    })
    .await;
    let (feed, body) = fed();
    tokio::spawn(async move {
        for _ in 0..3 {
            let _ = feed.send(data(Bytes::from(vec![b'x'; 600]))).await;
        }
    });
    let outcome = ask(&connect(&lab).await, call(body)).await;
    assert_eq!(outcome.code(), "8", "{outcome:?}");
    assert!(outcome.message().contains("body-too-large"), "{}", outcome.message());
}
