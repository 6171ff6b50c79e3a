//! Request smuggling over HTTP/1.1: whatever two readers could read in two ways is refused, and counted.

use crate::support::*;

/// Sends bytes, followed by a second request that must never be answered.
async fn refused(lab: &Lab, bytes: &str, word: &str) -> String {
    let before = lab.refused(word).await;
    let answer = raw(lab.address, bytes.as_bytes()).await;
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{word}: one answer, then the end: {answer}");
    assert!(status(&answer) == 400, "{word}: {answer}");
    assert!(!answer.contains("smuggled"), "{word}: {answer}");
    wait_for("it to be counted", || async { lab.refused(word).await == before + 1.0 }).await;
    answer
}

const SECOND: &str = "GET /smuggled HTTP/1.1\r\nHost: lab\r\n\r\n";

async fn refused_with(lab: &Lab, headers: &str, body: &str, word: &str) -> String {
    refused(lab, &format!("POST / HTTP/1.1\r\nHost: lab\r\n{headers}\r\n\r\n{body}{SECOND}"), word).await
}

#[tokio::test]
async fn both_lengths() {
    let lab = lab(&[echo("a").await]).await;
    refused_with(&lab, "Content-Length: 5\r\nTransfer-Encoding: chunked", "0\r\n\r\n", "two-lengths").await;
    refused_with(&lab, "Transfer-Encoding: chunked\r\nContent-Length: 5", "0\r\n\r\n", "two-lengths").await;
}

#[tokio::test]
async fn both_lengths_later_in_a_pipeline() {
    let lab = lab(&[echo("a").await]).await;
    let text = format!(
        "GET /first HTTP/1.1\r\nHost: lab\r\n\r\nPOST / HTTP/1.1\r\nHost: lab\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{SECOND}"
    );
    let answer = raw(lab.address, text.as_bytes()).await;
    assert!(answer.contains("GET /first") && answer.contains("two-lengths"), "{answer}");
    assert!(!answer.contains("smuggled"), "{answer}");
}

#[tokio::test]
async fn two_different_content_lengths() {
    let lab = lab(&[echo("a").await]).await;
    refused_with(&lab, "Content-Length: 5\r\nContent-Length: 6", "12345", "bad-content-length").await;
}

#[tokio::test]
async fn content_lengths_that_are_no_plain_number() {
    let lab = lab(&[echo("a").await]).await;
    for length in ["+5", "-5", "5 5", "5, 5", "5,6", "0x5", "5a", "", "99999999999999999999999"] {
        refused_with(&lab, &format!("Content-Length: {length}"), "12345", "bad-content-length").await;
    }
}

#[tokio::test]
async fn codings_that_are_not_exactly_chunked() {
    let lab = lab(&[echo("a").await]).await;
    for coding in [
        "chunked, identity",
        "xchunked",
        "identity",
        "chunked, gzip",
        "gzip, chunked",
        "chunked, chunked",
        "chunked;q=1",
    ] {
        refused_with(&lab, &format!("Transfer-Encoding: {coding}"), "0\r\n\r\n", "bad-transfer-encoding").await;
    }
    let twice = "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked";
    refused_with(&lab, twice, "0\r\n\r\n", "bad-transfer-encoding").await;
    let hidden = "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked";
    refused_with(&lab, hidden, "0\r\n\r\n", "bad-transfer-encoding").await;
}

#[tokio::test]
async fn a_coding_in_http_1_0() {
    let lab = lab(&[echo("a").await]).await;
    let text = format!("POST / HTTP/1.0\r\nHost: lab\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{SECOND}");
    let before = lab.refused("unexpected-transfer-encoding").await;
    let answer = raw(lab.address, text.as_bytes()).await;
    assert_eq!(status(&answer), 400, "{answer}");
    wait_for("it to be counted", || async { lab.refused("unexpected-transfer-encoding").await == before + 1.0 }).await;
}

#[tokio::test]
async fn chunks_that_are_not_well_formed() {
    // An upstream that reads everything, so that the body is asked for to its end.
    let target = upstream(|mut stream| async move { drop(read_all(&mut stream).await) }).await;
    let lab = lab(&[target]).await;
    let long = format!("5;{}\r\nhello\r\n0\r\n\r\n", "a".repeat(20_000));
    for body in [
        "zz\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5\r\nhelloX\r\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5;a\nb\r\nhello\r\n0\r\n\r\n",
        "FFFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n",
        &long,
    ] {
        refused_with(&lab, "Transfer-Encoding: chunked", body, "bad-chunk").await;
    }
}

