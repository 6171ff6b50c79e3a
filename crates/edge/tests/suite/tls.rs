//! TLS: which certificate a name gets, how a handshake ends, and what a snapshot changes.

use std::time::Duration;

use crate::secure::*;
use crate::support::*;
use bytes::Bytes;
use edge::snapshot::{Certificate, Tls};
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::version::{TLS12, TLS13};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::test]
async fn a_request_over_tls_reaches_the_target_which_is_told_https() {
    let ca = Ca::new();
    let (lab, applied) = secure_lab(&[echo("a").await], vec![ca.certificate(&["lab.test"])]).await;
    assert!(applied.problems.is_empty(), "{:?}", applied.problems);
    let (_, version, answer) = ca.client().get(lab.address, "lab.test").await;
    assert!(answer.contains("200 OK") && answer.contains("x-forwarded-proto: https"), "{answer}");
    assert_eq!(version, rustls::ProtocolVersion::TLSv1_3);
    counted(&lab.control, "mainstay_edge_tls_handshakes_total{version=\"1.3\",kind=\"full\"} 1").await;
}

#[tokio::test]
async fn http_2_is_agreed_by_alpn_and_http_1_where_the_client_knows_no_other() {
    let ca = Ca::new();
    let (lab, _) = secure_lab(&[echo("a").await], vec![ca.certificate(&["lab.test"])]).await;
    let stream = ca.client().speaking(&["h2", "http/1.1"]).connect(lab.address, "lab.test").await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let io = TokioIo::new(stream);
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    let request = Request::get("https://lab.test/x").body(Full::<Bytes>::default()).unwrap();
    let response = sender.send_request(request).await.unwrap();
    assert_eq!(response.status(), 200);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert!(String::from_utf8_lossy(&body).contains("x-forwarded-proto: https"));
    let mut stream = ca.client().speaking(&["http/1.1"]).connect(lab.address, "lab.test").await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    assert!(ask(&mut stream, "lab.test").await.contains("200 OK"));
}

#[tokio::test]
async fn an_exact_name_comes_before_a_wildcard_which_covers_one_label_and_the_rest_gets_the_default() {
    let ca = Ca::new();
    let exact = ca.certificate(&["a.lab.test"]);
    let wild = ca.certificate(&["*.lab.test"]);
    // Good for everything that is asked below, so that the client's own check says nothing.
    let default = ca.certificate(&["other.test", "x.a.lab.test", "lab.test"]);
    let default = Certificate { names: vec![], is_default: true, ..default };
    let (lab, applied) = secure_lab(&[], vec![wild.clone(), default.clone(), exact.clone()]).await;
    assert_eq!(applied.problems.len(), 1, "only the pool without a target: {:?}", applied.problems);
    let client = ca.client();
    assert_eq!(client.shown(lab.address, "a.lab.test").await, leaf(&exact));
    assert_eq!(client.shown(lab.address, "A.Lab.Test").await, leaf(&exact));
    assert_eq!(client.shown(lab.address, "b.lab.test").await, leaf(&wild));
    for name in ["other.test", "x.a.lab.test", "lab.test"] {
        assert_eq!(client.shown(lab.address, name).await, leaf(&default), "{name}");
    }
    assert_eq!(client.nameless().shown(lab.address, "other.test").await, leaf(&default));
}

#[tokio::test]
async fn without_a_default_an_unknown_name_and_a_missing_one_are_refused_with_their_alerts() {
    let ca = Ca::new();
    let (lab, _) = secure_lab(&[], vec![ca.certificate(&["lab.test"])]).await;
    let unknown = ca.client().connect(lab.address, "other.test").await.unwrap_err();
    assert_eq!(alert(&unknown), "AlertReceived(UnrecognisedName)");
    let missing = ca.client().nameless().connect(lab.address, "lab.test").await.unwrap_err();
    assert_eq!(alert(&missing), "AlertReceived(MissingExtension)");
    counted(&lab.control, "mainstay_edge_tls_failures_total{reason=\"unknown-name\"} 1").await;
    counted(&lab.control, "mainstay_edge_tls_failures_total{reason=\"no-name\"} 1").await;
}

