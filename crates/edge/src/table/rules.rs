//! Header rules of a route, compiled to names and values once.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::proxy::underscores;
use crate::snapshot::HeaderRules;

/// Changes in the order remove, set, add.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rules {
    remove: Box<[HeaderName]>,
    set: Box<[(HeaderName, HeaderValue)]>,
    add: Box<[(HeaderName, HeaderValue)]>,
}

impl Rules {
    /// `None` when nothing is changed; what may not be changed is left out and named.
    pub(crate) fn compile(rules: &HeaderRules, whose: &str, problems: &mut Vec<String>) -> Option<Rules> {
        if rules.is_empty() {
            return None;
        }
        let remove = rules.remove.iter().filter_map(|name| header(name, whose, problems)).collect();
        let mut pairs = |named: &std::collections::BTreeMap<String, String>| {
            let pair = |(name, value): (&String, &String)| pair(name, value, whose, problems);
            named.iter().filter_map(pair).collect()
        };
        let (set, add) = (pairs(&rules.set), pairs(&rules.add));
        Some(Rules { remove, set, add })
    }

    pub(crate) fn apply(&self, headers: &mut HeaderMap) {
        if headers.keys().any(|name| name.as_str().contains('_')) {
            // What the route takes out or says itself does not come in under another name.
            let ours = self.remove.iter().chain(self.set.iter().map(|(name, _)| name));
            underscores::strip(headers, &ours.map(HeaderName::as_str).collect::<Vec<_>>());
        }
        for name in &self.remove {
            headers.remove(name);
        }
        for (name, value) in &self.set {
            headers.insert(name.clone(), value.clone());
        }
        for (name, value) in &self.add {
            headers.append(name.clone(), value.clone());
        }
    }
}

fn header(name: &str, whose: &str, problems: &mut Vec<String>) -> Option<HeaderName> {
    let Ok(header) = HeaderName::from_bytes(name.as_bytes()) else {
        problems.push(format!("{whose}: `{name}` is not a header name"));
        return None;
    };
    if is_framing(&header) {
        problems.push(format!("{whose}: the header `{name}` is the connection's own and stays as it is"));
        return None;
    }
    Some(header)
}

fn pair(name: &str, value: &str, whose: &str, problems: &mut Vec<String>) -> Option<(HeaderName, HeaderValue)> {
    let name = header(name, whose, problems)?;
    match HeaderValue::from_str(value) {
        Ok(value) => Some((name, value)),
        Err(_) => {
            problems.push(format!("{whose}: the value of `{name}` has characters that no header may have"));
            None
        }
    }
}

/// What decides where a message ends, which connection it is on, or whom it is for.
fn is_framing(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "content-length"
            | "expect"
            | "host"
            | "http2-settings"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "proxy-connection"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(remove: &[&str], set: &[(&str, &str)], add: &[(&str, &str)]) -> HeaderRules {
        let map = |pairs: &[(&str, &str)]| pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        HeaderRules { remove: remove.iter().map(|n| (*n).to_owned()).collect(), set: map(set), add: map(add) }
    }

    #[test]
    fn rules_remove_then_set_then_add() {
        let mut problems = Vec::new();
        let wanted = rules(&["x-a"], &[("X-B", "new")], &[("x-a", "1"), ("x-b", "2")]);
        let compiled = Rules::compile(&wanted, "route", &mut problems).unwrap();
        let mut headers = HeaderMap::new();
        headers.append("x-a", HeaderValue::from_static("old"));
        headers.append("x-b", HeaderValue::from_static("old"));
        compiled.apply(&mut headers);
        assert_eq!(headers.get_all("x-a").iter().collect::<Vec<_>>(), ["1"]);
        assert_eq!(headers.get_all("x-b").iter().collect::<Vec<_>>(), ["new", "2"]);
        assert!(problems.is_empty());
    }

    #[test]
    fn what_a_rule_removes_or_sets_does_not_come_in_with_underscores() {
        let wanted = rules(&["x-admin"], &[("x-user-name", "nobody")], &[]);
        let compiled = Rules::compile(&wanted, "route", &mut vec![]).unwrap();
        let mut headers = HeaderMap::new();
        for name in ["x_admin", "x-user_name", "x_other"] {
            headers.append(name, HeaderValue::from_static("1"));
        }
        compiled.apply(&mut headers);
        let names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(names, ["x_other", "x-user-name"]);
    }

    #[test]
    fn the_connections_own_headers_and_bad_texts_are_named_and_left_out() {
        let mut problems = Vec::new();
        let wanted = rules(&["Host"], &[("Transfer-Encoding", "x"), ("a b", "x")], &[("x-a", "1\r\nx-b: 2")]);
        let compiled = Rules::compile(&wanted, "route", &mut problems).unwrap();
        assert_eq!(problems.len(), 4, "{problems:?}");
        let mut headers = HeaderMap::new();
        headers.append("host", HeaderValue::from_static("x"));
        compiled.apply(&mut headers);
        assert_eq!(headers.len(), 1);
    }
}
