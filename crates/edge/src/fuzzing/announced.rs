//! `downstream/proxy_protocol.rs`.

use std::net::{IpAddr, SocketAddr};

use crate::downstream::proxy_protocol::{FIXED, LONGEST_LINE, SIGNATURE, Said, rest_length, version_1, version_2};

/// What is read can be written in one way only, and is read back from it.
pub fn announced(data: &[u8]) {
    if data.starts_with(&SIGNATURE) {
        return second(data);
    }
    let end = data.iter().take(LONGEST_LINE).position(|byte| *byte == b'\n').map_or(data.len(), |at| at + 1);
    let line = &data[..end];
    let Ok(said) = version_1(line) else { return };
    let Said::Between { source, destination } = said else {
        return assert!(line.starts_with(b"PROXY UNKNOWN"), "nobody is named");
    };
    assert_eq!(source.is_ipv4(), destination.is_ipv4(), "one family");
    let written = written(source, destination);
    assert_eq!(version_1(written.as_bytes()), Ok(said));
    if source.is_ipv4() {
        assert_eq!(line, written.as_bytes(), "another text for the same addresses");
    }
}

fn second(data: &[u8]) {
    let Some((first, rest)) = data.split_first_chunk::<FIXED>() else { return };
    let Ok(length) = rest_length(first) else { return };
    let Some(rest) = rest.get(..length) else { return };
    let Ok(Said::Between { source, destination }) = version_2(first, rest) else { return };
    let again: Vec<u8> = [source.ip(), destination.ip()]
        .into_iter()
        .flat_map(octets)
        .chain(source.port().to_be_bytes())
        .chain(destination.port().to_be_bytes())
        .collect();
    assert!(rest.starts_with(&again), "the addresses are the first bytes");
}

fn written(source: SocketAddr, destination: SocketAddr) -> String {
    let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
    let (from, to) = (source.ip(), destination.ip());
    format!("PROXY {family} {from} {to} {} {}\r\n", source.port(), destination.port())
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(four) => four.octets().to_vec(),
        IpAddr::V6(six) => six.octets().to_vec(),
    }
}
