//! Several targets: looked at, taken out, brought back, and kept over a changed list.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::*;
use edge::snapshot::{Health, Outlier};
use edge::{Pool, TargetCondition};
use tokio::io::AsyncWriteExt;

/// Answers 200 or 500 as it is told, counts looks and requests, and counts its connections.
#[derive(Clone, Default)]
struct Moody {
    is_ill: Arc<AtomicBool>,
    looks: Arc<AtomicUsize>,
    /// The head of the last look.
    last_look: Arc<Mutex<String>>,
    requests: Arc<AtomicUsize>,
    connections: Arc<AtomicUsize>,
}

impl Moody {
    async fn serve(&self) -> SocketAddr {
        let this = self.clone();
        upstream(move |mut stream| {
            let this = this.clone();
            async move {
                this.connections.fetch_add(1, Ordering::SeqCst);
                while let Some(head) = read_head(&mut stream).await {
                    let counter = if head.starts_with("GET /health") { &this.looks } else { &this.requests };
                    counter.fetch_add(1, Ordering::SeqCst);
                    if head.starts_with("GET /health") {
                        *this.last_look.lock().unwrap() = head.to_lowercase();
                    }
                    let ill = "HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n".to_owned();
                    let answer = if this.is_ill.load(Ordering::SeqCst) { ill } else { ok("fine") };
                    let _ = stream.write_all(answer.as_bytes()).await;
                }
            }
        })
        .await
    }

