//! A takeover with every kind of listener and connection: none is closed, refused or sent to the wrong release.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::secure::*;
use crate::support::calls::{self, *};
use crate::support::line::*;
use crate::support::*;
use edge::snapshot::{Hold, Tls};
use edge::{Limits, Pool, Scope, Snapshot, TcpRoute};
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Long enough for a test to look at what the old edge still finishes.
fn patient() -> Limits {
    Limits { handover_websockets: Duration::from_secs(20), handover: Duration::from_secs(20), ..brief() }
}

/// Where each listener of the snapshot below is.
struct Doors {
    lab: Lab,
    ca: Ca,
    plain: SocketAddr,
    secure: SocketAddr,
    bytes: SocketAddr,
    internal: SocketAddr,
    announced: SocketAddr,
}

/// Answers `/slow` when it is let go, upgrades `/socket` to an echo, and everything else at once with its name.
async fn service(name: &'static str, gate: Arc<tokio::sync::Semaphore>) -> SocketAddr {
    upstream(move |mut stream| {
        let gate = gate.clone();
        async move {
            while let Some(head) = read_head(&mut stream).await {
                if head.starts_with("GET /socket") {
                    let agreed =
                        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
                    let _ = stream.write_all(agreed.as_bytes()).await;
                    let (mut reading, mut writing) = stream.split();
                    let _ = tokio::io::copy(&mut reading, &mut writing).await;
                    return;
                }
                if head.starts_with("GET /slow") {
                    gate.acquire().await.unwrap().forget();
                }
                if stream.write_all(ok(&format!("{name}\n{head}")).as_bytes()).await.is_err() {
                    return;
                }
            }
        }
    })
    .await
}

async fn echoes() -> SocketAddr {
    upstream(|mut stream| async move {
        let (mut reading, mut writing) = stream.split();
        let _ = tokio::io::copy(&mut reading, &mut writing).await;
    })
    .await
}

fn all_doors(epoch: u64, pools: Vec<Pool>, ca: &Ca) -> Snapshot {
    let mut snapshot = Snapshot::new(epoch);
    let named = |name: &str| listener(name, 0);
    snapshot.listeners = vec![named("plain"), named("secure"), named("bytes"), named("internal"), named("announced")];
    snapshot.listeners[1].tls = Some(Tls::default());
    snapshot.listeners[3].scope = Scope::Internal;
    snapshot.listeners[4].proxy_protocol = true;
    snapshot.trusted_proxies = vec!["127.0.0.0/8".into()];
    snapshot.certificates = vec![ca.certificate(&["lab.test"])];
    let mut inside = route(None, "/", POOL);
    inside.scope = Scope::Internal;
    snapshot.routes = vec![route(None, "/", POOL), inside];
    let idle_ms = None;
    snapshot.tcp = vec![TcpRoute { idle_ms, ..TcpRoute::new("bytes", "bytes") }];
    snapshot.pools = pools;
    snapshot.seal()
}

async fn doors(limits: Limits, pools: Vec<Pool>) -> Doors {
    let (lab, ca) = (start(tempfile::tempdir().unwrap(), limits).await, Ca::new());
    let applied = lab.control.apply(&all_doors(1, pools, &ca)).await.unwrap();
    assert!(applied.problems.is_empty(), "{:?}", applied.problems);
    let at = |index: usize| applied.listeners[index].bind;
    Doors { plain: at(0), secure: at(1), bytes: at(2), internal: at(3), announced: at(4), lab, ca }
}

const ASK: &[u8] = b"GET / HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n";
const PROXY: &[u8] = b"PROXY TCP4 192.0.2.7 192.0.2.1 1234 80\r\n";

/// New connections through every listener.
async fn all_serve(doors: &Doors, name: &str) {
    for address in [doors.plain, doors.internal] {
        assert!(raw(address, ASK).await.contains(name));
    }
    let announced = raw(doors.announced, &[PROXY, ASK].concat()).await;
    assert!(announced.contains(name) && announced.contains("192.0.2.7"), "{announced}");
    assert!(doors.ca.client().get(doors.secure, "lab.test").await.2.contains(name));
    assert!(exchanged(&mut TcpStream::connect(doors.bytes).await.unwrap()).await);
}

