//! The PROXY protocol, versions 1 and 2: a proxy that carries bytes says whose connection it carries.
//!
//! The header is read to its last byte and no further, because what follows belongs to TLS or HTTP.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// How a version 2 header begins.
pub(crate) const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// The fixed part of a version 2 header.
pub(crate) const FIXED: usize = 16;

/// The shortest header of either version, `PROXY UNKNOWN\r\n`.
const SHORTEST: usize = 15;

/// The longest line of version 1, with its end.
pub(crate) const LONGEST_LINE: usize = 107;

/// Addresses take 36 bytes; the rest is for what proxies add and nobody here reads.
const LONGEST_REST: usize = 4096;

/// Whose connection it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Said {
    /// The proxy's own, as for its health checks, or one of which it knows nothing.
    Own,
    Between {
        source: SocketAddr,
        destination: SocketAddr,
    },
}

/// What came is no PROXY protocol header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the connection does not begin with a PROXY protocol header")]
pub(crate) struct Malformed;

impl From<Malformed> for io::Error {
    fn from(malformed: Malformed) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, malformed)
    }
}

/// Takes the header off a connection.
pub(crate) async fn read(stream: &mut TcpStream) -> io::Result<Said> {
    let mut first = [0u8; FIXED];
    stream.read_exact(&mut first[..SHORTEST]).await?;
    if first.starts_with(&SIGNATURE) {
        stream.read_exact(&mut first[SHORTEST..]).await?;
        let mut rest = vec![0; rest_length(&first)?];
        stream.read_exact(&mut rest).await?;
        return Ok(version_2(&first, &rest)?);
    }
    if !first.starts_with(b"PROXY ") {
        return Err(Malformed.into());
    }
    let line = read_line(stream, &first[..SHORTEST]).await?;
    Ok(version_1(&line)?)
}

/// The rest of the line: looked at before it is taken, so that nothing behind it is.
async fn read_line(stream: &mut TcpStream, first: &[u8]) -> io::Result<Vec<u8>> {
    let mut line = first.to_vec();
    while line.last() != Some(&b'\n') {
        let mut ahead = [0u8; LONGEST_LINE];
        let room = LONGEST_LINE - line.len();
        if room == 0 {
            return Err(Malformed.into());
        }
        let count = stream.peek(&mut ahead[..room]).await?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let end = ahead[..count].iter().position(|byte| *byte == b'\n').map_or(count, |at| at + 1);
        stream.read_exact(&mut ahead[..end]).await?;
        line.extend_from_slice(&ahead[..end]);
    }
    Ok(line)
}

/// `PROXY TCP4 source destination source-port destination-port`, with its line end.
pub(crate) fn version_1(line: &[u8]) -> Result<Said, Malformed> {
    let line = line.strip_suffix(b"\r\n").and_then(|line| std::str::from_utf8(line).ok()).ok_or(Malformed)?;
    let words: Vec<&str> = line.split(' ').collect();
    match words[..] {
        // Whatever follows is to be passed over.
        ["PROXY", "UNKNOWN", ..] => Ok(Said::Own),
        ["PROXY", family, source, destination, source_port, destination_port] => Ok(Said::Between {
            source: SocketAddr::new(ip(family, source)?, port(source_port)?),
            destination: SocketAddr::new(ip(family, destination)?, port(destination_port)?),
        }),
        _ => Err(Malformed),
    }
}

fn ip(family: &str, text: &str) -> Result<IpAddr, Malformed> {
    match family {
        "TCP4" => text.parse::<Ipv4Addr>().map(IpAddr::V4).map_err(|_| Malformed),
        "TCP6" => text.parse::<Ipv6Addr>().map(IpAddr::V6).map_err(|_| Malformed),
        _ => Err(Malformed),
    }
}

fn port(text: &str) -> Result<u16, Malformed> {
    // A sign or leading zeros have no place here, though the standard library would take some of them.
    let is_plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| is_plain).ok_or(Malformed)
}

/// How many bytes follow the fixed part.
pub(crate) fn rest_length(first: &[u8; FIXED]) -> Result<usize, Malformed> {
    let length = usize::from(u16::from_be_bytes([first[14], first[15]]));
    if length <= LONGEST_REST { Ok(length) } else { Err(Malformed) }
}

pub(crate) fn version_2(first: &[u8; FIXED], rest: &[u8]) -> Result<Said, Malformed> {
    let is_own = match first[12] {
        0x20 => true,
        0x21 => false,
        _ => return Err(Malformed),
    };
    match (is_own, first[13]) {
        (true, _) => Ok(Said::Own),
        (false, 0x11) => four(rest).ok_or(Malformed),
        (false, 0x21) => six(rest).ok_or(Malformed),
        // An unspecified family, or a socket of the proxy's machine: there is no address to speak of.
        (false, 0x00 | 0x31) => Ok(Said::Own),
        (false, _) => Err(Malformed),
    }
}

fn four(rest: &[u8]) -> Option<Said> {
    let (source, rest) = rest.split_first_chunk::<4>()?;
    let (destination, rest) = rest.split_first_chunk::<4>()?;
    between(IpAddr::from(*source), IpAddr::from(*destination), rest)
}

fn six(rest: &[u8]) -> Option<Said> {
    let (source, rest) = rest.split_first_chunk::<16>()?;
    let (destination, rest) = rest.split_first_chunk::<16>()?;
    between(IpAddr::from(*source), IpAddr::from(*destination), rest)
}

