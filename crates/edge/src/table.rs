//! The compiled routes: from a host and a path to a generation, at a cost that does not grow with their number.

pub(crate) mod cookie;
pub(crate) mod mark;
mod paths;
pub(crate) mod policy;
mod rules;
mod split;
mod sticky;
pub(crate) mod template;
mod way;

use std::collections::HashMap;
use std::sync::Arc;

use mark::Marks;
use paths::Paths;
pub(crate) use split::Drawn;
pub(crate) use template::{Blanks, Template};
pub(crate) use way::{Way, named};

use crate::downstream::visitor::View;
use crate::networks::Networks;
use crate::protect::rules::Rules;
use crate::snapshot::{Route, Scope, Share, Snapshot};
use crate::tcp::lines::Lines;
use crate::upstream::generation::Generation;

/// Everything a request needs to find its way; replaced as a whole.
#[derive(Default)]
pub(crate) struct Table {
    pub(crate) epoch: u64,
    public: Hosts,
    internal: Hosts,
    /// Listeners that some route names have a set of their own.
    by_listener: HashMap<Box<str>, Hosts>,
    /// Whose forwarding headers and PROXY protocol are believed.
    pub(crate) trusted: Networks,
    pub(crate) generations: Vec<Arc<Generation>>,
    /// Listeners that carry bytes; set before the table is served.
    pub(crate) lines: Lines,
    /// What the routes limit; set before the table is served.
    pub(crate) rules: Rules,
}

/// The routes of one scope.
#[derive(Default)]
struct Hosts {
    named: HashMap<Box<str>, Paths>,
    /// By what follows `*.`.
    wild: HashMap<Box<str>, Paths>,
    any: Paths,
}

/// A route beside its compiled form.
type Compiled<'a> = (&'a Route, Way);

impl Table {
    /// Compiles a snapshot over the given generations; what cannot work is named, and the rest is served.
    pub(crate) fn compile(
        snapshot: &Snapshot,
        generations: Vec<Arc<Generation>>,
        marks: &Marks,
        problems: &mut Vec<String>,
    ) -> Table {
        let ground = Ground::new(&generations, marks);
        let mut compiled = |(number, route)| (route, Way::compile(number, route, &ground, problems));
        let mut ways: Vec<Compiled<'_>> = snapshot.routes.iter().enumerate().map(&mut compiled).collect();
        // Stable, so that among equals the first of the snapshot is asked first.
        ways.sort_by_key(|(route, _)| std::cmp::Reverse(route.priority));
        let general = |scope| {
            let mut hosts = Hosts::default();
            hosts.extend(&ways, &|route| route.scope == scope && route.listeners.is_empty());
            hosts
        };
        let mut by_listener = HashMap::new();
        for listener in &snapshot.listeners {
            let names = |route: &Route| route.scope == listener.scope && route.listeners.contains(&listener.name);
            if snapshot.routes.iter().any(names) {
                let mut hosts = Hosts::default();
                // Its own routes come first, so that they win over general ones of the same host and path.
                hosts.extend(&ways, &names);
                hosts.extend(&ways, &|route| route.scope == listener.scope && route.listeners.is_empty());
                by_listener.insert(listener.name.as_str().into(), hosts);
            }
        }
        let (public, internal) = (general(Scope::Public), general(Scope::Internal));
        let trusted = Networks::compile(&snapshot.trusted_proxies, "trusted proxies", problems);
        let (epoch, rules, lines) = (snapshot.epoch, Rules::default(), Lines::default());
        Table { epoch, public, internal, by_listener, trusted, generations, rules, lines }
    }

    /// The way for a host (as the client wrote it) and a path: the longest prefix under the exact host, else under the
    /// wildcard that shares most of it, else under none.
    ///
    /// The prefix alone decides: a method that its ways do not take is not looked for under shorter ones, because
    /// what was meant to be narrow would then reach a service that nobody meant.
    pub(crate) fn find(&self, view: &View, host: &str, path: &str) -> Option<&Way> {
        let own = if self.by_listener.is_empty() { None } else { self.by_listener.get(view.name().as_str()) };
        let hosts = own.unwrap_or(match view.scope() {
            Scope::Public => &self.public,
            Scope::Internal => &self.internal,
        });
        hosts.find(host, path).or_else(|| hosts.any.find(path))
    }
}

/// What routes are compiled over.
struct Ground<'a> {
    by_name: HashMap<&'a str, &'a Arc<Generation>>,
    generations: &'a [Arc<Generation>],
    marks: &'a Marks,
}