/// Whether what is sent comes back.
async fn exchanged(stream: &mut TcpStream) -> bool {
    let mut back = [0u8; 4];
    stream.write_all(b"ping").await.is_ok() && stream.read_exact(&mut back).await.is_ok() && &back == b"ping"
}

async fn socket(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let asked = "GET /socket HTTP/1.1\r\nHost: lab\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    stream.write_all(asked.as_bytes()).await.unwrap();
    read_until(&mut stream, "101").await;
    stream
}

async fn in_flight(doors: &Doors, count: u64) {
    let control = &doors.lab.control;
    wait_for("all to be under way", || async {
        control.status().await.unwrap().pools.iter().map(|pool| pool.in_flight).sum::<u64>() == count
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_listener_and_every_connection_under_way_survives_two_takeovers_in_a_row() {
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let pools = vec![pool("r1", &[service("one", gate.clone()).await]), Pool::new("bytes", "r1", vec![echoes().await])];
    let doors = doors(patient(), pools).await;
    let folder = doors.lab.folder.path();

    let slow = b"GET /slow HTTP/1.1\r\nHost: lab.test\r\nConnection: close\r\n\r\n";
    let mut secure = doors.ca.client().connect(doors.secure, "lab.test").await.unwrap();
    secure.write_all(slow).await.unwrap();
    let announced = [PROXY, slow].concat();
    let (plain, inside, named) = (doors.plain, doors.internal, doors.announced);
    let waiting = [
        tokio::spawn(async move { raw(plain, slow).await }),
        tokio::spawn(async move { raw(inside, slow).await }),
        tokio::spawn(async move { raw(named, &announced).await }),
    ];
    let mut tunnel = TcpStream::connect(doors.bytes).await.unwrap();
    assert!(exchanged(&mut tunnel).await);
    let mut web = socket(doors.plain).await;
    in_flight(&doors, 6).await;

    let (_second, _shutdown) = succeed(folder).await;
    all_serve(&doors, "one").await;
    let mut younger = socket(doors.plain).await;
    let (_third, _shutdown) = succeed(folder).await;
    all_serve(&doors, "one").await;

    for stream in [&mut tunnel, &mut web, &mut younger] {
        assert!(exchanged(stream).await, "a tunnel goes on at the edge that began it");
    }
    gate.add_permits(4);
    let mut answer = String::new();
    secure.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("one"), "{answer}");
    for asked in waiting {
        assert_eq!(status(&asked.await.unwrap()), 200);
    }
}

fn held(release: &str) -> Pool {
    let hold = Hold { now: true, max_requests: 10, max_bytes: 0, max_ms: 20_000 };
    Pool { hold: Some(hold), ..pool(release, &[]) }
}

#[tokio::test]
async fn a_request_that_is_held_through_a_takeover_goes_to_the_release_that_only_the_successor_is_told_of() {
    let lab = lab_with(patient(), held("r1")).await;
    let asked = asking(lab.address, "/");
    wait_for("it to wait", || async { lab.control.status().await.unwrap().pools[0].held == 1 }).await;
    let (_new, _shutdown) = succeed(lab.folder.path()).await;
    let younger = asking(lab.address, "/");
    wait_for("the next to wait", || async { lab.control.status().await.unwrap().pools[0].held == 1 }).await;
    lab.switch(2, "r2", &[echo("new").await]).await;
    for asked in [asked, younger] {
        let answer = asked.await.unwrap();
        assert!(status(&answer) == 200 && answer.contains("new"), "{answer}");
    }
    lab.serving.await.unwrap().unwrap();
}

#[tokio::test]
async fn once_a_snapshot_is_acknowledged_an_open_connection_to_the_old_edge_goes_by_it() {
    let limits = Limits { handover_idle: Duration::from_secs(20), ..patient() };
    let lab = lab_with(limits, pool("r1", &[echo("old").await])).await;
    let mut open = TcpStream::connect(lab.address).await.unwrap();
    open.write_all(b"GET / HTTP/1.1\r\nHost: lab\r\n\r\n").await.unwrap();
    read_until(&mut open, "old").await;
    let (_new, _shutdown) = succeed(lab.folder.path()).await;
    lab.switch(2, "r2", &[echo("new").await]).await;
    open.write_all(b"GET / HTTP/1.1\r\nHost: lab\r\n\r\n").await.unwrap();
    let answer = read_all(&mut open).await;
    assert!(answer.contains("new") && !answer.contains("old"), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn takeovers_while_releases_switch_fail_no_request() {
    let lab = lab_with(brief(), pool("r1", &[echo("any").await])).await;
    let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let (address, stop, asked) = (lab.address, stop.clone(), asked.clone());
            tokio::spawn(async move {
                let mut failed = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let answer = raw(address, ASK).await;
                    asked.fetch_add(1, Ordering::Relaxed);
                    if status(&answer) != 200 {
                        failed.push(answer);
                    }
                }
                failed
            })
        })
        .collect();
    let mut edges = Vec::new();
    for turn in 0..4u64 {
        let enough = asked.load(Ordering::Relaxed) + 30;
        wait_for("the load to run", || async { asked.load(Ordering::Relaxed) >= enough }).await;
        let release = format!("r{}", turn + 2);
        let next = snapshot(turn + 2, pool(&release, &[echo("any").await]));
        // At the same time, so that the push meets the takeover at any of its moments.
        let (pushed, edge) = tokio::join!(lab.control.apply(&next), succeeds(&lab));
        assert_eq!(pushed.unwrap().epoch, turn + 2);
        edges.extend(edge);
        assert_eq!(lab.control.status().await.unwrap().pools[0].release, release);
    }
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        let failed = client.await.unwrap();
        assert!(failed.is_empty(), "{} of {asked:?} failed, first: {}", failed.len(), failed[0]);
    }
    assert!(!edges.is_empty(), "at least one of the takeovers came about");
}