#[tokio::test]
async fn a_bad_certificate_is_named_and_touches_no_other() {
    let ca = Ca::new();
    let (good, other) = (ca.certificate(&["good.test"]), ca.certificate(&["other.test"]));
    let mismatched = Certificate { key: other.key.clone(), ..ca.certificate(&["mismatched.test"]) };
    let missing = Certificate { chain: "/nowhere/chain.pem".into(), ..ca.certificate(&["missing.test"]) };
    let long_ago = edge::local_ca::LocalCa::open_or_create(ca.folder.path(), now()).unwrap();
    let expired = long_ago.issue(&["expired.test".to_owned()], now() - 200 * 86_400_000).unwrap().certificate();
    let foreign = Certificate { names: vec!["foreign.test".to_owned()], digest: "f00".to_owned(), ..good.clone() };
    let (lab, applied) = secure_lab(&[], vec![missing, mismatched, expired.clone(), foreign, good.clone()]).await;
    let has = |what: &str| applied.problems.iter().any(|problem| problem.contains(what));
    assert!(has("`/nowhere/chain.pem`: could not read"), "{:?}", applied.problems);
    assert!(has("mismatched_test") && has("the key does not fit"), "{:?}", applied.problems);
    assert!(has("it has expired"), "{:?}", applied.problems);
    assert!(has("not good for foreign.test") && has("not those that the snapshot means"), "{:?}", applied.problems);
    let client = ca.client();
    assert_eq!(client.shown(lab.address, "good.test").await, leaf(&good));
    for name in ["missing.test", "mismatched.test"] {
        let error = client.connect(lab.address, name).await.unwrap_err();
        assert_eq!(alert(&error), "AlertReceived(UnrecognisedName)");
    }
    // Served, and it is the client who refuses.
    let error = client.connect(lab.address, "expired.test").await.unwrap_err();
    assert!(alert(&error).contains("Expired"), "{error}");
    counted(&lab.control, "mainstay_edge_tls_failures_total{reason=\"refused-by-client\"} 1").await;
}

#[tokio::test]
async fn a_renewed_certificate_is_served_at_once_and_running_connections_go_on() {
    let ca = Ca::new();
    let target = echo("a").await;
    let first = ca.certificate(&["lab.test"]);
    let (lab, _) = secure_lab(&[target], vec![first.clone()]).await;
    let mut running = ca.client().connect(lab.address, "lab.test").await.unwrap();
    let before = leaf(&first);
    std::fs::remove_file(&first.chain).unwrap();
    let renewed = ca.certificate(&["lab.test"]);
    lab.control.apply(&secured(2, &[target], Tls::default(), vec![renewed.clone()])).await.unwrap();
    assert_ne!(ca.client().shown(lab.address, "lab.test").await, before);
    assert_eq!(ca.client().shown(lab.address, "lab.test").await, leaf(&renewed));
    assert!(ask(&mut running, "lab.test").await.contains("200 OK"));
}

#[tokio::test]
async fn an_unchanged_digest_is_not_read_again_and_a_broken_renewal_leaves_the_old_one_in_place() {
    let ca = Ca::new();
    let certificate = ca.certificate(&["lab.test"]);
    let (lab, _) = secure_lab(&[], vec![certificate.clone()]).await;
    let shown = leaf(&certificate);
    std::fs::remove_file(&certificate.key).unwrap();
    let same = lab.control.apply(&secured(2, &[], Tls::default(), vec![certificate.clone()])).await.unwrap();
    assert_eq!(same.problems.len(), 1, "only the pool without a target: {:?}", same.problems);
    let changed = Certificate { digest: "0".repeat(64), ..certificate };
    let broken = lab.control.apply(&secured(3, &[], Tls::default(), vec![changed])).await.unwrap();
    assert!(broken.problems.iter().any(|p| p.contains("read before is served on")), "{:?}", broken.problems);
    assert_eq!(ca.client().shown(lab.address, "lab.test").await, shown);
}

#[tokio::test]
async fn a_listener_becomes_tls_without_being_opened_again() {
    let ca = Ca::new();
    let target = echo("a").await;
    let lab = lab(&[target]).await;
    assert!(lab.get("/").await.contains("200 OK"));
    let mut next = secured(2, &[target], Tls::default(), vec![ca.certificate(&["lab.test"])]);
    next.listeners[0].name = "web".to_owned();
    let applied = lab.control.apply(&next).await.unwrap();
    assert_eq!(applied.listeners[0].bind, lab.address);
    assert!(ca.client().get(lab.address, "lab.test").await.2.contains("200 OK"));
}

#[tokio::test]
async fn a_listener_with_tls_and_no_certificate_is_a_problem_and_never_speaks_plain_text() {
    let (lab, applied) = secure_lab(&[echo("a").await], vec![]).await;
    assert!(applied.problems.iter().any(|problem| problem.contains("no certificate")), "{:?}", applied.problems);
    assert_eq!(status(&lab.get("/").await), 400);
}

#[tokio::test]
async fn plain_http_on_a_tls_port_is_answered_in_words() {
    let ca = Ca::new();
    let (lab, _) = secure_lab(&[], vec![ca.certificate(&["lab.test"])]).await;
    let answer = lab.get("/").await;
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.ends_with("https:// in the address.\r\n"), "{answer}");
    let length: usize = answer.split("Content-Length: ").nth(1).unwrap().split('\r').next().unwrap().parse().unwrap();
    assert_eq!(answer.split("\r\n\r\n").nth(1).unwrap().len(), length);
    counted(&lab.control, "mainstay_edge_tls_failures_total{reason=\"plain-http\"} 1").await;
}

