//! What a connection is on a listener that takes requests and bytes: its first bytes tell, and they are only looked at.
//!
//! In many protocols the server speaks first. So a client that says nothing for a moment gets its connection to a target,
//! and whoever speaks first decides: a word of the server means bytes, and a request of the client is one all the same.
//! Nothing is lost by a late decision, since nothing has been taken off either connection.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;

use super::presence::Presence;
use crate::edge::Edge;
use crate::snapshot::Detect;
use crate::tcp::carry::{Opened, open};
use crate::tcp::lines::Line;
use crate::upstream::generation::Generation;

/// A client of HTTP asks as soon as it is connected; one that has not by then may wait for the server's greeting.
const QUIET: Duration = Duration::from_millis(150);

/// A line of which no more comes is taken for what it is so far.
const PART: Duration = Duration::from_secs(1);

/// The pause between two looks at a line that is not whole: peeking would not wait for the rest.
const AGAIN: Duration = Duration::from_millis(2);

/// How much of a beginning is looked at.
const LOOK: usize = 4096;

/// How often a connection on which nobody speaks looks whether its target is being replaced.
const DRAIN_LOOK: Duration = Duration::from_millis(200);

/// The methods that are registered for HTTP, but for `CONNECT`, which is asked of proxies.
const METHODS: &[&str] = &[
    "ACL",
    "BASELINE-CONTROL",
    "BIND",
    "CHECKIN",
    "CHECKOUT",
    "COPY",
    "DELETE",
    "GET",
    "HEAD",
    "LABEL",
    "LINK",
    "LOCK",
    "MERGE",
    "MKACTIVITY",
    "MKCALENDAR",
    "MKCOL",
    "MKREDIRECTREF",
    "MKWORKSPACE",
    "MOVE",
    "OPTIONS",
    "ORDERPATCH",
    "PATCH",
    "POST",
    "PROPFIND",
    "PROPPATCH",
    "PUT",
    "QUERY",
    "REBIND",
    "REPORT",
    "SEARCH",
    "TRACE",
    "UNBIND",
    "UNCHECKOUT",
    "UNLINK",
    "UNLOCK",
    "UPDATE",
    "UPDATEREDIRECTREF",
    "VERSION-CONTROL",
];

/// How an HTTP/2 connection begins.
const PREFACE: &[u8] = b"PRI * HTTP/2.0";

/// What a connection turned out to be.
pub(super) enum Spoken {
    Requests {
        is_h2: bool,
    },
    /// With the connection to a target, where one was opened already.
    Bytes(Option<Opened>),
}

/// What the first bytes look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Guess {
    Requests {
        is_h2: bool,
    },
    Bytes,
    /// More of them will tell.
    Unclear,
}

/// Finds out; `None` where no target takes the connection, or it broke.
pub(super) async fn spoken(
    edge: &Edge,
    line: &Line,
    detect: Detect,
    client: &TcpStream,
    presence: &Arc<Presence>,
) -> Option<Spoken> {
    // While nobody speaks, limits for idle HTTP connections are not meant.
    let _busy = Presence::begin(presence);
    if let Ok(words) = tokio::time::timeout(QUIET, first_words(edge, detect, client)).await {
        return of_client(words.ok()?, None);
    }
    loop {
        let opened = tokio::select! {
            biased;
            words = first_words(edge, detect, client) => return of_client(words.ok()?, None),
            opened = open(edge, line) => opened?,
        };
        tokio::select! {
            biased;
            words = first_words(edge, detect, client) => return of_client(words.ok()?, Some(opened)),
            _readable = opened.target.readable() => return Some(Spoken::Bytes(Some(opened))),
            () = is_replaced(opened.in_flight.generation()) => {}
        }
    }
}

fn of_client(guess: Guess, opened: Option<Opened>) -> Option<Spoken> {
    match guess {
        Guess::Requests { is_h2 } => Some(Spoken::Requests { is_h2 }),
        Guess::Bytes | Guess::Unclear => Some(Spoken::Bytes(opened)),
    }
}

/// Waits for what the client says; one that has ended its half may still want to hear something.
async fn first_words(edge: &Edge, detect: Detect, client: &TcpStream) -> io::Result<Guess> {
    let mut first = vec![0u8; LOOK];
    let count = client.peek(&mut first).await?;
    let patience = if detect == Detect::Likely { edge.limits.header_read } else { PART };
    let clear = async {
        let mut count = count;
        loop {
            match guess(&first[..count], detect) {
                Guess::Unclear if count > 0 => {}
                guess => return io::Result::Ok(guess),
            }
            tokio::time::sleep(AGAIN).await;
            count = client.peek(&mut first).await?;
        }
    };
    match tokio::time::timeout(patience, clear).await {
        Ok(guess) => guess,
        // What may be HTTP goes on as HTTP, which has its own patience with it.
        Err(_elapsed) if detect == Detect::Likely => Ok(Guess::Requests { is_h2: false }),
        Err(_elapsed) => Ok(Guess::Bytes),
    }
}

async fn is_replaced(generation: &Generation) {
    while !generation.is_draining() {
        tokio::time::sleep(DRAIN_LOOK).await;
    }
}

fn guess(first: &[u8], detect: Detect) -> Guess {
    match detect {
        Detect::Likely => guess_likely(first),
        Detect::Unknown => guess_unknown(first),
    }
}

