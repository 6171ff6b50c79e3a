//! Who a request comes from: trusted proxies' headers and the PROXY protocol.

use std::time::{Duration, Instant};

use crate::support::*;
use edge::snapshot::{Hsts, Maintenance};
use edge::{Limits, Route, Snapshot};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

async fn with(limits: Limits, change: impl FnOnce(&mut Snapshot)) -> Lab {
    let mut wanted = snapshot(1, pool("r1", &[echo("a").await]));
    change(&mut wanted);
    let mut lab = start(tempfile::tempdir().unwrap(), limits).await;
    let applied = lab.control.apply(&wanted.seal()).await.unwrap();
    assert!(applied.problems.is_empty(), "{:?}", applied.problems);
    lab.address = applied.listeners[0].bind;
    lab
}

async fn trusting(networks: &[&str]) -> Lab {
    let networks = networks.iter().map(|network| (*network).to_owned()).collect();
    with(quick(), |wanted| wanted.trusted_proxies = networks).await
}

/// Every connection begins with a PROXY protocol header.
async fn announced(limits: Limits) -> Lab {
    with(limits, |wanted| {
        wanted.trusted_proxies = vec!["127.0.0.0/8".into()];
        wanted.listeners[0].proxy_protocol = true;
    })
    .await
}

async fn ask(lab: &Lab, headers: &str) -> String {
    let text = format!("GET / HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n{headers}\r\n");
    raw(lab.address, text.as_bytes()).await
}

fn assert_seen(answer: &str, lines: &[&str]) {
    assert_eq!(status(answer), 200, "{answer}");
    for line in lines {
        assert!(answer.contains(&format!("{line}\r\n")), "`{line}` in {answer}");
    }
}

#[tokio::test]
async fn every_forwarding_header_names_the_connections_own_client() {
    let lab = trusting(&[]).await;
    let port = format!("x-forwarded-port: {}", lab.address.port());
    let forged = "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\n\
                  X-Forwarded-Port: 1\r\nX-Real-IP: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\nX-Forwarded-Server: evil\r\n";
    let own = [
        "x-forwarded-for: 127.0.0.1",
        "x-real-ip: 127.0.0.1",
        "forwarded: for=127.0.0.1;proto=http",
        "x-forwarded-proto: http",
        "x-forwarded-host: lab",
        &port,
    ];
    let answer = ask(&lab, forged).await;
    assert_seen(&answer, &own);
    assert!(!answer.contains("6.6.6.6") && !answer.contains("evil"), "{answer}");
    // A proxy that is not the one that asks changes nothing.
    let answer = ask(&trusting(&["10.0.0.0/8"]).await, forged).await;
    assert!(!answer.contains("6.6.6.6") && !answer.contains("evil"), "{answer}");
}

#[tokio::test]
async fn a_trusted_proxy_speaks_for_its_client_up_to_the_first_stranger() {
    let lab = trusting(&["127.0.0.0/8", "10.0.0.0/8"]).await;
    let usual = "X-Forwarded-For: 6.6.6.6, 192.0.2.7, 10.0.0.2\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: outer.example\r\n";
    let seen = [
        "x-forwarded-for: 192.0.2.7",
        "x-real-ip: 192.0.2.7",
        "forwarded: for=192.0.2.7;host=\"outer.example\";proto=https",
        "x-forwarded-proto: https",
        "x-forwarded-host: outer.example",
        "x-forwarded-port: 443",
        "host: lab",
    ];
    let answer = ask(&lab, usual).await;
    assert_seen(&answer, &seen);
    assert!(!answer.contains("6.6.6.6"), "{answer}");
    let standard = "Forwarded: for=6.6.6.6\r\nForwarded: for=\"192.0.2.7:99\";host=outer.example;proto=https, for=\"10.0.0.2\"\r\n";
    assert_seen(&ask(&lab, standard).await, &seen);
    let answer = ask(&lab, "Forwarded: for=\"[2001:db8::7]:99\"\r\n").await;
    assert_seen(&answer, &["x-real-ip: 2001:db8::7", "forwarded: for=\"[2001:db8::7]\";proto=http"]);
    assert_seen(&ask(&lab, "Forwarded: for=_hidden\r\n").await, &["x-real-ip: 127.0.0.1"]);
    assert_seen(&ask(&lab, "").await, &["x-real-ip: 127.0.0.1"]);
}