    fn asked(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

fn looked_at(release: &str, targets: &[SocketAddr]) -> Pool {
    let health = Health {
        path: "/health".into(),
        grpc: None,
        host: None,
        https: false,
        interval_ms: 20,
        timeout_ms: 500,
        fall: 2,
        rise: 2,
    };
    Pool { health: Some(health), ..pool(release, targets) }
}

fn judged(targets: &[SocketAddr], consecutive: u32, eject_ms: u64) -> Pool {
    Pool { outlier: Some(Outlier { consecutive, eject_ms }), ..pool("r1", targets) }
}

async fn condition(lab: &Lab, index: usize) -> TargetCondition {
    lab.control.status().await.unwrap().pools[0].conditions[index].condition
}

#[tokio::test]
async fn a_target_that_looks_ill_rests_until_it_looks_well() {
    let (good, bad) = (Moody::default(), Moody::default());
    let targets = [good.serve().await, bad.serve().await];
    let lab = lab_with(quick(), looked_at("r1", &targets)).await;
    assert_eq!(condition(&lab, 1).await, TargetCondition::Well, "it was gated before");
    bad.is_ill.store(true, Ordering::SeqCst);
    wait_for("the fall", || async { condition(&lab, 1).await == TargetCondition::Sick }).await;
    let metrics = lab.control.metrics().await.unwrap();
    let line = format!("mainstay_edge_target_well{{pool=\"{POOL}\",release=\"r1\",target=\"{}\"}} 0", targets[1]);
    assert!(metrics.contains(&line), "{metrics}");
    let before = bad.asked();
    for _ in 0..10 {
        assert_eq!(status(&lab.get("/").await), 200);
    }
    assert_eq!(bad.asked(), before);
    bad.is_ill.store(false, Ordering::SeqCst);
    wait_for("the rise", || async { condition(&lab, 1).await == TargetCondition::Well }).await;
    for _ in 0..4 {
        lab.get("/").await;
    }
    assert!(bad.asked() > before);
}

/// An application that knows its own hosts only, and sends away who does not come over HTTPS, is asked as it is called.
#[tokio::test]
async fn looks_name_the_host_that_requests_name() {
    let (named, plain) = (Moody::default(), Moody::default());
    let (named_at, plain_at) = (named.serve().await, plain.serve().await);
    let of = |health: Health| Pool { health: Some(health), ..pool("r1", &[named_at]) };
    let health = looked_at("r1", &[plain_at]).health.unwrap();
    let lab = lab_with(quick(), of(Health { host: Some("shop.example.com".into()), https: true, ..health })).await;
    let look = |moody: &Moody| moody.last_look.lock().unwrap().clone();
    wait_for("a look", || async { !look(&named).is_empty() }).await;
    let head = look(&named);
    assert!(head.contains("\r\nhost: shop.example.com\r\n"), "{head}");
    assert!(head.contains("\r\nx-forwarded-proto: https\r\n"), "{head}");
    drop(lab);
    let _lab = lab_with(quick(), looked_at("r1", &[plain_at])).await;
    wait_for("a look", || async { !look(&plain).is_empty() }).await;
    let head = look(&plain);
    assert!(head.contains(&format!("\r\nhost: {plain_at}\r\n")) && !head.contains("x-forwarded-proto"), "{head}");
}

#[tokio::test]
async fn when_all_look_ill_requests_still_go_somewhere() {
    let (one, two) = (Moody::default(), Moody::default());
    let lab = lab_with(quick(), looked_at("r1", &[one.serve().await, two.serve().await])).await;
    one.is_ill.store(true, Ordering::SeqCst);
    two.is_ill.store(true, Ordering::SeqCst);
    wait_for("both to fall", || async {
        condition(&lab, 0).await == TargetCondition::Sick && condition(&lab, 1).await == TargetCondition::Sick
    })
    .await;
    assert_eq!(status(&lab.get("/").await), 500);
}

#[tokio::test]
async fn nobody_looks_at_a_release_that_was_switched_away() {
    let old = Moody::default();
    let lab = lab_with(quick(), looked_at("r1", &[old.serve().await])).await;
    wait_for("a look", || async { old.looks.load(Ordering::SeqCst) > 0 }).await;
    lab.switch(2, "r2", &[echo("new").await]).await;
    // One that was under way may still arrive.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let looks = old.looks.load(Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(old.looks.load(Ordering::SeqCst), looks);
}

#[tokio::test]
async fn failures_in_a_row_take_a_target_out_and_it_comes_back() {
    let (good, bad) = (Moody::default(), Moody::default());
    let lab = lab_with(quick(), judged(&[good.serve().await, bad.serve().await], 2, 400)).await;
    bad.is_ill.store(true, Ordering::SeqCst);
    for _ in 0..4 {
        lab.get("/").await;
    }
    assert_eq!(bad.asked(), 2);
    assert_eq!(condition(&lab, 1).await, TargetCondition::Ejected);
    for _ in 0..6 {
        assert_eq!(status(&lab.get("/").await), 200);
    }
    bad.is_ill.store(false, Ordering::SeqCst);
    wait_for("its time to be over", || async { condition(&lab, 1).await == TargetCondition::Well }).await;
    for _ in 0..2 {
        lab.get("/").await;
    }
    assert_eq!(bad.asked(), 3);
    let metrics = lab.control.metrics().await.unwrap();
    assert!(metrics.contains("mainstay_edge_ejections_total{pool=\"lab/test/web\",release=\"r1\"} 1"), "{metrics}");
}

#[tokio::test]
async fn the_last_target_that_is_well_is_never_taken_out() {
    let (one, two) = (Moody::default(), Moody::default());
    let lab = lab_with(quick(), judged(&[one.serve().await, two.serve().await], 1, 60_000)).await;
    one.is_ill.store(true, Ordering::SeqCst);
    two.is_ill.store(true, Ordering::SeqCst);
    for _ in 0..10 {
        assert_eq!(status(&lab.get("/").await), 500);
    }
    let ejected = [condition(&lab, 0).await, condition(&lab, 1).await];
    assert_eq!(ejected.iter().filter(|c| **c == TargetCondition::Ejected).count(), 1, "{ejected:?}");
}

#[tokio::test]
async fn a_target_added_to_a_release_starts_slowly_and_the_others_keep_their_connections() {
    let (old, new) = (Moody::default(), Moody::default());
    let address = old.serve().await;
    let slow = |targets: &[SocketAddr]| Pool { slow_start_ms: 60_000, ..pool("r1", targets) };
    let lab = lab_with(quick(), slow(&[address])).await;
    lab.get("/").await;
    lab.control.apply(&snapshot(2, slow(&[address, new.serve().await]))).await.unwrap();
    for _ in 0..60 {
        assert_eq!(status(&lab.get("/").await), 200);
    }
    assert_eq!(old.asked() + new.asked(), 61);
    assert!(new.asked() > 0 && new.asked() < 15, "{} of 60", new.asked());
    assert_eq!(old.connections.load(Ordering::SeqCst), 1, "the idle connection was kept over the change");
}
