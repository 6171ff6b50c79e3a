//! The control socket, the persisted snapshot, and listeners that come, go and fail alone.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use crate::support::*;
use edge::{Scope, Snapshot, Source};
use tokio::net::{TcpListener, TcpStream};

#[tokio::test]
async fn epochs_only_grow_and_the_same_snapshot_changes_nothing() {
    let lab = lab(&[echo("a").await]).await;
    let target = echo("b").await;
    assert!(lab.switch(5, "r5", &[target]).await.changed);
    assert!(!lab.switch(5, "r5", &[target]).await.changed);
    for (epoch, release) in [(4, "r4"), (5, "r6")] {
        let error = lab.control.apply(&snapshot(epoch, pool(release, &[target]))).await.unwrap_err();
        assert!(error.is_epoch_conflict(), "{error}");
    }
    let mut forged = snapshot(6, pool("r6", &[]));
    forged.hash = "0".repeat(64);
    assert!(lab.control.apply(&forged).await.unwrap_err().to_string().contains("422"));
    let mut newer = snapshot(6, pool("r6", &[]));
    newer.schema = 99;
    assert!(lab.control.apply(&newer.seal()).await.unwrap_err().to_string().contains("schema"));
    assert_eq!(lab.control.status().await.unwrap().epoch, 5);
    assert!(lab.get("/").await.contains('b'));
}

#[tokio::test]
async fn the_socket_is_for_its_owner_only_and_a_second_edge_is_refused() {
    let lab = lab(&[]).await;
    let mode = std::fs::metadata(lab.control.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let config = edge::EdgeConfig {
        control_socket: lab.control.socket().to_owned(),
        state_dir: lab.folder.path().join("other"),
    };
    let second = edge::serve(config, tokio_util::sync::CancellationToken::new()).await;
    assert!(matches!(second, Err(edge::EdgeError::AlreadyRunning { .. })));
    assert!(lab.control.status().await.is_ok());
}

#[tokio::test]
async fn an_edge_starts_from_its_file_without_an_agent() {
    let target = echo("kept").await;
    let first = lab(&[target]).await;
    let address = first.address;
    let folder = first.stop().await;
    // Port 0 picks another port, so the second edge says where it listens.
    let second = start(folder, quick()).await;
    let status = second.control.status().await.unwrap();
    assert_eq!((status.epoch, status.source), (1, Source::File));
    assert_ne!(status.listeners[0].bind.port(), 0);
    let answer = raw(status.listeners[0].bind, b"GET / HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n").await;
    assert!(answer.contains("kept"), "{answer} (was {address})");
    let error = second.control.apply(&snapshot(0, pool("r0", &[]))).await.unwrap_err();
    assert!(error.is_epoch_conflict());
}

#[tokio::test]
async fn a_torn_file_falls_back_to_the_one_before_and_status_says_so() {
    let first = lab(&[echo("one").await]).await;
    first.switch(2, "r2", &[echo("two").await]).await;
    let folder = first.stop().await;
    let file = folder.path().join("state/snapshot.json");
    let text = std::fs::read_to_string(&file).unwrap();
    tokio::fs::write(&file, &text[..text.len() / 2]).await.unwrap();
    let second = start(folder, quick()).await;
    let status = second.control.status().await.unwrap();
    assert_eq!((status.epoch, status.source), (1, Source::PreviousFile));
    assert!(status.note.unwrap().contains("snapshot.json"));
    let address = status.listeners[0].bind;
    assert!(raw(address, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.contains("one"));
}

#[tokio::test]
async fn an_unreadable_state_is_empty_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("state")).unwrap();
    tokio::fs::write(folder.path().join("state/snapshot.json"), "{").await.unwrap();
    let lab = start(folder, quick()).await;
    let status = lab.control.status().await.unwrap();
    assert_eq!((status.epoch, status.source), (0, Source::Empty));
    assert!(status.note.is_some());
    lab.control.apply(&snapshot(1, pool("r1", &[]))).await.unwrap();
    let status = lab.control.status().await.unwrap();
    assert_eq!((status.source, status.note), (Source::Pushed, None));
}

