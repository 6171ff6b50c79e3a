//! The command line's side of the agent's socket.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use deploy::Ending;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use crate::errors::{Failure, failed};

#[derive(Debug, Clone)]
pub struct Client {
    socket: PathBuf,
}

/// Long enough for a build's plan on a busy machine; streams have no limit.
const PATIENCE: Duration = Duration::from_secs(120);

impl Client {
    pub fn new(socket: &Path) -> Client {
        Client { socket: socket.to_owned() }
    }

    /// Whether an agent answers on the socket.
    pub async fn answers(&self) -> bool {
        UnixStream::connect(&self.socket).await.is_ok()
    }

    /// Refuses a user who may not speak to the agent, instead of starting another.
    pub async fn refuse_forbidden(&self) -> Result<(), Failure> {
        let denied = |error: std::io::Error| error.kind() == std::io::ErrorKind::PermissionDenied;
        match UnixStream::connect(&self.socket).await.err().is_some_and(denied) {
            false => Ok(()),
            true => Err(Failure::new(
                format!("the agent's socket {} is for root alone", self.socket.display()),
                Ending::Refused,
            )
            .hint("run it as root (`sudo mainstay …`), or with a state folder of your own (--root)")),
        }
    }

    pub async fn get<O: DeserializeOwned>(&self, path: &str) -> Result<O, Failure> {
        self.json(Method::GET, path, &()).await
    }

    pub async fn post<O: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<O, Failure> {
        self.json(Method::POST, path, body).await
    }

    async fn json<O: DeserializeOwned>(&self, method: Method, path: &str, body: &impl Serialize) -> Result<O, Failure> {
        let answer = tokio::time::timeout(PATIENCE, async {
            let response = self.send(method, path, body).await?;
            response.into_body().collect().await.map_err(failed("read the agent's answer"))
        });
        let bytes = answer.await.map_err(failed("wait for the agent's answer"))??.to_bytes();
        serde_json::from_slice(&bytes).map_err(failed("understand the agent's answer"))
    }

    /// The answer's lines as they come, until the agent ends them or goes away.
    pub async fn lines<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
        mut on: impl FnMut(T) -> bool,
    ) -> Result<(), Failure> {
        let response = self.send(Method::POST, path, body).await?;
        let mut body = response.into_body();
        let mut rest: Vec<u8> = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(failed("follow the agent"))?;
            rest.extend_from_slice(frame.data_ref().map(AsRef::as_ref).unwrap_or_default());
            while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = rest.drain(..=end).collect();
                let value = serde_json::from_slice(&line).map_err(failed("understand the agent"))?;
                if !on(value) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    async fn send(&self, method: Method, path: &str, body: &impl Serialize) -> Result<Response<Incoming>, Failure> {
        let stream = UnixStream::connect(&self.socket).await.map_err(|error| self.unreachable(&error))?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(failed("speak to the agent"))?;
        tokio::spawn(connection);
        let body = serde_json::to_vec(body).map_err(failed("write the request"))?;
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "agent")
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(failed("write the request"))?;
        let response = sender.send_request(request).await.map_err(failed("reach the agent"))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let bytes = response.into_body().collect().await.map_err(failed("read the agent's answer"))?.to_bytes();
        Err(serde_json::from_slice(&bytes).unwrap_or_else(|_| {
            Failure::new(format!("the agent answered {status}: {}", String::from_utf8_lossy(&bytes)), Ending::Failed)
        }))
    }

    fn unreachable(&self, error: &std::io::Error) -> Failure {
        let message = format!("no agent answers on {}", self.socket.display());
        Failure { causes: vec![error.to_string()], ..Failure::new(message, Ending::Failed) }
            .hint("`mainstay up` starts it; `mainstay doctor` tells what is missing")
    }
}
