//! A call is sent again only when nothing of it was processed, and then always.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::calls::*;
use crate::support::frames::*;
use crate::support::*;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};

const REFUSED_STREAM: u32 = 7;
const CANCEL: u32 = 8;

/// What a target does with the first stream of each connection, by the connection's number.
type Act = fn(usize) -> Vec<u8>;

/// A target that answers by hand; the count is of streams it has seen.
async fn by_hand(act: Act) -> (SocketAddr, Arc<AtomicUsize>) {
    let (seen, connections) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let told = seen.clone();
    let address = upstream(move |stream| {
        let (told, connections) = (told.clone(), connections.clone());
        async move {
            let number = connections.fetch_add(1, Ordering::SeqCst);
            let mut raw = Raw::accept(stream).await;
            while let Some(frame) = raw.next().await {
                match frame.kind {
                    SETTINGS if frame.flags == 0 => drop(raw.send(&self::frame(SETTINGS, 1, 0, &[])).await),
                    // Only once the whole request is there: the edge cannot know better than what it is told.
                    DATA | HEADERS if frame.flags & END_STREAM != 0 => {
                        told.fetch_add(1, Ordering::SeqCst);
                        let acted = act(number);
                        // Bytes of one stream's number are filled in here.
                        raw.send(&on_stream(acted, frame.stream)).await;
                    }
                    _ => {}
                }
            }
        }
    })
    .await;
    (address, seen)
}

/// Stream 1 in the frames becomes this one.
fn on_stream(mut bytes: Vec<u8>, stream: u32) -> Vec<u8> {
    let mut at = 0;
    while at + 9 <= bytes.len() {
        let length = usize::from(bytes[at]) << 16 | usize::from(bytes[at + 1]) << 8 | usize::from(bytes[at + 2]);
        if bytes[at + 5..at + 9] == 1u32.to_be_bytes() {
            bytes[at + 5..at + 9].copy_from_slice(&stream.to_be_bytes());
        }
        at += 9 + length;
    }
    bytes
}

fn well() -> Vec<u8> {
    let fields = [(":status", "200"), ("content-type", "application/grpc"), ("grpc-status", "0")];
    frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&fields))
}

fn reset(code: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, 1, &code.to_be_bytes())
}

fn goaway(last: u32) -> Vec<u8> {
    frame(GOAWAY, 0, 0, &[last.to_be_bytes(), 0u32.to_be_bytes()].concat())
}

async fn one_call(act: Act) -> (Outcome, usize, Lab) {
    let (address, seen) = by_hand(act).await;
    let lab = lab_with(quick(), h2c("r1", &[address])).await;
    let outcome = ask(&connect(&lab).await, call(message("order"))).await;
    (outcome, seen.load(Ordering::SeqCst), lab)
}

async fn repeats(lab: &Lab) -> f64 {
    lab.metric("mainstay_edge_retries_total{pool=\"lab/test/web\",release=\"r1\"}").await
}

#[tokio::test]
async fn what_a_goaway_leaves_out_is_sent_again_on_another_connection() {
    let (outcome, seen, lab) = one_call(|number| if number == 0 { goaway(0) } else { well() }).await;
    assert_eq!((outcome.code(), seen, repeats(&lab).await), ("0", 2, 1.0));
}

#[tokio::test]
async fn what_a_goaway_takes_in_is_not_sent_again_when_the_connection_ends() {
    // The stream is the last that the target takes, and then it says no more of it.
    let (outcome, seen, lab) = one_call(|_| [goaway(1), reset(CANCEL)].concat()).await;
    assert_eq!((outcome.code(), seen, repeats(&lab).await), ("14", 1, 0.0));
    assert!(outcome.message().contains("target-broke-off"), "{}", outcome.message());
}

#[tokio::test]
async fn a_refused_stream_is_sent_again() {
    static REFUSALS: AtomicUsize = AtomicUsize::new(0);
    let act: Act = |_| if REFUSALS.fetch_add(1, Ordering::SeqCst) < 2 { reset(REFUSED_STREAM) } else { well() };
    let (outcome, seen, lab) = one_call(act).await;
    assert_eq!((outcome.code(), seen, repeats(&lab).await), ("0", 3, 2.0));
}

#[tokio::test]
async fn a_target_that_refuses_everything_is_told_as_such() {
    let (outcome, seen, _lab) = one_call(|_| reset(REFUSED_STREAM)).await;
    assert_eq!((outcome.code(), seen), ("14", 3));
    assert!(outcome.message().contains("target-refused"), "{}", outcome.message());
}

#[tokio::test]
async fn another_reset_is_the_end() {
    for code in [CANCEL, 2, 11] {
        let act: Act = match code {
            CANCEL => |_| reset(CANCEL),
            2 => |_| reset(2),
            _ => |_| reset(11),
        };
        let (outcome, seen, lab) = one_call(act).await;
        assert_eq!((outcome.code(), seen, repeats(&lab).await), ("14", 1, 0.0), "code {code}");
    }
}