/// A successor, or none when a snapshot came in between; then the old edge serves on.
async fn succeeds(lab: &Lab) -> Option<(Serving, tokio_util::sync::CancellationToken)> {
    let inherited = edge::takeover::ask(&lab.folder.path().join("state")).await.ok();
    let line = edge::takeover::Line { inherited: Some(inherited?), ..Default::default() };
    let serving = line.serving.clone();
    let (mut edge, shutdown) = begin(lab.folder.path(), line);
    tokio::select! {
        () = serving.cancelled() => Some((edge, shutdown)),
        _ended = &mut edge => None,
    }
}

#[tokio::test]
async fn a_call_under_way_goes_on_at_the_old_edge_and_new_ones_reach_the_successor() {
    let server = echo_calls("a").await;
    let lab = lab_with(patient(), h2c("r1", &[server.address])).await;
    let client = connect(&lab).await;
    let (feed, body) = fed();
    let answering = client.clone().send_request(call(body));
    feed.send(data("before")).await.unwrap();
    let mut response = answering.await.unwrap().into_body();
    assert_eq!(piece(&mut response).await.as_deref(), Some("a:before"));
    let (_new, _shutdown) = succeed(lab.folder.path()).await;
    assert_eq!(calls::ask(&connect(&lab).await, call(message("new"))).await.body, "a:new");
    for text in ["after", "and again"] {
        feed.send(data(text)).await.unwrap();
        assert_eq!(piece(&mut response).await, Some(format!("a:{text}")));
    }
    drop(feed);
    let end = response.collect().await.unwrap().trailers().cloned().unwrap();
    assert_eq!(end["grpc-status"], "0");
    drop(client);
    tokio::time::timeout(Duration::from_secs(5), lab.serving).await.expect("the old edge ends").unwrap().unwrap();
}
