//! One route over several pools, and clients that stay where they were.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::*;
use edge::snapshot::{Outlier, Share, Split, Sticky};
use edge::{Pool, Route, Snapshot};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

/// A snapshot whose one route is split over the pools by their weights.
fn split(epoch: u64, cookie: Option<&str>, shares: &[(&str, u32, &[SocketAddr])]) -> Snapshot {
    let mut wanted = Snapshot::new(epoch);
    wanted.listeners.push(listener("web", 0));
    let share =
        |(pool, weight, _): &(&str, u32, &[SocketAddr])| Share { pool: (*pool).into(), release: None, weight: *weight };
    let shares_wanted = shares.iter().map(share).collect();
    let split = Some(Split { shares: shares_wanted, cookie: cookie.map(str::to_owned), by_place: false });
    wanted.routes.push(Route { split, ..route(None, "/", "") });
    for (pool, _, targets) in shares.iter().filter(|(_, _, targets)| !targets.is_empty()) {
        wanted.pools.push(Pool::new(*pool, "r1", targets.to_vec()));
    }
    wanted
}

fn sticky(epoch: u64, targets: &[SocketAddr]) -> Snapshot {
    let mut wanted = snapshot(epoch, pool("r1", targets));
    wanted.routes[0].sticky = Some(Sticky { cookie: "place".into(), max_age_s: Some(600) });
    wanted
}

async fn serve(wanted: Snapshot) -> Lab {
    let mut lab = start(tempfile::tempdir().unwrap(), quick()).await;
    lab.address = push(&lab, wanted).await;
    lab
}

async fn push(lab: &Lab, wanted: Snapshot) -> SocketAddr {
    let applied = lab.control.apply(&wanted.seal()).await.unwrap();
    assert!(applied.problems.is_empty(), "{:?}", applied.problems);
    applied.listeners[0].bind
}

async fn ask(lab: &Lab, cookies: &str) -> String {
    let text = format!("GET / HTTP/1.1\r\nHost: lab\r\nConnection: close\r\nCookie: {cookies}\r\n\r\n");
    let answer = raw(lab.address, text.as_bytes()).await;
    assert_eq!(status(&answer), 200, "{answer}");
    answer
}

/// The echoing target's name.
fn name(answer: &str) -> &str {
    answer.split("\r\n\r\n").nth(1).unwrap().lines().next().unwrap()
}

/// What the client is to send from now on.
fn cookie(answer: &str) -> Option<String> {
    let line = answer.split("\r\n").find_map(|line| line.strip_prefix("set-cookie: "))?;
    Some(line.split(';').next().unwrap().to_owned())
}

async fn tally(lab: &Lab, requests: usize, cookies: &str) -> BTreeMap<String, usize> {
    let mut seen = BTreeMap::new();
    for _ in 0..requests {
        *seen.entry(name(&ask(lab, cookies).await).to_owned()).or_default() += 1;
    }
    seen
}

#[tokio::test]
async fn weights_divide_requests_over_pools() {
    let (a, b, zero) = ([echo("a").await], [echo("b").await], [echo("zero").await]);
    let lab = serve(split(1, None, &[("a", 3, &a), ("b", 1, &b), ("zero", 0, &zero)])).await;
    let seen = tally(&lab, 200, "x=1").await;
    let share = seen["a"];
    // 150 are expected, with a deviation of 6; the bounds are eight of them away.
    assert!((100..=198).contains(&share) && share + seen["b"] == 200, "{seen:?}");
    assert!(cookie(&ask(&lab, "x=1").await).is_none());
}

#[tokio::test]
async fn a_client_keeps_its_share_until_the_pool_is_gone() {
    let (a, b) = ([echo("a").await], [echo("b").await]);
    let lab = serve(split(1, Some("canary"), &[("pool/a", 1, &a), ("pool/b", 0, &b)])).await;
    let first = ask(&lab, "x=1").await;
    let kept = cookie(&first).unwrap();
    assert!(first.contains("Path=/; HttpOnly; SameSite=Lax") && !kept.contains("pool"), "{first}");
    assert_eq!(name(&first), "a");
    // New clients go elsewhere now, but this one has its share.
    push(&lab, split(2, Some("canary"), &[("pool/a", 0, &a), ("pool/b", 1, &b)])).await;
    let answer = ask(&lab, &format!("x=1; {kept}; y=2")).await;
    assert_eq!((name(&answer), cookie(&answer)), ("a", None));
    assert_eq!(tally(&lab, 5, "x=1").await, BTreeMap::from([("b".to_owned(), 5)]));
    // The pool is gone: drawn anew, and told so.
    push(&lab, split(3, Some("canary"), &[("pool/b", 1, &b)])).await;
    let answer = ask(&lab, &kept).await;
    assert_eq!(name(&answer), "b");
    assert!(cookie(&answer).is_some_and(|fresh| fresh != kept), "{answer}");
}

