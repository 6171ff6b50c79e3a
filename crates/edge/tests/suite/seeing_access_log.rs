//! The access log: what a line tells, what it must not tell, and that no trouble of its file is trouble for traffic.

use std::path::{Path, PathBuf};

use crate::support::*;
use edge::snapshot::AccessLog;
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

fn log(file: Option<PathBuf>) -> AccessLog {
    let mask = vec!["email".to_owned()];
    AccessLog { file, sample: 1, slow_ms: 60_000, mask, mask_client: false, rotate_bytes: 1 << 20 }
}

async fn logged(targets: &[std::net::SocketAddr], log: AccessLog) -> Lab {
    lab_with_snapshot(quick(), pool("r1", targets), |snapshot| snapshot.access_log = Some(log)).await
}

fn lines(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

async fn wait_for_lines(file: &Path, count: usize) -> Vec<Value> {
    wait_for("the lines", || async { lines(file).len() >= count }).await;
    lines(file)
}

#[tokio::test]
async fn a_line_tells_the_whole_story_of_a_request() {
    let target = echo("a").await;
    let lab = logged(&[target], log(None)).await;
    let text =
        "GET /x/y?a=1&Token=hidden&email=me HTTP/1.1\r\nHost: lab\r\nConnection: close\r\nX-Request-Id: my-id\r\n\r\n";
    let answer = raw(lab.address, text.as_bytes()).await;
    let body = answer.split("\r\n\r\n").nth(1).unwrap();
    let line = wait_for_lines(&lab.folder.path().join("state/access.log"), 1).await.remove(0);
    for (field, value) in [
        ("client", "127.0.0.1"),
        ("method", "GET"),
        ("host", "lab"),
        ("path", "/x/y"),
        ("query", "a=1&Token=***&email=***"),
        ("protocol", "HTTP/1.1"),
        ("route", "*/"),
        ("pool", POOL),
        ("release", "r1"),
        ("request_id", "my-id"),
    ] {
        assert_eq!(line[field], value, "{field} in {line}");
    }
    assert_eq!(line["status"], 200, "{line}");
    assert_eq!(line["target"], target.to_string(), "{line}");
    assert!(line["bytes_out"].as_u64().unwrap() >= body.len() as u64, "{line}");
    assert!(line["total_ms"].as_f64().unwrap() >= line["head_ms"].as_f64().unwrap(), "{line}");
    assert!(answer.contains(line["trace_id"].as_str().unwrap()), "the target saw the same trace: {line}");
    assert!(line["time"].as_str().unwrap().ends_with('Z'), "{line}");
    assert!(!line.to_string().contains("hidden"), "{line}");
}

#[tokio::test]
async fn an_upload_is_measured_and_an_own_answer_says_why() {
    let target = upstream(|mut stream| async move {
        while read_head(&mut stream).await.is_some() {
            read_until(&mut stream, "hello").await;
            let _ = stream.write_all(ok("x").as_bytes()).await;
        }
    })
    .await;
    let lab = logged(&[target], AccessLog { mask_client: true, ..log(None) }).await;
    let text = "POST / HTTP/1.1\r\nHost: lab\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello";
    raw(lab.address, text.as_bytes()).await;
    raw(lab.address, b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n").await;
    let lines = wait_for_lines(&lab.folder.path().join("state/access.log"), 2).await;
    assert_eq!(lines[0]["bytes_in"], 5, "{}", lines[0]);
    assert_eq!(lines[0]["client"], "127.0.0.0", "{}", lines[0]);
    assert_eq!((&lines[1]["status"], &lines[1]["code"]), (&Value::from(400), &Value::from("host")), "{}", lines[1]);
}

#[tokio::test]
async fn a_client_that_left_is_told_of() {
    let (target, _gate, count) = gated().await;
    let lab = logged(&[target], log(None)).await;
    let mut stream = TcpStream::connect(lab.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: lab\r\n\r\n").await.unwrap();
    wait_for("it to be under way", || async { count.load(std::sync::atomic::Ordering::SeqCst) == 1 }).await;
    drop(stream);
    let line = wait_for_lines(&lab.folder.path().join("state/access.log"), 1).await.remove(0);
    assert_eq!((&line["status"], &line["code"]), (&Value::from(499), &Value::from("client-left")), "{line}");
}

#[tokio::test]
async fn a_sample_of_the_fine_ones_is_written_and_every_error() {
    let lab = logged(&[echo("a").await], AccessLog { sample: 10, ..log(None) }).await;
    for _ in 0..30 {
        lab.get("/").await;
    }
    for _ in 0..5 {
        raw(lab.address, b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n").await;
    }
    let lines = wait_for_lines(&lab.folder.path().join("state/access.log"), 8).await;
    let errors = lines.iter().filter(|line| line["status"] == 400).count();
    assert_eq!((lines.len(), errors), (8, 5));
}

#[tokio::test]
async fn a_file_that_was_moved_away_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("access.log");
    let lab = logged(&[echo("a").await], log(Some(file.clone()))).await;
    lab.get("/").await;
    wait_for_lines(&file, 1).await;
    std::fs::rename(&file, folder.path().join("moved")).unwrap();
    wait_for("a new file", || async {
        lab.get("/").await;
        file.exists()
    })
    .await;
}

#[tokio::test]
async fn a_full_disk_and_a_lost_folder_are_told_and_harm_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let blocked = folder.path().join("blocked");
    std::fs::File::create(&blocked).unwrap();
    for file in [PathBuf::from("/dev/full"), blocked.join("access.log")] {
        let lab = logged(&[echo("a").await], log(Some(file.clone()))).await;
        for _ in 0..20 {
            assert_eq!(status(&lab.get("/").await), 200);
        }
        wait_for("the trouble to be told", || async { lab.control.status().await.unwrap().access_log.is_some() }).await;
        let problem = lab.control.status().await.unwrap().access_log.unwrap();
        assert!(problem.contains(file.to_str().unwrap()), "{problem}");
        wait_for("the loss to be counted", || async { lab.metric("mainstay_edge_log_dropped_total").await == 20.0 })
            .await;
    }
}

#[tokio::test]
async fn without_a_log_nothing_is_written() {
    let lab = lab(&[echo("a").await]).await;
    lab.get("/").await;
    assert!(!lab.folder.path().join("state/access.log").exists());
}
