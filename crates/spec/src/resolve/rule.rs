//! Router rules in labels, such as ``Host(`shop.example.com`) && (PathPrefix(`/v2`) || PathPrefix(`/v3`))``.
//!
//! A rule becomes the routes that let through exactly what it does. What it asks besides host and path cannot be a
//! route; a rule with that is left out and told, since leaving out a condition would open what it closes.

use super::plan::Route;

/// One way to meet the rule: a host, a path, both.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Way {
    host: Option<String>,
    path: Option<String>,
}

/// The routes of a rule, or the first matcher that cannot be one.
pub(super) fn routes(rule: &str) -> Result<Vec<Route>, String> {
    let mut reader = Reader { rest: rule.trim() };
    let ways = reader.any()?;
    match reader.rest.is_empty() {
        true => Ok(ways.into_iter().map(|way| Route::new(way.host, tidy(way.path.as_deref()))).collect()),
        false => Err(reader.rest.to_owned()),
    }
}

fn tidy(path: Option<&str>) -> String {
    let trimmed = path.unwrap_or("/").trim_end_matches('/');
    if trimmed.is_empty() { "/".to_owned() } else { trimmed.to_owned() }
}

struct Reader<'r> {
    rest: &'r str,
}

impl<'r> Reader<'r> {
    fn any(&mut self) -> Result<Vec<Way>, String> {
        let mut ways = self.all()?;
        while self.takes("||") {
            ways.extend(self.all()?);
        }
        Ok(ways)
    }

    fn all(&mut self) -> Result<Vec<Way>, String> {
        let mut ways = self.one()?;
        while self.takes("&&") {
            let others = self.one()?;
            let mut both = Vec::new();
            for way in &ways {
                for other in &others {
                    both.push(way.and(other)?);
                }
            }
            ways = both;
        }
        Ok(ways)
    }

    fn one(&mut self) -> Result<Vec<Way>, String> {
        if self.takes("(") {
            let ways = self.any()?;
            return if self.takes(")") { Ok(ways) } else { Err(self.rest.to_owned()) };
        }
        let Some((matcher, after)) = self.rest.split_once('(') else { return Err(self.rest.to_owned()) };
        let Some((words, rest)) = after.split_once(')') else { return Err(self.rest.to_owned()) };
        let is_path = match matcher.trim() {
            "Host" => false,
            "PathPrefix" | "Path" => true,
            other => return Err(other.to_owned()),
        };
        self.rest = rest.trim_start();
        let values = words.split(',').map(|word| word.trim().trim_matches(['`', '"', '\'']).to_owned());
        Ok(values
            .map(|value| match is_path {
                true => Way { path: Some(value), host: None },
                false => Way { host: Some(value.to_lowercase()), path: None },
            })
            .collect())
    }

    fn takes(&mut self, word: &str) -> bool {
        let Some(rest) = self.rest.strip_prefix(word) else { return false };
        self.rest = rest.trim_start();
        true
    }
}

impl Way {
    /// Two hosts at once are met by nothing, and that is no route either.
    fn and(&self, other: &Way) -> Result<Way, String> {
        let one = |first: &Option<String>, second: &Option<String>| match (first, second) {
            (Some(first), Some(second)) if first != second => Err(format!("`{first}` and `{second}` at once")),
            (first, second) => Ok(first.clone().or(second.clone())),
        };
        Ok(Way { host: one(&self.host, &other.host)?, path: one(&self.path, &other.path)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(rule: &str) -> Result<Vec<String>, String> {
        routes(rule).map(|routes| routes.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn every_way_to_meet_a_rule_is_a_route() {
        let ways = |rule: &str| read(rule).unwrap();
        assert_eq!(ways("Host(`a.example`)"), ["a.example/"]);
        assert_eq!(ways("Host(`A.example`, `b.example`)"), ["a.example/", "b.example/"]);
        assert_eq!(ways("Host(`a.example`) || Host(`b.example`)"), ["a.example/", "b.example/"]);
        assert_eq!(ways("Host(`a.example`)&&PathPrefix(`/v2/`)"), ["a.example/v2"]);
        let both = "(Host(`a.example`) || Host(`b.example`)) && (PathPrefix(`/x`) || Path(`/y`))";
        assert_eq!(ways(both), ["a.example/x", "a.example/y", "b.example/x", "b.example/y"]);
        assert_eq!(ways("PathPrefix(`/`)"), ["*/"]);
    }

    #[test]
    fn a_condition_that_is_no_route_closes_the_whole_rule() {
        assert_eq!(read("Host(`a.example`) && ClientIP(`10.0.0.0/8`)"), Err("ClientIP".to_owned()));
        assert_eq!(read("Host(`a.example`) && !PathPrefix(`/admin`)"), Err("!PathPrefix".to_owned()));
        assert_eq!(read("HostRegexp(`.+`)"), Err("HostRegexp".to_owned()));
        for broken in ["Host(`a.example`", "Host(`a.example`) Path(`/x`)", "", "Host(`a`) && Host(`b`)"] {
            assert!(read(broken).is_err(), "{broken}");
        }
    }
}