#[tokio::test]
async fn a_split_that_takes_nobody_is_named_and_answered() {
    let lab = start(tempfile::tempdir().unwrap(), quick()).await;
    let applied = lab.control.apply(&split(1, None, &[("gone", 1, &[])]).seal()).await.unwrap();
    assert_eq!(applied.problems.len(), 2, "{:?}", applied.problems);
    let answer = raw(applied.listeners[0].bind, b"GET / HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n").await;
    assert!(status(&answer) == 502 && answer.contains("no-pool"), "{answer}");
}

#[tokio::test]
async fn a_client_stays_with_its_target_across_requests_snapshots_and_restarts() {
    let targets = [echo("a").await, echo("b").await, echo("c").await];
    let lab = serve(sticky(1, &targets)).await;
    let first = ask(&lab, "x=1").await;
    let (home, kept) = (name(&first).to_owned(), cookie(&first).unwrap());
    assert!(first.contains("Max-Age=600; HttpOnly"), "{first}");
    let value = kept.strip_prefix("place=").unwrap();
    assert!(value.len() == 16 && value.bytes().all(|b| b.is_ascii_hexdigit()), "{value}");
    assert_eq!(tally(&lab, 6, &kept).await, BTreeMap::from([(home.clone(), 6)]));
    assert!(cookie(&ask(&lab, &kept).await).is_none(), "told once");
    assert_eq!(tally(&lab, 6, "x=1").await.len(), 3, "others are spread");
    let mut turned = targets;
    turned.reverse();
    push(&lab, sticky(2, &turned)).await;
    assert_eq!(name(&ask(&lab, &kept).await), home);
    let mut again = start(lab.stop().await, quick()).await;
    again.address = again.control.status().await.unwrap().listeners[0].bind;
    assert_eq!(name(&ask(&again, &kept).await), home);
}

#[tokio::test]
async fn a_client_whose_target_is_gone_gets_another_and_is_told() {
    let (a, b) = (echo("a").await, echo("b").await);
    let lab = serve(sticky(1, &[a, b])).await;
    let mut places = BTreeMap::new();
    while places.len() < 2 {
        let answer = ask(&lab, "x=1").await;
        places.insert(name(&answer).to_owned(), cookie(&answer).unwrap());
    }
    // Gone from the pool.
    push(&lab, sticky(2, &[b])).await;
    let answer = ask(&lab, &places["a"]).await;
    assert_eq!((name(&answer), cookie(&answer).as_ref()), ("b", Some(&places["b"])));
}

#[tokio::test]
async fn a_target_that_dies_loses_its_clients_to_another() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mortal = listener.local_addr().unwrap();
    let living = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            if read_head(&mut stream).await.is_some() {
                let answer = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 6\r\n\r\nmortal";
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        }
    });
    let lab = serve(sticky(1, &[mortal, echo("other").await])).await;
    let kept = loop {
        let answer = ask(&lab, "x=1").await;
        if name(&answer) == "mortal" {
            break cookie(&answer).unwrap();
        }
    };
    assert_eq!(name(&ask(&lab, &kept).await), "mortal");
    living.abort();
    let _ = living.await;
    let answer = ask(&lab, &kept).await;
    assert_eq!(name(&answer), "other", "the second try finds another target");
    let moved = cookie(&answer).unwrap();
    assert_ne!(moved, kept);
    let answer = ask(&lab, &moved).await;
    assert_eq!((name(&answer), cookie(&answer)), ("other", None));
}

