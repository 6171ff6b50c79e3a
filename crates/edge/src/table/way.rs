//! Where a matching request goes, and the ways that are asked after it.

use std::sync::Arc;

use http::{HeaderValue, Method};

use super::Ground;
use super::policy::Policy;
use crate::snapshot::Route;
use crate::upstream::generation::Generation;

/// One route, compiled.
#[derive(Clone)]
pub(crate) struct Way {
    /// The pool's current generation; `None` when the snapshot names no such pool.
    pub(crate) generation: Option<Arc<Generation>>,
    pub(crate) pool: Arc<str>,
    /// The route's number in the snapshot, which is that of its rules.
    pub(crate) route: usize,
    /// The prefix that is cut off, as the target is told it.
    pub(crate) strip: Option<HeaderValue>,
    pub(crate) policy: Option<Arc<Policy>>,
    /// Only these; `None` means all.
    methods: Option<Arc<[Method]>>,
    /// The way of the same host and prefix that is asked when the method does not match.
    next: Option<Box<Way>>,
}

impl Way {
    pub(super) fn compile(number: usize, route: &Route, ground: &Ground<'_>, problems: &mut Vec<String>) -> Way {
        let whose = named(route);
        Way {
            generation: ground.generation(&route.pool),
            pool: route.pool.as_str().into(),
            route: number,
            // A prefix that no header can carry is one that no request's path can have either.
            strip: HeaderValue::from_str(&prefix(route)).ok().filter(|value| route.strip_prefix && !value.is_empty()),
            policy: Policy::compile(route, ground, &whose, problems).map(Arc::new),
            methods: methods(&route.methods, &whose, problems),
            next: None,
        }
    }

    /// Adds a way that is asked when this one and those after it do not match.
    pub(super) fn then(&mut self, way: Way) {
        let mut last = self;
        while let Some(ref mut next) = last.next {
            last = next;
        }
        // Behind one that takes everything nobody is ever asked.
        if !last.takes_all() {
            last.next = Some(Box::new(way));
        }
    }

    /// Whether the method decides nothing.
    pub(crate) fn takes_all(&self) -> bool {
        self.methods.is_none()
    }

    /// This way or the first after it that takes the method.
    pub(crate) fn for_method(&self, method: &Method) -> Option<&Way> {
        self.all().find(|way| way.methods.as_ref().is_none_or(|methods| methods.contains(method)))
    }

    /// The methods that some way takes, as the `Allow` header's value.
    pub(crate) fn allowed(&self) -> String {
        let methods = self.all().filter_map(|way| way.methods.as_deref()).flatten();
        let mut names: Vec<&str> = methods.map(Method::as_str).collect();
        names.sort_unstable();
        names.dedup();
        names.join(", ")
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Way> {
        std::iter::successors(Some(self), |way| way.next.as_deref())
    }
}

/// A route's prefix as paths have it: with a slash in front and none behind; empty for the root.
pub(crate) fn prefix(route: &Route) -> String {
    match route.path.trim_matches('/') {
        "" => String::new(),
        path => format!("/{path}"),
    }
}

/// A route as problems name it.
pub(crate) fn named(route: &Route) -> String {
    format!("route {}{}", route.host.as_deref().unwrap_or("*"), route.path)
}

/// The method names; none that can be read takes nothing, because taking all would open what was meant to be narrow.
fn methods(names: &[String], whose: &str, problems: &mut Vec<String>) -> Option<Arc<[Method]>> {
    let mut read = |name: &String| match Method::from_bytes(name.to_ascii_uppercase().as_bytes()) {
        Ok(method) => Some(method),
        Err(_) => {
            problems.push(format!("{whose}: `{name}` is not a method"));
            None
        }
    };
    (!names.is_empty()).then(|| names.iter().filter_map(&mut read).collect())
}
