//! A real edge on port 0, hand-written upstreams, and raw clients.

#![allow(dead_code, reason = "each test file uses its part")]

pub mod calls;
pub mod frames;
pub mod line;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use edge::{Applied, Control, EdgeConfig, Limits, Listener, Pool, Route, Scope, Snapshot, serve_with};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub const POOL: &str = "lab/test/web";

/// A running edge.
pub struct Lab {
    pub control: Control,
    pub address: SocketAddr,
    pub folder: tempfile::TempDir,
    pub shutdown: CancellationToken,
    pub serving: JoinHandle<Result<(), edge::EdgeError>>,
}

/// Limits with which a test need not wait long.
pub fn quick() -> Limits {
    Limits {
        shutdown: Duration::from_secs(3),
        close_spread: Duration::from_millis(100),
        client_half_closed: Duration::from_millis(200),
        ..Limits::default()
    }
}

pub async fn start(folder: tempfile::TempDir, limits: Limits) -> Lab {
    let shutdown = CancellationToken::new();
    let config = EdgeConfig { control_socket: folder.path().join("edge.sock"), state_dir: folder.path().join("state") };
    let control = Control::new(config.control_socket.clone());
    let serving = tokio::spawn(serve_with(config, limits, shutdown.clone()));
    wait_for("the control socket", || async { control.status().await.is_ok() }).await;
    Lab { control, address: ([127, 0, 0, 1], 0).into(), folder, shutdown, serving }
}

/// An edge that sends everything to the given targets.
pub async fn lab(targets: &[SocketAddr]) -> Lab {
    lab_with(quick(), pool("r1", targets)).await
}

pub async fn lab_with(limits: Limits, pool: Pool) -> Lab {
    let mut lab = start(tempfile::tempdir().unwrap(), limits).await;
    let applied = lab.control.apply(&snapshot(1, pool)).await.unwrap();
    lab.address = applied.listeners[0].bind;
    lab
}

impl Lab {
    pub async fn switch(&self, epoch: u64, release: &str, targets: &[SocketAddr]) -> Applied {
        self.control.apply(&snapshot(epoch, pool(release, targets))).await.unwrap()
    }

    pub async fn stop(self) -> tempfile::TempDir {
        self.shutdown.cancel();
        self.serving.await.unwrap().unwrap();
        self.folder
    }

    /// One request on its own connection; the whole answer as text.
    pub async fn get(&self, path: &str) -> String {
        let text = format!("GET {path} HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n");
        raw(self.address, text.as_bytes()).await
    }
}

pub fn pool(release: &str, targets: &[SocketAddr]) -> Pool {
    Pool::new(POOL, release, targets.to_vec())
}

pub fn snapshot(epoch: u64, pool: Pool) -> Snapshot {
    let mut snapshot = Snapshot::new(epoch);
    snapshot.listeners.push(listener("web", 0));
    snapshot.routes.push(route(None, "/", &pool.name));
    snapshot.pools.push(pool);
    snapshot.seal()
}

pub fn listener(name: &str, port: u16) -> Listener {
    Listener::new(name, ([127, 0, 0, 1], port).into(), Scope::Public)
}

pub fn route(host: Option<&str>, path: &str, pool: &str) -> Route {
    Route::new(host, path, pool)
}

/// Polls a condition until it holds; fails with its name.
pub async fn wait_for<F, T>(what: &str, condition: F)
where
    F: Fn() -> T,
    T: Future<Output = bool>,
{
    let began = Instant::now();
    while !condition().await {
        assert!(began.elapsed() < Duration::from_secs(10), "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Writes bytes, reads to the end.
pub async fn raw(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    read_all(&mut stream).await
}

/// Reads until the other side closes; a reset ends it too.
pub async fn read_all(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let reading = stream.read_to_end(&mut bytes);
    let _ = tokio::time::timeout(Duration::from_secs(15), reading).await.expect("the edge did not close");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Reads until the text holds what is looked for.
pub async fn read_until(stream: &mut TcpStream, wanted: &str) -> String {
    let mut bytes = Vec::new();
    let mut buffer = [0u8; 4096];
    let reading = async {
        while !String::from_utf8_lossy(&bytes).contains(wanted) {
            match stream.read(&mut buffer).await {
                Ok(0) | Err(_) => break,
                Ok(count) => bytes.extend_from_slice(&buffer[..count]),
            }
        }
    };
    let _ = tokio::time::timeout(Duration::from_secs(10), reading).await;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    assert!(text.contains(wanted), "looked for `{wanted}` in `{text}`");
    text
}

/// Reads one request head (and nothing of its body) as text; `None` at the end of the connection.
pub async fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    let mut byte = [0u8; 1];
    while !bytes.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte).await {
            Ok(0) | Err(_) => return None,
            Ok(_) => bytes.push(byte[0]),
        }
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// An upstream whose connections are handled by a function.
pub async fn upstream<F, T>(handle: F) -> SocketAddr
where
    F: Fn(TcpStream) -> T + Send + Sync + 'static,
    T: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            tokio::spawn(handle(stream));
        }
    });
    address
}

