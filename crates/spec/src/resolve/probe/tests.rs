//! Which checks are nothing but a URL.

use super::*;
use crate::compose::Healthcheck;

fn service(test: &[&str]) -> Service {
    let test = test.iter().map(|word| (*word).to_owned()).collect();
    Service { healthcheck: Some(Healthcheck { test, ..Healthcheck::default() }), ..Service::default() }
}

fn path(test: &[&str]) -> Option<String> {
    plain(&service(test)).map(|url| format!("{}{}", url.port, url.path))
}

#[test]
fn a_plain_fetch_is_known_in_every_usual_spelling() {
    for line in [
        "curl -f http://localhost:8000/up",
        "curl -fsS http://127.0.0.1:8000/up || exit 1",
        "/usr/bin/curl --fail --silent -o /dev/null -m 3 'http://localhost:8000/up' || false",
        "wget --spider -q \"http://localhost:8000/up\" ||exit 1",
        "wget -qO- http://0.0.0.0:8000/up",
        "wget --tries=1 --timeout=5 --no-verbose -O /dev/null http://[::1]:8000/up",
    ] {
        assert_eq!(path(&["CMD-SHELL", line]).as_deref(), Some("8000/up"), "{line}");
    }
    assert_eq!(path(&["CMD", "curl", "-f", "http://localhost/"]).as_deref(), Some("80/"));
}

#[test]
fn what_means_more_than_its_url_is_no_url() {
    for line in [
        // Content with a 500.
        "curl http://localhost:8000/up",
        "curl -s http://localhost:8000/up | grep -q ok",
        "curl -f -H 'Host: shop.example.com' http://localhost:8000/up",
        "curl -f -u me:pw http://localhost:8000/up",
        "curl -f -X POST http://localhost:8000/up",
        "curl -fL http://localhost:8000/up",
        "curl -fk http://localhost:8000/up",
        "curl -f --unix-socket /run/app.sock http://localhost:8000/up",
        "curl -f http://localhost:8000/up http://localhost:8000/down",
        "curl -f http://localhost:8000/up && test -e /ready",
        "! curl -f http://localhost:8000/down",
        "curl -f http://localhost:$PORT/up",
        "curl -f http://localhost:8000/up?full=1",
        "curl -f https://localhost:8000/up",
        "curl -f http://db:8000/up",
        "wget --header=Host:shop http://localhost:8000/up",
        "python -c \"import urllib.request as r; r.urlopen('http://localhost:8000/up')\"",
    ] {
        assert_eq!(path(&["CMD-SHELL", line]), None, "{line}");
    }
    assert_eq!(path(&["CMD", "sh", "-c", "curl -f http://localhost:8000/up"]), None);
    assert_eq!(path(&["NONE"]), None);
}

#[test]
fn the_port_is_found_wherever_a_url_is() {
    let found = url(&service(&["CMD-SHELL", "curl -s http://127.0.0.1:8000/health | grep -q ok"]));
    assert_eq!(found.map(|url| url.port), Some(8000));
}
