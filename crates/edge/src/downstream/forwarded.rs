//! Reads `Forwarded` (RFC 7239) and the addresses that it and `X-Forwarded-For` name.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// One hop: what a proxy says of the connection that it took.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Hop {
    /// Who connected; `None` for `unknown`, a hidden name, or what is no address.
    pub(crate) node: Option<IpAddr>,
    /// Whether the connection was secure.
    pub(crate) is_secure: Option<bool>,
    /// The `Host` that was asked for.
    pub(crate) host: Option<String>,
}

/// The header does not follow the grammar, so that nobody knows where one hop ends and the next begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

/// The hops of one header line, from the client's to the nearest.
pub(crate) fn hops(line: &str) -> Result<Vec<Hop>, Malformed> {
    let mut hops = Vec::new();
    let mut hop = Reading::default();
    let mut rest = line.trim_start_matches(BLANK);
    loop {
        if let Some(after) = rest.strip_prefix(',') {
            hops.extend(std::mem::take(&mut hop).done());
            rest = after;
        } else if let Some(after) = rest.strip_prefix(';') {
            rest = after;
        } else if rest.is_empty() {
            hops.extend(hop.done());
            return Ok(hops);
        } else {
            let (name, value, after) = pair(rest)?;
            hop.take(name, value)?;
            let after = after.trim_start_matches(BLANK);
            if !(after.is_empty() || after.starts_with([',', ';'])) {
                return Err(Malformed);
            }
            rest = after;
        }
        rest = rest.trim_start_matches(BLANK);
    }
}

const BLANK: [char; 2] = [' ', '\t'];

/// A hop that is being read.
#[derive(Default)]
struct Reading {
    hop: Hop,
    /// `for`, `proto`, `host`, `by`: each at most once.
    seen: [bool; 4],
    is_begun: bool,
}

impl Reading {
    fn take(&mut self, name: &str, value: String) -> Result<(), Malformed> {
        self.is_begun = true;
        let names = ["for", "proto", "host", "by"];
        // What this edge does not know is another standard's, and may be there.
        let Some(index) = names.iter().position(|known| name.eq_ignore_ascii_case(known)) else { return Ok(()) };
        if std::mem::replace(&mut self.seen[index], true) {
            return Err(Malformed);
        }
        match index {
            0 => self.hop.node = address(&value),
            1 => self.hop.is_secure = is_secure(&value),
            2 => self.hop.host = Some(value),
            _ => {}
        }
        Ok(())
    }

    /// `None` for nothing between two commas.
    fn done(self) -> Option<Hop> {
        self.is_begun.then_some(self.hop)
    }
}

/// `name=value`, and what follows.
fn pair(text: &str) -> Result<(&str, String, &str), Malformed> {
    let (name, rest) = token(text)?;
    let rest = rest.strip_prefix('=').ok_or(Malformed)?;
    match rest.strip_prefix('"') {
        Some(quoted) => unquoted(quoted).map(|(value, rest)| (name, value, rest)),
        None => token(rest).map(|(value, rest)| (name, value.to_owned(), rest)),
    }
}

fn token(text: &str) -> Result<(&str, &str), Malformed> {
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    let end = text.find(|c| !is_token(c)).unwrap_or(text.len());
    if end == 0 { Err(Malformed) } else { Ok(text.split_at(end)) }
}

/// A quoted string after its first quote, with its escapes undone.
fn unquoted(text: &str) -> Result<(String, &str), Malformed> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((value, &text[at + 1..])),
            '\\' => value.push(chars.next().ok_or(Malformed)?.1),
            c if c.is_control() && c != '\t' => return Err(Malformed),
            c => value.push(c),
        }
    }
    Err(Malformed)
}

/// `http` or `https`; some proxies say `ws` and `wss` of WebSockets. Another word says nothing about it.
pub(crate) fn is_secure(scheme: &str) -> Option<bool> {
    let is_one_of = |words: [&str; 2]| words.iter().any(|word| scheme.eq_ignore_ascii_case(word));
    if is_one_of(["https", "wss"]) { Some(true) } else { is_one_of(["http", "ws"]).then_some(false) }
}

