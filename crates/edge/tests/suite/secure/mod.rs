//! A TLS listener with certificates of a local authority, and clients that trust it.

#![allow(dead_code, reason = "each test file uses its part")]

use std::net::SocketAddr;
use std::sync::Arc;

use edge::local_ca::LocalCa;
use edge::snapshot::{Certificate, Tls};
use edge::{Applied, Control, Limits, Snapshot};
use machine::clock::{Clock, SystemClock};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, HandshakeKind, ProtocolVersion, RootCertStore, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::support::*;

pub fn now() -> i64 {
    SystemClock::new().now_ms()
}

/// An authority in a folder of its own.
pub struct Ca {
    pub folder: tempfile::TempDir,
    pub ca: LocalCa,
}

impl Ca {
    pub fn new() -> Ca {
        let folder = tempfile::tempdir().unwrap();
        let ca = LocalCa::open_or_create(folder.path(), now()).unwrap();
        Ca { folder, ca }
    }

    pub fn certificate(&self, names: &[&str]) -> Certificate {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        self.ca.issue(&names, now()).unwrap().certificate()
    }

    pub fn pem(&self) -> std::path::PathBuf {
        self.ca.certificate()
    }

    pub fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.pem()).unwrap()).unwrap();
        roots
    }

    /// A client of its own, with its own store of sessions.
    pub fn client(&self) -> Client {
        self.client_with(&[&rustls::version::TLS13, &rustls::version::TLS12])
    }

    pub fn client_with(&self, versions: &[&'static SupportedProtocolVersion]) -> Client {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
        Client(Arc::new(builder.with_root_certificates(self.roots()).with_no_client_auth()))
    }
}

/// What shakes hands.
#[derive(Clone)]
pub struct Client(pub Arc<ClientConfig>);

impl Client {
    pub fn speaking(self, protocols: &[&str]) -> Client {
        let mut config = (*self.0).clone();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        Client(Arc::new(config))
    }

    pub fn nameless(self) -> Client {
        let mut config = (*self.0).clone();
        config.enable_sni = false;
        Client(Arc::new(config))
    }

    pub async fn connect(&self, address: SocketAddr, name: &str) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(address).await?;
        TlsConnector::from(self.0.clone()).connect(ServerName::try_from(name.to_owned()).unwrap(), stream).await
    }

    /// The first certificate that the name is answered with.
    pub async fn shown(&self, address: SocketAddr, name: &str) -> Vec<u8> {
        let stream = self.connect(address, name).await.unwrap();
        stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
    }

    /// One request; how the handshake went, and the answer.
    pub async fn get(&self, address: SocketAddr, name: &str) -> (HandshakeKind, ProtocolVersion, String) {
        let mut stream = self.connect(address, name).await.unwrap();
        let text = ask(&mut stream, name).await;
        let connection = stream.get_ref().1;
        (connection.handshake_kind().unwrap(), connection.protocol_version().unwrap(), text)
    }
}

/// One request on an open connection, read to its end.
pub async fn ask(stream: &mut TlsStream<TcpStream>, name: &str) -> String {
    let request = format!("GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

pub fn leaf(certificate: &Certificate) -> Vec<u8> {
    CertificateDer::from_pem_file(&certificate.chain).unwrap().to_vec()
}

/// The alert a handshake ended with, as rustls names it.
pub fn alert(error: &std::io::Error) -> String {
    format!("{:?}", error.get_ref().expect("an error of TLS").downcast_ref::<rustls::Error>().expect("of rustls"))
}

/// A snapshot whose one listener speaks TLS.
pub fn secured(epoch: u64, targets: &[SocketAddr], tls: Tls, certificates: Vec<Certificate>) -> Snapshot {
    let mut snapshot = snapshot(epoch, pool("r1", targets));
    snapshot.listeners[0].tls = Some(tls);
    snapshot.certificates = certificates;
    snapshot.seal()
}

/// A running edge with a TLS listener.
pub async fn secure_lab(targets: &[SocketAddr], certificates: Vec<Certificate>) -> (Lab, Applied) {
    secure_lab_with(quick(), secured(1, targets, Tls::default(), certificates)).await
}

pub async fn secure_lab_with(limits: Limits, snapshot: Snapshot) -> (Lab, Applied) {
    let mut lab = start(tempfile::tempdir().unwrap(), limits).await;
    let applied = lab.control.apply(&snapshot).await.unwrap();
    lab.address = applied.listeners[0].bind;
    (lab, applied)
}

/// Waits until a counter has the wanted value.
pub async fn counted(control: &Control, line: &str) {
    let wanted = format!("\n{line}\n");
    wait_for(line, || async { control.metrics().await.unwrap().contains(&wanted) }).await;
}
