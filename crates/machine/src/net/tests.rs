use super::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const SOON: Duration = Duration::from_secs(5);

/// A server that reads one request, says `answer`, and then keeps the connection open for `linger`.
async fn says(answer: &'static [u8], linger: Duration) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 1024];
        let _ = stream.read(&mut request).await;
        let _ = stream.write_all(answer).await;
        tokio::time::sleep(linger).await;
    });
    addr
}

#[tokio::test]
async fn a_probe_returns_status_and_body() {
    let addr = says(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", Duration::ZERO).await;
    assert_eq!(http_get(addr, "h", "/", SOON).await.unwrap(), (200, b"hello".to_vec()));
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let addr =
        says(b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n", Duration::ZERO).await;
    assert_eq!(http_get(addr, "h", "/", SOON).await.unwrap().0, 302);
}

#[tokio::test]
async fn the_request_carries_the_host_that_was_asked_for() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = vec![0; 1024];
        let count = stream.read(&mut request).await.unwrap();
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        String::from_utf8_lossy(&request[..count]).into_owned()
    });
    http_get(addr, "shop.example", "/health?x=1", SOON).await.unwrap();
    let request = server.await.unwrap();
    assert!(request.starts_with("GET /health?x=1 HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("host: shop.example\r\n"), "{request}");
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    assert!(!port_free(addr));
    drop(listener);
    assert!(port_free(addr));
    assert!(matches!(http_get(addr, "h", "/", SOON).await, Err(NetError::Refused { .. })));
    assert!(matches!(tcp_connect(addr, SOON).await, Err(NetError::Refused { .. })));
}

#[tokio::test]
async fn a_server_that_says_nothing_times_out_and_the_error_says_at_what() {
    let addr = says(b"", Duration::from_secs(60)).await;
    let error = http_get(addr, "h", "/", Duration::from_millis(100)).await.unwrap_err();
    assert_eq!(error.to_string(), format!("{addr} did not answer within 100 ms"));
}

#[tokio::test]
async fn a_body_that_never_ends_times_out() {
    let addr = says(b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nhe", Duration::from_secs(60)).await;
    let error = http_get(addr, "h", "/", Duration::from_millis(100)).await.unwrap_err();
    assert!(error.to_string().contains("send its whole body"), "{error}");
}

#[tokio::test]
async fn a_connection_closed_before_the_answer_is_closed() {
    let addr = says(b"", Duration::ZERO).await;
    let error = http_get(addr, "h", "/", SOON).await.unwrap_err();
    assert!(matches!(error, NetError::Closed { .. }), "{error:?}");
}

#[tokio::test]
async fn a_half_body_is_not_taken_for_a_whole_one() {
    let addr = says(b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nhe", Duration::ZERO).await;
    let error = http_get(addr, "h", "/", SOON).await.unwrap_err();
    assert!(matches!(error, NetError::Closed { .. } | NetError::Reset { .. }), "{error:?}");
}

#[tokio::test]
async fn a_reset_is_told_apart_from_a_close() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 1024]).await;
        // Closing without lingering is what makes the kernel send a reset.
        stream.set_zero_linger().unwrap();
    });
    let error = http_get(addr, "h", "/", SOON).await.unwrap_err();
    assert!(matches!(error, NetError::Reset { .. }), "{error:?}");
}

#[tokio::test]
async fn an_answer_that_is_not_http_says_so() {
    let addr = says(b"220 mail.example ESMTP\r\n", Duration::ZERO).await;
    assert!(matches!(http_get(addr, "h", "/", SOON).await, Err(NetError::NotHttp { .. })));
}

#[tokio::test]
async fn a_large_body_is_cut_at_64_kilobytes() {
    let body: &'static [u8] = Box::leak(
        [b"HTTP/1.1 200 OK\r\ncontent-length: 200000\r\n\r\n".as_slice(), &[b'x'; 200_000]].concat().into_boxed_slice(),
    );
    let addr = says(body, Duration::ZERO).await;
    assert_eq!(http_get(addr, "h", "/", SOON).await.unwrap().1.len(), 65_536);
}

#[tokio::test]
async fn a_path_that_cannot_be_requested_is_refused_before_anything_is_sent() {
    let addr = says(b"", Duration::ZERO).await;
    assert!(matches!(http_get(addr, "h", "/a b", SOON).await, Err(NetError::BadRequest { .. })));
}

#[tokio::test]
async fn a_listening_port_connects() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    tcp_connect(listener.local_addr().unwrap(), SOON).await.unwrap();
}
