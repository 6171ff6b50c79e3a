//! A call of gRPC that fails does so with a 200: its end says how its target did.

use crate::support::calls::*;
use crate::support::*;
use edge::Pool;
use edge::snapshot::Outlier;
use http::HeaderValue;
use http_body_util::{BodyExt, Empty};

/// Sends a piece and ends with this status.
async fn ending(status: &'static str) -> Server {
    server(move |_| async move {
        let (sender, stream) = fed();
        tokio::spawn(async move {
            let _ = sender.send(data("piece")).await;
            let _ = sender.send(trailers(status)).await;
        });
        answer(stream)
    })
    .await
}

/// Says in the head already how it ends.
async fn refusing(status: &'static str) -> Server {
    server(move |_| async move {
        let mut head = answer(Empty::new().boxed());
        head.headers_mut().insert("grpc-status", HeaderValue::from_static(status));
        head
    })
    .await
}

/// All calls, and the failed ones among them.
async fn counted(lab: &Lab) -> (u64, u64) {
    let total = lab.control.figures(POOL).await.unwrap().of("r1").total;
    let metric = "mainstay_edge_failed_calls_total{pool=\"lab/test/web\",release=\"r1\"}";
    assert_eq!(lab.metric(metric).await, total.errors() as f64);
    (total.requests(), total.errors())
}

#[tokio::test]
async fn the_end_of_a_call_says_whether_its_target_failed() {
    let cases =
        [("0", 0), ("5", 0), ("8", 0), ("2", 1), ("4", 1), ("13", 1), ("14", 1), ("15", 1), ("not a number", 0)];
    for (status, failed) in cases {
        let lab = lab_with(quick(), h2c("r1", &[ending(status).await.address])).await;
        let outcome = ask(&connect(&lab).await, call(message("x"))).await;
        assert_eq!((outcome.code(), outcome.body.as_str()), (status, "piece"));
        assert_eq!(counted(&lab).await, (1, failed), "{status}");
    }
}

#[tokio::test]
async fn a_call_that_ends_with_its_head_is_judged_by_that() {
    for (status, failed) in [("14", 1), ("5", 0)] {
        let lab = lab_with(quick(), h2c("r1", &[refusing(status).await.address])).await;
        assert_eq!(ask(&connect(&lab).await, call(message("x"))).await.code(), status);
        assert_eq!(counted(&lab).await, (1, failed), "{status}");
    }
}

#[tokio::test]
async fn a_target_whose_calls_fail_gets_no_more_of_them() {
    let (good, bad) = (echo_calls("good").await, ending("14").await);
    let outlier = Some(Outlier { consecutive: 2, eject_ms: 60_000 });
    let pool = Pool { outlier, ..h2c("r1", &[good.address, bad.address]) };
    let lab = lab_with(quick(), pool).await;
    let client = connect(&lab).await;
    for _ in 0..12 {
        ask(&client, call(message("x"))).await;
    }
    assert_eq!(bad.calls(), 2, "it is taken out after the second");
    assert_eq!(good.calls(), 10);
}
