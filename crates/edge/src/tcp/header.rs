//! The PROXY protocol header, version 2, by which a target is told whose connection it is.

use std::net::{IpAddr, SocketAddr};

const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// A header for a carried connection.
///
/// Addresses of different families are both written as IPv6, the older ones mapped.
pub(super) fn version_2(source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
    let mut header = SIGNATURE.to_vec();
    header.push(0x21);
    match (source.ip().to_canonical(), destination.ip().to_canonical()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            header.extend_from_slice(&[0x11, 0, 12]);
            header.extend_from_slice(&from.octets());
            header.extend_from_slice(&to.octets());
        }
        (from, to) => {
            header.extend_from_slice(&[0x21, 0, 36]);
            header.extend_from_slice(&six(from));
            header.extend_from_slice(&six(to));
        }
    }
    header.extend_from_slice(&source.port().to_be_bytes());
    header.extend_from_slice(&destination.port().to_be_bytes());
    header
}

fn six(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(four) => four.to_ipv6_mapped().octets(),
        IpAddr::V6(six) => six.octets(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_as_the_specification_has_it() {
        let header = version_2("1.2.3.4:258".parse().unwrap(), "5.6.7.8:80".parse().unwrap());
        assert_eq!(&header[12..], [0x21, 0x11, 0, 12, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 0, 80]);
        let header = version_2("[::1]:1".parse().unwrap(), "5.6.7.8:80".parse().unwrap());
        assert_eq!((header.len(), header[13]), (16 + 36, 0x21));
    }
}
