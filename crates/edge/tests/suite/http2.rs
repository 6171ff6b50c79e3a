//! HTTP/2 by prior knowledge on the same listeners.

use std::time::Duration;

use crate::support::*;
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

async fn connect(lab: &Lab) -> SendRequest<Full<Bytes>> {
    let stream = TcpStream::connect(lab.address).await.unwrap();
    let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

fn get(path: &str) -> Request<Full<Bytes>> {
    Request::get(format!("http://lab{path}")).body(Full::default()).unwrap()
}

async fn text(sender: &mut SendRequest<Full<Bytes>>, request: Request<Full<Bytes>>) -> (u16, String) {
    let response = sender.send_request(request).await.unwrap();
    let status = response.status().as_u16();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8_lossy(&bytes).into_owned())
}

#[tokio::test]
async fn streams_reach_the_target_as_http_1_with_a_host() {
    let lab = lab(&[echo("a").await]).await;
    let mut sender = connect(&lab).await;
    let (status, body) = text(&mut sender, get("/x?y")).await;
    assert_eq!(status, 200);
    assert!(body.contains("GET /x?y HTTP/1.1") && body.contains("host: lab"), "{body}");
}

#[tokio::test]
async fn many_streams_at_once_are_all_answered() {
    let lab = lab(&[echo("a").await, echo("b").await]).await;
    let sender = connect(&lab).await;
    let asking = (0..100).map(|i| {
        let mut sender = sender.clone();
        tokio::spawn(async move { text(&mut sender, get(&format!("/{i}"))).await.0 })
    });
    for asked in asking.collect::<Vec<_>>() {
        assert_eq!(asked.await.unwrap(), 200);
    }
}

#[tokio::test]
async fn a_host_that_disagrees_with_the_authority_is_refused() {
    let lab = lab(&[echo("a").await]).await;
    let mut sender = connect(&lab).await;
    let mut request = get("/");
    request.headers_mut().insert("host", "other".parse().unwrap());
    assert_eq!(text(&mut sender, request).await.0, 400);
}

#[tokio::test]
async fn a_body_over_http_2_arrives() {
    let target = upstream(|mut stream| async move {
        let head = read_head(&mut stream).await.unwrap_or_default().to_lowercase();
        assert!(head.contains("content-length: 5"), "{head}");
        read_until(&mut stream, "hello").await;
        let _ = stream.write_all(ok("got it").as_bytes()).await;
    })
    .await;
    let lab = lab(&[target]).await;
    let mut sender = connect(&lab).await;
    let request = Request::post("http://lab/").body(Full::from("hello")).unwrap();
    assert_eq!(text(&mut sender, request).await, (200, "got it".to_owned()));
}

#[tokio::test]
async fn a_shutdown_lets_open_streams_finish() {
    let target = upstream(|mut stream| async move {
        read_head(&mut stream).await;
        tokio::time::sleep(Duration::from_millis(400)).await;
        let _ = stream.write_all(ok("finished").as_bytes()).await;
    })
    .await;
    let lab = lab(&[target]).await;
    let mut sender = connect(&lab).await;
    let running = tokio::spawn(async move { text(&mut sender, get("/")).await });
    wait_for("the stream to run", || async { lab.control.status().await.unwrap().pools[0].in_flight == 1 }).await;
    lab.stop().await;
    assert_eq!(running.await.unwrap(), (200, "finished".to_owned()));
}

#[tokio::test]
async fn a_preface_in_two_pieces_is_still_http_2() {
    let lab = lab(&[echo("a").await]).await;
    let mut stream = TcpStream::connect(lab.address).await.unwrap();
    stream.write_all(b"PR").await.unwrap();
    tokio::time::sleep(Duration::from_millis(30)).await;
    stream.write_all(b"I * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    use tokio::io::AsyncReadExt;
    let mut frame = [0u8; 9];
    stream.read_exact(&mut frame).await.unwrap();
    assert_eq!(frame[3], 4, "a SETTINGS frame answers a preface");
}

#[tokio::test]
async fn a_flood_of_resets_ends_the_connection() {
    let target = upstream(|mut stream| async move {
        read_head(&mut stream).await;
        tokio::time::sleep(Duration::from_secs(5)).await;
    })
    .await;
    let lab = lab(&[target]).await;
    let sender = connect(&lab).await;
    let mut ended = false;
    for _ in 0..3_000 {
        let mut sender = sender.clone();
        if sender.is_closed() {
            ended = true;
            break;
        }
        // Dropped after one turn of the scheduler: a RST_STREAM right after the HEADERS.
        tokio::select! {
            biased;
            _ = sender.send_request(get("/")) => {}
            () = tokio::task::yield_now() => {}
        }
    }
    // Either the connection was ended, or the resets were absorbed without leaving requests behind.
    wait_for("the resets to be forgotten", || async {
        ended || lab.control.status().await.unwrap().pools[0].in_flight == 0
    })
    .await;
}

#[tokio::test]
async fn a_cookie_header_in_pieces_reaches_the_target_as_one() {
    let lab = lab(&[echo("a").await]).await;
    let mut sender = connect(&lab).await;
    let mut request = get("/");
    for piece in ["a=1", "b=2"] {
        request.headers_mut().append("cookie", piece.parse().unwrap());
    }
    let (_, answer) = text(&mut sender, request).await;
    assert!(answer.contains("cookie: a=1; b=2\r\n") && answer.matches("cookie:").count() == 1, "{answer}");
}
