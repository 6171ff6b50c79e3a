//! Which way this host reaches an address, by its own table of routes.

use std::net::Ipv4Addr;
use std::path::Path;

/// Whether packets to this address leave by a bridge: so are containers reached that are on a bridge network. Those on
/// a macvlan, ipvlan or overlay network are not, though they have an address there.
pub fn is_behind_a_bridge(address: Ipv4Addr) -> bool {
    let table = std::fs::read_to_string("/proc/net/route").unwrap_or_default();
    leaves_by(&table, address)
        .is_some_and(|interface| Path::new("/sys/class/net").join(interface).join("bridge").exists())
}

/// The interface of the most exact route. (`Iface Destination Gateway Flags RefCnt Use Metric Mask …`, addresses in
/// hexadecimal, last byte first)
fn leaves_by(table: &str, address: Ipv4Addr) -> Option<&str> {
    let route = |line: &'_ str| -> Option<(u32, usize)> {
        let mut words = line.split_whitespace();
        let (_, destination) = (words.next()?, number(words.next()?)?);
        let mask = number(words.nth(5)?)?;
        (u32::from(address) & mask == destination).then(|| (mask, line.find(char::is_whitespace).unwrap_or(0)))
    };
    let found = table.lines().skip(1).filter_map(|line| Some((route(line)?, line)));
    let ((_, end), line) = found.max_by_key(|((mask, _), _)| *mask)?;
    line.get(..end)
}

fn number(hex: &str) -> Option<u32> {
    u32::from_str_radix(hex, 16).ok().map(u32::swap_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT
eth0\t00000000\t0100A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
eth0\t0000A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
";

    #[test]
    fn the_most_exact_route_counts() {
        let by = |address: [u8; 4]| leaves_by(TABLE, address.into());
        assert_eq!(by([172, 17, 0, 2]), Some("docker0"));
        assert_eq!(by([192, 168, 0, 50]), Some("eth0"), "a container on a macvlan of the host's own network");
        assert_eq!(by([10, 0, 1, 2]), Some("eth0"), "an overlay network");
        assert_eq!(leaves_by("Iface\n", [10, 0, 1, 2].into()), None);
    }
}
