//! Rates: who asks too often is told so, and when to come back; others do not notice.

use crate::support::*;
use edge::snapshot::{Rate, RateKey};

fn rate(requests: u32, per_ms: u64, burst: u32, by: RateKey) -> Rate {
    Rate { requests, per_ms, burst, by }
}

async fn ask(lab: &Lab, headers: &str) -> String {
    let text = format!("GET / HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n{headers}\r\n");
    raw(lab.address, text.as_bytes()).await
}

#[tokio::test]
async fn a_client_over_its_rate_is_told_when_to_come_back() {
    let lab = lab_with_route(&[echo("a").await], |route| {
        route.limits.rates.push(rate(2, 60_000, 1, RateKey::Client));
    })
    .await;
    for _ in 0..3 {
        assert_eq!(status(&ask(&lab, "").await), 200);
    }
    let answer = ask(&lab, "").await;
    assert_eq!(status(&answer), 429, "{answer}");
    assert!(answer.contains("\"code\":\"rate-limited\""), "{answer}");
    let seconds: u64 = header(&answer, "retry-after").unwrap().parse().unwrap();
    assert!((25..=30).contains(&seconds), "{seconds}");
    assert!(lab.refused("rate-limited").await >= 1.0);
    assert!(lab.metric("mainstay_edge_rate_limited_total{host=\"*\",path=\"/\"}").await >= 1.0);
}

#[tokio::test]
async fn a_refused_request_never_reaches_the_target() {
    let count = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let lab = lab_with_route(&[counting(count.clone()).await], |route| {
        route.limits.rates.push(rate(1, 60_000, 0, RateKey::Route));
    })
    .await;
    for _ in 0..5 {
        ask(&lab, "").await;
    }
    assert_eq!(count.load(std::sync::atomic::Ordering::SeqCst), 1);
}

#[tokio::test]
async fn keys_in_a_header_have_rates_of_their_own() {
    let lab = lab_with_route(&[echo("a").await], |route| {
        route.limits.rates.push(rate(1, 60_000, 0, RateKey::Header("x-api-key".into())));
    })
    .await;
    for key in ["X-Api-Key: one\r\n", "X-Api-Key: two\r\n", ""] {
        assert_eq!(status(&ask(&lab, key).await), 200, "{key}");
        assert_eq!(status(&ask(&lab, key).await), 429, "{key}");
    }
}

#[tokio::test]
async fn a_bucket_refills_with_time() {
    let lab = lab_with_route(&[echo("a").await], |route| {
        route.limits.rates.push(rate(1, 200, 0, RateKey::Route));
    })
    .await;
    assert_eq!(status(&ask(&lab, "").await), 200);
    wait_for("the bucket to refill", || async { status(&ask(&lab, "").await) == 200 }).await;
}

#[tokio::test]
async fn all_rates_must_agree_and_a_refusal_costs_the_others_nothing() {
    let lab = lab_with_route(&[echo("a").await], |route| {
        route.limits.rates.push(rate(3, 60_000, 0, RateKey::Route));
        route.limits.rates.push(rate(1, 60_000, 0, RateKey::Header("x-api-key".into())));
    })
    .await;
    assert_eq!(status(&ask(&lab, "X-Api-Key: a\r\n").await), 200);
    for _ in 0..5 {
        assert_eq!(status(&ask(&lab, "X-Api-Key: a\r\n").await), 429);
    }
    // Two of the route's three are left in spite of the five refusals.
    assert_eq!(status(&ask(&lab, "X-Api-Key: b\r\n").await), 200);
    assert_eq!(status(&ask(&lab, "X-Api-Key: c\r\n").await), 200);
    assert_eq!(status(&ask(&lab, "X-Api-Key: d\r\n").await), 429);
}

#[tokio::test]
async fn a_new_snapshot_gives_nobody_a_fresh_start_unless_the_limit_changed() {
    let target = echo("a").await;
    let lab = lab_with_route(&[target], |route| {
        route.limits.rates.push(rate(1, 60_000, 0, RateKey::Client));
    })
    .await;
    assert_eq!(status(&ask(&lab, "").await), 200);
    let apply = |epoch: u64, release: &str, requests: u32| {
        let mut next = snapshot(epoch, pool(release, &[target]));
        next.routes[0].limits.rates.push(rate(requests, 60_000, 0, RateKey::Client));
        let control = lab.control.clone();
        async move { control.apply(&next.seal()).await.unwrap() }
    };
    apply(2, "r2", 1).await;
    assert_eq!(status(&ask(&lab, "").await), 429, "the limit is the same, and so is its state");
    apply(3, "r3", 2).await;
    assert_eq!(status(&ask(&lab, "").await), 200, "another limit begins anew");
}

#[tokio::test]
async fn routes_without_a_rate_are_not_touched() {
    let target = echo("a").await;
    let lab = lab_with_snapshot(quick(), pool("r1", &[target]), |snapshot| {
        let mut limited = route(None, "/api", POOL);
        limited.limits.rates.push(rate(0, 1_000, 0, RateKey::Route));
        snapshot.routes.push(limited);
    })
    .await;
    assert_eq!(status(&lab.get("/api/x").await), 429);
    for _ in 0..20 {
        assert_eq!(status(&lab.get("/").await), 200);
    }
}
