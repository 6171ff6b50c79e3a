//! The edge's side of the control socket.

use std::convert::Infallible;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Serialize;
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;

use super::{DrainRequest, FiguresRequest, counting, figures, status};
use crate::apply::apply;
use crate::edge::Edge;
use crate::error::{EdgeError, Refusal};
use crate::snapshot::Snapshot;

/// Tens of thousands of routes fit.
const MAX_QUESTION: usize = 32 << 20;

/// Opens the socket for its owner only, in place of one that nobody answers on any more.
pub(crate) async fn open(path: &Path) -> Result<UnixListener, EdgeError> {
    if UnixStream::connect(path).await.is_ok() {
        return Err(EdgeError::AlreadyRunning { path: path.to_owned() });
    }
    place(path)
}

/// Opens the socket for its owner only, in place of whatever is there.
pub(crate) fn place(path: &Path) -> Result<UnixListener, EdgeError> {
    let failed = |source| EdgeError::ControlSocket { path: path.to_owned(), source };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    // Bound under another name and moved into place with its mode already set: it is never open to others.
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let fresh = PathBuf::from(name);
    let _ = std::fs::remove_file(&fresh);
    let listener = UnixListener::bind(&fresh).map_err(failed)?;
    std::fs::set_permissions(&fresh, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
    std::fs::rename(&fresh, path).map_err(failed)?;
    Ok(listener)
}

/// Removes the socket.
pub(crate) fn close(path: &Path) {
    let _ = std::fs::remove_file(path);
}

/// Answers until the shutdown begins.
pub(crate) async fn serve(edge: &Arc<Edge>, listener: UnixListener, shutdown: &CancellationToken) {
    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let edge = edge.clone();
                tokio::spawn(converse(edge, stream));
            }
            Err(error) => {
                tracing::warn!(%error, "could not accept on the control socket");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn converse(edge: Arc<Edge>, stream: UnixStream) {
    let service = service_fn(move |request| {
        let edge = edge.clone();
        async move { Ok::<_, Infallible>(answer(&edge, request).await) }
    });
    let mut builder = http1::Builder::new();
    let served = builder.timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service).await;
    if let Err(error) = served {
        tracing::debug!(%error, "a control connection ended badly");
    }
}

async fn answer(edge: &Arc<Edge>, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    match (&method, path.as_str()) {
        (&Method::PUT, "/v1/snapshot") => match read::<Snapshot>(request).await {
            Ok(snapshot) => match apply(edge, snapshot).await {
                Ok(applied) => json(StatusCode::OK, &applied),
                Err(error) => refused(&error),
            },
            Err(response) => response,
        },
        (&Method::POST, "/v1/drained") => match read::<DrainRequest>(request).await {
            Ok(wanted) => json(StatusCode::OK, &status::drained(edge, &wanted).await),
            Err(response) => response,
        },
        (&Method::POST, "/v1/figures") => match read::<FiguresRequest>(request).await {
            Ok(wanted) => json(StatusCode::OK, &figures::figures(edge, &wanted)),
            Err(response) => response,
        },
        (&Method::GET, "/v1/status") => json(StatusCode::OK, &status::status(edge)),
        (&Method::GET, "/v1/counters") => json(StatusCode::OK, &counting::counters(edge)),
        (&Method::GET, "/metrics") => text(crate::metrics::render(edge)),
        _ => no(StatusCode::NOT_FOUND, &format!("there is no {method} {path}")),
    }
}

async fn read<T: serde::de::DeserializeOwned>(request: Request<Incoming>) -> Result<T, Response<Full<Bytes>>> {
    let body = Limited::new(request.into_body(), MAX_QUESTION).collect().await;
    let bytes = body.map_err(|error| no(StatusCode::BAD_REQUEST, &format!("could not read the body: {error}")))?;
    let decoded = serde_json::from_slice(&bytes.to_bytes());
    decoded.map_err(|error| no(StatusCode::BAD_REQUEST, &format!("could not understand the body: {error}")))
}

fn refused(error: &EdgeError) -> Response<Full<Bytes>> {
    let status = match error {
        EdgeError::Refused(Refusal::OlderEpoch { .. } | Refusal::EpochTaken { .. }) => StatusCode::CONFLICT,
        EdgeError::Refused(Refusal::NewerSchema { .. } | Refusal::WrongHash) => StatusCode::UNPROCESSABLE_ENTITY,
        EdgeError::Retired => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    // The caller is another process: the chain must be on the line, there is no source to follow.
    let mut line = error.to_string();
    let mut source = std::error::Error::source(error).filter(|_| !matches!(error, EdgeError::Refused(_)));
    while let Some(inner) = source {
        line.push_str(": ");
        line.push_str(&inner.to_string());
        source = inner.source();
    }
    no(status, &line)
}

fn no(status: StatusCode, why: &str) -> Response<Full<Bytes>> {
    json(status, &serde_json::json!({ "error": why }))
}

fn json(status: StatusCode, value: &impl Serialize) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(serde_json::to_vec(value).unwrap_or_default())));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn text(text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