#[tokio::test]
async fn a_split_route_can_be_sticky_inside_its_shares() {
    let (a, b) = ([echo("a1").await, echo("a2").await], [echo("b1").await, echo("b2").await]);
    let mut wanted = split(1, Some("canary"), &[("a", 1, &a), ("b", 1, &b)]);
    wanted.routes[0].sticky = Some(Sticky { cookie: "place".into(), max_age_s: None });
    let lab = serve(wanted).await;
    let first = ask(&lab, "x=1").await;
    let cookies: Vec<&str> = first
        .split("\r\n")
        .filter_map(|line| line.strip_prefix("set-cookie: "))
        .map(|line| line.split(';').next().unwrap())
        .collect();
    assert_eq!(cookies.len(), 2, "{first}");
    let seen = tally(&lab, 8, &cookies.join("; ")).await;
    assert_eq!(seen, BTreeMap::from([(name(&first).to_owned(), 8)]));
}

#[tokio::test]
async fn a_target_that_is_ejected_loses_its_clients_to_another() {
    let asked = Arc::new(AtomicUsize::new(0));
    let ill = upstream(move |mut stream| {
        let asked = asked.clone();
        async move {
            while read_head(&mut stream).await.is_some() {
                let is_first = asked.fetch_add(1, Ordering::SeqCst) == 0;
                let status = if is_first { "200 OK" } else { "500 Internal Server Error" };
                let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 3\r\n\r\nill");
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        }
    })
    .await;
    let mut wanted = sticky(1, &[ill, echo("other").await]);
    wanted.pools[0].outlier = Some(Outlier { consecutive: 2, eject_ms: 60_000 });
    let lab = serve(wanted).await;
    let kept = loop {
        let answer = ask(&lab, "x=1").await;
        if name(&answer) == "ill" {
            break cookie(&answer).unwrap();
        }
    };
    let text = format!("GET / HTTP/1.1\r\nHost: lab\r\nConnection: close\r\nCookie: {kept}\r\n\r\n");
    for _ in 0..2 {
        assert_eq!(status(&raw(lab.address, text.as_bytes()).await), 500);
    }
    let answer = ask(&lab, &kept).await;
    assert!(name(&answer) == "other" && cookie(&answer).is_some(), "{answer}");
}

/// One pool's two releases side by side: the first serves, the second takes a share of the places.
fn trial(epoch: u64, weight: u32, old: &[SocketAddr], new: &[SocketAddr]) -> Snapshot {
    let mut wanted = snapshot(epoch, pool("r1", old));
    wanted.pools.push(pool("r2", new));
    let share = |release: &str, weight| Share { pool: POOL.into(), release: Some(release.into()), weight };
    let shares = vec![share("r2", weight), share("r1", 10_000 - weight)];
    wanted.routes[0].split = Some(Split { shares, cookie: Some("trial".into()), by_place: true });
    wanted
}

#[tokio::test]
async fn two_releases_of_one_pool_share_a_route_and_the_new_one_keeps_its_connections_when_it_takes_all() {
    let (old, new) = ([echo("old").await], [echo("new").await]);
    let lab = serve(trial(1, 2_500, &old, &new)).await;
    assert_eq!(name(&ask(&lab, "trial=2499").await), "new");
    assert_eq!(name(&ask(&lab, "trial=2500").await), "old");
    push(&lab, trial(2, 5_000, &old, &new)).await;
    assert_eq!(name(&ask(&lab, "trial=2499").await), "new");
    assert_eq!(name(&ask(&lab, "trial=2500").await), "new", "the border has passed this one");
    let seen = lab.control.status().await.unwrap().pools;
    let seen: Vec<_> = seen.iter().map(|pool| (pool.name.as_str(), pool.release.as_str())).collect();
    assert_eq!(seen, [(POOL, "r1"), (POOL, "r2")]);
    let first = ask(&lab, "x=1").await;
    assert!(cookie(&first).is_some_and(|cookie| cookie.starts_with("trial=")), "{first}");
    push(&lab, snapshot(3, pool("r2", &new))).await;
    assert_eq!(name(&ask(&lab, "trial=9999").await), "new");
    let metric = format!("mainstay_edge_connects_total{{pool=\"{POOL}\",release=\"r2\"}}");
    assert!(lab.metric(&metric).await <= 2.0, "the release's connections outlive its becoming the only one");
}
