//! Every way the hands can fail. A text names the operation and the thing; the source tells the rest.

use std::path::PathBuf;

/// A file operation under a root failed.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    #[error("refused path `{}`: it leaves the folder `{}`", path.display(), root.display())]
    Escapes { path: PathBuf, root: PathBuf },
    #[error("could not {operation} `{}`", path.display())]
    Io {
        operation: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("could not encode `{}`", path.display())]
    Encode {
        path: PathBuf,
        #[source]
        source: serde_json::Error,
    },
    /// Neither the file nor its previous generation can be used.
    #[error("could not decode `{}` ({current}), nor its previous generation ({previous})", path.display())]
    Undecodable { path: PathBuf, current: String, previous: String },
}

impl FilesError {
    /// The disk or the quota is full: the one failure an operator can cure at once.
    pub fn is_full(&self) -> bool {
        use std::io::ErrorKind::{QuotaExceeded, StorageFull};
        matches!(self, Self::Io { source, .. } if matches!(source.kind(), StorageFull | QuotaExceeded))
    }
}

/// A program could not be run, or did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    #[error("could not start `{program}`: there is no such program on this machine")]
    NoProgram { program: String },
    #[error("could not start `{program}`")]
    Start {
        program: String,
        #[source]
        source: std::io::Error,
    },
    #[error("lost touch with `{command}`")]
    Io {
        command: String,
        #[source]
        source: std::io::Error,
    },
    #[error("`{command}` was stopped: it ran longer than {}{}", seconds(*.after), said(.last_lines))]
    Timeout { command: String, after: std::time::Duration, last_lines: Vec<String> },
    #[error("`{command}` ended with status {status}{}", said(.last_lines))]
    Failed { command: String, status: i32, last_lines: Vec<String> },
    #[error("`{command}` was stopped: it wrote more than {limit} bytes")]
    TooMuchOutput { command: String, limit: usize },
}

/// Docker could not be asked, or said no.
#[derive(Debug, thiserror::Error)]
pub enum DockerError {
    #[error("could not reach the Docker Engine at `{host}`")]
    NotReachable {
        host: String,
        #[source]
        source: Option<BoxError>,
    },
    #[error("there is no {0}")]
    NotFound(String),
    #[error("could not {operation} {thing}: it conflicts with what is there ({message})")]
    Conflict { operation: &'static str, thing: String, message: String },
    #[error("could not {operation} {thing}: the Docker Engine refused ({message})")]
    Refused { operation: &'static str, thing: String, message: String },
    #[error("could not {operation} {thing}: no answer from the Docker Engine in time")]
    Timeout { operation: &'static str, thing: String },
    /// The answer made no sense to us.
    #[error("could not {operation} {thing}: the answer of the Docker Engine was not understood")]
    Answer {
        operation: &'static str,
        thing: String,
        #[source]
        source: BoxError,
    },
}

/// A network address did not answer as hoped.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    #[error("connection to {addr} refused: nothing listens there")]
    Refused { addr: std::net::SocketAddr },
    #[error("{addr} did not {stage} within {}", seconds(*.after))]
    Timeout { addr: std::net::SocketAddr, stage: &'static str, after: std::time::Duration },
    #[error("{addr} reset the connection")]
    Reset { addr: std::net::SocketAddr },
    #[error("{addr} closed the connection without a whole answer")]
    Closed { addr: std::net::SocketAddr },
    #[error("{addr} answered something that is not HTTP")]
    NotHttp {
        addr: std::net::SocketAddr,
        #[source]
        source: BoxError,
    },
    #[error("{addr} does not speak HTTP/2 without TLS, which is what gRPC needs")]
    NotHttp2 { addr: std::net::SocketAddr },
    #[error("{addr} answers {status} and no gRPC")]
    NotGrpc { addr: std::net::SocketAddr, status: u16 },
    #[error("could not connect to {addr}")]
    Unreachable {
        addr: std::net::SocketAddr,
        #[source]
        source: std::io::Error,
    },
    #[error("`{what}` cannot be part of an HTTP request")]
    BadRequest { what: String },
}

/// Somebody's web server did not take what was sent. The address may be a secret: only its host is told.
#[derive(Debug, thiserror::Error)]
pub enum PostError {
    #[error("the web address is none that can be posted to; it begins with `http://` or `https://` and names a host")]
    BadAddress,
    #[error("could not connect to {host}")]
    Unreachable { host: String, source: std::io::Error },
    #[error("{host} did not answer in HTTP")]
    Broken { host: String, source: hyper::Error },
    #[error("{host} did not answer within {}", seconds(*.after))]
    Timeout { host: String, after: std::time::Duration },
    #[error("this machine has no list of trusted authorities; install the package ca-certificates")]
    NoAuthorities,
}

/// A source whose type is nobody's business.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

fn seconds(duration: std::time::Duration) -> String {
    match duration.as_millis() {
        ms if ms % 1000 == 0 => format!("{} s", ms / 1000),
        ms => format!("{ms} ms"),
    }
}

/// The last words of a program are its own account of what went wrong, so they belong to the message.
fn said(lines: &[String]) -> String {
    if lines.is_empty() { String::new() } else { format!(", saying:\n{}", lines.join("\n")) }
}