#[tokio::test]
async fn a_taken_port_is_reported_alone_and_opened_when_it_is_free() {
    let lab = lab(&[echo("a").await]).await;
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = taken.local_addr().unwrap().port();
    let mut wanted = snapshot(2, pool("r1", &[echo("a").await]));
    wanted.listeners.push(listener("second", port));
    wanted.listeners.push(listener("third", 0));
    let applied = lab.control.apply(&wanted.seal()).await.unwrap();
    let states: Vec<_> = applied.listeners.iter().map(|l| (l.name.as_str(), l.error.is_some())).collect();
    assert_eq!(states, [("web", false), ("second", true), ("third", false)]);
    assert_eq!(applied.listeners[0].bind, lab.address, "the first was not touched");
    assert!(applied.listeners[1].error.as_ref().unwrap().contains(&port.to_string()));
    drop(taken);
    wait_for("the port to be taken over", || async {
        lab.control.status().await.unwrap().listeners.iter().all(|l| l.error.is_none())
    })
    .await;
    let second = ([127, 0, 0, 1], port).into();
    assert!(raw(second, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.contains("200 OK"));
}

#[tokio::test]
async fn a_removed_listener_closes_and_the_others_keep_their_connections() {
    let target = echo("a").await;
    let lab = start(tempfile::tempdir().unwrap(), quick()).await;
    let mut two = snapshot(1, pool("r1", &[target]));
    two.listeners.push(listener("gone", 0));
    let applied = lab.control.apply(&two.seal()).await.unwrap();
    let (stays, goes) = (applied.listeners[0].bind, applied.listeners[1].bind);
    let mut kept = TcpStream::connect(stays).await.unwrap();
    let mut lost = TcpStream::connect(goes).await.unwrap();
    for stream in [&mut kept, &mut lost] {
        use tokio::io::AsyncWriteExt;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        read_until(stream, "\r\n\r\n").await;
    }
    lab.control.apply(&snapshot(2, pool("r1", &[target]))).await.unwrap();
    read_all(&mut lost).await;
    assert!(TcpStream::connect(goes).await.is_err());
    use tokio::io::AsyncWriteExt;
    kept.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    read_until(&mut kept, "200 OK").await;
}

#[tokio::test]
async fn internal_routes_are_seen_through_internal_listeners_only() {
    let mut both = snapshot(1, pool("r1", &[echo("public").await]));
    both.listeners.push(edge::Listener { scope: Scope::Internal, ..listener("gateway", 0) });
    both.pools.push(edge::Pool::new("lab/test/api", "r1", vec![echo("inner").await]));
    both.routes.push(edge::Route { scope: Scope::Internal, ..route(Some("api"), "/", "lab/test/api") });
    let lab = start(tempfile::tempdir().unwrap(), quick()).await;
    let applied = lab.control.apply(&both.seal()).await.unwrap();
    let ask = |index: usize, host: &str| {
        let address = applied.listeners[index].bind;
        let text = format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        async move { raw(address, text.as_bytes()).await }
    };
    assert!(ask(0, "api").await.contains("public"));
    assert!(ask(1, "api:8000").await.contains("inner"));
    assert_eq!(status(&ask(1, "other").await), 404);
}

#[tokio::test]
async fn many_snapshots_in_a_row_keep_one_generation_of_an_unchanged_pool() {
    let target = echo("a").await;
    let lab = lab(&[target]).await;
    lab.get("/").await;
    for epoch in 2..30 {
        lab.switch(epoch, "r1", &[target]).await;
    }
    lab.get("/").await;
    let metrics = lab.control.metrics().await.unwrap();
    assert!(metrics.contains("mainstay_edge_connects_total{pool=\"lab/test/web\",release=\"r1\"} 1"), "{metrics}");
    assert_eq!(lab.control.drained(POOL, "r9", Duration::from_secs(1)).await.unwrap(), 0);
}

#[test]
fn the_snapshots_json_is_what_the_agent_writes() {
    let snapshot: Snapshot = snapshot(7, pool("r1", &[([127, 0, 0, 1], 8000).into()]));
    let value = serde_json::to_value(&snapshot).unwrap();
    assert_eq!(value["schema"], edge::snapshot::SCHEMA);
    assert_eq!(value["listeners"][0]["scope"], "public");
    assert_eq!(value["pools"][0]["targets"][0], "127.0.0.1:8000");
    assert_eq!(value["routes"][0]["strip_prefix"], false);
}

#[tokio::test]
async fn the_world_and_a_docker_network_may_use_the_same_port_and_a_second_edge_may_not() {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let mut both = snapshot(1, pool("r1", &[echo("public").await]));
    both.listeners = vec![
        edge::Listener { bind: ([0, 0, 0, 0], port).into(), ..listener("world", 0) },
        edge::Listener { bind: ([127, 0, 0, 2], port).into(), scope: Scope::Internal, ..listener("gateway", 0) },
    ];
    both.pools.push(edge::Pool::new("lab/test/api", "r1", vec![echo("inner").await]));
    both.routes.push(edge::Route { scope: Scope::Internal, ..route(Some("api"), "/", "lab/test/api") });
    let lab = start(tempfile::tempdir().unwrap(), quick()).await;
    let applied = lab.control.apply(&both.clone().seal()).await.unwrap();
    assert!(applied.listeners.iter().all(|listener| listener.error.is_none()), "{:?}", applied.listeners);
    let ask = async |address: [u8; 4]| {
        raw((address, port).into(), b"GET / HTTP/1.1\r\nHost: api\r\nConnection: close\r\n\r\n").await
    };
    assert!(ask([127, 0, 0, 1]).await.contains("public"));
    assert!(ask([127, 0, 0, 2]).await.contains("inner"));

    let other = start(tempfile::tempdir().unwrap(), quick()).await;
    let applied = other.control.apply(&both.seal()).await.unwrap();
    assert!(
        applied.listeners[0].error.as_ref().is_some_and(|error| error.contains("in use")),
        "{:?}",
        applied.listeners
    );
}

#[tokio::test]
async fn the_metrics_count_the_tasks_that_are_alive() {
    let (target, gate, asked) = gated().await;
    let lab = lab(&[target]).await;
    let before = lab.metric("mainstay_edge_tasks").await;
    let asking: Vec<_> = (0..5).map(|_| asking(lab.address, "/")).collect();
    wait_for("the requests", || async { asked.load(std::sync::atomic::Ordering::SeqCst) == 5 }).await;
    let under_way = lab.metric("mainstay_edge_tasks").await;
    assert!(under_way >= before + 5.0, "{before} before, {under_way} with five requests under way");
    gate.add_permits(5);
    for one in asking {
        one.await.unwrap();
    }
    wait_for("the tasks to end", || async { lab.metric("mainstay_edge_tasks").await < under_way - 4.0 }).await;
}

#[tokio::test]
async fn figures_tell_a_release_from_the_one_before_it_and_outlive_the_switch() {
    let failing = upstream(|mut stream| async move {
        while read_head(&mut stream).await.is_some() {
            let answer = "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n";
            let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, answer.as_bytes()).await;
        }
    })
    .await;
    let mut lab = lab(&[echo("a").await]).await;
    for _ in 0..3 {
        lab.get("/").await;
    }
    lab.address = lab.switch(2, "r2", &[failing]).await.listeners[0].bind;
    lab.get("/").await;
    lab.address = lab.switch(3, "r3", &[nobody().await]).await.listeners[0].bind;
    lab.get("/").await;
    let seen = lab.control.figures(POOL).await.unwrap();
    let counts = |release: &str| {
        let figures = seen.of(release);
        assert_eq!(figures.total, figures.recent, "everything here is younger than a minute");
        (figures.total.requests(), figures.total.errors(), figures.total.unanswered)
    };
    assert_eq!([counts("r1"), counts("r2"), counts("r3")], [(3, 0, 0), (1, 1, 0), (1, 1, 1)]);
    assert_eq!(counts("r9"), (0, 0, 0), "an unknown one has answered nothing");
    assert!(seen.of("r1").total.quantile(0.95).unwrap() < Duration::from_secs(5));
    assert!(seen.of("r9").total.quantile(0.95).is_none());
    assert!(lab.control.figures("another").await.unwrap().releases.is_empty());
}

