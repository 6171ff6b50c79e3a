//! HTTP/2 floods: what costs the client nothing ends its connection, is counted, and other clients do not notice.

use std::time::Duration;

use crate::support::frames::*;
use crate::support::*;
use edge::Limits;

/// Sends a frame over and over until the edge ends the connection; another client is served all the while.
async fn flood(opening: &[u8], piece: impl Fn(u32) -> Vec<u8>, words: &[&str]) {
    let lab = lab(&[echo("a").await]).await;
    let mut raw = Raw::connect(lab.address, &[]).await;
    raw.send(opening).await;
    let mut ended = false;
    for round in 0..400u32 {
        let burst: Vec<u8> = (0..100).flat_map(|n| piece(round * 100 + n)).collect();
        if !raw.send(&burst).await {
            ended = true;
            break;
        }
        if round % 50 == 0 {
            assert_eq!(status(&lab.get("/").await), 200, "another client is not served");
        }
    }
    assert!(ended || raw.find(|f| f.kind == GOAWAY && f.code() != 0).await.is_some(), "40,000 frames were taken");
    wait_for("it to be counted", || async {
        let mut sum = 0.0;
        for word in words {
            sum += lab.refused(word).await;
        }
        sum >= 1.0
    })
    .await;
    assert_eq!(status(&lab.get("/").await), 200);
    wait_for("nothing to be left", || async { lab.control.status().await.unwrap().pools[0].in_flight == 0 }).await;
}

#[tokio::test]
async fn streams_opened_only_to_be_reset() {
    let piece = |n: u32| {
        let id = n * 2 + 1;
        [frame(HEADERS, END_HEADERS | END_STREAM, id, &get("/", &[])), frame(RST_STREAM, 0, id, &[0, 0, 0, 8])].concat()
    };
    flood(&[], piece, &["h2-flood-reset", "h2-calm"]).await;
}

#[tokio::test]
async fn header_blocks_that_never_end() {
    let opening = frame(HEADERS, END_STREAM, 1, &get("/", &[]));
    let piece = |_| frame(CONTINUATION, 0, 1, &block(&[("x-more", &"a".repeat(100))]));
    flood(&opening, piece, &["h2-flood-continuation", "h2-calm", "h2-protocol", "h2-compression"]).await;
}

#[tokio::test]
async fn empty_continuations() {
    let opening = frame(HEADERS, END_STREAM, 1, &get("/", &[]));
    flood(&opening, |_| frame(CONTINUATION, 0, 1, &[]), &["h2-flood-continuation", "h2-calm"]).await;
}

#[tokio::test]
async fn header_blocks_that_never_end_in_pieces_as_large_as_they_may_be() {
    let opening = frame(HEADERS, END_STREAM, 1, &get("/", &[]));
    let piece = block(&[("x-more", &"a".repeat(100))]).repeat(140);
    let burst = move |n: u32| if n.is_multiple_of(100) { frame(CONTINUATION, 0, 1, &piece) } else { Vec::new() };
    flood(&opening, burst, &["h2-calm", "h2-protocol"]).await;
}

#[tokio::test]
async fn a_client_that_gives_back_each_small_answer_and_pings_for_it_is_no_attacker() {
    let target = upstream(|mut stream| async move {
        while read_head(&mut stream).await.is_some() {
            use tokio::io::AsyncWriteExt;
            let _ = stream.write_all(ok("five!").as_bytes()).await;
        }
    })
    .await;
    let lab = lab(&[target]).await;
    let mut raw = Raw::connect(lab.address, &[]).await;
    // As the C core of gRPC and gRPC for Go do it; far more than what may be sent for nothing.
    for batch in 0..40u32 {
        let ids: Vec<u32> = (0..50).map(|n| (batch * 50 + n) * 2 + 1).collect();
        let ask = |id: &u32| frame(HEADERS, END_HEADERS | END_STREAM, *id, &get("/", &[]));
        assert!(raw.send(&ids.iter().flat_map(ask).collect::<Vec<u8>>()).await, "ended in batch {batch}");
        for _ in &ids {
            let answered = raw.find(|frame| frame.kind == DATA && !frame.payload.is_empty()).await;
            assert!(answered.is_some(), "ended in batch {batch}");
        }
        let back = |id: &u32| {
            let window = 5u32.to_be_bytes();
            [frame(WINDOW_UPDATE, 0, *id, &window), frame(WINDOW_UPDATE, 0, 0, &window), frame(PING, 0, 0, &[7; 8])]
                .concat()
        };
        raw.send(&ids.iter().flat_map(back).collect::<Vec<u8>>()).await;
    }
    assert_eq!((lab.refused("h2-flood-window").await, lab.refused("h2-flood-ping").await), (0.0, 0.0));
}

