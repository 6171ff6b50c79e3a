//! What a route asks of a request before it goes on, and the answers when it does not get it.

use http::header::{ALLOW, HOST, LOCATION, STRICT_TRANSPORT_SECURITY};
use http::{HeaderValue, Request, StatusCode};

use super::answer::Reason;
use crate::downstream::client::Client;
use crate::downstream::visitor::Visitor;
use crate::table::policy::{Closed, Leads, Policy};
use crate::table::{Blanks, Template, Way};

/// Lets a request through, or says why not: TLS first, then who it is, then whether the service is open at all.
pub(crate) fn pass<B>(policy: &Policy, visitor: &Visitor, client: &Client, request: &Request<B>) -> Result<(), Reason> {
    let checked = check(policy, visitor, client, request);
    checked.map_err(|reason| sign(policy, client, reason))
}

/// An answer of the edge on this route says for how long only TLS is to be used, as the service's answers do.
pub(crate) fn sign(policy: &Policy, client: &Client, reason: Reason) -> Reason {
    match policy.hsts(client.is_secure) {
        Some(hsts) => reason.with(STRICT_TRANSPORT_SECURITY, hsts.clone()),
        None => reason,
    }
}

fn check<B>(policy: &Policy, visitor: &Visitor, client: &Client, request: &Request<B>) -> Result<(), Reason> {
    if let Some(template) = policy.https.as_ref().filter(|_| !client.is_secure) {
        let text = "the service is served over https only";
        return Err(moved(policy, template, StatusCode::PERMANENT_REDIRECT, text, client, request));
    }
    if policy.client_certificate && !visitor.arrival.has_client_certificate {
        let text = "the service asks for a client certificate";
        return Err(Reason::new(StatusCode::FORBIDDEN, "client-certificate", text));
    }
    if let Some(closed) = policy.closed.as_ref().filter(|closed| !closed.allow.contains(client.ip)) {
        return Err(maintenance(closed));
    }
    match &policy.leads {
        Leads::Nowhere => Ok(()),
        Leads::To(template, status) => Err(moved(policy, template, *status, "the address has moved", client, request)),
        Leads::Astray => {
            let text = "the route's redirect cannot be used";
            Err(Reason::new(StatusCode::BAD_GATEWAY, "bad-redirect", text))
        }
    }
}

#[cold]
fn moved<B>(
    policy: &Policy,
    template: &Template,
    status: StatusCode,
    text: &str,
    client: &Client,
    request: &Request<B>,
) -> Reason {
    let host = client.host.as_ref().or_else(|| request.headers().get(HOST));
    let host = host.and_then(|host| host.to_str().ok()).unwrap_or("");
    let blanks = Blanks { is_secure: client.is_secure, host, uri: request.uri(), prefix: policy.prefix };
    match template.render(&blanks) {
        Some(location) => Reason::new(status, "redirect", text).with(LOCATION, location),
        None => {
            let text = "the request names no host to which it could be redirected";
            Reason::new(StatusCode::BAD_REQUEST, "host", text)
        }
    }
}

/// Seconds after which a client may try again, where nobody has said how long the maintenance takes.
const COME_BACK: u32 = 60;

#[cold]
fn maintenance(closed: &Closed) -> Reason {
    let mut reason = Reason::new(StatusCode::SERVICE_UNAVAILABLE, "maintenance", &*closed.message);
    reason.page = closed.page.clone();
    reason.retry_after = closed.retry_after.or(Some(COME_BACK));
    reason
}

/// No way of the path takes the method.
#[cold]
pub(crate) fn wrong_method<B>(way: &Way, request: &Request<B>) -> Reason {
    let allowed = way.allowed();
    let text = format!("the method {} is not served here", request.method());
    let reason = Reason::new(StatusCode::METHOD_NOT_ALLOWED, "method", text);
    match HeaderValue::try_from(allowed) {
        Ok(allowed) => reason.with(ALLOW, allowed),
        Err(_) => reason,
    }
}