impl<'a> Ground<'a> {
    fn new(generations: &'a [Arc<Generation>], marks: &'a Marks) -> Ground<'a> {
        let mut by_name = HashMap::new();
        for generation in generations {
            by_name.entry(generation.pool.name.as_str()).or_insert(generation);
        }
        Ground { by_name, generations, marks }
    }

    /// The pool's, or the first of its releases.
    fn generation(&self, pool: &str) -> Option<Arc<Generation>> {
        self.by_name.get(pool).copied().cloned()
    }

    /// The one that a share means.
    fn generation_of(&self, share: &Share) -> Option<Arc<Generation>> {
        let Some(release) = &share.release else { return self.generation(&share.pool) };
        let is_it = |g: &&Arc<Generation>| g.pool.name == share.pool && g.pool.release == *release;
        self.generations.iter().find(is_it).cloned()
    }
}

impl Hosts {
    /// The way under the host itself, or under one of its wildcards.
    fn find(&self, host: &str, path: &str) -> Option<&Way> {
        if self.named.is_empty() && self.wild.is_empty() {
            return None;
        }
        let host = plain_host(host);
        let named = self.named.get(&*host).and_then(|paths| paths.find(path));
        if named.is_some() || self.wild.is_empty() {
            return named;
        }
        // A host of 255 bytes has 127 labels at most.
        let mut rest: &str = &host;
        while let Some((_, shorter)) = rest.split_once('.') {
            if let Some(way) = self.wild.get(shorter).and_then(|paths| paths.find(path)) {
                return Some(way);
            }
            rest = shorter;
        }
        None
    }

