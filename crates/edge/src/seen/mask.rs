//! What the access log must not tell.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A parameter whose name holds one of these is masked, whatever surrounds it: `access_token`, `X-Amz-Signature`.
/// `keyword` is masked too; a lost search word is better than a logged key.
const ALWAYS: [&str; 6] = ["token", "password", "secret", "key", "code", "signature"];

/// The query with the values of secret parameters replaced.
pub(crate) fn query(query: &str, more: &[String]) -> String {
    let masked = |pair: &str| match pair.split_once('=') {
        Some((name, _)) if is_secret(name, more) => format!("{name}=***"),
        _ => pair.to_owned(),
    };
    query.split('&').map(masked).collect::<Vec<_>>().join("&")
}

fn is_secret(name: &str, more: &[String]) -> bool {
    let lower = name.to_ascii_lowercase();
    // A name that is written in escapes may be any name.
    name.contains('%')
        || ALWAYS.iter().any(|word| lower.contains(word))
        || more.iter().any(|word| word.eq_ignore_ascii_case(name))
}

/// The address without its last part: the last number of IPv4, all but the first 48 bits of IPv6.
pub(crate) fn client(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(four) => {
            let [a, b, c, _] = four.octets();
            IpAddr::V4(Ipv4Addr::new(a, b, c, 0))
        }
        IpAddr::V6(six) => IpAddr::V6(Ipv6Addr::from(u128::from(six) >> 80 << 80)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_parameters_lose_their_values_whatever_the_case() {
        let more = ["Email".to_owned()];
        let masked = query("a=1&Token=x&access_token=y&email=z&emails=w&API_KEY=v&%74oken=u&flag&code=", &more);
        assert_eq!(masked, "a=1&Token=***&access_token=***&email=***&emails=w&API_KEY=***&%74oken=***&flag&code=***");
    }

    #[test]
    fn an_address_loses_its_last_part() {
        let masked = |text: &str| client(text.parse().unwrap()).to_string();
        assert_eq!(masked("192.0.2.77"), "192.0.2.0");
        assert_eq!(masked("::ffff:192.0.2.77"), "192.0.2.0");
        assert_eq!(masked("2001:db8:1:2:3:4:5:6"), "2001:db8:1::");
    }
}
