//! The access log tells the way of a request: tries, targets, times, what was agreed, and what went through a tunnel.

use std::net::SocketAddr;

use crate::secure::*;
use crate::support::*;
use edge::snapshot::{AccessLog, Hold, Tls};
use edge::{Pool, Snapshot};
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

fn log() -> AccessLog {
    AccessLog { file: None, sample: 1, slow_ms: 60_000, mask: vec![], mask_client: false, rotate_bytes: 1 << 20 }
}

fn logged(snapshot: Snapshot) -> Snapshot {
    Snapshot { access_log: Some(log()), ..snapshot }.seal()
}

async fn logging(targets: &[SocketAddr]) -> Lab {
    lab_with_snapshot(quick(), pool("r1", targets), |snapshot| snapshot.access_log = Some(log())).await
}

/// The lines, once there are so many.
async fn lines(lab: &Lab, count: usize) -> Vec<Value> {
    let file = lab.folder.path().join("state/access.log");
    let read = || {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>()
    };
    wait_for("the lines", || async { read().len() >= count }).await;
    read()
}

fn ms(line: &Value, field: &str) -> f64 {
    line[field].as_f64().expect(field)
}

#[tokio::test]
async fn a_new_connection_has_its_time_and_a_rested_one_has_none() {
    let lab = logging(&[echo("a").await]).await;
    lab.get("/").await;
    lab.get("/").await;
    let lines = lines(&lab, 2).await;
    for line in &lines {
        assert_eq!(line["attempts"], 1, "{line}");
        assert!(ms(line, "first_byte_ms") > 0.0 && ms(line, "first_byte_ms") <= ms(line, "head_ms"), "{line}");
        assert_eq!((&line["held_ms"], &line["tls_version"], &line["sni"]), (&Value::Null, &Value::Null, &Value::Null));
    }
    assert!(ms(&lines[0], "connect_ms") > 0.0, "{}", lines[0]);
    assert_eq!(lines[1]["connect_ms"], Value::Null, "{}", lines[1]);
}

#[tokio::test]
async fn every_try_is_counted_and_the_last_target_named() {
    let (gone, there) = (nobody().await, echo("a").await);
    let lab = logging(&[gone, there]).await;
    for _ in 0..2 {
        assert_eq!(status(&lab.get("/").await), 200);
    }
    let lines = lines(&lab, 2).await;
    assert!(lines.iter().all(|line| line["target"] == there.to_string()), "{lines:?}");
    assert!(lines.iter().any(|line| line["attempts"] == 2), "{lines:?}");

    let alone = logging(&[gone]).await;
    assert_eq!(status(&alone.get("/").await), 502);
    let line = self::lines(&alone, 1).await.remove(0);
    assert_eq!((&line["attempts"], &line["target"]), (&Value::from(2), &Value::from(gone.to_string())), "{line}");
    assert_eq!(line["first_byte_ms"], Value::Null, "{line}");
}

#[tokio::test]
async fn what_tls_agreed_on_is_told() {
    let ca = Ca::new();
    let snapshot = secured(1, &[echo("a").await], Tls::default(), vec![ca.certificate(&["lab.test"])]);
    let (lab, _) = secure_lab_with(quick(), logged(snapshot)).await;
    ca.client().get(lab.address, "lab.test").await;
    ca.client_with(&[&rustls::version::TLS12]).get(lab.address, "lab.test").await;
    let lines = lines(&lab, 2).await;
    let told: Vec<_> = lines.iter().map(|line| (line["tls_version"].clone(), line["sni"].clone())).collect();
    assert_eq!(told, [("1.3".into(), "lab.test".into()), ("1.2".into(), "lab.test".into())]);
}

#[tokio::test]
async fn a_held_request_tells_how_long_it_waited() {
    let lab = logging(&[echo("old").await]).await;
    let hold = Hold { now: true, max_requests: 2, max_bytes: 0, max_ms: 10_000 };
    let held = Pool { hold: Some(hold), ..pool("r1", &[]) };
    lab.control.apply(&logged(snapshot(2, held))).await.unwrap();
    let asked = asking(lab.address, "/");
    wait_for("it to wait", || async { lab.control.status().await.unwrap().pools[0].held == 1 }).await;
    let least = std::time::Instant::now();
    lab.control.status().await.unwrap();
    let least = least.elapsed();
    lab.control.apply(&logged(snapshot(3, pool("r2", &[echo("new").await])))).await.unwrap();
    assert_eq!(status(&asked.await.unwrap()), 200);
    let line = lines(&lab, 1).await.remove(0);
    assert!(ms(&line, "held_ms") >= least.as_secs_f64() * 1_000.0, "{line}");
    assert!(ms(&line, "held_ms") <= ms(&line, "total_ms"), "{line}");
    assert_eq!(line["release"], "r2", "{line}");
}

#[tokio::test]
async fn a_websocket_has_its_line_at_its_end_with_the_bytes_of_both_ways() {
    let sockets = upstream(|mut stream| async move {
        read_head(&mut stream).await;
        let agreed = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
        let _ = stream.write_all(agreed.as_bytes()).await;
        read_until(&mut stream, "question").await;
        let _ = stream.write_all(b"a longer answer").await;
    })
    .await;
    let lab = logging(&[sockets]).await;
    let mut stream = TcpStream::connect(lab.address).await.unwrap();
    let asked = "GET /socket HTTP/1.1\r\nHost: lab\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    stream.write_all(asked.as_bytes()).await.unwrap();
    read_until(&mut stream, "101").await;
    assert!(!lab.folder.path().join("state/access.log").exists(), "it is not over yet");
    stream.write_all(b"question").await.unwrap();
    read_all(&mut stream).await;
    drop(stream);
    let line = lines(&lab, 1).await.remove(0);
    assert_eq!((&line["status"], &line["code"]), (&Value::from(101), &Value::Null), "{line}");
    assert_eq!((&line["bytes_in"], &line["bytes_out"]), (&Value::from(8), &Value::from(15)), "{line}");
    assert!(ms(&line, "total_ms") >= ms(&line, "head_ms"), "{line}");
    let labels = "{pool=\"lab/test/web\",release=\"r1\"} ";
    assert_eq!(lab.metric(&format!("mainstay_edge_received_bytes_total{labels}")).await, 8.0);
    assert_eq!(lab.metric(&format!("mainstay_edge_sent_bytes_total{labels}")).await, 15.0);
}

#[tokio::test]
async fn bodies_count_for_their_release_whether_there_is_a_log_or_not() {
    let target = upstream(|mut stream| async move {
        while read_head(&mut stream).await.is_some() {
            read_until(&mut stream, "hello").await;
            let _ = stream.write_all(ok("goodbye").as_bytes()).await;
        }
    })
    .await;
    let lab = lab(&[target]).await;
    let text = "POST / HTTP/1.1\r\nHost: lab\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello";
    assert_eq!(status(&raw(lab.address, text.as_bytes()).await), 200);
    let labels = "{pool=\"lab/test/web\",release=\"r1\"} ";
    assert_eq!(lab.metric(&format!("mainstay_edge_received_bytes_total{labels}")).await, 5.0);
    assert_eq!(lab.metric(&format!("mainstay_edge_sent_bytes_total{labels}")).await, 7.0);
}
