//! One handshake, from the first byte to the agreed protocol.

use std::sync::Arc;
use std::time::Duration;

use rustls::server::{Acceptor, ClientHello};
use rustls::{ProtocolVersion, ServerConfig, ServerConnection};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use super::server::TlsServer;
use super::tally::Reason;

/// A connection whose handshake is done.
pub(crate) struct Secured {
    pub(crate) stream: TlsStream<TcpStream>,
    pub(crate) is_h2: bool,
    pub(crate) has_client_certificate: bool,
    pub(crate) session: Session,
}

/// What was agreed, for the access log.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    pub(crate) version: &'static str,
    /// The name that the client asked for.
    pub(crate) name: Option<Arc<str>>,
}

/// A fatal alert before any keys exist; its last byte says what is wrong.
const ALERT: [u8; 6] = [21, 3, 3, 0, 2, 2];
/// RFC 8446, 9.2: a server that needs a name says so with this.
const MISSING_EXTENSION: u8 = 109;
/// RFC 6066, 3.
const UNRECOGNIZED_NAME: u8 = 112;

const PLAIN: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 65\r\n\
    Connection: close\r\n\r\nThis port speaks HTTPS; ask again with https:// in the address.\r\n";

/// How long a refused client may take to read why.
const LINGER: Duration = Duration::from_millis(500);

/// Shakes hands; the caller limits the time.
pub(crate) async fn accept(
    tls: &TlsServer,
    config: Arc<ServerConfig>,
    mut stream: TcpStream,
) -> Result<Secured, Reason> {
    let mut first = [0u8; 1];
    if !matches!(stream.peek(&mut first).await, Ok(1)) {
        return Err(Reason::Closed);
    }
    // Every HTTP method begins with a letter, and no TLS record does.
    if first[0].is_ascii_alphabetic() {
        refuse(&mut stream, PLAIN).await;
        return Err(Reason::PlainHttp);
    }
    let mut start = LazyConfigAcceptor::new(Acceptor::default(), stream).await.map_err(|error| Reason::of(&error))?;
    if let Some((reason, alert)) = unserved(tls, &start.client_hello()) {
        let mut bytes = ALERT.to_vec();
        bytes.push(alert);
        refuse(&mut start.io, &bytes).await;
        return Err(reason);
    }
    let stream = start.into_stream(config).await.map_err(|error| Reason::of(&error))?;
    let connection = stream.get_ref().1;
    tls.tally.done(connection);
    let is_h2 = connection.alpn_protocol() == Some(b"h2");
    // Only a verified one is kept by the connection: with no authorities, none is asked for.
    let has_client_certificate = connection.peer_certificates().is_some_and(|chain| !chain.is_empty());
    let session = Session::of(connection);
    Ok(Secured { stream, is_h2, has_client_certificate, session })
}

impl Session {
    fn of(connection: &ServerConnection) -> Session {
        let version = match connection.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => "1.3",
            _ => "1.2",
        };
        Session { version, name: connection.server_name().map(Arc::from) }
    }
}

/// Which alert a client gets that no certificate is there for.
fn unserved(tls: &TlsServer, hello: &ClientHello<'_>) -> Option<(Reason, u8)> {
    let name = hello.server_name();
    if tls.store.serves(name) {
        return None;
    }
    Some(match name {
        Some(_) => (Reason::UnknownName, UNRECOGNIZED_NAME),
        None => (Reason::NoName, MISSING_EXTENSION),
    })
}

/// Says why, and waits until it is read: closing over unread bytes would reset the connection and lose the words.
async fn refuse(stream: &mut TcpStream, words: &[u8]) {
    let saying = async {
        stream.write_all(words).await?;
        stream.shutdown().await?;
        let mut rest = [0u8; 4096];
        while stream.read(&mut rest).await? > 0 {}
        std::io::Result::Ok(())
    };
    // A client that does not read has had its chance.
    let _ = tokio::time::timeout(LINGER, saying).await;
}
