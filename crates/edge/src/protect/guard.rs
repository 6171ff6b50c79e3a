//! The limits of one route, compiled.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::header::HeaderName;
use http::{HeaderMap, StatusCode};

use super::client::client_of;
use super::gate::Gate;
use super::permit::Permit;
use super::rates::Pace;
use super::rules::RouteRules;
use super::{Asked, Entry, Protection};
use crate::proxy::answer::Reason;
use crate::seen::route_tally::RouteTally;
use crate::snapshot::{Rate, RateKey, RouteLimits};
use crate::uptime;

/// How long a request waits in a queue whose time is not given.
const QUEUE_MS: u64 = 2_000;

/// See the module's text.
pub(crate) struct Guard {
    identity: u64,
    rates: Box<[Limit]>,
    pub(crate) gate: Option<Arc<Gate>>,
    per_client: Option<u32>,
}

struct Limit {
    pace: Pace,
    by: By,
    /// The rate and its route; part of every key.
    identity: u64,
}

enum By {
    Client,
    Route,
    Header(HeaderName),
}

impl Guard {
    /// `None` when nothing is limited.
    pub(crate) fn compile(
        protection: &Protection,
        identity: u64,
        limits: &RouteLimits,
        tally: &Arc<RouteTally>,
    ) -> Option<Guard> {
        let compiled = |rate: &Rate| {
            let by = match &rate.by {
                RateKey::Client => By::Client,
                RateKey::Route => By::Route,
                RateKey::Header(name) => By::Header(HeaderName::from_bytes(name.as_bytes()).ok()?),
            };
            let pace = Pace::new(rate.requests, rate.per_ms, rate.burst)?;
            let by_name = format!("{:?}", rate.by);
            Some(Limit {
                pace,
                by,
                identity: protection.key((identity, rate.requests, rate.per_ms, rate.burst, by_name)),
            })
        };
        let rates: Box<[Limit]> = limits.rates.iter().filter_map(compiled).collect();
        let (queue, queue_ms) = (limits.queue.unwrap_or(0), limits.queue_ms.unwrap_or(QUEUE_MS));
        let gate = limits.in_flight.map(|places| protection.gate(identity, places, queue, queue_ms, tally));
        let per_client = limits.in_flight_per_client;
        let is_needed = !rates.is_empty() || gate.is_some() || per_client.is_some();
        is_needed.then_some(Guard { identity, rates, gate, per_client })
    }

    pub(crate) fn enter(
        &self,
        protection: &Protection,
        rules: &RouteRules,
        mut permit: Box<Permit>,
        asked: &Asked<'_>,
    ) -> Result<Entry, Reason> {
        let client = client_of(asked.client);
        if let Err(wait) = self.take_rates(protection, client, asked) {
            crate::upstream::tally::count(&rules.tally.rate_limited);
            return Err(rate_limited(wait));
        }
        if let Some(most) = self.per_client {
            let place = protection.requests.take(protection.key((self.identity, client)), most);
            permit.client = Some(place.ok_or_else(too_many_at_once)?);
        }
        if let Some(gate) = &self.gate {
            match gate.try_enter() {
                Some(place) => permit.gate = Some(place),
                None => return Ok(Entry::Wait(gate.queue(permit)?)),
            }
        }
        Ok(Entry::In(permit))
    }

    /// All rates must agree; when one does not, those asked before get theirs back.
    fn take_rates(&self, protection: &Protection, client: IpAddr, asked: &Asked<'_>) -> Result<(), Duration> {
        if self.rates.is_empty() {
            return Ok(());
        }
        let now = uptime::nanos(asked.at);
        for (index, limit) in self.rates.iter().enumerate() {
            if let Err(wait) = protection.rates.take(limit.key(protection, client, asked.headers), limit.pace, now) {
                for taken in &self.rates[..index] {
                    protection.rates.give_back(taken.key(protection, client, asked.headers), taken.pace);
                }
                return Err(wait);
            }
        }
        Ok(())
    }
}

impl Limit {
    fn key(&self, protection: &Protection, client: IpAddr, headers: &HeaderMap) -> u64 {
        match &self.by {
            By::Route => self.identity,
            By::Client => protection.key((self.identity, client)),
            // The value is only hashed, so its length costs no memory.
            By::Header(name) => match headers.get(name) {
                Some(value) => protection.key((self.identity, value.as_bytes())),
                None => protection.key((self.identity, client)),
            },
        }
    }
}

fn rate_limited(wait: Duration) -> Reason {
    let seconds = u32::try_from(wait.as_millis().div_ceil(1_000)).unwrap_or(u32::MAX).max(1);
    let text = "more requests came than this route allows in its time";
    Reason::new(StatusCode::TOO_MANY_REQUESTS, "rate-limited", text).retry_after(seconds)
}

fn too_many_at_once() -> Reason {
    let text = "this client has as many requests under way as this route allows";
    Reason::new(StatusCode::TOO_MANY_REQUESTS, "too-many-at-once", text).retry_after(1)
}
