//! What of a service's framing goes on to its clients, and what of a client's pieces counts as one.

use crate::support::calls::*;
use crate::support::*;
use http_body_util::{BodyExt, Empty};
use tokio::io::AsyncWriteExt;

/// Answers each request with these bytes, and ends its connection.
async fn saying(answer: &'static str) -> std::net::SocketAddr {
    upstream(move |mut stream| async move {
        if read_head(&mut stream).await.is_some() {
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    })
    .await
}

fn get() -> http::Request<Stream> {
    http::Request::get("http://lab/").body(Empty::new().boxed()).unwrap()
}

/// Its lengths and its body, over HTTP/1.1 and over HTTP/2.
async fn both(answer: &'static str) -> [(Vec<String>, String); 2] {
    let lab = lab(&[saying(answer).await]).await;
    let over_1 = raw(lab.address, b"GET / HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n").await;
    let (head, body) = over_1.split_once("\r\n\r\n").unwrap();
    let lengths = head.lines().filter_map(|line| line.strip_prefix("content-length: ")).map(str::to_owned).collect();
    let is_chunked = head.contains("transfer-encoding: chunked");
    let body = if is_chunked { body.split("\r\n").nth(1).unwrap_or("") } else { body };
    let mut sender = connect(&lab).await;
    let over_2 = sender.send_request(get()).await.unwrap();
    let lengths_2 = over_2.headers().get_all("content-length").iter();
    let lengths_2 = lengths_2.map(|length| length.to_str().unwrap().to_owned()).collect();
    let bytes = over_2.into_body().collect().await.unwrap().to_bytes();
    [(lengths, body.to_owned()), (lengths_2, String::from_utf8(bytes.to_vec()).unwrap())]
}

#[tokio::test]
async fn chunks_win_over_a_length() {
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    assert_eq!(both(answer).await, [(); 2].map(|()| (vec![], "hello".to_owned())));
}

#[tokio::test]
async fn equal_lengths_become_one() {
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello";
    assert_eq!(both(answer).await, [(); 2].map(|()| (vec!["5".to_owned()], "hello".to_owned())));
}

#[tokio::test]
async fn no_content_has_no_length() {
    let answer = "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n";
    assert_eq!(both(answer).await, [(); 2].map(|()| (vec![], String::new())));
    let answer = "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n";
    assert_eq!(both(answer).await[1], (vec!["5".to_owned()], String::new()), "what the page would have");
}

#[tokio::test]
async fn cookies_in_pieces_count_as_one_header() {
    let lab = lab(&[echo("a").await]).await;
    let mut sender = connect(&lab).await;
    let mut request = get();
    for number in 0..300 {
        let crumb = format!("c{number}=0123456789").parse().unwrap();
        request.headers_mut().append("cookie", crumb);
    }
    let answer = sender.send_request(request).await.unwrap();
    assert_eq!(answer.status(), 200);
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    let text = String::from_utf8_lossy(&body).into_owned();
    assert!(text.contains("; c299=0123456789\r\n"), "{text}");
    // Other headers count one by one.
    let mut request = get();
    for number in 0..100 {
        request.headers_mut().append(http::HeaderName::try_from(format!("x-{number}")).unwrap(), "y".parse().unwrap());
    }
    assert_eq!(sender.send_request(request).await.unwrap().status(), 431);
}

#[tokio::test]
async fn trailers_larger_than_most_go_through_whole() {
    let large: &'static str = Box::leak("x".repeat(20_000).into_boxed_str());
    let service = server_with(
        |builder| {
            builder.max_header_list_size(1 << 20);
        },
        move |_| async move {
            let (sender, stream) = fed();
            tokio::spawn(async move {
                let _ = sender.send(data("piece")).await;
                let mut fields = http::HeaderMap::new();
                fields.insert("grpc-status", http::HeaderValue::from_static("0"));
                for number in 0..8 {
                    let name = http::HeaderName::try_from(format!("x-detail-{number}")).unwrap();
                    fields.insert(name, http::HeaderValue::from_static(large));
                }
                let _ = sender.send(hyper::body::Frame::trailers(fields)).await;
            });
            answer(stream)
        },
    )
    .await;
    let lab = lab_with(quick(), h2c("r1", &[service.address])).await;
    let stream = tokio::net::TcpStream::connect(lab.address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http2::Builder::new(hyper_util::rt::TokioExecutor::new())
        .max_header_list_size(1 << 20)
        .handshake(hyper_util::rt::TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let answer = sender.send_request(call(message("x"))).await.unwrap();
    let collected = answer.into_body().collect().await.unwrap();
    let trailers = collected.trailers().unwrap();
    assert_eq!(trailers["grpc-status"], "0");
    let lengths: Vec<_> = (0..8).map(|number| trailers.get(format!("x-detail-{number}")).map(|v| v.len())).collect();
    assert_eq!(lengths, [Some(20_000); 8]);
}

#[tokio::test]
async fn a_trusted_proxy_that_says_wss_means_tls() {
    for (said, meant) in [("wss", "https"), ("ws", "http"), ("https", "https"), ("gopher", "http")] {
        let lab = lab_with_snapshot(quick(), pool("r1", &[echo("a").await]), |snapshot| {
            snapshot.trusted_proxies = vec!["127.0.0.0/8".to_owned()];
        })
        .await;
        let ask = format!(
            "GET / HTTP/1.1\r\nHost: lab\r\nX-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Proto: {said}\r\nConnection: close\r\n\r\n"
        );
        let answer = raw(lab.address, ask.as_bytes()).await;
        assert!(answer.contains(&format!("x-forwarded-proto: {meant}\r\n")), "{said}: {answer}");
    }
}

/// A head of this many lines, the length among them.
async fn lines(count: usize) -> std::net::SocketAddr {
    upstream(move |mut stream| async move {
        while read_head(&mut stream).await.is_some() {
            let cookies: String = (1..count).map(|number| format!("Set-Cookie: c{number}=x\r\n")).collect();
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n{cookies}\r\nok");
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    })
    .await
}

#[tokio::test]
async fn an_answer_may_have_hundreds_of_lines_and_a_limit_is_told_by_its_name() {
    const ASK: &[u8] = b"GET / HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n";
    let lab_of = async |count| lab(&[lines(count).await]).await;
    let answer = raw(lab_of(256).await.address, ASK).await;
    assert_eq!((status(&answer), answer.matches("set-cookie").count()), (200, 255));
    let lab = lab_of(257).await;
    let answer = raw(lab.address, ASK).await;
    assert_eq!(status(&answer), 502);
    assert!(answer.contains("\"code\":\"target-head-too-large\"") && answer.contains("256 lines"), "{answer}");
    assert_eq!(lab.refused("target-head-too-large").await, 1.0);
}

#[tokio::test]
async fn an_upload_that_is_refused_early_gets_the_refusal() {
    let target = upstream(|mut stream| async move {
        if read_head(&mut stream).await.is_some() {
            // Closed with the body unread: its kernel resets the connection.
            let answer = "HTTP/1.1 413 Payload Too Large\r\nContent-Length: 9\r\nConnection: close\r\n\r\ntoo large";
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    })
    .await;
    let lab = lab(&[target]).await;
    let mut seen = std::collections::BTreeMap::<u16, u32>::new();
    for _ in 0..40 {
        let mut client = tokio::net::TcpStream::connect(lab.address).await.unwrap();
        let (mut reading, mut writing) = client.split();
        let upload = async {
            let head = "POST / HTTP/1.1\r\nHost: lab\r\nContent-Length: 2000000\r\nConnection: close\r\n\r\n";
            let _ = writing.write_all(head.as_bytes()).await;
            for _ in 0..200 {
                if writing.write_all(&[b'x'; 10_000]).await.is_err() {
                    return;
                }
            }
        };
        let answer = async {
            let mut bytes = Vec::new();
            let _ = tokio::io::AsyncReadExt::read_to_end(&mut reading, &mut bytes).await;
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let ((), answer) = tokio::join!(upload, answer);
        *seen.entry(status(&answer)).or_default() += 1;
    }
    assert_eq!(seen, [(413, 40)].into(), "no 502 and no reset");
}