#[tokio::test]
async fn bare_line_feeds() {
    let lab = lab(&[echo("a").await]).await;
    for head in [
        "GET / HTTP/1.1\nHost: lab\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: lab\nX: 1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: lab\r\nX: 1\n\r\n",
        "GET / HTTP/1.1\r\nHost: lab\r\n\n",
        "GET / HTTP/1.1\nHost: lab\n\n",
    ] {
        refused(&lab, head, "bare-line-feed").await;
    }
}

#[tokio::test]
async fn headers_that_are_not_well_formed() {
    let lab = lab(&[echo("a").await]).await;
    for header in [
        "X-Folded: a\r\n b",
        "X-Folded: a\r\n\tb",
        "X-Space : a",
        "X-Tab\t: a",
        "Content-Length : 5",
        "Transfer-Encoding : chunked",
        " X-First: a",
        "X-Nul: a\0b",
        "X-Return: a\rb",
        "X\0Y: a",
        "X(Y): a",
        "X Y: a",
        "X\u{e4}: a",
        "no-colon",
        ": no-name",
    ] {
        refused_with(&lab, header, "", "bad-header").await;
    }
}

#[tokio::test]
async fn hosts_that_disagree() {
    let lab = lab(&[echo("a").await]).await;
    for head in [
        "GET http://other/ HTTP/1.1\r\nHost: lab",
        "GET / HTTP/1.1\r\nHost: lab\r\nHost: lab",
        "GET / HTTP/1.1\r\nHost: lab\r\nhost: other",
        "GET / HTTP/1.1\r\nHost: lab/x",
        "GET / HTTP/1.1\r\nHost: a@lab",
        "GET / HTTP/1.1\r\nX: no host",
    ] {
        refused(&lab, &format!("{head}\r\nConnection: close\r\n\r\n"), "host").await;
    }
}

#[tokio::test]
async fn targets_that_are_no_path() {
    let lab = lab(&[echo("a").await]).await;
    for target in ["*", "lab:443", "/\u{e0}", "/?a=\u{e0}"] {
        let head = format!("GET {target} HTTP/1.1\r\nHost: lab:443\r\nConnection: close\r\n\r\n");
        refused(&lab, &head, "target").await;
    }
    let answer = raw(lab.address, b"OPTIONS * HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n").await;
    assert!(answer.contains("OPTIONS * HTTP/1.1"), "{answer}");
}

#[tokio::test]
async fn claims_under_names_with_underscores() {
    let lab = lab(&[echo("a").await]).await;
    let claims = "X_Forwarded_For: 6.6.6.6\r\nX-Forwarded_Host: evil\r\nContent_Length: 5\r\nProxy: http://evil\r\n";
    let head = format!("GET / HTTP/1.1\r\nHost: lab\r\n{claims}Connection: close\r\n\r\n");
    let answer = raw(lab.address, head.as_bytes()).await;
    assert_eq!(status(&answer), 200, "{answer}");
    assert!(!answer.contains("6.6.6.6") && !answer.contains("evil") && !answer.contains("content_length"), "{answer}");
}

#[tokio::test]
async fn equal_lengths_and_plain_chunks_are_served() {
    let target = upstream(|mut stream| async move {
        use tokio::io::AsyncWriteExt;
        while let Some(head) = read_head(&mut stream).await {
            let lower = head.to_lowercase();
            let wanted = if lower.contains("content-length") { "hello" } else { "0\r\n\r\n" };
            read_until(&mut stream, wanted).await;
            let _ = stream.write_all(ok(&head).as_bytes()).await;
        }
    })
    .await;
    let lab = lab(&[target]).await;
    let text =
        "POST / HTTP/1.1\r\nHost: lab\r\nContent-Length: 5\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";
    let answer = raw(lab.address, text.as_bytes()).await;
    assert_eq!(answer.to_lowercase().matches("content-length: 5\r\n").count(), 1, "the target sees one: {answer}");
    let chunks = "5;name=value\r\na\nb\nc\r\n0\r\nX-Trailer: 1\r\n\r\n";
    let text = format!("POST / HTTP/1.1\r\nHost: lab\r\nTransfer-Encoding: Chunked\r\n\r\n{chunks}");
    let second = "POST /2 HTTP/1.1\r\nHost: lab\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";
    let answer = raw(lab.address, format!("{text}{second}").as_bytes()).await;
    assert_eq!(answer.matches("200 OK").count(), 2, "line feeds inside a body are the body's: {answer}");
}