#[tokio::test]
async fn what_the_guests_of_a_pool_answer_counts_as_their_own_releases() {
    let failing = upstream(|mut stream| async move {
        while read_head(&mut stream).await.is_some() {
            let answer = "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n";
            let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, answer.as_bytes()).await;
        }
    })
    .await;
    let silent = upstream(|mut stream| async move {
        // It takes the request and hangs up.
        read_head(&mut stream).await;
    })
    .await;
    let own = echo("a").await;
    let mut lab = lab(&[own]).await;
    for (epoch, guest, unanswered) in [(2, failing, 0), (3, silent, 4)] {
        let release = format!("r{epoch}");
        let guests = Some(edge::snapshot::Guests { release: release.clone(), targets: vec![guest] });
        let both = edge::Pool { guests, ..pool("r1", &[own, guest]) };
        let before = lab.control.figures(POOL).await.unwrap().of("r1").total;
        lab.address = lab.control.apply(&snapshot(epoch, both)).await.unwrap().listeners[0].bind;
        for _ in 0..8 {
            lab.get("/").await;
        }
        let seen = lab.control.figures(POOL).await.unwrap();
        let (own, guest) = (seen.of("r1").total.since(&before), seen.of(&release).total);
        assert_eq!((own.requests(), own.errors()), (4, 0), "{release}");
        assert_eq!((guest.requests(), guest.errors(), guest.unanswered), (4, 4, unanswered), "{release}");
    }
    // One that has left is known a little longer, as any release is.
    lab.address = lab.switch(4, "r1", &[own]).await.listeners[0].bind;
    lab.get("/").await;
    assert_eq!(lab.control.figures(POOL).await.unwrap().of("r2").total.requests(), 4);
}
