//! Sizes and numbers: what is too long, too many or too much is refused by name.

use crate::support::*;
use edge::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

#[tokio::test]
async fn a_long_address_is_414() {
    let lab = lab(&[echo("a").await]).await;
    let answer = lab.get(&format!("/{}", "a".repeat(9_000))).await;
    assert_eq!(status(&answer), 414, "{answer}");
    assert_eq!(lab.refused("uri-too-long").await, 1.0);
    assert_eq!(status(&lab.get(&format!("/{}", "a".repeat(8_000))).await), 200);
}

#[tokio::test]
async fn the_number_and_the_size_of_headers_are_bounded() {
    let lab = lab_with(Limits { header_count: 20, ..quick() }, pool("r1", &[echo("a").await])).await;
    let with = |headers: String| {
        let text = format!("GET / HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n{headers}\r\n");
        let address = lab.address;
        async move { raw(address, text.as_bytes()).await }
    };
    let many = |count: usize| (0..count).map(|n| format!("X-{n}: 1\r\n")).collect::<String>();
    assert_eq!(status(&with(many(18)).await), 200);
    assert_eq!(status(&with(many(19)).await), 431);
    assert_eq!(lab.refused("headers-too-many").await, 1.0);
    assert_eq!(status(&with(format!("X-Big: {}\r\n", "a".repeat(33_000))).await), 431);
    assert_eq!(lab.refused("headers-too-large").await, 1.0);
}

#[tokio::test]
async fn one_address_cannot_take_all_connections() {
    let lab = lab_with(Limits { connections_per_client: 3, ..quick() }, pool("r1", &[echo("a").await])).await;
    let mut open = Vec::new();
    for _ in 0..3 {
        let mut stream = TcpStream::connect(lab.address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: lab\r\n\r\n").await.unwrap();
        read_until(&mut stream, "200 OK").await;
        open.push(stream);
    }
    let mut fourth = TcpStream::connect(lab.address).await.unwrap();
    let _ = fourth.write_all(b"GET / HTTP/1.1\r\nHost: lab\r\n\r\n").await;
    assert!(matches!(fourth.read(&mut [0u8; 16]).await, Ok(0) | Err(_)), "the fourth connection was served");
    assert_eq!(lab.refused("connections-per-client").await, 1.0);
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.9:0".parse().unwrap()).unwrap();
    let mut other = socket.connect(lab.address).await.unwrap();
    other.write_all(b"GET / HTTP/1.1\r\nHost: lab\r\n\r\n").await.unwrap();
    read_until(&mut other, "200 OK").await;
    open.pop();
    wait_for("the place to be free", || async { status(&lab.get("/").await) == 200 }).await;
}
