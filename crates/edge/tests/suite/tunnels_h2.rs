//! WebSockets that come over HTTP/2 (RFC 8441) to targets that know them over HTTP/1.1.

use std::time::{Duration, Instant};

use crate::support::calls::{Stream, ask, connect, h2c};
use crate::support::*;
use edge::Limits;
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use hyper::ext::Protocol;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Agrees to the upgrade and echoes bytes; says what it was asked.
async fn sockets() -> std::net::SocketAddr {
    upstream(|mut stream| async move {
        while let Some(head) = read_head(&mut stream).await {
            if !head.to_lowercase().contains("upgrade: websocket") {
                let _ = stream.write_all(ok("no socket").as_bytes()).await;
                continue;
            }
            let asked = head.to_lowercase().replace("\r\n", "|");
            let agreed = format!(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: y\r\nSec-WebSocket-Protocol: chat\r\nX-Asked: {asked}\r\n\r\n"
            );
            let _ = stream.write_all(agreed.as_bytes()).await;
            let (mut reading, mut writing) = stream.split();
            let _ = tokio::io::copy(&mut reading, &mut writing).await;
            return;
        }
    })
    .await
}

/// A client that has heard that the edge knows extended CONNECT.
async fn client(lab: &Lab) -> SendRequest<Stream> {
    let sender = connect(lab).await;
    let get = Request::get("http://lab/").body(Stream::default()).unwrap();
    ask(&sender, get).await;
    sender
}

async fn begin(sender: &SendRequest<Stream>, protocol: &'static str) -> Response<Incoming> {
    let request = Request::builder()
        .method(Method::CONNECT)
        .uri("http://lab/ws?a=b")
        .extension(Protocol::from_static(protocol))
        .header("sec-websocket-version", "13")
        .header("sec-websocket-protocol", "chat")
        .body(Stream::default())
        .unwrap();
    sender.clone().send_request(request).await.unwrap()
}

type Socket = TokioIo<hyper::upgrade::Upgraded>;

async fn open(sender: &SendRequest<Stream>) -> Socket {
    let response = begin(sender, "websocket").await;
    assert_eq!(response.status(), 200);
    TokioIo::new(hyper::upgrade::on(response).await.unwrap())
}

async fn echoes(socket: &mut Socket, text: &str) {
    socket.write_all(text.as_bytes()).await.unwrap();
    let mut bytes = vec![0u8; text.len()];
    socket.read_exact(&mut bytes).await.unwrap();
    assert_eq!(bytes, text.as_bytes());
}

#[tokio::test]
async fn a_stream_becomes_a_websocket_and_its_target_sees_an_upgrade() {
    let lab = lab(&[sockets().await]).await;
    let sender = client(&lab).await;
    let response = begin(&sender, "websocket").await;
    assert_eq!(response.status(), 200);
    let asked = response.headers()["x-asked"].to_str().unwrap().to_owned();
    assert!(asked.starts_with("get /ws?a=b http/1.1|"), "{asked}");
    for part in ["|host: lab|", "|connection: upgrade|", "|upgrade: websocket|", "|sec-websocket-version: 13|"] {
        assert!(asked.contains(part), "{part} in {asked}");
    }
    let key = asked.split("|sec-websocket-key: ").nth(1).unwrap().split('|').next().unwrap();
    assert!(key.len() == 24 && key.ends_with("=="), "{key}");
    assert_eq!(response.headers()["sec-websocket-protocol"], "chat");
    for gone in ["upgrade", "connection", "sec-websocket-accept"] {
        assert!(!response.headers().contains_key(gone), "{gone}");
    }
    let mut socket = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
    echoes(&mut socket, "first").await;
    // Beside it the connection serves what else the client asks.
    let get = Request::get("http://lab/").body(Stream::default()).unwrap();
    assert_eq!(ask(&sender, get).await.body, "no socket");
    echoes(&mut socket, "second").await;
    socket.shutdown().await.unwrap();
    let mut rest = Vec::new();
    socket.read_to_end(&mut rest).await.unwrap();
    wait_for("the tunnel to end", || async { lab.control.status().await.unwrap().pools[0].in_flight == 0 }).await;
}

#[tokio::test]
async fn it_survives_the_switch_and_is_cut_when_its_time_is_over() {
    let mut old = pool("r1", &[sockets().await]);
    old.drain_websocket_ms = 600;
    let lab = lab_with(quick(), old).await;
    let sender = client(&lab).await;
    let mut socket = open(&sender).await;
    let began = Instant::now();
    lab.switch(2, "r2", &[echo("new").await]).await;
    echoes(&mut socket, "still here").await;
    let status = lab.control.status().await.unwrap();
    assert_eq!(status.draining[0].websockets, 1);
    let mut rest = Vec::new();
    let _ = socket.read_to_end(&mut rest).await;
    assert!(began.elapsed() >= Duration::from_millis(500), "cut after {:?}", began.elapsed());
    assert_eq!(lab.control.drained(POOL, "r1", Duration::from_secs(5)).await.unwrap(), 0);
    let get = Request::get("http://lab/").body(Stream::default()).unwrap();
    assert!(ask(&sender, get).await.body.contains("new"), "the client's connection is as good as before");
}

#[tokio::test]
async fn a_connection_with_nothing_but_a_websocket_is_not_idle() {
    let limits =
        Limits { client_idle: Duration::from_millis(200), client_write: Duration::from_millis(200), ..quick() };
    let lab = lab_with(limits, pool("r1", &[sockets().await])).await;
    let sender = client(&lab).await;
    let mut socket = open(&sender).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    echoes(&mut socket, "still here").await;
}

#[tokio::test]
async fn a_target_that_does_not_agree_is_not_taken_for_one_that_does() {
    let lab = lab(&[echo("plain").await]).await;
    let sender = client(&lab).await;
    let response = begin(&sender, "websocket").await;
    assert_eq!(response.status(), 502);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert!(String::from_utf8_lossy(&body).contains("target-no-websocket"));
}

#[tokio::test]
async fn other_protocols_over_connect_are_refused_and_so_is_a_pool_of_http_2() {
    let lab = lab(&[sockets().await]).await;
    let sender = client(&lab).await;
    assert_eq!(begin(&sender, "connect-udp").await.status(), 405);
    let lab = lab_with(quick(), h2c("r1", &[crate::support::calls::echo_calls("a").await.address])).await;
    let sender = client(&lab).await;
    assert_eq!(begin(&sender, "websocket").await.status(), 502);
}
