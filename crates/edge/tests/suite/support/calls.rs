//! Servers and clients of HTTP/2 as gRPC uses it: streams both ways, and trailers.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use edge::Pool;
use edge::snapshot::Protocol;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http2::SendRequest;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Lab, pool};

pub type Stream = BoxBody<Bytes, Infallible>;

/// A pool that is spoken to in HTTP/2.
pub fn h2c(release: &str, targets: &[SocketAddr]) -> Pool {
    Pool { protocol: Protocol::H2c, ..pool(release, targets) }
}

/// A body that is fed piece by piece; it ends when the sender is dropped.
pub fn fed() -> (mpsc::Sender<Frame<Bytes>>, Stream) {
    let (sender, receiver) = mpsc::channel(1);
    let pieces = futures_util::stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|frame| (Ok::<_, Infallible>(frame), receiver))
    });
    (sender, StreamBody::new(pieces).boxed())
}

pub fn data(text: impl Into<Bytes>) -> Frame<Bytes> {
    Frame::data(text.into())
}

pub fn trailers(status: &'static str) -> Frame<Bytes> {
    Frame::trailers(HeaderMap::from_iter([(
        http::HeaderName::from_static("grpc-status"),
        HeaderValue::from_static(status),
    )]))
}

/// A head that gRPC would send, over whatever body.
pub fn answer(body: Stream) -> Response<Stream> {
    let mut response = Response::new(body);
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    response
}

/// A server over HTTP/2.
#[derive(Clone)]
pub struct Server {
    pub address: SocketAddr,
    /// Connections so far, and those that are open.
    pub accepted: Arc<AtomicUsize>,
    pub open: Arc<AtomicUsize>,
    pub calls: Arc<AtomicUsize>,
    /// Says GOAWAY on every connection when it is cancelled.
    pub going: CancellationToken,
}

impl Server {
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
    pub fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

pub async fn server<F, T>(handle: F) -> Server
where
    F: Fn(Request<Incoming>) -> T + Clone + Send + Sync + 'static,
    T: Future<Output = Response<Stream>> + Send + 'static,
{
    server_with(|_| {}, handle).await
}

/// A server whose connections are set up by a function.
pub async fn server_with<F, T>(set_up: fn(&mut http2::Builder<TokioExecutor>), handle: F) -> Server
where
    F: Fn(Request<Incoming>) -> T + Clone + Send + Sync + 'static,
    T: Future<Output = Response<Stream>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = Server {
        address: listener.local_addr().unwrap(),
        accepted: Arc::default(),
        open: Arc::default(),
        calls: Arc::default(),
        going: CancellationToken::new(),
    };
    let told = server.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(converse(stream, told.clone(), set_up, handle.clone()));
        }
    });
    server
}

async fn converse<F, T>(stream: TcpStream, told: Server, set_up: fn(&mut http2::Builder<TokioExecutor>), handle: F)
where
    F: Fn(Request<Incoming>) -> T + Clone + Send + Sync + 'static,
    T: Future<Output = Response<Stream>> + Send + 'static,
{
    let _ = stream.set_nodelay(true);
    told.accepted.fetch_add(1, Ordering::SeqCst);
    told.open.fetch_add(1, Ordering::SeqCst);
    let calls = told.calls.clone();
    let service = service_fn(move |request| {
        calls.fetch_add(1, Ordering::SeqCst);
        let answer = handle(request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let mut builder = http2::Builder::new(TokioExecutor::new());
    set_up(&mut builder);
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        _ = &mut connection => {}
        () = told.going.cancelled() => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
    told.open.fetch_sub(1, Ordering::SeqCst);
}

/// Sends every piece back as it comes, with the release's name, and then the trailers with the count of pieces.
pub async fn echo_calls(name: &'static str) -> Server {
    server(move |request| async move { echoed(name, request) }).await
}

pub fn echoed(name: &'static str, request: Request<Incoming>) -> Response<Stream> {
    let (sender, stream) = fed();
    let heads = format!("{:?} {} {:?}", request.version(), request.uri(), request.headers());
    tokio::spawn(async move {
        let mut body = request.into_body();
        let (mut count, mut asked) = (0u32, HeaderMap::new());
        while let Some(Ok(frame)) = body.frame().await {
            match frame.into_data() {
                Ok(piece) => {
                    count += 1;
                    let text = format!("{name}:{}", String::from_utf8_lossy(&piece));
                    if sender.send(data(text)).await.is_err() {
                        return;
                    }
                }
                Err(other) => asked = other.into_trailers().unwrap_or_default(),
            }
        }
        let mut end = HeaderMap::new();
        end.insert("grpc-status", HeaderValue::from_static("0"));
        end.insert("x-count", HeaderValue::from(count));
        if let Some(value) = asked.remove("x-asked") {
            end.insert("x-asked", value);
        }
        let _ = sender.send(Frame::trailers(end)).await;
    });
    let mut response = answer(stream);
    response.headers_mut().insert("x-seen", HeaderValue::from_str(&heads).unwrap());
    response
}

/// A client's connection to the edge.
pub async fn connect(lab: &Lab) -> SendRequest<Stream> {
    let stream = TcpStream::connect(lab.address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    over(TokioIo::new(stream)).await
}

pub async fn over<T>(io: T) -> SendRequest<Stream>
where
    T: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.expect("an HTTP/2 connection");
    tokio::spawn(connection);
    sender
}

/// A call's head.
pub fn call(body: Stream) -> Request<Stream> {
    Request::post("http://lab/shop.Orders/Place")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(body)
        .unwrap()
}

pub fn message(text: &'static str) -> Stream {
    Full::from(text).boxed()
}

/// What came of a call.
#[derive(Debug)]
pub struct Outcome {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: String,
    pub trailers: HeaderMap,
}

impl Outcome {
    /// `grpc-status`, from the trailers or from the head of an answer that has nothing else.
    pub fn code(&self) -> &str {
        let found = self.trailers.get("grpc-status").or_else(|| self.headers.get("grpc-status"));
        found.map_or("none", |code| code.to_str().unwrap())
    }

    pub fn message(&self) -> &str {
        let found = self.trailers.get("grpc-message").or_else(|| self.headers.get("grpc-message"));
        found.map_or("", |text| text.to_str().unwrap())
    }
}

pub async fn ask(sender: &SendRequest<Stream>, request: Request<Stream>) -> Outcome {
    try_ask(sender, request).await.expect("an answer")
}

pub async fn try_ask(sender: &SendRequest<Stream>, request: Request<Stream>) -> hyper::Result<Outcome> {
    let asked = async { whole(sender.clone().send_request(request).await?).await };
    tokio::time::timeout(Duration::from_secs(20), asked).await.expect("an answer in time")
}

pub async fn whole(response: Response<Incoming>) -> hyper::Result<Outcome> {
    let (parts, body) = response.into_parts();
    let collected = body.collect().await?;
    let trailers = collected.trailers().cloned().unwrap_or_default();
    let body = String::from_utf8_lossy(&collected.to_bytes()).into_owned();
    Ok(Outcome { status: parts.status.as_u16(), headers: parts.headers, body, trailers })
}

/// The next piece of a body as text; `None` at its end or its trailers.
pub async fn piece(body: &mut Incoming) -> Option<String> {
    let frame = tokio::time::timeout(Duration::from_secs(10), body.frame()).await.expect("a piece in time")?;
    Some(String::from_utf8_lossy(&frame.unwrap().into_data().ok()?).into_owned())
}