#[tokio::test]
async fn a_connection_that_breaks_is_the_end_even_for_a_get() {
    let seen = Arc::new(AtomicUsize::new(0));
    let told = seen.clone();
    let address = upstream(move |stream| {
        let told = told.clone();
        async move {
            let mut raw = Raw::accept(stream).await;
            while let Some(frame) = raw.next().await {
                if frame.kind == HEADERS {
                    told.fetch_add(1, Ordering::SeqCst);
                    return;
                }
            }
        }
    })
    .await;
    let lab = lab_with(quick(), h2c("r1", &[address])).await;
    let answer = lab.get("/").await;
    assert!(status(&answer) == 502 && answer.contains("target-broke-off"), "{answer}");
    assert_eq!(seen.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_call_whose_body_is_not_at_hand_any_more_is_not_sent_again() {
    for (size, times) in [(60_000, 3), (80_000, 1)] {
        let (address, seen) = by_hand(|_| reset(REFUSED_STREAM)).await;
        let lab = lab_with(quick(), h2c("r1", &[address])).await;
        let body = Full::new(Bytes::from(vec![b'x'; size])).boxed();
        let outcome = ask(&connect(&lab).await, call(body)).await;
        assert_eq!((outcome.code(), seen.load(Ordering::SeqCst)), ("14", times), "{size} bytes");
    }
}

#[tokio::test]
async fn a_target_that_cannot_be_reached_costs_a_second_try_with_the_next() {
    let server = echo_calls("b").await;
    let lab = lab_with(quick(), h2c("r1", &[nobody().await, server.address])).await;
    let sender = connect(&lab).await;
    for _ in 0..6 {
        assert_eq!(ask(&sender, call(message("x"))).await.body, "b:x");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_says_goodbye_all_the_time_fails_no_call() {
    // Each connection is told to go after a few calls, as by a limit on its age.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let goodbyes = Arc::new(AtomicUsize::new(0));
    let counted = goodbyes.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (counted, calls) = (counted.clone(), Arc::new(AtomicUsize::new(0)));
            tokio::spawn(async move {
                let said = calls.clone();
                let service = hyper::service::service_fn(move |request| {
                    said.fetch_add(1, Ordering::SeqCst);
                    async move { Ok::<_, std::convert::Infallible>(echoed("a", request)) }
                });
                let builder = hyper::server::conn::http2::Builder::new(hyper_util::rt::TokioExecutor::new());
                let connection = builder.serve_connection(hyper_util::rt::TokioIo::new(stream), service);
                let mut connection = std::pin::pin!(connection);
                let mut is_going = false;
                let _ = std::future::poll_fn(|cx| {
                    if !is_going && calls.load(Ordering::SeqCst) >= 20 {
                        is_going = true;
                        counted.fetch_add(1, Ordering::SeqCst);
                        connection.as_mut().graceful_shutdown();
                    }
                    connection.as_mut().poll(cx)
                })
                .await;
            });
        }
    });
    let lab = lab_with(quick(), h2c("r1", &[address])).await;
    let clients: Vec<_> = (0..16)
        .map(|_| {
            let address = lab.address;
            tokio::spawn(async move {
                let stream = tokio::net::TcpStream::connect(address).await.unwrap();
                let sender = over(hyper_util::rt::TokioIo::new(stream)).await;
                for _ in 0..100 {
                    let outcome = ask(&sender, call(message("x"))).await;
                    assert_eq!((outcome.code(), outcome.body.as_str()), ("0", "a:x"), "{outcome:?}");
                }
            })
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
    assert!(goodbyes.load(Ordering::SeqCst) > 10, "{goodbyes:?} goodbyes");
}

#[tokio::test]
async fn a_target_that_does_not_answer_pings_is_given_up() {
    let address = upstream(|stream| async move {
        let mut raw = Raw::accept(stream).await;
        while let Some(frame) = raw.next().await {
            if frame.kind == HEADERS {
                let fields = [(":status", "200"), ("content-type", "application/grpc")];
                let head = self::frame(HEADERS, END_HEADERS, frame.stream, &block(&fields));
                raw.send(&head).await;
                std::future::pending::<()>().await;
            }
        }
    })
    .await;
    let limits = edge::Limits {
        target_ping: Duration::from_millis(200),
        target_ping_patience: Duration::from_millis(200),
        ..quick()
    };
    let lab = lab_with(limits, h2c("r1", &[address])).await;
    let outcome = ask(&connect(&lab).await, call(message("x"))).await;
    assert_eq!(outcome.code(), "14");
    assert!(outcome.message().contains("inside its answer"), "{}", outcome.message());
}