#[tokio::test]
async fn forwarding_headers_that_contradict_each_other_are_refused() {
    let lab = trusting(&["127.0.0.1"]).await;
    for headers in ["X-Forwarded-For: 192.0.2.7\r\nForwarded: for=6.6.6.6\r\n", "Forwarded: for=\"192.0.2.7\r\n"] {
        let answer = ask(&lab, headers).await;
        assert!(status(&answer) == 400 && answer.contains("\"code\":\"forwarding\""), "{answer}");
    }
}

#[tokio::test]
async fn a_route_goes_by_the_client_that_a_trusted_proxy_names() {
    let lab = with(quick(), |wanted| {
        wanted.trusted_proxies = vec!["127.0.0.1".into()];
        let hsts = Some(Hsts { max_age_s: 300, include_subdomains: true, preload: false });
        let allow = vec!["192.0.2.0/24".into()];
        let maintenance = Some(Maintenance { page: None, message: None, retry_after_s: None, allow });
        wanted.routes = vec![Route { https_only: true, hsts, maintenance, ..route(None, "/", POOL) }];
    })
    .await;
    let answer = ask(&lab, "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\n").await;
    assert_seen(&answer, &["strict-transport-security: max-age=300; includeSubDomains"]);
    let answer = ask(&lab, "X-Forwarded-For: 198.51.100.7\r\nX-Forwarded-Proto: https\r\n").await;
    assert_eq!(status(&answer), 503);
    assert!(answer.contains("strict-transport-security"), "the edge's own answers over TLS have it too: {answer}");
    let answer =
        ask(&lab, "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: outer\r\n").await;
    assert!(status(&answer) == 308 && answer.contains("location: https://outer/\r\n"), "{answer}");
}

/// A version 2 header for `192.0.2.7:5555` to `192.0.2.1:8443`, with some additions.
fn version_2(command: u8, additions: &[u8]) -> Vec<u8> {
    let addresses = [192, 0, 2, 7, 192, 0, 2, 1, 0x15, 0xb3, 0x20, 0xfb];
    let length = (addresses.len() + additions.len()) as u16;
    [SIGNATURE, &[command, 0x11], &length.to_be_bytes(), &addresses, additions].concat()
}

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n";
const FROM_PROXY: [&str; 3] = ["x-forwarded-for: 192.0.2.7", "x-real-ip: 192.0.2.7", "x-forwarded-port: 8443"];

