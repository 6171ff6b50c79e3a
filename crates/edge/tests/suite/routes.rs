//! What a route may ask for: methods, redirects, https, headers, maintenance, limits.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::support::*;
use edge::snapshot::{HeaderRules, Hsts, Maintenance, Redirect, RouteLimits};
use edge::{Applied, Route};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// A running edge with these routes over one echoing pool.
async fn routes(routes: Vec<Route>) -> (Lab, Applied) {
    let mut wanted = snapshot(1, pool("r1", &[echo("a").await]));
    wanted.routes = routes;
    let mut lab = start(tempfile::tempdir().unwrap(), quick()).await;
    let applied = lab.control.apply(&wanted.seal()).await.unwrap();
    lab.address = applied.listeners[0].bind;
    (lab, applied)
}

async fn ask(lab: &Lab, line: &str, headers: &str) -> String {
    let text = format!("{line} HTTP/1.1\r\nConnection: close\r\n{headers}\r\n");
    raw(lab.address, text.as_bytes()).await
}

fn plain(path: &str) -> Route {
    route(None, path, POOL)
}

fn texts(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[tokio::test]
async fn methods_choose_among_routes_and_a_wrong_one_is_told_the_right_ones() {
    let marked = |mark: &str| HeaderRules { set: map(&[("x-way", mark)]), ..HeaderRules::default() };
    let (lab, _) = routes(vec![
        Route { methods: texts(&["GET"]), response_headers: marked("read"), ..plain("/api") },
        Route { methods: texts(&["POST", "GET"]), priority: 1, response_headers: marked("first"), ..plain("/api") },
        Route { methods: texts(&["PUT"]), response_headers: marked("write"), ..plain("/api") },
        plain("/"),
    ])
    .await;
    for (method, way) in [("GET", "first"), ("PUT", "write")] {
        let answer = ask(&lab, &format!("{method} /api/x"), "Host: lab\r\n").await;
        assert!(answer.contains(&format!("x-way: {way}")), "{answer}");
    }
    let answer = ask(&lab, "DELETE /api/x", "Host: lab\r\n").await;
    assert_eq!(status(&answer), 405, "{answer}");
    assert!(answer.contains("allow: GET, POST, PUT\r\n") && answer.contains("\"code\":\"method\""), "{answer}");
    assert_eq!(status(&ask(&lab, "DELETE /other", "Host: lab\r\n").await), 200);
}

#[tokio::test]
async fn a_redirect_fills_its_blanks_and_needs_no_pool() {
    let to = |to: &str, status| Some(Redirect { to: to.into(), status });
    let (lab, applied) = routes(vec![
        Route { redirect: to("https://new.example{rest}{query}", 301), pool: String::new(), ..plain("/old") },
        Route { redirect: to("{scheme}://{host}/here", 307), ..plain("/host") },
        Route { redirect: to("{path}/", 302), ..route(Some("slash"), "/", "") },
        plain("/"),
    ])
    .await;
    assert!(applied.problems.is_empty(), "{:?}", applied.problems);
    let answer = ask(&lab, "GET /old/a/b?c=d", "Host: lab\r\n").await;
    assert_eq!(status(&answer), 301, "{answer}");
    assert!(answer.contains("location: https://new.example/a/b?c=d\r\n"), "{answer}");
    assert!(answer.contains("server: mainstay-edge") && answer.contains("\"code\":\"redirect\""), "{answer}");
    let answer = ask(&lab, "POST /host", "Host: lab.example:8080\r\nContent-Length: 0\r\n").await;
    assert!(answer.contains("location: http://lab.example/here\r\n") && status(&answer) == 307, "{answer}");
    // What looks like a host in a path stays a path.
    for path in ["//evil.example", "/\\evil.example", "/%0d%0aSet-Cookie:a=b", "///x"] {
        let answer = ask(&lab, &format!("GET {path}"), "Host: slash\r\n").await;
        let location = answer.split("location: ").nth(1).unwrap().split("\r\n").next().unwrap();
        assert!(location.starts_with('/') && !location.starts_with("//") && !location.contains('\\'), "{location}");
        assert!(!answer.to_lowercase().contains("\r\nset-cookie"), "{answer}");
    }
    let answer = ask(&lab, "GET /host", "Host: a:b:c\r\n").await;
    assert_eq!(status(&answer), 400, "{answer}");
}

#[tokio::test]
async fn what_cannot_work_in_a_route_is_named_and_the_rest_is_served() {
    let (lab, applied) = routes(vec![
        Route { redirect: Some(Redirect { to: "javascript:alert(1)".into(), status: 302 }), ..plain("/bad") },
        Route {
            request_headers: HeaderRules {
                remove: texts(&["Host"]),
                set: map(&[("x-a", "b\nc")]),
                ..Default::default()
            },
            maintenance: Some(Maintenance {
                allow: texts(&["everybody"]),
                message: None,
                page: None,
                retry_after_s: None,
            }),
            methods: texts(&["not a method"]),
            ..plain("/worse")
        },
        plain("/"),
    ])
    .await;
    for part in ["javascript", "`Host`", "x-a", "everybody", "not a method"] {
        assert!(applied.problems.iter().any(|problem| problem.contains(part)), "{part} in {:?}", applied.problems);
    }
    assert_eq!(applied.problems.len(), 5, "{:?}", applied.problems);
    let answer = ask(&lab, "GET /bad", "Host: lab\r\n").await;
    assert!(status(&answer) == 502 && answer.contains("bad-redirect"), "{answer}");
    assert_eq!(status(&ask(&lab, "GET /worse", "Host: lab\r\n").await), 405);
    assert_eq!(status(&ask(&lab, "GET /", "Host: lab\r\n").await), 200);
}

#[tokio::test]
async fn a_plain_request_is_sent_to_https_without_its_port() {
    let hsts = Some(Hsts { max_age_s: 300, include_subdomains: true, preload: false });
    let (lab, _) = routes(vec![Route { https_only: true, hsts, ..plain("/") }]).await;
    let answer = ask(&lab, "POST /a?b=c", "Host: lab.example:8080\r\nContent-Length: 0\r\n").await;
    assert_eq!(status(&answer), 308, "{answer}");
    assert!(answer.contains("location: https://lab.example/a?b=c\r\n"), "{answer}");
    assert!(!answer.contains("strict-transport-security"), "not over plain text: {answer}");
    assert_eq!(status(&raw(lab.address, b"GET / HTTP/1.0\r\n\r\n").await), 400, "no host to go to");
}

#[tokio::test]
async fn the_target_is_told_the_prefix_that_was_stripped() {
    let (lab, _) = routes(vec![Route { strip_prefix: true, ..plain("/api/") }, plain("/")]).await;
    let answer = ask(&lab, "GET /api/users", "Host: lab\r\nX-Forwarded-Prefix: /forged\r\n").await;
    assert!(answer.contains("GET /users HTTP/1.1") && answer.contains("x-forwarded-prefix: /api\r\n"), "{answer}");
    let answer = ask(&lab, "GET /users", "Host: lab\r\nX-Forwarded-Prefix: /forged\r\n").await;
    assert!(!answer.contains("x-forwarded-prefix"), "{answer}");
}

#[tokio::test]
async fn header_rules_change_what_passes_in_both_directions() {
    let request_headers = HeaderRules {
        remove: texts(&["X-Secret"]),
        set: map(&[("X-Set", "new"), ("X-Forwarded-Proto", "https")]),
        add: map(&[("X-Add", "2")]),
    };
    let response_headers =
        HeaderRules { remove: texts(&["Via"]), set: map(&[("X-Frame-Options", "DENY")]), ..Default::default() };
    let (lab, applied) = routes(vec![Route { request_headers, response_headers, ..plain("/") }]).await;
    assert!(applied.problems.is_empty(), "{:?}", applied.problems);
    let answer = ask(&lab, "GET /", "Host: lab\r\nX-Secret: 1\r\nX-Set: old\r\nX-Add: 1\r\n").await;
    let (head, seen) = answer.split_once("\r\n\r\n").unwrap();
    assert!(!seen.contains("x-secret") && !seen.contains("old"), "{seen}");
    for line in ["x-set: new", "x-add: 1", "x-add: 2", "x-forwarded-proto: https"] {
        assert!(seen.contains(line), "{line} in {seen}");
    }
    assert!(head.contains("x-frame-options: DENY") && !head.contains("via:"), "{head}");
}

#[tokio::test]
async fn maintenance_shows_its_page_to_people_and_a_sentence_to_programs() {
    let closed = |page: Option<&str>, allow: &[&str]| {
        Some(Maintenance {
            page: page.map(str::to_owned),
            message: Some("we are moving <house>.".into()),
            retry_after_s: Some(120),
            allow: texts(allow),
        })
    };
    let (lab, _) = routes(vec![
        Route { maintenance: closed(Some("<h1>Back at noon</h1>"), &["10.0.0.0/8"]), ..plain("/own") },
        Route { maintenance: closed(None, &[]), ..plain("/plain") },
        Route { maintenance: closed(None, &["10.0.0.0/8", "127.0.0.0/8"]), ..plain("/open") },
    ])
    .await;
    let answer = ask(&lab, "GET /own", "Host: lab\r\nAccept: text/html\r\n").await;
    assert_eq!(status(&answer), 503, "{answer}");
    assert!(answer.contains("retry-after: 120") && answer.ends_with("<h1>Back at noon</h1>"), "{answer}");
    let answer = ask(&lab, "GET /own", "Host: lab\r\nAccept: application/json\r\n").await;
    assert!(answer.contains("\"code\":\"maintenance\"") && answer.contains("we are moving <house>\""), "{answer}");
    let answer = ask(&lab, "GET /plain", "Host: lab\r\nAccept: text/html\r\n").await;
    assert!(answer.contains("we are moving &lt;house&gt;.<") && answer.contains("(maintenance)"), "{answer}");
    assert_eq!(status(&ask(&lab, "GET /open", "Host: lab\r\n").await), 200);
}

#[tokio::test]
async fn a_route_for_client_certificates_refuses_who_shows_none() {
    let (lab, _) = routes(vec![Route { client_certificate: true, ..plain("/") }]).await;
    let answer = ask(&lab, "GET /", "Host: lab\r\n").await;
    assert!(status(&answer) == 403 && answer.contains("\"code\":\"client-certificate\""), "{answer}");
}

#[tokio::test]
async fn a_body_over_the_routes_limit_is_413_announced_or_not() {
    let limited = |most| RouteLimits { body_bytes: Some(most), ..RouteLimits::default() };
    let taken = upstream(|mut stream| async move {
        read_head(&mut stream).await;
        // Takes all that comes, and answers at the end only.
        read_until(&mut stream, "0\r\n\r\n").await;
        let _ = stream.write_all(ok("taken").as_bytes()).await;
    })
    .await;
    let mut wanted = snapshot(1, pool("r1", &[taken]));
    wanted.routes = vec![Route { limits: limited(8), ..plain("/small") }, plain("/")];
    let mut lab = start(tempfile::tempdir().unwrap(), quick()).await;
    lab.address = lab.control.apply(&wanted.seal()).await.unwrap().listeners[0].bind;
    let answer = ask(&lab, "POST /small", "Host: lab\r\nContent-Length: 9\r\n").await;
    assert!(status(&answer) == 413 && answer.contains("body-too-large"), "{answer}");
    let chunked = "Host: lab\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n5\r\nworld\r\n0\r\n";
    let answer = ask(&lab, "POST /small", chunked).await;
    assert!(status(&answer) == 413 && answer.contains("body-too-large"), "{answer}");
    let answer = ask(&lab, "POST /", chunked).await;
    assert_eq!(status(&answer), 200, "{answer}");
}

#[tokio::test]
async fn an_answer_that_takes_longer_than_the_routes_time_is_504_and_its_connection_is_gone() {
    let hung_up = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let seen = hung_up.clone();
    let silent = upstream(move |mut stream| {
        let seen = seen.clone();
        async move {
            read_head(&mut stream).await;
            if read_head(&mut stream).await.is_none() {
                seen.store(true, std::sync::atomic::Ordering::SeqCst);
            }
        }
    })
    .await;
    let limits = RouteLimits { response_ms: Some(100), ..RouteLimits::default() };
    let mut wanted = snapshot(1, pool("r1", &[silent]));
    wanted.routes = vec![Route { limits, ..plain("/") }];
    let mut lab = start(tempfile::tempdir().unwrap(), quick()).await;
    lab.address = lab.control.apply(&wanted.seal()).await.unwrap().listeners[0].bind;
    let began = Instant::now();
    let mut stream = TcpStream::connect(lab.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n").await.unwrap();
    let answer = read_all(&mut stream).await;
    assert!(status(&answer) == 504 && answer.contains("\"code\":\"response-time\""), "{answer}");
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    wait_for("the target to be let go", || async { hung_up.load(std::sync::atomic::Ordering::SeqCst) }).await;
}
