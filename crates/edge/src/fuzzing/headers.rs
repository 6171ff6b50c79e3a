//! `proxy/headers.rs`.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::downstream::client::Client;
use crate::proxy::headers::{Claims, DECIDING, towards_client, towards_target};

/// Ends here, whatever the message says.
const ONE_HOP: [&str; 5] = ["keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization", "expect"];

/// The edge's own words to a target.
const OURS: [&str; 10] = [
    "x-forwarded-for",
    "x-real-ip",
    "forwarded",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-request-id",
    "traceparent",
    "tracestate",
    "cookie",
];

/// Nothing of one hop goes on, nobody poses as a proxy, and everything else arrives as it was.
pub fn headers(data: &[u8]) {
    let before = read(data);
    let client = Client::new([192, 0, 2, 9].into(), true, 443, None);
    let mut after = before.clone();
    let upgrade = towards_target(&mut after, &client, Claims::Replaced);
    assert!(ONE_HOP.iter().all(|name| !after.contains_key(*name)), "a header of one hop went on");
    assert!(!after.contains_key("transfer-encoding"));
    for (name, value) in [("x-forwarded-for", "192.0.2.9"), ("x-real-ip", "192.0.2.9"), ("x-forwarded-proto", "https")]
    {
        assert!(after.get_all(name).iter().eq([value]), "{name}: {:?}", after.get_all(name).iter().collect::<Vec<_>>());
    }
    assert!(after.get_all("forwarded").iter().eq(["for=192.0.2.9;proto=https"]));
    assert!(
        ["x-forwarded-server", "x-forwarded-prefix", "proxy", "x_forwarded_for"]
            .iter()
            .all(|name| !after.contains_key(*name))
    );
    assert_eq!(after.get_all("x-request-id").iter().count(), 1);
    assert!(after.get_all("cookie").iter().count() <= 1);
    let connection: Vec<_> = after.get_all("connection").iter().collect();
    assert!(matches!(connection[..], [] | [_]) && connection.iter().all(|word| *word == "upgrade" || *word == "te"));
    assert_eq!(upgrade.is_some(), after.contains_key("upgrade"));
    rest_is_kept(&before, &after);
    let mut answer = before;
    towards_client(&mut answer, http::StatusCode::OK);
    let gone = ["connection", "transfer-encoding", "keep-alive", "upgrade", "te"];
    assert!(gone.iter().all(|name| !answer.contains_key(*name)), "a header of one hop came back");
}

/// Lines of `name: value`.
fn read(data: &[u8]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for line in data.split(|byte| *byte == b'\n').take(64) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) =
            (HeaderName::from_bytes(&line[..colon]), HeaderValue::from_bytes(line[colon + 1..].trim_ascii()));
        if let (Ok(name), Ok(value)) = (name, value) {
            map.append(name, value);
        }
    }
    map
}

fn rest_is_kept(before: &HeaderMap, after: &HeaderMap) {
    let named: Vec<String> = before
        .get_all("connection")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|word| word.trim().to_ascii_lowercase())
        .collect();
    let ends_here =
        ["connection", "transfer-encoding", "te", "upgrade", "proxy", "x-forwarded-server", "x-forwarded-prefix"];
    let is_passed = |name: &str| {
        let is_kept = matches!(name, "host" | "content-length" | "content-type" | "keep-alive" | "close");
        let is_named = !is_kept && named.iter().any(|word| word == name);
        let poses = name.contains('_') && DECIDING.contains(&name.replace('_', "-").as_str());
        !is_named && !poses && !ends_here.contains(&name) && !ONE_HOP.contains(&name) && !OURS.contains(&name)
    };
    for name in before.keys().map(HeaderName::as_str).filter(|name| is_passed(name)) {
        assert!(before.get_all(name).iter().eq(after.get_all(name).iter()), "{name} has changed");
    }
    // `Connection: te` goes with what the client wants of trailers.
    let is_ours = |name: &str| OURS.contains(&name) || name == "connection";
    let is_new = |name: &&HeaderName| !before.contains_key(*name) && !is_ours(name.as_str());
    assert_eq!(after.keys().find(is_new), None, "a header from nowhere");
    for name in named.iter().filter(|name| is_token(name) && !is_passed(name) && !OURS.contains(&name.as_str())) {
        let is_ours = matches!(name.as_str(), "te" | "upgrade" | "connection");
        assert!(is_ours || !after.contains_key(name.as_str()), "{name} was named in Connection and went on");
    }
}

fn is_token(name: &str) -> bool {
    HeaderName::from_bytes(name.as_bytes()).is_ok() && !matches!(name, "host" | "content-length" | "content-type")
}