fn between(source: IpAddr, destination: IpAddr, rest: &[u8]) -> Option<Said> {
    let (source_port, rest) = rest.split_first_chunk::<2>()?;
    let (destination_port, _additions) = rest.split_first_chunk::<2>()?;
    Some(Said::Between {
        source: SocketAddr::new(source, u16::from_be_bytes(*source_port)),
        destination: SocketAddr::new(destination, u16::from_be_bytes(*destination_port)),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn said(source: &str, destination: &str) -> Said {
        Said::Between { source: source.parse().unwrap(), destination: destination.parse().unwrap() }
    }

    #[test]
    fn lines_are_read() {
        let line = b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n";
        assert_eq!(version_1(line), Ok(said("192.0.2.1:56324", "192.0.2.2:443")));
        let line = b"PROXY TCP6 2001:db8::1 2001:db8::2 1 0\r\n";
        assert_eq!(version_1(line), Ok(said("[2001:db8::1]:1", "[2001:db8::2]:0")));
        assert_eq!(version_1(b"PROXY UNKNOWN\r\n"), Ok(Said::Own));
        assert_eq!(version_1(b"PROXY UNKNOWN ff::1 ff::2 1 2\r\n"), Ok(Said::Own));
    }

    #[test]
    fn lines_that_are_nearly_right_are_refused() {
        for line in [
            "PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 56324 443 \r\n",
            "PROXY TCP4 192.0.2.1  192.0.2.2 56324 443\r\n",
            "PROXY TCP4 ::1 192.0.2.2 56324 443\r\n",
            "PROXY TCP6 192.0.2.1 192.0.2.2 56324 443\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 65536 443\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 +1 443\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 01 443\r\n",
            "PROXY UDP4 192.0.2.1 192.0.2.2 1 443\r\n",
            "proxy TCP4 192.0.2.1 192.0.2.2 1 443\r\n",
        ] {
            assert_eq!(version_1(line.as_bytes()), Err(Malformed), "{line}");
        }
    }

    fn fixed(command: u8, family: u8, length: u16) -> [u8; FIXED] {
        let mut first = [0; FIXED];
        first[..12].copy_from_slice(&SIGNATURE);
        first[12..14].copy_from_slice(&[command, family]);
        first[14..].copy_from_slice(&length.to_be_bytes());
        first
    }

    #[test]
    fn the_second_version_knows_its_own_connections_and_refuses_what_is_too_short_or_too_long() {
        assert_eq!(version_2(&fixed(0x20, 0x00, 0), &[]), Ok(Said::Own));
        assert_eq!(version_2(&fixed(0x21, 0x31, 216), &[0; 216]), Ok(Said::Own));
        assert_eq!(version_2(&fixed(0x21, 0x11, 11), &[0; 11]), Err(Malformed));
        assert_eq!(version_2(&fixed(0x21, 0x12, 12), &[0; 12]), Err(Malformed), "datagrams");
        assert_eq!(version_2(&fixed(0x22, 0x11, 12), &[0; 12]), Err(Malformed));
        assert_eq!(version_2(&fixed(0x11, 0x11, 12), &[0; 12]), Err(Malformed));
        assert_eq!(rest_length(&fixed(0x21, 0x11, 4097)), Err(Malformed));
    }

    fn octets(ip: IpAddr) -> Vec<u8> {
        match ip {
            IpAddr::V4(four) => four.octets().to_vec(),
            IpAddr::V6(six) => six.octets().to_vec(),
        }
    }

    fn same_family() -> impl Strategy<Value = (SocketAddr, SocketAddr)> {
        prop_oneof![
            any::<([u8; 4], u16, [u8; 4], u16)>().prop_map(|(a, p, b, q)| ((a, p).into(), (b, q).into())),
            any::<([u8; 16], u16, [u8; 16], u16)>().prop_map(|(a, p, b, q)| ((a, p).into(), (b, q).into())),
        ]
    }

    proptest! {
        #[test]
        fn reading_never_panics(
            first in any::<[u8; FIXED]>(),
            rest in proptest::collection::vec(any::<u8>(), 0..80),
            line in "PROXY (TCP4|TCP6|UNKNOWN)?[ 0-9a-f:.\r\n]{0,60}",
        ) {
            let _ = version_1(&rest);
            let _ = version_1(line.as_bytes());
            let _ = version_2(&first, &rest);
            let _ = version_2(&fixed(0x21, first[0], 0), &rest);
            let _ = rest_length(&first);
        }

        #[test]
        fn both_versions_read_back_what_is_written((source, destination) in same_family(), more in proptest::collection::vec(any::<u8>(), 0..40)) {
            let family = if source.is_ipv4() { ("TCP4", 0x11) } else { ("TCP6", 0x21) };
            let line = format!("PROXY {} {} {} {} {}\r\n", family.0, source.ip(), destination.ip(), source.port(), destination.port());
            prop_assert!(line.len() <= LONGEST_LINE);
            prop_assert_eq!(version_1(line.as_bytes()), Ok(Said::Between { source, destination }));
            let mut rest = [octets(source.ip()), octets(destination.ip())].concat();
            rest.extend(source.port().to_be_bytes());
            rest.extend(destination.port().to_be_bytes());
            rest.extend(more);
            let first = fixed(0x21, family.1, rest.len() as u16);
            prop_assert_eq!(rest_length(&first), Ok(rest.len()));
            prop_assert_eq!(version_2(&first, &rest), Ok(Said::Between { source, destination }));
        }
    }
}
