//! Sockets in other network namespaces: asked for, served, and inherited.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use edge::lend::lend;
use edge::takeover::Line;
use edge::{Control, Listener, Scope, Snapshot};

use crate::support::line::{begin, succeed};
use crate::support::*;

/// A port that is free, and what the edge is to serve there though it may not bind it.
fn elsewhere(target: SocketAddr) -> (SocketAddr, Snapshot) {
    let bind = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut snapshot = Snapshot::new(1);
    let namespace = Some("/run/netns/lab".to_owned());
    snapshot.listeners = vec![Listener { namespace, ..Listener::new("internal", bind, Scope::Internal) }];
    snapshot.pools = vec![pool("r1", &[target])];
    let name = snapshot.pools[0].name.clone();
    snapshot.routes = vec![edge::Route { scope: Scope::Internal, ..edge::Route::new(None, "/", name) }];
    (bind, snapshot.seal())
}

/// Whoever has the right to open them.
fn lender(folder: &Path) {
    let socket = tokio::net::UnixListener::bind(folder.join("lend.sock")).unwrap();
    tokio::spawn(lend(socket, |wanted| {
        assert_eq!(wanted.namespace, "/run/netns/lab");
        TcpListener::bind(wanted.bind).map(OwnedFd::from)
    }));
}

async fn applied(folder: &Path, snapshot: &Snapshot) -> edge::Applied {
    let control = Control::new(folder.join("edge.sock"));
    let taken = async {
        loop {
            match control.apply(snapshot).await {
                Ok(applied) => return applied,
                Err(_not_there_yet) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(5), taken).await.expect("the edge takes no snapshot")
}

async fn answers(bind: SocketAddr) -> bool {
    for _ in 0..400 {
        if let Ok(mut stream) = tokio::net::TcpStream::connect(bind).await {
            tokio::io::AsyncWriteExt::write_all(&mut stream, b"GET / HTTP/1.1\r\nHost: any\r\n\r\n").await.unwrap();
            return read_until(&mut stream, "here").await.contains("200 OK");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    false
}

#[tokio::test]
async fn a_socket_that_is_given_is_served_and_a_successor_inherits_it() {
    let folder = tempfile::tempdir().unwrap();
    let (bind, snapshot) = elsewhere(echo("here").await);
    lender(folder.path());
    let line = || Line { lender: Some(folder.path().join("lend.sock")), ..Line::default() };
    let (old, _stop) = begin(folder.path(), line());
    let applied = applied(folder.path(), &snapshot).await;
    assert_eq!(applied.listeners[0].error, None);
    assert!(answers(bind).await);
    // The successor has nobody to ask.
    let (_new, _stop) = succeed(folder.path()).await;
    tokio::time::timeout(Duration::from_secs(10), old).await.unwrap().unwrap().unwrap();
    assert!(answers(bind).await);
}

#[tokio::test]
async fn what_nobody_gives_yet_is_told_and_asked_for_again() {
    let folder = tempfile::tempdir().unwrap();
    let (bind, snapshot) = elsewhere(echo("here").await);
    let line = Line { lender: Some(folder.path().join("lend.sock")), ..Line::default() };
    let (_edge, _stop) = begin(folder.path(), line);
    let error = applied(folder.path(), &snapshot).await.listeners[0].error.clone().unwrap();
    assert!(error.contains("has not been given"), "{error}");
    lender(folder.path());
    assert!(answers(bind).await);
}
