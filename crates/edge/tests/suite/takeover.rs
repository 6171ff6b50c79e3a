//! One edge takes over from another: no request fails, and a successor that fails changes nothing.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::support::line::*;
use crate::support::*;
use edge::EdgeError;
use edge::takeover::{Line, TakeoverError, ask};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

async fn running(targets: &[SocketAddr]) -> Lab {
    lab_with(brief(), pool("r1", targets)).await
}

/// Answers after a while.
async fn slow(time: Duration) -> SocketAddr {
    upstream(move |mut stream| async move {
        while read_head(&mut stream).await.is_some() {
            tokio::time::sleep(time).await;
            let _ = stream.write_all(ok("counted").as_bytes()).await;
        }
    })
    .await
}

/// One answer: whether it is a 200, and whether the connection goes on.
async fn answered(stream: &mut TcpStream) -> Option<bool> {
    let mut bytes = Vec::new();
    let mut buffer = [0u8; 2048];
    while !bytes.ends_with(b"counted") {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return None,
            Ok(count) => bytes.extend_from_slice(&buffer[..count]),
        }
    }
    let text = String::from_utf8_lossy(&bytes).to_lowercase();
    text.starts_with("http/1.1 200").then(|| !text.contains("connection: close"))
}

/// Clients that ask until told to stop; every second one with a new connection each time.
fn load(
    address: SocketAddr,
    clients: usize,
    stop: &Arc<AtomicBool>,
    fine: &Arc<AtomicUsize>,
) -> Vec<JoinHandle<usize>> {
    let one = move |keeps: bool, stop: Arc<AtomicBool>, fine: Arc<AtomicUsize>| async move {
        let mut failed = 0;
        let mut open = None;
        while !stop.load(Ordering::Relaxed) {
            let mut stream = match open.take() {
                Some(stream) => stream,
                None => TcpStream::connect(address).await.unwrap(),
            };
            let sent = stream.write_all(b"POST / HTTP/1.1\r\nHost: lab\r\nContent-Length: 0\r\n\r\n").await;
            match (sent, answered(&mut stream).await) {
                (Ok(()), Some(goes_on)) => {
                    fine.fetch_add(1, Ordering::Relaxed);
                    open = (keeps && goes_on).then_some(stream);
                }
                _ => failed += 1,
            }
        }
        failed
    };
    (0..clients).map(|number| tokio::spawn(one(number % 2 == 0, stop.clone(), fine.clone()))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_takeovers_under_load_fail_no_request() {
    let lab = running(&[counting(Arc::default()).await]).await;
    let stop = Arc::new(AtomicBool::new(false));
    let fine = Arc::new(AtomicUsize::new(0));
    let clients = load(lab.address, 16, &stop, &fine);
    let (mut old, mut last) = (lab.serving, lab.shutdown.clone());
    for _ in 0..5 {
        let enough = fine.load(Ordering::Relaxed) + 64;
        wait_for("the load to run", || async { fine.load(Ordering::Relaxed) >= enough }).await;
        let before = lab.control.status().await.unwrap().started_ms;
        let (new, shutdown) = succeed(lab.folder.path()).await;
        old.await.unwrap().unwrap();
        assert!(!last.is_cancelled(), "it left by itself");
        assert_ne!(lab.control.status().await.unwrap().started_ms, before, "the control socket is the successor's");
        (old, last) = (new, shutdown);
    }
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        assert_eq!(client.await.unwrap(), 0, "of {fine:?} requests in all");
    }
    last.cancel();
    old.await.unwrap().unwrap();
    assert!(TcpStream::connect(lab.address).await.is_err());
    assert!(!lab.folder.path().join("edge.sock").exists());
}

#[tokio::test]
async fn a_running_request_ends_at_the_old_edge_and_drained_waits_for_it() {
    let lab = running(&[slow(Duration::from_millis(900)).await]).await;
    let mut busy = TcpStream::connect(lab.address).await.unwrap();
    let mut idle = TcpStream::connect(lab.address).await.unwrap();
    busy.write_all(b"GET / HTTP/1.1\r\nHost: lab\r\n\r\n").await.unwrap();
    wait_for("the request to run", || async { lab.control.status().await.unwrap().pools[0].in_flight == 1 }).await;
    let (_new, _shutdown) = succeed(lab.folder.path()).await;
    lab.switch(2, "r2", &[echo("new").await]).await;
    assert!(lab.get("/").await.contains("new"));
    assert_eq!(lab.control.drained(POOL, "r1", Duration::from_millis(100)).await.unwrap(), 1);
    let began = Instant::now();
    assert_eq!(lab.control.drained(POOL, "r1", Duration::from_secs(5)).await.unwrap(), 0);
    assert!(began.elapsed() < Duration::from_secs(4));
    assert_eq!(answered(&mut busy).await, Some(false), "answered, and told to close");
    assert_eq!(read_all(&mut idle).await, "", "closed when it asked for nothing");
    lab.serving.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_successor_that_dies_or_is_silent_changes_nothing() {
    let target = counting(Arc::default()).await;
    let lab = running(&[target]).await;
    let before = lab.control.status().await.unwrap().started_ms;
    let state = lab.folder.path().join("state");
    drop(ask(&state).await.unwrap());
    let silent = ask(&state).await.unwrap();
    // While the successor has its time, a snapshot waits, and then it is taken here.
    let applied = lab.switch(2, "r2", &[target]).await;
    assert_eq!(applied.listeners[0].bind, lab.address);
    let late = begin(lab.folder.path(), Line { inherited: Some(silent), ..Line::default() }).0;
    let error = late.await.unwrap().unwrap_err();
    assert!(matches!(error, EdgeError::Takeover(TakeoverError::OtherSnapshot)), "{error:?}");
    assert!(lab.get("/").await.contains("200 OK"));
    assert_eq!(lab.control.status().await.unwrap().started_ms, before);
    // And the next one may succeed.
    let (_new, _shutdown) = succeed(lab.folder.path()).await;
    lab.serving.await.unwrap().unwrap();
    assert!(raw(lab.address, b"GET / HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n").await.contains("200 OK"));
}

#[tokio::test]
async fn a_successor_that_is_too_late_does_not_serve() {
    let lab = running(&[counting(Arc::default()).await]).await;
    let inherited = ask(&lab.folder.path().join("state")).await.unwrap();
    // Until the old edge has given up waiting, a snapshot waits; this one says when that is.
    lab.control.apply(&snapshot(1, pool("other", &[]))).await.unwrap_err();
    let late = begin(lab.folder.path(), Line { inherited: Some(inherited), ..Line::default() }).0;
    let error = late.await.unwrap().unwrap_err();
    assert!(matches!(error, EdgeError::Takeover(TakeoverError::Broken(_))), "{error:?}");
    assert!(lab.get("/").await.contains("200 OK"));
}

#[tokio::test]
async fn a_snapshot_pushed_during_a_takeover_is_taken_by_the_successor() {
    let lab = running(&[counting(Arc::default()).await]).await;
    let inherited = Some(ask(&lab.folder.path().join("state")).await.unwrap());
    let control = lab.control.clone();
    let next = snapshot(2, pool("r2", &[echo("new").await]));
    let pushing = tokio::spawn(async move { control.apply(&next).await });
    // Asked after the push, and answered at once: the push has been read and waits.
    lab.control.status().await.unwrap();
    assert!(!pushing.is_finished());
    let (_new, _shutdown) = begin(lab.folder.path(), Line { inherited, ..Line::default() });
    let applied = pushing.await.unwrap().unwrap();
    assert_eq!((applied.epoch, applied.listeners[0].bind), (2, lab.address));
    assert!(lab.get("/").await.contains("new"));
}

#[tokio::test]
async fn a_websocket_goes_on_at_the_old_edge_until_its_time_is_over() {
    let sockets = upstream(|mut stream| async move {
        read_head(&mut stream).await;
        let agreed = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
        let _ = stream.write_all(agreed.as_bytes()).await;
        let (mut reading, mut writing) = stream.split();
        let _ = tokio::io::copy(&mut reading, &mut writing).await;
    })
    .await;
    let lab = running(&[sockets]).await;
    let mut stream = TcpStream::connect(lab.address).await.unwrap();
    let asked = "GET / HTTP/1.1\r\nHost: lab\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    stream.write_all(asked.as_bytes()).await.unwrap();
    read_until(&mut stream, "101").await;
    let began = Instant::now();
    let (_new, _shutdown) = succeed(lab.folder.path()).await;
    stream.write_all(b"still here").await.unwrap();
    read_until(&mut stream, "still here").await;
    read_all(&mut stream).await;
    assert!(began.elapsed() >= Duration::from_millis(500), "{:?}", began.elapsed());
    lab.serving.await.unwrap().unwrap();
}

#[tokio::test]
async fn what_is_kept_passes_from_edge_to_edge_without_a_gap() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lock");
    let is_free = || std::fs::File::options().read(true).open(&path).unwrap().try_lock_shared().is_ok();
    let lock = std::fs::File::create(&path).unwrap();
    lock.try_lock().unwrap();
    let line = Line { kept: vec![OwnedFd::from(lock)], ..Line::default() };
    let serving = line.serving.clone();
    let (old, _) = begin(folder.path(), line);
    serving.cancelled().await;
    let (new, shutdown) = succeed(folder.path()).await;
    old.await.unwrap().unwrap();
    assert!(!is_free(), "the successor holds it");
    let (newest, shutdown_newest) = succeed(folder.path()).await;
    new.await.unwrap().unwrap();
    assert!(!is_free() && !shutdown.is_cancelled());
    shutdown_newest.cancel();
    newest.await.unwrap().unwrap();
    assert!(is_free());
}

#[tokio::test]
async fn nobody_to_take_over_from_is_said_so() {
    let folder = tempfile::tempdir().unwrap();
    let error = ask(folder.path()).await.unwrap_err();
    assert!(matches!(error, TakeoverError::NobodyThere { .. }), "{error}");
}