/// An upstream that answers every request (without a body) with its name and what it saw, keeping connections alive.
pub async fn echo(name: &'static str) -> SocketAddr {
    upstream(move |mut stream| async move {
        while let Some(head) = read_head(&mut stream).await {
            let body = format!("{name}\n{head}");
            if stream.write_all(ok(&body).as_bytes()).await.is_err() {
                return;
            }
        }
    })
    .await
}

/// An upstream that counts its requests.
pub async fn counting(count: Arc<AtomicUsize>) -> SocketAddr {
    upstream(move |mut stream| {
        let count = count.clone();
        async move {
            while read_head(&mut stream).await.is_some() {
                count.fetch_add(1, Ordering::SeqCst);
                let _ = stream.write_all(ok("counted").as_bytes()).await;
            }
        }
    })
    .await
}

pub fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// An address where nobody listens.
pub async fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

/// The status code of an answer.
pub fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0)
}

/// One edge whose only route is changed before it is served.
pub async fn lab_with_route(targets: &[SocketAddr], change: impl FnOnce(&mut Route)) -> Lab {
    lab_with_snapshot(quick(), pool("r1", targets), |snapshot| change(&mut snapshot.routes[0])).await
}

/// One edge whose snapshot is changed before it is served.
pub async fn lab_with_snapshot(limits: Limits, pool: Pool, change: impl FnOnce(&mut Snapshot)) -> Lab {
    let mut lab = start(tempfile::tempdir().unwrap(), limits).await;
    let mut wanted = snapshot(1, pool);
    change(&mut wanted);
    let applied = lab.control.apply(&wanted.seal()).await.unwrap();
    assert!(applied.problems.is_empty(), "{:?}", applied.problems);
    lab.address = applied.listeners[0].bind;
    lab
}

impl Lab {
    /// The value of one line of the metrics; 0 when it is not there.
    pub async fn metric(&self, line: &str) -> f64 {
        let text = self.control.metrics().await.unwrap();
        let found = text.lines().find_map(|l| l.strip_prefix(line)?.trim().parse().ok());
        found.unwrap_or(0.0)
    }

    /// How often something was refused for this reason.
    pub async fn refused(&self, reason: &str) -> f64 {
        self.metric(&format!("mainstay_edge_refused_total{{reason=\"{reason}\"}}")).await
    }
}

/// The value of an answer's header, by its lower-case name.
pub fn header<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    let head = answer.split("\r\n\r\n").next()?;
    let value = |line: &'a str| line.split_once(": ").filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v);
    head.split("\r\n").find_map(value)
}

/// An upstream whose answers wait until they are let go, one permit each; the count says how many asked.
pub async fn gated() -> (SocketAddr, Arc<tokio::sync::Semaphore>, Arc<AtomicUsize>) {
    let (gate, count) = (Arc::new(tokio::sync::Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
    let (keep, keep_count) = (gate.clone(), count.clone());
    let address = upstream(move |mut stream| {
        let (gate, count) = (keep.clone(), keep_count.clone());
        async move {
            while read_head(&mut stream).await.is_some() {
                count.fetch_add(1, Ordering::SeqCst);
                gate.acquire().await.unwrap().forget();
                if stream.write_all(ok("let go").as_bytes()).await.is_err() {
                    return;
                }
            }
        }
    })
    .await;
    (address, gate, count)
}

/// Starts a request and does not wait for its answer.
pub fn asking(address: SocketAddr, path: &str) -> JoinHandle<String> {
    let text = format!("GET {path} HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n");
    tokio::spawn(async move { raw(address, text.as_bytes()).await })
}
