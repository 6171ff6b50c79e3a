//! A release: one service, one image, one rendered definition, and where it stands in its life.

pub mod origin;

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Deserializer, Serialize};
use spec::{ReleaseId, ServiceName, ServicePlan, Strategy};

use crate::names::{self, Scope};
pub use origin::Origin;

/// The record of kind `release` in the ledger.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Release {
    pub id: ReleaseId,
    pub scope: Scope,
    pub service: ServiceName,
    pub image: ImagePin,
    pub definition: Definition,
    pub plan: ServicePlan,
    pub state: State,
    /// The name of its first container, from which the names of the others follow.
    pub container: String,
    /// How many containers it has.
    #[serde(default = "one")]
    pub copies: u32,
    /// Addresses the edge sends requests to; empty for a service without a port.
    pub targets: Vec<SocketAddr>,
    /// The containers' addresses, which a service without a port of its own has too.
    #[serde(default, alias = "address", deserialize_with = "one_or_many")]
    pub addresses: Vec<IpAddr>,
    /// The TCP ports on which its containers were seen to listen.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub listens: BTreeSet<u16>,
    /// The release for which this one is stopped while it still serves; requests wait until that one is there.
    /// It counts only while that roll-out is undecided, so that nothing that happens to it can leave requests waiting.
    #[serde(default)]
    pub making_way_for: Option<ReleaseId>,
    /// Copies of the next release that get requests with this one's, while that one replaces it batch by batch.
    /// As above, it counts only while that roll-out is undecided.
    #[serde(default)]
    pub guests: Option<Guests>,
    /// Whether its hosts file says where other services are, as releases of before had it.
    #[serde(default = "yes")]
    pub gateway_names: bool,
    /// What else it was made from.
    #[serde(default)]
    pub origin: Origin,
    pub by: String,
    pub why: String,
    pub created_ms: i64,
    pub switched_ms: Option<i64>,
    pub parked_until_ms: Option<i64>,
    /// How long the container took from start to healthy.
    pub healthy_after_ms: Option<u64>,
}

/// Copies of another release in this one's pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guests {
    pub release: ReleaseId,
    pub addresses: Vec<IpAddr>,
}

/// What a record of before means.
fn yes() -> bool {
    true
}

impl Guests {
    /// None of this release's yet.
    pub fn of(release: &ReleaseId) -> Guests {
        Guests { release: release.clone(), addresses: Vec::new() }
    }
}

/// A parked release with this time is kept ready until a roll-out that watches its successor says otherwise.
pub const UNTIL_TOLD: i64 = i64::MAX;

/// Which image, by content: the reference is what was asked for, the id is what runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImagePin {
    pub reference: String,
    /// `sha256:…` of the image's configuration; filled in before anything starts.
    pub id: String,
    /// What the Compose file asked for when a deploy named another image, so that a later `up` knows
    /// whether the file has moved on since.
    pub instead_of: Option<String>,
}

/// Where the rendered Compose definition lies, and its keyed hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Definition {
    /// Relative to the state folder; the file has mode 0600, since it carries the environment.
    pub file: String,
    /// The Compose service inside the file.
    pub service: String,
    /// Hash of the definition without what changes with each release; salted, so that it tells
    /// nothing about the environment's values.
    pub hash: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub enum State {
    /// Known, nothing started yet.
    Prepared,
    /// Its container was started and is being judged.
    Starting,
    /// The one release that is routed, or the one that runs for a service without a port.
    Serving,
    /// Kept running without traffic, so that a rollback is one routing change.
    Parked,
    /// Its container is gone; its image and definition are kept.
    Retired,
    /// Never took traffic; its container is kept for inspection.
    Failed { reason: String },
}

/// What can happen to a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    Started,
    Switched,
    Superseded { warm: bool },
    Expired,
    Failed { reason: String },
    TakenDown,
}

impl State {
    /// The only place where a release changes its state; `None` is an illegal change.
    pub fn next(&self, event: &Event) -> Option<State> {
        match (self, event) {
            (State::Prepared | State::Retired | State::Starting, Event::Started) => Some(State::Starting),
            (State::Failed { .. } | State::Parked, Event::Started) => Some(State::Starting),
            (State::Starting | State::Parked | State::Serving | State::Retired, Event::Switched) => {
                Some(State::Serving)
            }
            (State::Serving | State::Parked, Event::Superseded { warm: true }) => Some(State::Parked),
            // `Starting`: a switch that is taken back before it was made.
            (State::Starting | State::Serving | State::Parked | State::Retired, Event::Superseded { warm: false }) => {
                Some(State::Retired)
            }
            (State::Parked | State::Retired, Event::Expired) => Some(State::Retired),
            (State::Prepared | State::Starting | State::Retired | State::Failed { .. }, Event::Failed { reason }) => {
                Some(State::Failed { reason: reason.clone() })
            }
            (_, Event::TakenDown) => Some(State::Retired),
            _ => None,
        }
    }

