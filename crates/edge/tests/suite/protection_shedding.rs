//! Shedding: when there is more to do than can be done, the less important is refused first.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::support::*;
use edge::Snapshot;
use edge::snapshot::{Priority, Shedding};

fn with_priorities(snapshot: &mut Snapshot, shedding: Shedding) {
    snapshot.shedding = Some(shedding);
    for (path, priority) in [("/low", Priority::Low), ("/high", Priority::High), ("/critical", Priority::Critical)] {
        let mut prioritised = route(None, path, POOL);
        prioritised.limits.priority = priority;
        snapshot.routes.push(prioritised);
    }
}

#[tokio::test]
async fn low_is_refused_first_and_critical_never() {
    let (target, gate, count) = gated().await;
    let lab = lab_with_snapshot(quick(), pool("r1", &[target]), |snapshot| {
        with_priorities(snapshot, Shedding { in_flight: 2, target_ms: None });
    })
    .await;
    let mut asked = Vec::new();
    for (number, (path, refused)) in
        [("/low", None), ("/low", None), ("/x", Some("/low")), ("/high", Some("/x")), ("/critical", Some("/high"))]
            .into_iter()
            .enumerate()
    {
        if let Some(refused) = refused {
            let answer = lab.get(refused).await;
            assert_eq!(status(&answer), 503, "{refused} with {number} under way: {answer}");
            assert!(answer.contains("\"code\":\"shed\"") && header(&answer, "retry-after").is_some(), "{answer}");
        }
        asked.push(asking(lab.address, path));
        wait_for("it to be under way", || async { count.load(Ordering::SeqCst) == number + 1 }).await;
    }
    for (priority, shed) in [("low", 1.0), ("normal", 1.0), ("high", 1.0), ("critical", 0.0)] {
        let line = format!("mainstay_edge_shed_total{{priority=\"{priority}\"}}");
        assert_eq!(lab.metric(&line).await, shed, "{priority}");
    }
    gate.add_permits(asked.len());
    for asked in asked {
        assert_eq!(status(&asked.await.unwrap()), 200);
    }
    gate.add_permits(1);
    assert_eq!(status(&lab.get("/low").await), 200, "everything is free again");
    wait_for("nothing under way", || async { lab.metric("mainstay_edge_shed_under_way").await == 0.0 }).await;
}

#[tokio::test]
async fn the_limit_shrinks_while_answers_are_late_and_grows_back() {
    let slow = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let is_slow = slow.clone();
    let target = upstream(move |mut stream| {
        let is_slow = is_slow.clone();
        async move {
            use tokio::io::AsyncWriteExt;
            while read_head(&mut stream).await.is_some() {
                if is_slow.load(Ordering::SeqCst) {
                    tokio::time::sleep(Duration::from_millis(250)).await;
                }
                let _ = stream.write_all(ok("x").as_bytes()).await;
            }
        }
    })
    .await;
    let limits = edge::Limits { client_idle: Duration::from_millis(200), ..quick() };
    let lab = lab_with_snapshot(limits, pool("r1", &[target]), |snapshot| {
        with_priorities(snapshot, Shedding { in_flight: 64, target_ms: Some(120) });
    })
    .await;
    let limit = || lab.metric("mainstay_edge_shed_limit");
    assert_eq!(limit().await, 64.0);
    let round = || async {
        let asked: Vec<_> = (0..20).map(|_| asking(lab.address, "/")).collect();
        for asked in asked {
            asked.await.unwrap();
        }
    };
    wait_for("the limit to shrink", || async {
        round().await;
        limit().await < 60.0
    })
    .await;
    slow.store(false, Ordering::SeqCst);
    wait_for("the limit to grow back", || async {
        round().await;
        limit().await == 64.0
    })
    .await;
}

#[tokio::test]
async fn a_websocket_is_not_counted_as_under_way() {
    let target = upstream(|mut stream| async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        read_head(&mut stream).await;
        let head = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        let _ = stream.read(&mut [0u8; 1]).await;
    })
    .await;
    let lab = lab_with_snapshot(quick(), pool("r1", &[target]), |snapshot| {
        with_priorities(snapshot, Shedding { in_flight: 1, target_ms: None });
    })
    .await;
    let mut open = Vec::new();
    for _ in 0..4 {
        use tokio::io::AsyncWriteExt;
        let mut stream = tokio::net::TcpStream::connect(lab.address).await.unwrap();
        let text = "GET /low HTTP/1.1\r\nHost: lab\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
        stream.write_all(text.as_bytes()).await.unwrap();
        read_until(&mut stream, "101 Switching").await;
        open.push(stream);
        wait_for("it to be counted out", || async { lab.metric("mainstay_edge_shed_under_way").await == 0.0 }).await;
    }
    assert_eq!(lab.control.status().await.unwrap().pools[0].websockets, 4);
}
