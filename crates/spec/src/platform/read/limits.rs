//! Reading what a route may use up.

use super::route::count;
use crate::platform::reader::{At, Fields, Reader, list, unit, whole, word};
use crate::platform::{Priority, RateBy, RateSettings, RouteLimitSettings};
use crate::units::{Bytes, Rate, parse_duration};
use crate::yaml::Shape;

const PRIORITIES: [(&str, Priority); 4] =
    [("low", Priority::Low), ("normal", Priority::Normal), ("high", Priority::High), ("critical", Priority::Critical)];

pub(super) fn limits(at: &At<'_>, r: &mut Reader) -> Option<RouteLimitSettings> {
    let mut f = Fields::open(at, "the limits of a route", r)?;
    let read = RouteLimitSettings {
        rate: f.get(r, "rate", |at, r| list(at, r, rate)).unwrap_or_default(),
        in_flight: f.get(r, "in_flight", |at, r| count(at, r, "in_flight")),
        in_flight_per_client: f.get(r, "in_flight_per_client", |at, r| count(at, r, "in_flight_per_client")),
        queue: f.get(r, "queue", |at, r| whole(at, r, "queue", 0, 1_000_000)),
        queue_time: f.get(r, "queue_time", |at, r| unit(at, r, "queue_time", parse_duration)),
        body: f.get(r, "body", |at, r| unit(at, r, "body", Bytes::parse)),
        body_rate: f.get(r, "body_rate", |at, r| unit(at, r, "body_rate", Bytes::parse)),
        response: f.get(r, "response", |at, r| unit(at, r, "response", parse_duration)),
        priority: f.get(r, "priority", |at, r| word(at, r, "priority", &PRIORITIES)),
    };
    f.close(r, &[]);
    if read.queue.is_some() && read.in_flight.is_none() {
        r.refuse(at, "a queue needs a number of requests under way", "`queue` together with `in_flight`");
    }
    if read.queue_time.is_some() && read.queue.is_none() {
        r.refuse(at, "`queue_time` needs a queue", "`queue_time` together with `queue`");
    }
    Some(read)
}

fn rate(at: &At<'_>, r: &mut Reader) -> Option<RateSettings> {
    if let Shape::Text { .. } = at.node.shape {
        let rate = unit(at, r, "a rate", Rate::parse)?;
        return Some(RateSettings { requests: rate.requests, per: Some(rate.per), burst: None, by: None });
    }
    let mut f = Fields::open(at, "a rate", r)?;
    let requests = f.require(r, "requests", "requests: 100", |at, r| count(at, r, "requests"));
    let per =
        f.get(r, "per", |at, r| unit(at, r, "per", parse_duration).filter(|per| longer_than_nothing(at, r, *per)));
    let burst = f.get(r, "burst", |at, r| whole(at, r, "burst", 0, 10_000_000));
    let by = f.get(r, "by", |at, r| unit(at, r, "by", RateBy::parse));
    f.close(r, &[]);
    Some(RateSettings { requests: requests?, per, burst, by })
}

pub(super) fn longer_than_nothing(at: &At<'_>, r: &mut Reader, time: std::time::Duration) -> bool {
    if time.is_zero() {
        r.refuse(at, "this time is nothing at all", "a time such as `1s`");
    }
    !time.is_zero()
}