/// An address with or without a port; IPv6 in brackets, or bare as `X-Forwarded-For` has it.
pub(crate) fn address(node: &str) -> Option<IpAddr> {
    if let Some(inner) = node.strip_prefix('[') {
        let (six, port) = inner.split_once(']')?;
        let is_fine = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
        return six.parse::<Ipv6Addr>().ok().filter(|_| is_fine).map(|six| IpAddr::V6(six).to_canonical());
    }
    if let Some((four, port)) = node.split_once(':')
        && let Ok(four) = four.parse::<Ipv4Addr>()
    {
        return is_port(port).then_some(IpAddr::V4(four));
    }
    node.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

/// Digits, or a hidden port.
fn is_port(text: &str) -> bool {
    match text.strip_prefix('_') {
        Some(hidden) => !hidden.is_empty() && hidden.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)),
        None => (1..=5).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hop(node: Option<&str>, is_secure: Option<bool>, host: Option<&str>) -> Hop {
        Hop { node: node.map(|node| node.parse().unwrap()), is_secure, host: host.map(str::to_owned) }
    }

    #[test]
    fn the_examples_of_the_standard_are_read() {
        assert_eq!(hops("for=\"_gazonk\"").unwrap(), [hop(None, None, None)]);
        assert_eq!(hops("For=\"[2001:db8:cafe::17]:4711\"").unwrap(), [hop(Some("2001:db8:cafe::17"), None, None)]);
        let one = "for=192.0.2.60;proto=http;by=203.0.113.43";
        assert_eq!(hops(one).unwrap(), [hop(Some("192.0.2.60"), Some(false), None)]);
        let two = "for=192.0.2.43, for=198.51.100.17;host=\"a.example:81\";PROTO=https";
        let second = hop(Some("198.51.100.17"), Some(true), Some("a.example:81"));
        assert_eq!(hops(two).unwrap(), [hop(Some("192.0.2.43"), None, None), second]);
        assert_eq!(hops("for=unknown,, ;for=\"1.2.3.4:_x\" ; ext=\"a,\\\";b\"").unwrap().len(), 2);
        assert_eq!(hops("").unwrap(), []);
    }

    #[test]
    fn what_breaks_the_grammar_is_refused() {
        for line in [
            "for",
            "for=",
            "=x",
            "for=\"1.2.3.4",
            "for=1.2.3.4 for=5.6.7.8",
            "for=[::1]",
            "for=a;for=b",
            "for=\"\\",
            "for=a=b",
        ] {
            assert_eq!(hops(line), Err(Malformed), "{line}");
        }
    }

    #[test]
    fn addresses_are_read_in_all_their_forms() {
        for text in ["1.2.3.4", "1.2.3.4:80", "[::ffff:1.2.3.4]:80", "::ffff:1.2.3.4"] {
            assert_eq!(address(text), Some([1, 2, 3, 4].into()), "{text}");
        }
        assert_eq!(address("2001:db8::1"), "2001:db8::1".parse().ok());
        for text in ["", "unknown", "_hidden", "1.2.3.4:", "1.2.3.4:x", "[::1", "[::1]80", "1.2.3", "1.2.3.4:123456"] {
            assert_eq!(address(text), None, "{text}");
        }
    }

    fn rendered(hops: &[Hop]) -> String {
        let one = |hop: &Hop| {
            let node = match hop.node {
                Some(IpAddr::V4(four)) => format!("for={four}"),
                Some(IpAddr::V6(six)) => format!("for=\"[{six}]:1\""),
                None => "for=_hidden".to_owned(),
            };
            let proto = hop.is_secure.map(|is| if is { ";proto=https" } else { ";proto=http" }).unwrap_or_default();
            let escaped = |host: &String| host.replace('\\', "\\\\").replace('"', "\\\"");
            let host = hop.host.as_ref().map(|host| format!("; host=\"{}\"", escaped(host))).unwrap_or_default();
            format!("{node}{proto}{host}")
        };
        hops.iter().map(one).collect::<Vec<_>>().join(", ")
    }

    proptest! {
        #[test]
        fn reading_never_panics(line in r#"(for|proto|host|by|=|"|\\|\[|\]|:|;|,| |_|unknown|[0-9a-f.]{1,6}|\PC){0,20}"#) {
            let _ = hops(&line);
            let _ = address(&line);
        }

        #[test]
        fn what_is_written_is_read_back(
            hops in proptest::collection::vec(
                (proptest::option::of(any::<IpAddr>()), any::<Option<bool>>(), proptest::option::of(r#"[ -~]{0,12}"#)), 0..5)
        ) {
            let hops: Vec<Hop> = hops
                .into_iter()
                .map(|(node, is_secure, host)| Hop { node: node.map(|node| node.to_canonical()), is_secure, host })
                .collect();
            prop_assert_eq!(super::hops(&rendered(&hops)), Ok(hops));
        }
    }
}
