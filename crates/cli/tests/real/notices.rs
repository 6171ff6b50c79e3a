//! Others are told what happens, and no deploy waits for them.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::place::{Place, docker, image, wait, web};

/// Somebody's web server: takes JSON and answers the first requests with trouble.
fn server(troubles: usize) -> (u16, Arc<Mutex<Vec<Value>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard: Arc<Mutex<Vec<Value>>> = Arc::default();
    let kept = heard.clone();
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            let mut bytes = Vec::new();
            let mut buffer = [0; 4096];
            let body = loop {
                let count = stream.read(&mut buffer).unwrap_or(0);
                bytes.extend_from_slice(&buffer[..count]);
                let text = String::from_utf8_lossy(&bytes).into_owned();
                let whole = text.split_once("\r\n\r\n").and_then(|(_, body)| serde_json::from_str(body).ok());
                match whole {
                    Some(body) => break Some(body),
                    None if count == 0 => break None,
                    None => {}
                }
            };
            let status = if number < troubles { "500 Sorry" } else { "204 Fine" };
            let _ = stream.write_all(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").as_bytes());
            if let Some(body) = body.filter(|_| number >= troubles) {
                kept.lock().unwrap().push(body);
            }
        }
    });
    (port, heard)
}

fn kinds(heard: &Mutex<Vec<Value>>) -> Vec<String> {
    heard.lock().unwrap().iter().map(|notice| notice["kind"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn real_a_web_address_and_a_program_are_told_how_deploys_begin_and_end() {
    // The first attempt meets trouble and is tried again.
    let (port, heard) = server(1);
    let place = Place::new("told");
    place.compose(&web(&image("one", &[]), ""));
    let tell = "cat >> told.txt; echo \" $MAINSTAY_NOTICE $MAINSTAY_SERVICES\" >> told.txt";
    let more = format!(
        "notifications:\n  - {{webhook: \"http://127.0.0.1:{port}/hook\"}}\n  - {{command: [sh, -c, '{tell}'], on: [rolled-back]}}\n"
    );
    place.platform("5m", &more);
    place.run(&["up", "--yes"]).done();
    wait("the notices", Duration::from_secs(20), || {
        let mut kinds = kinds(&heard);
        kinds.sort();
        if kinds == ["started", "succeeded"] { Ok(()) } else { Err(format!("{kinds:?}")) }
    });
    place.run(&["up", "--yes"]).done();
    let deaf = image("crashing", &[("CRASH_AFTER_MS", "50")]);
    place.run(&["deploy", "web", "--image", &deaf, "--yes"]).ended(3);
    wait("the failure's notice", Duration::from_secs(20), || {
        let kinds = kinds(&heard);
        if kinds.iter().any(|kind| kind == "rolled-back") { Ok(()) } else { Err(format!("{kinds:?}")) }
    });
    assert_eq!(kinds(&heard).len(), 4, "an `up` that changes nothing tells nobody: {:?}", kinds(&heard));
    let failure = heard.lock().unwrap().iter().find(|one| one["kind"] == "rolled-back").cloned().unwrap();
    assert_eq!((&failure["platform"], &failure["environment"]), (&place.name.clone().into(), &"production".into()));
    assert!(failure["cause"].as_str().unwrap().contains("exited with code 3"), "{failure:#}");
    let text = wait("the program's note", Duration::from_secs(20), || {
        std::fs::read_to_string(place.dir().join("told.txt")).map_err(|error| error.to_string())
    });
    assert!(text.contains("rolled-back web") && text.contains("\"kind\":\"rolled-back\""), "{text}");

    // Somebody changes something by hand, and the next look tells it.
    docker(&["update", "--memory", "100m", "--memory-swap", "200m", &place.container("web", "r1")]);
    let drift = wait("the notice of the change by hand", Duration::from_secs(90), || {
        let found = heard.lock().unwrap().iter().find(|one| one["kind"] == "drift-found").cloned();
        found.ok_or_else(|| format!("{:?}", kinds(&heard)))
    });
    assert!(drift["cause"].as_str().unwrap().contains("memory limit"), "{drift:#}");
}

#[test]
fn real_a_server_that_never_answers_keeps_no_deploy_waiting() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = Place::with_web("silent", &image("one", &[]));
    let port = silent.local_addr().unwrap().port();
    place.write("hook-address", &format!("http://127.0.0.1:{port}/secret-path\n"));
    place.platform("5m", "notifications: {webhook_file: hook-address, timeout: 30s}\n");
    let began = Instant::now();
    place.run(&["deploy", "web", "--image", &image("two", &[]), "--yes"]).done();
    assert!(began.elapsed() < Duration::from_secs(25), "{:?}", began.elapsed());
    place.platform("5m", "notifications: {webhook_file: hook-address, timeout: 100ms}\n");
    place.run(&["deploy", "web", "--image", &image("three", &[]), "--yes"]).done();
    let lost = wait("the record that it was lost", Duration::from_secs(30), || {
        let told = place.run(&["events", "--kind", "notice.lost", "--json"]).out;
        if told.is_empty() { Err("none yet".to_owned()) } else { Ok(told) }
    });
    assert!(
        lost.contains("hook-address") && lost.contains("\"attempts\":3") && !lost.contains("secret-path"),
        "{lost}"
    );
}
