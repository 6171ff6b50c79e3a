//! One POST of JSON to somebody's web server, plain or with TLS, bounded in time; the answer's body is not read.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

pub use crate::error::PostError;

/// Where distributions keep the authorities that a machine trusts.
const BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Sends it and answers the status. Nothing is followed and nothing is tried again.
pub async fn post_json(url: &str, body: Vec<u8>, timeout: Duration) -> Result<u16, PostError> {
    let target = Target::parse(url)?;
    let host = target.host.clone();
    let answer = tokio::time::timeout(timeout, send(target, body)).await;
    answer.unwrap_or(Err(PostError::Timeout { host, after: timeout }))
}

struct Target {
    tls: bool,
    host: String,
    port: u16,
    /// What is asked for: path and query.
    path: String,
    authority: String,
}

impl Target {
    fn parse(url: &str) -> Result<Target, PostError> {
        // The address may be a secret, so the error does not repeat it.
        let uri: Uri = url.parse().map_err(|_| PostError::BadAddress)?;
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(PostError::BadAddress),
        };
        let host = uri.host().ok_or(PostError::BadAddress)?.trim_matches(['[', ']']).to_owned();
        let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        let authority = match uri.port_u16() {
            Some(port) => format!("{}:{port}", uri.host().unwrap_or_default()),
            None => uri.host().unwrap_or_default().to_owned(),
        };
        Ok(Target { tls, host, port, path, authority })
    }
}

async fn send(target: Target, body: Vec<u8>) -> Result<u16, PostError> {
    let failed = |source| PostError::Unreachable { host: target.host.clone(), source };
    let stream = TcpStream::connect((target.host.as_str(), target.port)).await.map_err(failed)?;
    if !target.tls {
        return speak(stream, &target, body).await;
    }
    let name = ServerName::try_from(target.host.clone()).map_err(|_| PostError::BadAddress)?;
    let stream = TlsConnector::from(trusting()?).connect(name, stream).await.map_err(failed)?;
    speak(stream, &target, body).await
}

async fn speak<S>(stream: S, target: &Target, body: Vec<u8>) -> Result<u16, PostError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let broken = |source| PostError::Broken { host: target.host.clone(), source };
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    tokio::spawn(connection);
    let request = Request::post(&target.path)
        .header("host", &target.authority)
        .header("user-agent", "mainstay")
        .header("content-type", "application/json")
        .header("connection", "close")
        .body(Full::new(Bytes::from(body)))
        .map_err(|_| PostError::BadAddress)?;
    Ok(sender.send_request(request).await.map_err(broken)?.status().as_u16())
}

/// The machine's own trust, read anew each time: a company's authority may have been added since.
fn trusting() -> Result<Arc<ClientConfig>, PostError> {
    let mut roots = RootCertStore::empty();
    let bundle = BUNDLES.iter().find(|path| std::path::Path::new(path).is_file()).ok_or(PostError::NoAuthorities)?;
    let certificates = CertificateDer::pem_file_iter(bundle).map_err(|_| PostError::NoAuthorities)?;
    roots.add_parsable_certificates(certificates.flatten());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|_| PostError::NoAuthorities)?.with_root_certificates(roots).with_no_client_auth();
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    /// Answers one request with these words and gives back what was asked.
    async fn server(answer: &'static str) -> (String, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook?a=b", listener.local_addr().unwrap());
        let heard = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut heard = String::new();
            let mut buffer = [0; 1024];
            while !heard.ends_with("{\"a\":1}") {
                let count = stream.read(&mut buffer).await.unwrap();
                heard.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
            heard
        });
        (url, heard)
    }

    #[tokio::test]
    async fn json_is_posted_once_and_the_status_comes_back() {
        let (url, heard) = server("HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n").await;
        let status = post_json(&url, b"{\"a\":1}".to_vec(), Duration::from_secs(5)).await.unwrap();
        assert_eq!(status, 302, "a redirect is an answer");
        let heard = heard.await.unwrap();
        assert!(heard.starts_with("POST /hook?a=b HTTP/1.1\r\n"), "{heard}");
        assert!(heard.contains("content-type: application/json\r\n"), "{heard}");
    }

    #[tokio::test]
    async fn a_server_that_says_nothing_is_given_up_in_time() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let answer = post_json(&url, Vec::new(), Duration::from_millis(100)).await;
        assert!(matches!(answer, Err(PostError::Timeout { .. })), "{answer:?}");
    }

    #[tokio::test]
    async fn an_address_that_is_none_is_refused_and_not_repeated() {
        for url in ["", "hooks.example.com/secret", "ftp://x/secret", "http://"] {
            let answer = post_json(url, Vec::new(), Duration::from_secs(1)).await.unwrap_err();
            assert!(!answer.to_string().contains("secret"), "{answer}");
        }
    }

    #[test]
    fn this_machines_authorities_are_found() {
        assert!(trusting().is_ok());
    }
}
