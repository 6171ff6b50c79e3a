//! Lists of networks, as for trusted proxies or for who gets through a maintenance page.

use std::net::IpAddr;

use ipnet::IpNet;

/// A few networks; asked one by one, because nobody names hundreds.
#[derive(Debug, Clone, Default)]
pub(crate) struct Networks(Box<[IpNet]>);

impl Networks {
    /// Reads CIDR texts and single addresses; one that cannot be read is left out and named.
    pub(crate) fn compile(texts: &[String], whose: &str, problems: &mut Vec<String>) -> Networks {
        let read = |text: &String| {
            let network = network(text);
            if network.is_none() {
                problems.push(format!("{whose}: `{text}` is neither an address nor a network like `10.0.0.0/8`"));
            }
            network
        };
        Networks(texts.iter().filter_map(read).collect())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an address lies in one of them; an IPv4 address inside IPv6 is the IPv4 address.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }
}

fn network(text: &str) -> Option<IpNet> {
    let text = text.trim();
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(|address| IpNet::from(address.to_canonical())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_and_addresses_are_read_and_what_is_neither_is_named() {
        let mut problems = Vec::new();
        let texts = ["10.0.0.0/8", "192.0.2.7", "2001:db8::/32", "10.0.0.0/40", "lan"].map(str::to_owned);
        let networks = Networks::compile(&texts, "trusted proxies", &mut problems);
        let holds = |text: &str| networks.contains(text.parse().unwrap());
        assert!(holds("10.255.0.1") && holds("192.0.2.7") && holds("2001:db8::1") && holds("::ffff:10.0.0.1"));
        assert!(!holds("11.0.0.1") && !holds("192.0.2.8") && !holds("2001:db9::1"));
        assert_eq!(problems.len(), 2, "{problems:?}");
    }
}
