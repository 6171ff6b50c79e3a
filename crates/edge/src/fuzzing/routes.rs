//! `table.rs`, `table/paths.rs` and `table/way.rs`, against a search that walks the snapshot's list.

use http::Method;

use super::bytes::Bytes;
use crate::downstream::visitor::View;
use crate::snapshot::{Listener, Route, Scope, Snapshot};
use crate::table::Table;
use crate::table::mark::Marks;

const HOSTS: [Option<&str>; 6] =
    [None, Some("a.example"), Some("A.Example."), Some("b.example:81"), Some("[::1]"), Some("")];
const ASKED: [&str; 9] =
    ["a.example", "A.EXAMPLE:8080", "a.example.", "b.example", "b.example:80", "[::1]:443", "[::1]", "", ":80"];
const PIECES: [&str; 8] = ["/", "a", "b", "/a", "/a/", "//", "ab", "."];
const METHODS: [&str; 4] = ["GET", "post", "PUT", "no method"];
const LISTENERS: [&str; 3] = ["one", "two", "inner"];

/// The table finds what the list says: exact host before none, the longest prefix, a listener's own before general
/// ones, then priority, then order; and a method that is not taken is not looked for elsewhere.
pub fn routes(data: &[u8]) {
    let mut bytes = Bytes(data);
    let snapshot = snapshot(&mut bytes);
    let table = Table::compile(&snapshot, vec![], &Marks::default(), &mut vec![]);
    for _ in 0..8 {
        let (name, host, path) = (bytes.pick(&LISTENERS), bytes.pick(&ASKED), format!("/{}", path(&mut bytes)));
        let method = bytes.pick(&[Method::GET.as_str(), "POST", "PUT", "DELETE"]);
        let scope = scope_of(name);
        let Ok(method) = Method::from_bytes(method.as_bytes()) else { return };
        let found = table.find(&View::new(name, scope), host, &path);
        let ways = at_prefix(&snapshot, name, scope, host, &path);
        assert_eq!(found.is_some(), !ways.is_empty(), "{name} {host} {path}");
        let taken = found.and_then(|way| way.for_method(&method)).map(|way| way.route);
        let wanted = ways.into_iter().find(|(_, route)| takes(route, &method)).map(|(number, _)| number);
        assert_eq!(taken, wanted, "{name} {method} {host} {path}");
    }
}

fn scope_of(listener: &str) -> Scope {
    if listener == "inner" { Scope::Internal } else { Scope::Public }
}

fn snapshot(bytes: &mut Bytes<'_>) -> Snapshot {
    let mut snapshot = Snapshot::new(1);
    for name in LISTENERS {
        snapshot.listeners.push(Listener::new(name, ([127, 0, 0, 1], 0).into(), scope_of(name)));
    }
    for _ in 0..bytes.byte() % 12 {
        let mut route = Route::new(bytes.pick(&HOSTS), path(bytes), "p");
        route.scope = if bytes.byte() & 3 == 0 { Scope::Internal } else { Scope::Public };
        route.priority = i32::from(bytes.byte() % 3);
        let (methods, listeners) = (bytes.byte(), bytes.byte());
        route.methods = chosen(&METHODS, methods);
        route.listeners = chosen(&LISTENERS, listeners);
        snapshot.routes.push(route);
    }
    snapshot
}

/// Those whose bits are set; of every other byte, none.
fn chosen(from: &[&str], bits: u8) -> Vec<String> {
    let is_set = |at: usize| bits & 16 != 0 && bits >> at & 1 == 1;
    from.iter().enumerate().filter(|(at, _)| is_set(*at)).map(|(_, name)| (*name).to_owned()).collect()
}

fn path(bytes: &mut Bytes<'_>) -> String {
    (0..bytes.byte() % 5).map(|_| bytes.pick(&PIECES)).collect()
}

fn takes(route: &Route, method: &Method) -> bool {
    route.methods.is_empty() || route.methods.iter().any(|name| name.to_ascii_uppercase() == method.as_str())
}

/// The routes of the longest prefix in the order in which they are asked.
fn at_prefix<'a>(
    snapshot: &'a Snapshot,
    listener: &str,
    scope: Scope,
    host: &str,
    path: &str,
) -> Vec<(usize, &'a Route)> {
    let is_shown = |route: &Route| {
        route.scope == scope && (route.listeners.is_empty() || route.listeners.iter().any(|name| name == listener))
    };
    let all = || snapshot.routes.iter().enumerate().filter(|(_, route)| is_shown(route));
    let plain = |host: &str| {
        let bare = if host.ends_with(']') { host } else { host.rsplit_once(':').map_or(host, |(name, _)| name) };
        bare.strip_suffix('.').unwrap_or(bare).to_ascii_lowercase()
    };
    let named = |route: &Route| route.host.as_ref().is_some_and(|own| plain(own) == plain(host));
    let nameless = |route: &Route| route.host.is_none();
    let kinds: [&dyn Fn(&Route) -> bool; 2] = [&named, &nameless];
    for kind in kinds {
        let fits: Vec<_> = all().filter(|(_, route)| kind(route) && covers(route, path)).collect();
        let Some(longest) = fits.iter().map(|(_, route)| route.path.trim_matches('/').len()).max() else { continue };
        let mut fits: Vec<_> =
            fits.into_iter().filter(|(_, route)| route.path.trim_matches('/').len() == longest).collect();
        fits.sort_by_key(|(_, route)| (route.listeners.is_empty(), std::cmp::Reverse(route.priority)));
        return fits;
    }
    vec![]
}

fn covers(route: &Route, path: &str) -> bool {
    match route.path.trim_matches('/') {
        "" => true,
        prefix => path
            .strip_prefix('/')
            .and_then(|path| path.strip_prefix(prefix))
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
    }
}
