//! Ids: a request can be followed from the client through the edge to the service.

use crate::support::*;

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

async fn seen(lab: &Lab, headers: &str) -> String {
    let text = format!("GET / HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n{headers}\r\n");
    raw(lab.address, text.as_bytes()).await.split("\r\n\r\n").skip(1).collect::<Vec<_>>().join("\r\n\r\n")
}

#[tokio::test]
async fn a_trace_goes_on_with_the_edge_as_its_parent() {
    let lab = lab(&[echo("a").await]).await;
    let answer = seen(&lab, &format!("traceparent: {PARENT}\r\ntracestate: vendor=1\r\n")).await;
    let parent = header(&answer, "traceparent").unwrap();
    assert_eq!((&parent[..36], &parent[52..]), (&PARENT[..36], "-01"), "{parent}");
    assert_ne!(parent[36..52], PARENT[36..52]);
    assert_eq!(header(&answer, "tracestate"), Some("vendor=1"));
}

#[tokio::test]
async fn a_trace_that_is_missing_or_not_valid_is_begun() {
    let lab = lab(&[echo("a").await]).await;
    for given in ["", "traceparent: 00-xyz\r\ntracestate: vendor=1\r\n"] {
        let answer = seen(&lab, given).await;
        let parent = header(&answer, "traceparent").unwrap();
        assert!(parent.len() == 55 && parent.starts_with("00-") && parent.ends_with("-00"), "{parent}");
        assert_eq!(header(&answer, "tracestate"), None, "{answer}");
    }
}

#[tokio::test]
async fn a_request_id_is_kept_unless_it_could_do_harm() {
    let lab = lab(&[echo("a").await]).await;
    for id in ["abc-123", "0af7651916cd43dd", "req_1.2:3/4"] {
        assert_eq!(header(&seen(&lab, &format!("X-Request-Id: {id}\r\n")).await, "x-request-id"), Some(id));
    }
    let long = "a".repeat(129);
    for id in ["", "a b", "<script>", "\"quoted\"", "a;b", &long] {
        let answer = seen(&lab, &format!("X-Request-Id: {id}\r\n")).await;
        let made = header(&answer, "x-request-id").unwrap();
        assert!(made.len() == 32 && made.bytes().all(|b| b.is_ascii_hexdigit()), "{id}: {made}");
    }
}

#[tokio::test]
async fn what_a_route_did_is_in_the_metrics() {
    let lab = lab_with_snapshot(quick(), pool("r1", &[echo("a").await]), |snapshot| {
        snapshot.routes.push(route(Some("api.example"), "/v1", POOL));
    })
    .await;
    for _ in 0..3 {
        let text = b"GET /v1/users/7 HTTP/1.1\r\nHost: api.example\r\nConnection: close\r\n\r\n";
        assert_eq!(status(&raw(lab.address, text).await), 200);
    }
    let labels = "host=\"api.example\",path=\"/v1\"";
    assert_eq!(lab.metric(&format!("mainstay_edge_route_requests_total{{{labels},code=\"2xx\"}}")).await, 3.0);
    let all = format!("mainstay_edge_route_response_seconds_bucket{{{labels},le=\"+Inf\"}}");
    assert_eq!(lab.metric(&all).await, 3.0);
    assert_eq!(lab.metric("mainstay_edge_route_requests_total{host=\"*\",path=\"/\",code=\"2xx\"}").await, 0.0);
}
