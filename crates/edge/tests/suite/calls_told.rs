//! What the edge itself answers to a call of gRPC: in gRPC's words, and counted in HTTP's.

use std::time::Duration;

use crate::support::calls::*;
use crate::support::*;
use edge::snapshot::{Maintenance, Rate, RateKey};
use edge::{Limits, Pool, Snapshot};

/// The answer to one call, the refusal's counter and the counter of 5xx.
async fn told(limits: Limits, pool: Pool, change: impl FnOnce(&mut Snapshot), word: &str) -> (Outcome, f64, f64) {
    let mut lab = start(tempfile::tempdir().unwrap(), limits).await;
    let mut wanted = snapshot(1, pool);
    change(&mut wanted);
    lab.address = lab.control.apply(&wanted.seal()).await.unwrap().listeners[0].bind;
    let outcome = ask(&connect(&lab).await, call(message("x"))).await;
    assert_eq!((outcome.status, outcome.body.as_str()), (200, ""), "{outcome:?}");
    assert_eq!(outcome.headers["content-type"], "application/grpc");
    assert_eq!(outcome.headers["server"], "mainstay-edge");
    assert!(outcome.message().starts_with("mainstay-edge: ") && outcome.message().contains(word), "{outcome:?}");
    let failed = "mainstay_edge_requests_total{pool=\"lab/test/web\",release=\"r1\",code=\"5xx\"}";
    (outcome, lab.refused(word).await, lab.metric(failed).await)
}

#[tokio::test]
async fn a_service_that_cannot_be_reached_is_unavailable() {
    let (outcome, refused, failed) = told(quick(), h2c("r1", &[nobody().await]), |_| {}, "target-unreachable").await;
    assert_eq!((outcome.code(), refused, failed), ("14", 1.0, 1.0));
    let (outcome, ..) = told(quick(), h2c("r1", &[]), |_| {}, "no-target").await;
    assert_eq!(outcome.code(), "14");
}

#[tokio::test]
async fn a_silent_service_has_exceeded_the_deadline() {
    let silent = server(|_| std::future::pending()).await;
    let mut pool = h2c("r1", &[silent.address]);
    pool.response_timeout_ms = 300;
    let (outcome, refused, failed) = told(quick(), pool.clone(), |_| {}, "target-silent").await;
    assert_eq!((outcome.code(), refused, failed), ("4", 1.0, 1.0));
    pool.response_timeout_ms = 60_000;
    let limit = |snapshot: &mut Snapshot| snapshot.routes[0].limits.response_ms = Some(200);
    let (outcome, ..) = told(quick(), pool, limit, "response-time").await;
    assert_eq!(outcome.code(), "4");
}

#[tokio::test]
async fn a_service_that_takes_the_connection_and_says_nothing_is_unavailable() {
    let mute = upstream(|stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await;
    let mut pool = h2c("r1", &[mute]);
    pool.connect_timeout_ms = 100;
    let limits = Limits { target_first_words: Duration::from_millis(200), ..quick() };
    let (outcome, ..) = told(limits, pool, |_| {}, "target-unreachable").await;
    assert_eq!(outcome.code(), "14");
}

#[tokio::test]
async fn a_client_that_waits_for_longer_than_the_pool_gets_its_time() {
    let slow = server(|request| async move {
        tokio::time::sleep(Duration::from_millis(900)).await;
        echoed("slow", request)
    })
    .await;
    let mut pool = h2c("r1", &[slow.address]);
    pool.response_timeout_ms = 200;
    let lab = lab_with(quick(), pool).await;
    let sender = connect(&lab).await;
    assert_eq!(ask(&sender, call(message("x"))).await.code(), "4");
    let mut patient = call(message("x"));
    patient.headers_mut().insert("grpc-timeout", "5S".parse().unwrap());
    assert_eq!(ask(&sender, patient).await.body, "slow:x");
}

#[tokio::test]
async fn every_refusal_has_its_code() {
    let nowhere = |snapshot: &mut Snapshot| snapshot.routes[0].path = "/other".into();
    let (outcome, refused, _) = told(quick(), h2c("r1", &[]), nowhere, "no-route").await;
    assert_eq!((outcome.code(), refused), ("12", 1.0));

    let none = |snapshot: &mut Snapshot| {
        let rate = Rate { requests: 0, per_ms: 60_000, burst: 0, by: RateKey::Client };
        snapshot.routes[0].limits.rates.push(rate);
    };
    let server = echo_calls("a").await;
    let (outcome, ..) = told(quick(), h2c("r1", &[server.address]), none, "rate-limited").await;
    assert_eq!(outcome.code(), "8");
    assert!(outcome.headers.contains_key("retry-after"));

    let closed = |snapshot: &mut Snapshot| {
        let message = Some("back at 100 %".to_owned());
        snapshot.routes[0].maintenance = Some(Maintenance { page: None, message, retry_after_s: None, allow: vec![] });
    };
    let (outcome, ..) = told(quick(), h2c("r1", &[server.address]), closed, "maintenance").await;
    assert_eq!((outcome.code(), outcome.message()), ("14", "mainstay-edge: back at 100 %25 (maintenance)"));

    let certificate = |snapshot: &mut Snapshot| snapshot.routes[0].client_certificate = true;
    let (outcome, ..) = told(quick(), h2c("r1", &[server.address]), certificate, "client-certificate").await;
    assert_eq!(outcome.code(), "7");

    let https = |snapshot: &mut Snapshot| snapshot.routes[0].https_only = true;
    let (outcome, ..) = told(quick(), h2c("r1", &[server.address]), https, "redirect").await;
    assert_eq!(outcome.code(), "9");
}

#[tokio::test]
async fn a_gateway_that_speaks_http_1_is_answered_for_in_the_same_words() {
    let (outcome, ..) = told(quick(), pool("r1", &[nobody().await]), |_| {}, "target-unreachable").await;
    assert_eq!(outcome.code(), "14");
}

#[tokio::test]
async fn who_makes_no_call_is_answered_as_ever() {
    let lab = lab_with(quick(), h2c("r1", &[nobody().await])).await;
    let sender = connect(&lab).await;
    let get = http::Request::get("http://lab/").body(Stream::default()).unwrap();
    let outcome = ask(&sender, get).await;
    assert!(outcome.status == 502 && outcome.body.contains("target-unreachable"), "{outcome:?}");
    let mut web = call(message("x"));
    web.headers_mut().insert("content-type", "application/grpc-web+proto".parse().unwrap());
    let outcome = ask(&sender, web).await;
    assert_eq!(
        (outcome.code(), &outcome.headers["content-type"]),
        ("14", &"application/grpc-web+proto".parse().unwrap())
    );
}

#[tokio::test]
async fn the_access_log_has_https_words_for_it() {
    let mut lab = start(tempfile::tempdir().unwrap(), quick()).await;
    let mut wanted = snapshot(1, h2c("r1", &[nobody().await]));
    wanted.access_log = Some(edge::snapshot::AccessLog {
        file: None,
        sample: 1,
        slow_ms: 10_000,
        mask: vec![],
        mask_client: false,
        rotate_bytes: 1 << 20,
    });
    lab.address = lab.control.apply(&wanted.seal()).await.unwrap().listeners[0].bind;
    ask(&connect(&lab).await, call(message("x"))).await;
    let log = lab.folder.path().join("state/access.log");
    wait_for("the line", || async { std::fs::read_to_string(&log).is_ok_and(|text| text.contains("\"status\":502")) })
        .await;
    let text = std::fs::read_to_string(&log).unwrap();
    assert!(text.contains("target-unreachable") && text.contains("/shop.Orders/Place"), "{text}");
}