    pub fn word(&self) -> &'static str {
        match self {
            State::Prepared => "prepared",
            State::Starting => "starting",
            State::Serving => "serving",
            State::Parked => "parked",
            State::Retired => "retired",
            State::Failed { .. } => "failed",
        }
    }
}

impl Release {
    /// The key under which the ledger keeps it; numbers are padded so that text order is release order.
    pub fn key(&self) -> String {
        key(&self.scope, &self.service, &self.id)
    }

    pub fn pool(&self) -> String {
        self.scope.pool(&self.service)
    }

    /// The names of its containers, in the order of their numbers.
    pub fn containers(&self) -> Vec<String> {
        self.numbers().into_iter().map(|number| names::copy(&self.container, number)).collect()
    }

    /// The numbers of its copies, from one on.
    pub fn numbers(&self) -> Vec<u32> {
        (1..=self.copies.max(1)).collect()
    }

    /// Where the edge finds copies with these addresses.
    pub fn targets_at(&self, addresses: &[IpAddr]) -> Vec<SocketAddr> {
        let at = |port: u16| addresses.iter().map(move |address| SocketAddr::new(*address, port)).collect();
        self.plan.port.map(at).unwrap_or_default()
    }

    /// Whether requests wait instead of being sent to it.
    pub fn is_held(&self) -> bool {
        self.making_way_for.is_some()
    }

    /// Whether no roll-out is just now deciding where its requests go.
    pub fn is_left_alone(&self) -> bool {
        !self.is_held() && self.guests.is_none()
    }

    /// Where its requests go: to its own copies and to its guests.
    pub fn all_targets(&self) -> Vec<SocketAddr> {
        let guests = self.guests.iter().flat_map(|guests| self.targets_at(&guests.addresses));
        self.targets.iter().copied().chain(guests).collect()
    }

    /// Whether the new container may run beside the old one.
    pub fn side_by_side(&self) -> bool {
        side_by_side(self.plan.strategy)
    }
}

pub fn key(scope: &Scope, service: &ServiceName, id: &ReleaseId) -> String {
    format!("{}/{:09}", scope.pool(service), id.number())
}

pub fn side_by_side(strategy: Strategy) -> bool {
    matches!(strategy, Strategy::BlueGreen | Strategy::Rolling)
}

fn one() -> u32 {
    1
}

/// A release used to have one container, and its record one address.
fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpAddr>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        None(()),
        One(IpAddr),
        Many(Vec<IpAddr>),
    }
    Ok(match Written::deserialize(deserializer)? {
        Written::None(()) => Vec::new(),
        Written::One(address) => vec![address],
        Written::Many(addresses) => addresses,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_record_of_a_release_with_one_address_is_still_read() {
        #[derive(Deserialize)]
        struct Record {
            #[serde(default, alias = "address", deserialize_with = "one_or_many")]
            addresses: Vec<IpAddr>,
        }
        let read = |text: &str| serde_json::from_str::<Record>(text).unwrap().addresses;
        assert_eq!(read(r#"{"address":"10.0.0.2"}"#), [IpAddr::from([10, 0, 0, 2])]);
        assert_eq!(read(r#"{"address":null}"#), [] as [IpAddr; 0]);
        assert_eq!(read("{}"), [] as [IpAddr; 0]);
        assert_eq!(read(r#"{"addresses":["10.0.0.2","10.0.0.3"]}"#).len(), 2);
    }

    #[test]
    fn a_release_lives_from_prepared_through_serving_and_parked_to_retired() {
        let mut state = State::Prepared;
        for (event, expected) in [
            (Event::Started, "starting"),
            (Event::Switched, "serving"),
            (Event::Superseded { warm: true }, "parked"),
            (Event::Switched, "serving"),
            (Event::Superseded { warm: true }, "parked"),
            (Event::Expired, "retired"),
            (Event::Started, "starting"),
        ] {
            state = state.next(&event).unwrap();
            assert_eq!(state.word(), expected);
        }
    }

    #[test]
    fn a_serving_release_cannot_fail_or_expire() {
        assert_eq!(State::Serving.next(&Event::Expired), None);
        assert_eq!(State::Serving.next(&Event::Failed { reason: "x".into() }), None);
    }

    #[test]
    fn every_state_can_be_taken_down() {
        for state in
            [State::Prepared, State::Starting, State::Serving, State::Parked, State::Failed { reason: String::new() }]
        {
            assert_eq!(state.next(&Event::TakenDown), Some(State::Retired));
        }
    }
}