#[tokio::test]
async fn both_versions_of_the_proxy_protocol_say_who_the_client_is_however_the_bytes_come() {
    let lab = announced(quick()).await;
    let line = b"PROXY TCP4 192.0.2.7 192.0.2.1 5555 8443\r\n".to_vec();
    let long = version_2(0x21, &[&[0x04, 0x0f, 0xa0][..], &[0; 4000]].concat());
    for header in [line, version_2(0x21, &[]), version_2(0x21, &[0x03, 0, 1, 7]), long] {
        let answer = raw(lab.address, &[&header, GET].concat()).await;
        assert_seen(&answer, &FROM_PROXY);
        let mut stream = TcpStream::connect(lab.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        for piece in [&header[..7], &header[7..20], &header[20..]] {
            stream.write_all(piece).await.unwrap();
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        stream.write_all(GET).await.unwrap();
        assert_seen(&read_all(&mut stream).await, &FROM_PROXY);
    }
}

#[tokio::test]
async fn a_proxys_own_connections_are_its_own_and_claims_inside_are_the_clients() {
    let lab = announced(quick()).await;
    for header in [version_2(0x20, &[]), b"PROXY UNKNOWN\r\n".to_vec()] {
        let answer = raw(lab.address, &[&header, GET].concat()).await;
        assert_seen(&answer, &["x-forwarded-for: 127.0.0.1"]);
    }
    // The client behind the proxy is a stranger: what it writes into its headers counts for nothing.
    let forged = b"GET / HTTP/1.1\r\nHost: lab\r\nConnection: close\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n";
    let answer = raw(lab.address, &[&version_2(0x21, &[]), &forged[..]].concat()).await;
    assert_seen(&answer, &FROM_PROXY);
}

#[tokio::test]
async fn http_2_may_follow_the_proxy_protocol() {
    let lab = announced(quick()).await;
    let mut stream = TcpStream::connect(lab.address).await.unwrap();
    stream.write_all(&version_2(0x21, &[])).await.unwrap();
    let io = hyper_util::rt::TokioIo::new(stream);
    let executor = hyper_util::rt::TokioExecutor::new();
    let (mut sender, connection) = hyper::client::conn::http2::handshake(executor, io).await.unwrap();
    tokio::spawn(connection);
    let request = http::Request::get("http://lab/").body(http_body_util::Empty::<bytes::Bytes>::new()).unwrap();
    let response = sender.send_request(request).await.unwrap();
    let body = http_body_util::BodyExt::collect(response.into_body()).await.unwrap().to_bytes();
    assert!(String::from_utf8_lossy(&body).contains("x-forwarded-for: 192.0.2.7"));
}

#[tokio::test]
async fn without_a_header_or_with_a_bad_one_nothing_is_served() {
    let lab = announced(quick()).await;
    let too_long = [SIGNATURE, &[0x21, 0x11, 0xff, 0xff], &[0; 100]].concat();
    let endless = [b"PROXY TCP4 ".to_vec(), vec![b'1'; 200], b"\r\n".to_vec()].concat();
    for bytes in [GET.to_vec(), too_long, endless, [b"PROXY TCP4 a b 1 2\r\n", GET].concat()] {
        assert_eq!(raw(lab.address, &bytes).await, "");
    }
}

#[tokio::test]
async fn a_stranger_cannot_speak_the_proxy_protocol() {
    let lab = with(quick(), |wanted| {
        wanted.trusted_proxies = vec!["10.0.0.0/8".into()];
        wanted.listeners[0].proxy_protocol = true;
    })
    .await;
    assert_eq!(raw(lab.address, &[&version_2(0x21, &[]), GET].concat()).await, "");
    // And where the listener does not expect it, it is no HTTP.
    let plain = trusting(&["127.0.0.1"]).await;
    assert_eq!(status(&raw(plain.address, &[&version_2(0x21, &[]), GET].concat()).await), 400);
}

#[tokio::test]
async fn a_proxy_that_does_not_finish_its_header_is_dropped_in_time() {
    let lab = announced(Limits { header_read: Duration::from_millis(200), ..quick() }).await;
    let began = Instant::now();
    assert_eq!(raw(lab.address, b"PROXY TCP4 192.0.2.7 ").await, "");
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_proxy_protocol_without_trusted_proxies_is_a_problem() {
    let mut wanted = snapshot(1, pool("r1", &[echo("a").await]));
    wanted.listeners[0].proxy_protocol = true;
    let lab = start(tempfile::tempdir().unwrap(), quick()).await;
    let applied = lab.control.apply(&wanted.seal()).await.unwrap();
    assert!(applied.problems.iter().any(|problem| problem.contains("PROXY protocol")), "{:?}", applied.problems);
}

#[tokio::test]
async fn connections_are_counted_by_the_client_behind_the_proxy() {
    let lab = announced(Limits { connections_per_client: 2, ..quick() }).await;
    let open = async |header: &[u8]| {
        let mut stream = TcpStream::connect(lab.address).await.unwrap();
        stream.write_all(header).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: lab\r\n\r\n").await.unwrap();
        let mut first = [0u8; 8];
        let read = tokio::io::AsyncReadExt::read_exact(&mut stream, &mut first).await;
        read.is_ok().then_some(stream)
    };
    let mut held = Vec::new();
    for client in 1..=3 {
        for _ in 0..2 {
            let line = format!("PROXY TCP4 192.0.2.{client} 192.0.2.200 5555 80\r\n");
            held.push(open(line.as_bytes()).await.expect("every client has two, whoever their proxy is"));
        }
    }
    assert!(open(b"PROXY TCP4 192.0.2.1 192.0.2.200 5555 80\r\n").await.is_none());
}

#[tokio::test]
async fn on_an_internal_listener_two_chains_that_differ_are_no_reason_to_refuse_and_go_on() {
    let target = echo("api").await;
    let lab = lab_with_snapshot(quick(), pool("r1", &[target]), |snapshot| {
        // As it is where the networks of containers are trusted.
        snapshot.trusted_proxies = vec!["127.0.0.0/8".to_owned()];
        snapshot.listeners[0].scope = edge::Scope::Internal;
        snapshot.routes[0].scope = edge::Scope::Internal;
    })
    .await;
    let ask = "GET / HTTP/1.1\r\nHost: api\r\nConnection: close\r\nX-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\nForwarded: for=198.51.100.1;proto=http\r\n\r\n";
    let answer = raw(lab.address, ask.as_bytes()).await;
    assert_eq!(status(&answer), 200, "{answer}");
    for line in [
        "x-forwarded-for: 203.0.113.9, 127.0.0.1\r\n",
        "x-forwarded-proto: https\r\n",
        "forwarded: for=198.51.100.1;proto=http, for=127.0.0.1;proto=http\r\n",
    ] {
        assert!(answer.contains(line), "{line} is missing in {answer}");
    }
}

/// Answers after this long, and says when a client has left it alone.
async fn late(time: Duration) -> std::net::SocketAddr {
    upstream(move |mut stream| async move {
        while read_head(&mut stream).await.is_some() {
            tokio::time::sleep(time).await;
            let _ = stream.write_all(ok("late").as_bytes()).await;
        }
    })
    .await
}

#[tokio::test]
async fn a_client_that_ends_its_sending_after_the_request_gets_its_answer() {
    let limits = Limits { client_half_closed: Duration::from_secs(5), ..quick() };
    for close in ["", "Connection: close\r\n"] {
        let lab = lab_with(limits.clone(), pool("r1", &[late(Duration::from_millis(400)).await])).await;
        for request in [
            format!("GET / HTTP/1.1\r\nHost: lab\r\n{close}\r\n"),
            format!("GET / HTTP/1.1\r\nHost: lab\r\nContent-Length: 0\r\n{close}\r\n"),
            "GET / HTTP/1.0\r\nHost: lab\r\n\r\n".to_owned(),
        ] {
            let mut client = TcpStream::connect(lab.address).await.unwrap();
            client.write_all(request.as_bytes()).await.unwrap();
            client.shutdown().await.unwrap();
            let began = std::time::Instant::now();
            let answer = read_all(&mut client).await;
            assert!(status(&answer) == 200 && answer.ends_with("late"), "{request}: {answer}");
            assert!(began.elapsed() < Duration::from_secs(2), "then its connection ends: {:?}", began.elapsed());
        }
    }
}

#[tokio::test]
async fn a_client_that_waits_in_vain_after_its_sending_counts_as_gone() {
    let limits = Limits { client_half_closed: Duration::from_millis(300), ..quick() };
    let lab = lab_with(limits, pool("r1", &[late(Duration::from_secs(60)).await])).await;
    let mut client = TcpStream::connect(lab.address).await.unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nHost: lab\r\n\r\n").await.unwrap();
    client.shutdown().await.unwrap();
    let began = std::time::Instant::now();
    assert_eq!(read_all(&mut client).await, "");
    assert!((300..2_000).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
    wait_for("the request to end", || async { lab.control.status().await.unwrap().pools[0].in_flight == 0 }).await;
}

#[tokio::test]
async fn a_body_that_ends_before_its_length_is_no_request_that_waits() {
    let lab = lab_with(quick(), pool("r1", &[late(Duration::from_secs(60)).await])).await;
    let mut client = TcpStream::connect(lab.address).await.unwrap();
    client.write_all(b"POST / HTTP/1.1\r\nHost: lab\r\nContent-Length: 10\r\n\r\nabc").await.unwrap();
    client.shutdown().await.unwrap();
    let began = std::time::Instant::now();
    let answer = read_all(&mut client).await;
    assert!(began.elapsed() < Duration::from_secs(2) && status(&answer) != 200, "{answer}");
}
