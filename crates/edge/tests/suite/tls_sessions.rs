//! Resumption and client certificates: what a session carries from one connection to the next, and what it must not.

use std::path::PathBuf;
use std::sync::Arc;

use crate::secure::*;
use crate::support::*;
use edge::snapshot::Tls;
use rcgen::{CertificateParams, Issuer, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, HandshakeKind};

#[tokio::test]
async fn a_session_is_resumed_on_another_listener_and_after_a_new_snapshot() {
    let ca = Ca::new();
    let target = echo("a").await;
    let certificate = ca.certificate(&["lab.test"]);
    for version in [&TLS13, &TLS12] {
        let mut first = secured(1, &[target], Tls::default(), vec![certificate.clone()]);
        first.listeners.push(edge::Listener { tls: Some(Tls::default()), ..listener("second", 0) });
        let (lab, applied) = secure_lab_with(quick(), first.clone().seal()).await;
        let client = ca.client_with(&[version]);
        assert_eq!(client.get(lab.address, "lab.test").await.0, HandshakeKind::Full);
        assert_eq!(client.get(lab.address, "lab.test").await.0, HandshakeKind::Resumed);
        assert_eq!(client.get(applied.listeners[1].bind, "lab.test").await.0, HandshakeKind::Resumed);
        first.epoch = 2;
        first.listeners.remove(1);
        lab.control.apply(&first.seal()).await.unwrap();
        assert_eq!(client.get(lab.address, "lab.test").await.0, HandshakeKind::Resumed);
        let name = if version.version == rustls::ProtocolVersion::TLSv1_3 { "1.3" } else { "1.2" };
        let line = format!("mainstay_edge_tls_handshakes_total{{version=\"{name}\",kind=\"resumed\"}} 3");
        counted(&lab.control, &line).await;
    }
}

#[tokio::test]
async fn a_session_of_one_name_is_not_resumed_for_another() {
    let ca = Ca::new();
    let certificate = ca.certificate(&["a.test", "b.test"]);
    let (lab, _) = secure_lab(&[echo("a").await], vec![certificate]).await;
    let client = ca.client();
    client.get(lab.address, "a.test").await;
    assert_eq!(client.get(lab.address, "b.test").await.0, HandshakeKind::Full);
}

/// A client with a certificate that the authority signed.
fn known(server: &Ca, signer: &Ca) -> Client {
    let text = |path: PathBuf| std::fs::read_to_string(path).unwrap();
    let key = KeyPair::from_pem(&text(signer.folder.path().join("ca.key"))).unwrap();
    let issuer = Issuer::from_ca_cert_pem(&text(signer.pem()), key).unwrap();
    let own = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["somebody".to_owned()]).unwrap().signed_by(&own, &issuer).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let key = PrivateKeyDer::try_from(own.serialize_der()).unwrap();
    let config = builder.with_root_certificates(server.roots());
    Client(Arc::new(config.with_client_auth_cert(vec![certificate.der().clone()], key).unwrap()))
}

fn guarded(by: &Ca) -> Tls {
    Tls { client_ca: Some(by.pem()), ..Tls::default() }
}

#[tokio::test]
async fn a_client_certificate_is_asked_for_but_not_demanded_and_a_foreign_one_is_refused() {
    let (ca, people, strangers) = (Ca::new(), Ca::new(), Ca::new());
    let snapshot = secured(1, &[echo("a").await], guarded(&people), vec![ca.certificate(&["lab.test"])]);
    let (lab, applied) = secure_lab_with(quick(), snapshot).await;
    assert!(applied.problems.is_empty(), "{:?}", applied.problems);
    assert!(known(&ca, &people).get(lab.address, "lab.test").await.2.contains("200 OK"));
    assert!(ca.client().get(lab.address, "lab.test").await.2.contains("200 OK"));
    // TLS 1.3 lets the client find out only when it reads.
    let mut stream = known(&ca, &strangers).connect(lab.address, "lab.test").await.unwrap();
    use tokio::io::AsyncReadExt;
    let error = stream.read_u8().await.unwrap_err();
    assert!(alert(&error).contains("UnknownCA"), "{error}");
    counted(&lab.control, "mainstay_edge_tls_failures_total{reason=\"client-certificate\"} 1").await;
}

#[tokio::test]
async fn a_session_with_a_client_certificate_is_worth_nothing_under_other_authorities() {
    let (ca, people, others) = (Ca::new(), Ca::new(), Ca::new());
    let mut snapshot = secured(1, &[echo("a").await], guarded(&people), vec![ca.certificate(&["lab.test"])]);
    snapshot.listeners.push(edge::Listener { tls: Some(guarded(&others)), ..listener("others", 0) });
    snapshot.listeners.push(edge::Listener { tls: Some(Tls::default()), ..listener("open", 0) });
    snapshot.listeners.push(edge::Listener { tls: Some(guarded(&people)), ..listener("same", 0) });
    let (lab, applied) = secure_lab_with(quick(), snapshot.seal()).await;
    let address = |index: usize| applied.listeners[index].bind;
    let client = known(&ca, &people);
    client.get(lab.address, "lab.test").await;
    assert_eq!(client.get(address(3), "lab.test").await.0, HandshakeKind::Resumed);
    assert_eq!(client.get(address(2), "lab.test").await.0, HandshakeKind::Full);
    client.get(lab.address, "lab.test").await;
    let mut stream = client.connect(address(1), "lab.test").await.unwrap();
    use tokio::io::AsyncReadExt;
    let error = stream.read_u8().await.unwrap_err();
    assert!(alert(&error).contains("UnknownCA"), "{error}");
}

#[tokio::test]
async fn a_route_that_demands_a_certificate_refuses_who_showed_none_also_on_a_resumed_session() {
    let (ca, people) = (Ca::new(), Ca::new());
    let mut snapshot = secured(1, &[echo("a").await], guarded(&people), vec![ca.certificate(&["lab.test"])]);
    snapshot.routes[0].client_certificate = true;
    let (lab, _) = secure_lab_with(quick(), snapshot.seal()).await;
    for (client, code) in [(known(&ca, &people), 200), (ca.client(), 403)] {
        for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
            let (how, _, answer) = client.get(lab.address, "lab.test").await;
            assert_eq!((how, status(&answer)), (kind, code), "{answer}");
        }
    }
}

#[tokio::test]
async fn authorities_that_cannot_be_read_are_named_and_nobody_is_asked() {
    let ca = Ca::new();
    let tls = Tls { client_ca: Some("/nowhere/ca.pem".into()), ..Tls::default() };
    let snapshot = secured(1, &[echo("a").await], tls, vec![ca.certificate(&["lab.test"])]);
    let (lab, applied) = secure_lab_with(quick(), snapshot).await;
    assert!(applied.problems[0].contains("listener `web`: could not read `/nowhere/ca.pem`"), "{:?}", applied.problems);
    assert!(known(&ca, &ca).get(lab.address, "lab.test").await.2.contains("200 OK"));
}