#[tokio::test]
async fn what_was_under_way_when_a_flood_ended_its_connection_is_told_by_that_rule() {
    let (target, _gate, _count) = gated().await;
    let log = edge::snapshot::AccessLog {
        file: None,
        sample: 1,
        slow_ms: 60_000,
        mask: vec![],
        mask_client: false,
        rotate_bytes: 1 << 20,
    };
    let lab = lab_with_snapshot(quick(), pool("r1", &[target]), |snapshot| snapshot.access_log = Some(log)).await;
    let mut raw = Raw::connect(lab.address, &[]).await;
    raw.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &get("/", &[]))).await;
    wait_for("the request", || async { lab.control.status().await.unwrap().pools[0].in_flight == 1 }).await;
    let burst = frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]).repeat(100);
    while raw.send(&burst).await {}
    let file = lab.folder.path().join("state/access.log");
    wait_for("its line", || async { std::fs::read_to_string(&file).is_ok_and(|text| text.contains("\"code\":")) })
        .await;
    let line = std::fs::read_to_string(&file).unwrap();
    assert!(line.contains("\"code\":\"h2-flood-window\"") && line.contains("\"status\":499"), "{line}");
}

#[tokio::test]
async fn settings() {
    flood(&[], |_| frame(SETTINGS, 0, 0, &[]), &["h2-flood-settings", "h2-calm"]).await;
}

#[tokio::test]
async fn pings() {
    flood(&[], |_| frame(PING, 0, 0, &[0; 8]), &["h2-flood-ping", "h2-calm"]).await;
}

#[tokio::test]
async fn empty_data() {
    let fields = block(&[(":method", "POST"), (":scheme", "http"), (":authority", "lab"), (":path", "/")]);
    let opening = frame(HEADERS, END_HEADERS, 1, &fields);
    flood(&opening, |_| frame(DATA, 0, 1, &[]), &["h2-flood-data", "h2-calm"]).await;
}

#[tokio::test]
async fn windows_that_grow_byte_by_byte() {
    flood(&[], |_| frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]), &["h2-flood-window"]).await;
}

#[tokio::test]
async fn priorities_and_unknown_frames() {
    flood(&[], |n| frame(2, 0, n * 2 + 1, &[0, 0, 0, 0, 16]), &["h2-flood-unknown"]).await;
    flood(&[], |_| frame(200, 0, 0, &[]), &["h2-flood-unknown"]).await;
}

#[tokio::test]
async fn a_window_beyond_its_bound() {
    let lab = lab(&[echo("a").await]).await;
    let mut raw = Raw::connect(lab.address, &[]).await;
    raw.send(&frame(WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0xff, 0xff])).await;
    assert_eq!(raw.find(|f| f.kind == GOAWAY).await.map(|f| f.code()), Some(3));
    wait_for("it to be counted", || async { lab.refused("h2-flow-control").await == 1.0 }).await;
}

#[tokio::test]
async fn more_streams_than_allowed() {
    let (target, gate, _count) = gated().await;
    let lab = lab_with(Limits { streams: 4, ..quick() }, pool("r1", &[target])).await;
    let mut raw = Raw::connect(lab.address, &[]).await;
    let open = |id: u32| frame(HEADERS, END_HEADERS | END_STREAM, id, &get("/", &[]));
    raw.send(&[open(1), open(3), open(5), open(7), open(9)].concat()).await;
    let reset = raw.find(|f| f.kind == RST_STREAM).await.unwrap();
    assert_eq!((reset.stream, reset.code()), (9, 7), "the fifth is refused, and may be tried again");
    assert_eq!(lab.refused("h2-too-many-streams").await, 1.0);
    gate.add_permits(4);
    assert!(raw.find(|f| f.kind == HEADERS).await.is_some(), "the four are served");
}

#[tokio::test]
async fn a_client_that_keeps_its_window_shut() {
    let body = "x".repeat(30_000);
    let answer: &'static str = Box::leak(ok(&body).into_boxed_str());
    let target = upstream(move |mut stream| async move {
        use tokio::io::AsyncWriteExt;
        while read_head(&mut stream).await.is_some() {
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    })
    .await;
    let lab = lab_with(Limits { client_write: Duration::from_millis(300), ..quick() }, pool("r1", &[target])).await;
    // No window at all, and one that ends inside the body.
    for window in [0, 1_000] {
        let before = lab.refused("slow-reader").await;
        let mut raw = Raw::connect(lab.address, &[(4, window)]).await;
        raw.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &get("/", &[]))).await;
        assert!(raw.find(|f| f.kind == HEADERS).await.is_some());
        raw.ended().await;
        assert_eq!(lab.refused("slow-reader").await, before + 1.0, "a window of {window}");
        wait_for("nothing to be left", || async { lab.control.status().await.unwrap().pools[0].in_flight == 0 }).await;
    }
}