#[tokio::test]
async fn bytes_that_are_no_tls_get_an_alert_and_a_silent_client_is_cut_off() {
    let ca = Ca::new();
    let limits = edge::Limits { tls_handshake: Duration::from_millis(200), ..quick() };
    let snapshot = secured(1, &[], Tls::default(), vec![ca.certificate(&["lab.test"])]);
    let (lab, _) = secure_lab_with(limits, snapshot).await;
    let mut garbled = TcpStream::connect(lab.address).await.unwrap();
    garbled.write_all(&[0u8; 64]).await.unwrap();
    let mut first = [0u8; 1];
    garbled.read_exact(&mut first).await.unwrap();
    assert_eq!(first[0], 21, "an alert");
    let mut silent = TcpStream::connect(lab.address).await.unwrap();
    assert_eq!(read_all(&mut silent).await, "");
    let mut half = TcpStream::connect(lab.address).await.unwrap();
    half.write_all(&[22, 3, 1, 1, 0, 1]).await.unwrap();
    assert_eq!(read_all(&mut half).await, "");
    drop(TcpStream::connect(lab.address).await.unwrap());
    counted(&lab.control, "mainstay_edge_tls_failures_total{reason=\"garbled\"} 1").await;
    counted(&lab.control, "mainstay_edge_tls_failures_total{reason=\"time\"} 2").await;
    counted(&lab.control, "mainstay_edge_tls_failures_total{reason=\"closed\"} 1").await;
}

#[tokio::test]
async fn tls_1_2_is_spoken_unless_the_listener_wants_1_3_only() {
    let ca = Ca::new();
    let target = echo("a").await;
    let certificate = ca.certificate(&["lab.test"]);
    let (lab, _) = secure_lab(&[target], vec![certificate.clone()]).await;
    let old = ca.client_with(&[&TLS12]);
    assert!(old.get(lab.address, "lab.test").await.2.contains("200 OK"));
    let strict = Tls { only_13: true, ..Tls::default() };
    lab.control.apply(&secured(2, &[target], strict, vec![certificate])).await.unwrap();
    // Without a session to resume, so that the version is the only question.
    let error = ca.client_with(&[&TLS12]).connect(lab.address, "lab.test").await.unwrap_err();
    assert_eq!(alert(&error), "AlertReceived(ProtocolVersion)");
    assert!(ca.client_with(&[&TLS13]).get(lab.address, "lab.test").await.2.contains("200 OK"));
    counted(&lab.control, "mainstay_edge_tls_failures_total{reason=\"incompatible\"} 1").await;
}

#[tokio::test]
async fn a_proxy_header_comes_before_the_handshake() {
    let ca = Ca::new();
    let mut snapshot = secured(1, &[echo("a").await], Tls::default(), vec![ca.certificate(&["lab.test"])]);
    snapshot.listeners[0].proxy_protocol = true;
    snapshot.trusted_proxies = vec!["127.0.0.0/8".to_owned()];
    let (lab, _) = secure_lab_with(quick(), snapshot.seal()).await;
    let mut stream = TcpStream::connect(lab.address).await.unwrap();
    stream.write_all(b"PROXY TCP4 192.0.2.7 192.0.2.1 4321 443\r\n").await.unwrap();
    let name = rustls::pki_types::ServerName::try_from("lab.test").unwrap();
    let connector = tokio_rustls::TlsConnector::from(ca.client().0);
    let mut stream = connector.connect(name, stream).await.unwrap();
    let answer = ask(&mut stream, "lab.test").await;
    assert!(answer.contains("x-forwarded-for: 192.0.2.7") && answer.contains("x-forwarded-proto: https"), "{answer}");
}

#[tokio::test]
async fn a_websocket_goes_through_tls() {
    let ca = Ca::new();
    let target = upstream(|mut stream| async move {
        read_head(&mut stream).await;
        let agreed = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
        let _ = stream.write_all(agreed.as_bytes()).await;
        let (mut reading, mut writing) = stream.split();
        let _ = tokio::io::copy(&mut reading, &mut writing).await;
    })
    .await;
    let (lab, _) = secure_lab(&[target], vec![ca.certificate(&["lab.test"])]).await;
    let mut stream = ca.client().connect(lab.address, "lab.test").await.unwrap();
    let asked = "GET / HTTP/1.1\r\nHost: lab.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nfirst";
    stream.write_all(asked.as_bytes()).await.unwrap();
    let mut seen = Vec::new();
    while !seen.ends_with(b"first") {
        assert_ne!(stream.read_buf(&mut seen).await.unwrap(), 0, "{}", String::from_utf8_lossy(&seen));
    }
    assert!(seen.starts_with(b"HTTP/1.1 101"));
}

#[tokio::test]
async fn a_large_answer_and_a_large_body_come_through_whole() {
    let ca = Ca::new();
    let size = 3_000_000;
    let target = upstream(move |mut stream| async move {
        read_head(&mut stream).await;
        let mut body = vec![0u8; size];
        stream.read_exact(&mut body).await.unwrap();
        let _ = stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n").as_bytes()).await;
        let _ = stream.write_all(&body).await;
    })
    .await;
    let (lab, _) = secure_lab(&[target], vec![ca.certificate(&["lab.test"])]).await;
    let mut stream = ca.client().connect(lab.address, "lab.test").await.unwrap();
    let head = format!("POST / HTTP/1.1\r\nHost: lab.test\r\nConnection: close\r\nContent-Length: {size}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&vec![b'x'; size]).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert!(answer.ends_with(&vec![b'x'; size]) && answer.starts_with(b"HTTP/1.1 200"));
}
