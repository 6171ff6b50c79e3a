//! Whose requests are counted together.

use std::net::{IpAddr, Ipv6Addr};

/// The address a client is known by: a whole IPv4 address, or the /64 of an IPv6 one.
///
/// A household and a rented server alike get a /64 at least, so counting single IPv6 addresses would count nothing.
pub(crate) fn client_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from(u128::from(v6) & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(text: &str) -> String {
        client_of(text.parse().unwrap()).to_string()
    }

    #[test]
    fn addresses_of_one_64_are_one_client_and_mapped_ones_are_ipv4() {
        assert_eq!(client("2001:db8:1:2:aaaa::1"), client("2001:db8:1:2:bbbb::2"));
        assert_ne!(client("2001:db8:1:2::1"), client("2001:db8:1:3::1"));
        assert_eq!(client("::ffff:10.0.0.1"), "10.0.0.1");
        assert_ne!(client("10.0.0.1"), client("10.0.0.2"));
    }
}
