use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;

use super::*;

const SOON: Duration = Duration::from_secs(5);

/// A gRPC server that says this status for this service, and that it knows no other.
async fn server(service: &'static str, status: u8) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let said = service_fn(move |request: Request<Incoming>| async move {
                assert_eq!(request.headers()["content-type"], "application/grpc");
                assert_eq!(request.headers()["te"], "trailers");
                let is_health = request.uri().path() == "/grpc.health.v1.Health/Check";
                let asked = request.into_body().collect().await.unwrap().to_bytes();
                let name = asked.get(7..).unwrap_or_default();
                let code = if !is_health || status == 0 {
                    "12"
                } else if name == service.as_bytes() {
                    "0"
                } else {
                    "5"
                };
                let mut trailers = HeaderMap::new();
                trailers.insert("grpc-status", code.parse().unwrap());
                let message = Bytes::from(vec![0, 0, 0, 0, 2, 8, status]);
                let frames = [Frame::data(message), Frame::trailers(trailers.clone())];
                let mut response = match code {
                    "0" => Response::new(
                        StreamBody::new(futures_util::stream::iter(frames.map(Ok::<_, Infallible>))).boxed(),
                    ),
                    _ => Response::new(Full::default().boxed()),
                };
                if code != "0" {
                    response.headers_mut().extend(trailers);
                }
                response.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
                Ok::<_, Infallible>(response)
            });
            let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            tokio::spawn(builder.serve_connection(TokioIo::new(stream), said));
        }
    });
    addr
}

#[tokio::test]
async fn a_server_that_serves_says_so() {
    assert_eq!(grpc_health(server("", 1).await, "", SOON).await.unwrap(), GrpcHealth::Serving);
    let named = server("shop.Orders", 1).await;
    assert_eq!(grpc_health(named, "shop.Orders", SOON).await.unwrap(), GrpcHealth::Serving);
    assert_eq!(grpc_health(named, "shop.Other", SOON).await.unwrap(), GrpcHealth::UnknownService);
}

#[tokio::test]
async fn everything_else_is_told_apart() {
    assert_eq!(grpc_health(server("", 2).await, "", SOON).await.unwrap(), GrpcHealth::NotServing);
    assert_eq!(grpc_health(server("", 0).await, "", SOON).await.unwrap(), GrpcHealth::NoHealthService);
}

#[tokio::test]
async fn a_server_of_http_1_is_none_of_grpc() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0u8; 1024]).await;
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await;
            // Read to its end, so that closing is no reset.
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
    });
    assert!(matches!(grpc_health(addr, "", SOON).await, Err(NetError::NotHttp2 { .. })));
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let said = grpc_health(addr, "", Duration::from_millis(100)).await;
    assert!(matches!(said, Err(NetError::Timeout { stage: "answer a gRPC health check", .. })), "{said:?}");
}
