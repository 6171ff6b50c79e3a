//! The agent's side of the control socket.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use super::{Applied, Counters, DrainRequest, Drained, FiguresRequest, PoolFigures, Status};
use crate::error::ControlError;
use crate::snapshot::Snapshot;

/// No answer of the edge is larger; the metrics of thousands of pools are not.
const MAX_ANSWER: usize = 64 << 20;

/// Applying opens sockets and syncs a file; it answers in milliseconds on a healthy machine.
const PATIENCE: Duration = Duration::from_secs(15);

/// Before a question is put to the edge that has taken over.
const AGAIN: Duration = Duration::from_millis(20);

/// Speaks to one edge; each call is its own connection, so a restarted edge is found again.
#[derive(Debug, Clone)]
pub struct Control {
    socket: PathBuf,
}

impl Control {
    /// Names the socket; nothing is opened until the first call.
    pub fn new(socket: PathBuf) -> Control {
        Control { socket }
    }

    /// The socket's path.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Pushes a snapshot and waits for the acknowledgement that traffic moves by it.
    pub async fn apply(&self, snapshot: &Snapshot) -> Result<Applied, ControlError> {
        self.call_json(Method::PUT, "/v1/snapshot", Some(snapshot), PATIENCE).await
    }

    /// What the edge serves and does right now.
    pub async fn status(&self) -> Result<Status, ControlError> {
        self.call_json(Method::GET, "/v1/status", None::<&()>, PATIENCE).await
    }

    /// Waits until a release that was switched away, or whose requests are held, is idle, or the budget is over; returns
    /// what is left. Streams without an end are ended first where requests are held.
    pub async fn drained(&self, pool: &str, release: &str, budget: Duration) -> Result<u64, ControlError> {
        self.wait(pool, release, budget, false).await
    }

    /// Waits until what is under way now at a release that goes on serving has ended, or the budget is over; returns
    /// what is left of it.
    pub async fn settled(&self, pool: &str, release: &str, budget: Duration) -> Result<u64, ControlError> {
        self.wait(pool, release, budget, true).await
    }

    async fn wait(&self, pool: &str, release: &str, budget: Duration, serves_on: bool) -> Result<u64, ControlError> {
        let request = DrainRequest {
            serves_on,
            pool: pool.to_owned(),
            release: release.to_owned(),
            budget_ms: u64::try_from(budget.as_millis()).unwrap_or(u64::MAX),
        };
        let drained: Drained =
            self.call_json(Method::POST, "/v1/drained", Some(&request), budget.saturating_add(PATIENCE)).await?;
        Ok(drained.left)
    }

    /// The counters, as numbers.
    pub async fn counters(&self) -> Result<Counters, ControlError> {
        self.call_json(Method::GET, "/v1/counters", None::<&()>, PATIENCE).await
    }

    /// What the requests of each of a pool's releases came to.
    pub async fn figures(&self, pool: &str) -> Result<PoolFigures, ControlError> {
        let request = FiguresRequest { pool: pool.to_owned() };
        self.call_json(Method::POST, "/v1/figures", Some(&request), PATIENCE).await
    }

    /// The metrics, as Prometheus text.
    pub async fn metrics(&self) -> Result<String, ControlError> {
        let bytes = self.call(Method::GET, "/metrics", Bytes::new(), PATIENCE).await?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    async fn call_json<I: Serialize, O: DeserializeOwned>(
        &self,
        method: Method,
        path: &'static str,
        body: Option<&I>,
        patience: Duration,
    ) -> Result<O, ControlError> {
        let call = format!("{method} {path}");
        let body = match body {
            Some(value) => {
                let text = serde_json::to_vec(value);
                Bytes::from(text.map_err(|source| ControlError::Undecodable { call: call.clone(), source })?)
            }
            None => Bytes::new(),
        };
        let answer = self.call(method, path, body, patience).await?;
        serde_json::from_slice(&answer).map_err(|source| ControlError::Undecodable { call, source })
    }

    async fn call(
        &self,
        method: Method,
        path: &'static str,
        body: Bytes,
        patience: Duration,
    ) -> Result<Bytes, ControlError> {
        let call = format!("{method} {path}");
        let ask = async {
            loop {
                match self.exchange(&call, method.clone(), path, body.clone()).await {
                    // An edge that has been replaced meanwhile; the socket is already its successor's.
                    Err(ControlError::Refused { status: 503, .. }) => tokio::time::sleep(AGAIN).await,
                    answer => return answer,
                }
            }
        };
        match tokio::time::timeout(patience, ask).await {
            Ok(answer) => answer,
            Err(_elapsed) => Err(ControlError::Silent { call }),
        }
    }

    async fn exchange(
        &self,
        call: &str,
        method: Method,
        path: &'static str,
        body: Bytes,
    ) -> Result<Bytes, ControlError> {
        let broken =
            |source: Box<dyn std::error::Error + Send + Sync>| ControlError::Broken { call: call.to_owned(), source };
        let stream = UnixStream::connect(&self.socket)
            .await
            .map_err(|source| ControlError::NotReachable { path: self.socket.clone(), source })?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|e| broken(e.into()))?;
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(http::header::HOST, "edge")
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(|e| broken(e.into()))?;
        // The connection is driven beside the call, so that dropping the call also closes the socket.
        let answer = async {
            let response = sender.send_request(request).await.map_err(|e| broken(e.into()))?;
            let status = response.status();
            let bytes = Limited::new(response.into_body(), MAX_ANSWER).collect().await.map_err(broken)?.to_bytes();
            if status == StatusCode::OK {
                return Ok(bytes);
            }
            Err(ControlError::Refused { call: call.to_owned(), status: status.as_u16(), message: said(&bytes) })
        };
        tokio::pin!(answer);
        let mut connection = std::pin::pin!(connection);
        tokio::select! {
            biased;
            answer = &mut answer => answer,
            ended = &mut connection => match ended {
                Ok(()) => answer.await,
                Err(source) => Err(broken(source.into())),
            },
        }
    }
}

/// The `error` of the edge's answer, or the whole text when there is none.
fn said(bytes: &[u8]) -> String {
    let value: Option<serde_json::Value> = serde_json::from_slice(bytes).ok();
    let error = value.as_ref().and_then(|v| v.get("error")).and_then(|e| e.as_str());
    error.map_or_else(|| String::from_utf8_lossy(bytes).trim().to_owned(), str::to_owned)
}