/// A method, a path and a version, exactly as a client writes them to a server.
fn guess_unknown(first: &[u8]) -> Guess {
    let Some((method, rest)) = split(first, b' ') else {
        let may_be = |method: &&str| method.as_bytes().starts_with(first);
        return if METHODS.iter().any(may_be) { Guess::Unclear } else { Guess::Bytes };
    };
    if !is_method(method) {
        return Guess::Bytes;
    }
    match (rest.first(), line(rest)) {
        (None, _) => Guess::Unclear,
        (Some(b'/' | b'*'), Some(line)) if has_version(line) => Guess::Requests { is_h2: false },
        // So long an address is a request's.
        (Some(b'/'), None) if first.len() == LOOK => Guess::Requests { is_h2: false },
        (Some(b'/' | b'*'), None) => Guess::Unclear,
        _ => Guess::Bytes,
    }
}

/// Whatever a lenient server may take for a request.
fn guess_likely(first: &[u8]) -> Guess {
    // Empty lines before a request are passed over.
    let start = first.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(first.len());
    let first = &first[start..];
    if PREFACE.starts_with(&first[..first.len().min(PREFACE.len())]) {
        return if first.len() < PREFACE.len() { Guess::Unclear } else { Guess::Requests { is_h2: start == 0 } };
    }
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    let token = first.iter().take_while(|byte| is_token(byte)).count();
    match (token, first.get(token)) {
        (0, Some(_)) => Guess::Bytes,
        (_, None) if first.len() < LOOK - start => Guess::Unclear,
        (_, Some(b' ' | b'\t')) if is_method(&first[..token]) => Guess::Requests { is_h2: false },
        (_, Some(b' ' | b'\t')) => match line(&first[token + 1..]) {
            Some(line) if has_version(line) => Guess::Requests { is_h2: false },
            None if start + first.len() < LOOK => Guess::Unclear,
            _ => Guess::Bytes,
        },
        _ => Guess::Bytes,
    }
}

fn is_method(word: &[u8]) -> bool {
    METHODS.iter().any(|method| method.as_bytes() == word)
}

fn split(bytes: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let index = bytes.iter().position(|byte| *byte == at)?;
    Some((&bytes[..index], &bytes[index + 1..]))
}

/// The first line, if it is whole.
fn line(bytes: &[u8]) -> Option<&[u8]> {
    split(bytes, b'\n').map(|(line, _)| line.strip_suffix(b"\r").unwrap_or(line))
}

fn has_version(line: &[u8]) -> bool {
    let version = line.rsplit(|byte| *byte == b' ').next().unwrap_or_default();
    line.len() > version.len() && matches!(version, b"HTTP/1.0" | b"HTTP/1.1")
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: Guess = Guess::Requests { is_h2: false };

    #[test]
    fn what_surely_is_a_request_is_one_on_every_port_wherever_the_reads_are_cut() {
        for text in ["GET / HTTP/1.1\r\nHost: x\r\n\r\n", "OPTIONS * HTTP/1.0\n", "PROPFIND /a?b HTTP/1.1\r\n"] {
            let end = text.find('\n').unwrap();
            for cut in 1..=text.len() {
                let first = &text.as_bytes()[..cut];
                let unknown = if cut > end { REQUEST } else { Guess::Unclear };
                assert_eq!(guess(first, Detect::Unknown), unknown, "{text:?} cut at {cut}");
                assert_ne!(guess(first, Detect::Likely), Guess::Bytes, "{text:?} cut at {cut}");
            }
            assert_eq!(guess(text.as_bytes(), Detect::Likely), REQUEST);
        }
        let long = format!("GET /{}", "a".repeat(LOOK));
        assert_eq!(guess(&long.as_bytes()[..LOOK], Detect::Unknown), REQUEST);
    }

    #[test]
    fn what_is_no_request_is_bytes_on_every_port() {
        let handshake = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
        let texts: [&[u8]; 6] = [
            handshake,
            b"\x10\x00\xff\x05\x09localhost\x63\xdd\x01",
            b"hello there\n",
            b"PING\r\n",
            b"AMQP\0\0\x09\x01",
            b"\0",
        ];
        for text in texts {
            assert_eq!(guess(text, Detect::Unknown), Guess::Bytes, "{text:?}");
            assert_eq!(guess(text, Detect::Likely), Guess::Bytes, "{text:?}");
        }
        assert_eq!(guess(b"RTSP rtsp://x/ RTSP/1.0\r\n", Detect::Unknown), Guess::Bytes);
        assert_eq!(guess(b"OPTIONS rtsp://x/ RTSP/1.0\r\n", Detect::Unknown), Guess::Bytes);
    }

    #[test]
    fn what_a_proxy_is_asked_and_http_2_are_bytes_where_nobody_knows_the_port() {
        for text in ["CONNECT a:443 HTTP/1.1\r\n", "GET http://a/ HTTP/1.1\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
            assert_eq!(guess(text.as_bytes(), Detect::Unknown), Guess::Bytes, "{text:?}");
            assert_ne!(guess(text.as_bytes(), Detect::Likely), Guess::Bytes, "{text:?}");
        }
        assert_eq!(guess(b"PRI * HTTP/2.0\r\n", Detect::Likely), Guess::Requests { is_h2: true });
    }

    #[test]
    fn on_a_port_of_web_servers_nothing_gets_around_the_edge_by_being_written_oddly() {
        for text in
            ["\r\nGET / HTTP/1.1\r\n", "GET http://a/ HTTP/1.1\r\n", "get / HTTP/1.1\r\n", "FOO / HTTP/1.0\n", "GET\t/"]
        {
            assert_eq!(guess(text.as_bytes(), Detect::Likely), REQUEST, "{text:?}");
        }
    }
}