    /// Adds the routes that are shown, after those that are there.
    fn extend(&mut self, ways: &[Compiled<'_>], is_shown: &dyn Fn(&Route) -> bool) {
        for (route, way) in ways.iter().filter(|(route, _)| is_shown(route)) {
            let paths = match &route.host {
                Some(host) => match host.strip_prefix("*.") {
                    Some(rest) => self.wild.entry(plain_host(rest).into_owned().into()).or_default(),
                    None => self.named.entry(plain_host(host).into_owned().into()).or_default(),
                },
                None => &mut self.any,
            };
            paths.insert(&way::prefix(route), way.clone());
        }
    }
}

/// A host without its port and its trailing dot, in small letters; copies only when it must.
fn plain_host(host: &str) -> std::borrow::Cow<'_, str> {
    let bare = match host.rfind(':') {
        // Inside brackets the colons belong to an IPv6 address.
        Some(colon) if !host[colon..].contains(']') => &host[..colon],
        _ => host,
    };
    let bare = bare.strip_suffix('.').unwrap_or(bare);
    if bare.bytes().any(|b| b.is_ascii_uppercase()) { bare.to_ascii_lowercase().into() } else { bare.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(host: Option<&str>, path: &str, pool: &str) -> Route {
        Route::new(host, path, pool)
    }

    fn table(routes: Vec<Route>) -> Table {
        let mut snapshot = Snapshot::new(1);
        snapshot.routes = routes;
        Table::compile(&snapshot, vec![], &Marks::default(), &mut vec![])
    }

    fn found<'a>(table: &'a Table, host: &str, path: &str) -> Option<&'a str> {
        table.find(&View::new("web", Scope::Public), host, path).map(|way| &*way.pool)
    }

    #[test]
    fn the_longest_prefix_on_a_segment_boundary_wins() {
        let t = table(vec![route(None, "/", "web"), route(None, "/api", "api"), route(None, "/api/v2/", "v2")]);
        assert_eq!(found(&t, "x", "/"), Some("web"));
        assert_eq!(found(&t, "x", "/apix"), Some("web"));
        assert_eq!(found(&t, "x", "/api"), Some("api"));
        assert_eq!(found(&t, "x", "/api/"), Some("api"));
        assert_eq!(found(&t, "x", "/api/v1/users"), Some("api"));
        assert_eq!(found(&t, "x", "/api/v2"), Some("v2"));
        assert_eq!(found(&t, "x", "/api/v2/users/7/posts"), Some("v2"));
        assert_eq!(found(&t, "x", "/api/v20"), Some("api"));
    }

    #[test]
    fn an_exact_host_goes_before_no_host_and_falls_back_to_it() {
        let t = table(vec![route(None, "/", "any"), route(Some("A.example"), "/app", "a")]);
        assert_eq!(found(&t, "a.example", "/app/x"), Some("a"));
        assert_eq!(found(&t, "A.EXAMPLE:8080", "/app"), Some("a"));
        assert_eq!(found(&t, "a.example.", "/app"), Some("a"));
        assert_eq!(found(&t, "a.example", "/other"), Some("any"));
        assert_eq!(found(&t, "b.example", "/app"), Some("any"));
    }

    #[test]
    fn an_exact_host_goes_before_wildcards_and_the_longest_of_those_before_the_others() {
        let t = table(vec![
            route(None, "/", "any"),
            route(Some("*.example.com"), "/", "all"),
            route(Some("*.Shop.example.com"), "/", "shops"),
            route(Some("admin.shop.example.com"), "/", "admin"),
            route(Some("admin.shop.example.com"), "/deep/only", "deep"),
            route(Some("narrow.example.com"), "/api", "narrow"),
        ]);
        assert_eq!(found(&t, "acme.shop.example.com", "/"), Some("shops"));
        assert_eq!(found(&t, "ACME.Shop.Example.COM.:8443", "/"), Some("shops"));
        assert_eq!(found(&t, "a.b.shop.example.com", "/"), Some("shops"), "one label or more");
        assert_eq!(found(&t, "admin.shop.example.com", "/"), Some("admin"));
        assert_eq!(found(&t, "shop.example.com", "/"), Some("all"), "not the name itself");
        assert_eq!(found(&t, "example.com", "/"), Some("any"));
        assert_eq!(found(&t, "xexample.com", "/"), Some("any"), "labels, not letters");
        assert_eq!(found(&t, "narrow.example.com", "/api/x"), Some("narrow"));
        assert_eq!(found(&t, "narrow.example.com", "/"), Some("all"), "where the exact host has no path for it");
        assert_eq!(found(&t, &"a.".repeat(120), "/"), Some("any"));
    }

    #[test]
    fn an_ipv6_host_keeps_its_colons() {
        let t = table(vec![route(Some("[::1]"), "/", "six")]);
        assert_eq!(found(&t, "[::1]:80", "/"), Some("six"));
        assert_eq!(found(&t, "[::1]", "/"), Some("six"));
    }

    #[test]
    fn scopes_do_not_see_each_other() {
        let t = table(vec![route(Some("api"), "/", "api")]);
        assert!(t.find(&View::new("web", Scope::Internal), "api", "/").is_none());
    }

    #[test]
    fn a_route_that_names_its_listeners_is_seen_there_only_and_wins_there() {
        let mut snapshot = Snapshot::new(1);
        for name in ["one", "two", "three"] {
            let bind = ([127, 0, 0, 1], 0).into();
            snapshot.listeners.push(crate::snapshot::Listener::new(name, bind, Scope::Public));
        }
        snapshot.routes.push(route(None, "/", "all"));
        snapshot.routes.push(route(None, "/shared", "all"));
        snapshot.routes.push(Route { listeners: vec!["one".into()], ..route(None, "/", "first") });
        snapshot.routes.push(Route { listeners: vec!["two".into()], ..route(None, "/", "second") });
        let t = Table::compile(&snapshot, vec![], &Marks::default(), &mut vec![]);
        let pool =
            |name: &str, path: &str| t.find(&View::new(name, Scope::Public), "x", path).unwrap().pool.to_string();
        assert_eq!([pool("one", "/"), pool("two", "/"), pool("three", "/")], ["first", "second", "all"]);
        assert_eq!(pool("one", "/shared"), "all");
    }

    #[test]
    fn ways_of_one_prefix_are_asked_by_priority_and_method() {
        let only = |methods: &[&str], priority, pool: &str| Route {
            methods: methods.iter().map(|m| (*m).to_owned()).collect(),
            priority,
            ..route(None, "/api", pool)
        };
        let t = table(vec![only(&["get"], 0, "read"), only(&["POST", "GET"], 5, "first"), only(&["PUT"], 0, "write")]);
        let way = t.find(&View::new("web", Scope::Public), "x", "/api").unwrap();
        let pool = |method: http::Method| way.for_method(&method).map(|way| way.pool.to_string());
        assert_eq!(pool(http::Method::GET).as_deref(), Some("first"));
        assert_eq!(pool(http::Method::PUT).as_deref(), Some("write"));
        assert_eq!(pool(http::Method::DELETE), None);
        assert_eq!(way.allowed(), "GET, POST, PUT");
        let t = table(vec![only(&["bad method"], 0, "narrow")]);
        assert!(
            t.find(&View::new("web", Scope::Public), "x", "/api").unwrap().for_method(&http::Method::GET).is_none()
        );
    }

    #[test]
    fn finding_one_of_a_thousand_routes_costs_what_one_of_ten_costs() {
        let many = |n: usize| {
            table(
                (0..n)
                    .flat_map(|i| {
                        let host = format!("h{i}.example");
                        [route(Some(&host), "/", "w"), route(Some(&host), "/api", "a")]
                    })
                    .chain((0..n).map(|i| route(None, &format!("/p{i}/x"), "p")))
                    .collect(),
            )
        };
        let time = |t: &Table, n: usize| {
            let began = std::time::Instant::now();
            for round in 0..20_000 {
                let host = format!("h{}.example", round % n);
                assert_eq!(found(t, &host, "/api/x/y"), Some("a"));
                assert_eq!(found(t, "other", "/p3/x/y"), Some("p"));
            }
            began.elapsed()
        };
        let (ten, thousand) = (many(10), many(1_000));
        let (small, large) = (time(&ten, 10).min(time(&ten, 10)), time(&thousand, 1_000).min(time(&thousand, 1_000)));
        // A linear walk would be a hundred times slower; caches explain a small factor.
        assert!(large < small * 8, "10 routes: {small:?}, 1,000 routes: {large:?}");
    }
}
