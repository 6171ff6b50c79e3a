//! What a route asks for beyond "this goes there", compiled; a plain route has none.

use std::sync::Arc;
use std::time::Duration;

use http::header::STRICT_TRANSPORT_SECURITY;
use http::{HeaderMap, HeaderValue, StatusCode};

use super::Ground;
use super::rules::Rules;
use super::split::Split;
use super::sticky::Sticky;
use super::template::Template;
use crate::networks::Networks;
use crate::snapshot::{Hsts, Maintenance, Redirect, Route};

/// See the module's text.
#[derive(Default)]
pub(crate) struct Policy {
    /// Where plain requests are sent.
    pub(crate) https: Option<Template>,
    pub(crate) client_certificate: bool,
    pub(crate) closed: Option<Closed>,
    pub(crate) leads: Leads,
    pub(crate) split: Option<Split>,
    pub(crate) sticky: Option<Sticky>,
    pub(crate) request: Option<Rules>,
    pub(crate) response: Option<Rules>,
    hsts: Option<HeaderValue>,
    pub(crate) body_bytes: Option<u64>,
    pub(crate) body_rate: Option<u64>,
    pub(crate) response_time: Option<Duration>,
    /// Bytes of the route's prefix.
    pub(crate) prefix: usize,
}

/// Maintenance, compiled.
#[derive(Debug)]
pub(crate) struct Closed {
    pub(crate) page: Option<Arc<str>>,
    pub(crate) message: Box<str>,
    pub(crate) retry_after: Option<u32>,
    pub(crate) allow: Networks,
}

/// Where a route sends its clients instead of answering.
#[derive(Debug, Default)]
pub(crate) enum Leads {
    #[default]
    Nowhere,
    To(Template, StatusCode),
    /// The snapshot's redirect cannot be used; serving something else instead would be a guess.
    Astray,
}

impl Policy {
    /// `None` for a plain route.
    pub(super) fn compile(
        route: &Route,
        ground: &Ground<'_>,
        whose: &str,
        problems: &mut Vec<String>,
    ) -> Option<Policy> {
        let split = route.split.as_ref().map(|wanted| Split::compile(wanted, route, ground, whose, problems));
        let sticky = route.sticky.as_ref().and_then(|wanted| {
            let one = if split.is_none() { ground.generation(&route.pool) } else { None };
            let generations = split.iter().flat_map(Split::generations).chain(&one);
            Sticky::compile(wanted, route, generations, ground, whose, problems)
        });
        let policy = Policy {
            // Everything in it is fixed, so that it always parses; see the test.
            https: route.https_only.then(|| Template::parse("https://{host}{path}{query}").ok()).flatten(),
            client_certificate: route.client_certificate,
            closed: route.maintenance.as_ref().map(|wanted| Closed::compile(wanted, whose, problems)),
            leads: route.redirect.as_ref().map(|to| Leads::compile(to, whose, problems)).unwrap_or_default(),
            split,
            sticky,
            request: Rules::compile(&route.request_headers, &format!("{whose}, request headers"), problems),
            response: Rules::compile(&route.response_headers, &format!("{whose}, response headers"), problems),
            hsts: route.hsts.as_ref().and_then(hsts),
            body_bytes: route.limits.body_bytes,
            body_rate: route.limits.body_rate,
            response_time: route.limits.response_ms.map(Duration::from_millis),
            prefix: super::way::prefix(route).len(),
        };
        policy.does_something().then_some(policy)
    }

    fn does_something(&self) -> bool {
        self.https.is_some()
            || self.client_certificate
            || self.closed.is_some()
            || !matches!(self.leads, Leads::Nowhere)
            || self.split.is_some()
            || self.sticky.is_some()
            || self.request.is_some()
            || self.response.is_some()
            || self.hsts.is_some()
            || self.body_bytes.is_some()
            || self.body_rate.is_some()
            || self.response_time.is_some()
    }

    /// `Strict-Transport-Security` for an answer over TLS; anywhere else it must not be sent (RFC 6797, 7.2).
    pub(crate) fn hsts(&self, is_secure: bool) -> Option<&HeaderValue> {
        self.hsts.as_ref().filter(|_| is_secure)
    }

    /// Makes a service's answer the route's.
    pub(crate) fn dress(&self, headers: &mut HeaderMap, is_secure: bool) {
        if let Some(rules) = &self.response {
            rules.apply(headers);
        }
        if let Some(hsts) = self.hsts(is_secure) {
            headers.insert(STRICT_TRANSPORT_SECURITY, hsts.clone());
        }
    }
}

impl Closed {
    fn compile(wanted: &Maintenance, whose: &str, problems: &mut Vec<String>) -> Closed {
        let message = wanted.message.as_deref().unwrap_or("the service is under maintenance");
        Closed {
            page: wanted.page.as_deref().map(Arc::from),
            // The edge's own page ends the sentence itself.
            message: message.trim_end_matches('.').into(),
            retry_after: wanted.retry_after_s,
            allow: Networks::compile(&wanted.allow, &format!("{whose}, maintenance"), problems),
        }
    }
}

impl Leads {
    fn compile(wanted: &Redirect, whose: &str, problems: &mut Vec<String>) -> Leads {
        let status = StatusCode::from_u16(wanted.status).ok();
        let Some(status) = status.filter(|status| [301, 302, 303, 307, 308].contains(&status.as_u16())) else {
            problems.push(format!("{whose}: {} is not a redirect's status (301, 302, 303, 307, 308)", wanted.status));
            return Leads::Astray;
        };
        match Template::parse(&wanted.to) {
            Ok(template) => Leads::To(template, status),
            Err(error) => {
                problems.push(format!("{whose}: the redirect `{}` {error}", wanted.to));
                Leads::Astray
            }
        }
    }
}

fn hsts(wanted: &Hsts) -> Option<HeaderValue> {
    let mut text = format!("max-age={}", wanted.max_age_s);
    if wanted.include_subdomains {
        text.push_str("; includeSubDomains");
    }
    if wanted.preload {
        text.push_str("; preload");
    }
    HeaderValue::from_str(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::mark::Marks;

    fn compile(route: &Route, problems: &mut Vec<String>) -> Option<Policy> {
        Policy::compile(route, &Ground::new(&[], &Marks::default()), "route", problems)
    }

    #[test]
    fn a_plain_route_has_no_policy() {
        assert!(compile(&Route::new(None, "/", "p"), &mut vec![]).is_none());
    }

    #[test]
    fn only_https_always_compiles() {
        let route = Route { https_only: true, ..Route::new(None, "/", "p") };
        assert!(compile(&route, &mut vec![]).unwrap().https.is_some());
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let mut problems = Vec::new();
        let to = |to: &str, status| Some(Redirect { to: to.into(), status });
        for redirect in [to("javascript:x", 302), to("https://a/", 200), to("https://a/", 9)] {
            let route = Route { redirect, ..Route::new(None, "/", "") };
            let policy = compile(&route, &mut problems).unwrap();
            assert!(matches!(policy.leads, Leads::Astray));
        }
        assert_eq!(problems.len(), 3, "{problems:?}");
    }
}
