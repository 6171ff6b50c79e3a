//! What deploy remembers: releases, which of them serves, and the platforms it has been shown.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use spec::{ReleaseId, SagaId, ServiceName};

use crate::error::DeployError;
use crate::holders::Holder;
use crate::names::Scope;
use crate::release::{self, Event, Release, State};
use crate::scale::Scaled;
use crate::world::World;

pub(crate) const RELEASE: &str = "release";
pub(crate) const SERVING: &str = "serving";
pub(crate) const PLATFORM: &str = "platform";
const SCALED: &str = "scaled";

/// A platform in one environment, as it was last brought up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    pub scope: Scope,
    pub dir: PathBuf,
    pub domain: Option<String>,
    /// Public addresses of the edge, `0.0.0.0:80`.
    pub http: Vec<String>,
    /// The same with TLS.
    #[serde(default)]
    pub https: Vec<String>,
    /// What else the environment asks of the edge.
    #[serde(default)]
    pub edge: spec::EdgePlan,
    /// What TLS listeners show, with the digests of the files as they were last seen.
    #[serde(default)]
    pub certificates: Vec<edge::snapshot::Certificate>,
    /// Every public route answers with it while it is there.
    #[serde(default)]
    pub maintenance: Option<edge::snapshot::Maintenance>,
    pub internals: Vec<InternalRecord>,
    /// Where the names of its services are found.
    #[serde(default)]
    pub holders: Vec<Holder>,
    /// Gateway of each network, by real name.
    pub gateways: BTreeMap<String, IpAddr>,
    pub networks: Vec<String>,
    pub volumes: Vec<String>,
    pub keep_releases: u32,
    #[serde(default)]
    pub hooks: spec::HookPlan,
    /// Public ports that are still plain Compose's: the edge listens there when its containers have gone.
    #[serde(default)]
    pub closed: Vec<String>,
    /// What becomes of a container of nobody's that writes to a database's files.
    #[serde(default)]
    pub intruders: spec::platform::Intruders,
    /// The Compose files that it was brought up from.
    #[serde(default)]
    pub files: Vec<String>,
}

impl Platform {
    /// One that has nothing yet.
    pub fn new(scope: Scope, dir: impl Into<PathBuf>) -> Platform {
        Platform {
            scope,
            dir: dir.into(),
            domain: None,
            http: Vec::new(),
            https: Vec::new(),
            edge: spec::EdgePlan::default(),
            certificates: Vec::new(),
            maintenance: None,
            internals: Vec::new(),
            holders: Vec::new(),
            gateways: BTreeMap::new(),
            networks: Vec::new(),
            volumes: Vec::new(),
            keep_releases: spec::defaults::KEEP_RELEASES,
            hooks: spec::HookPlan::default(),
            closed: Vec::new(),
            intruders: spec::platform::Intruders::default(),
            files: Vec::new(),
        }
    }
}

/// A port on which other containers reach a service through the edge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InternalRecord {
    pub service: ServiceName,
    pub port: u16,
    /// Whether bytes are carried there, and nothing is read.
    #[serde(default)]
    pub tcp: bool,
    /// By their real names.
    pub networks: Vec<String>,
    /// What it is called beside the service's own name.
    #[serde(default)]
    pub names: Vec<String>,
}

/// The name of the counter of a scope's releases.
pub(crate) fn release_counter(scope: &Scope) -> String {
    format!("release/{}", scope.key())
}

fn ledger(operation: &'static str) -> impl Fn(ledger::LedgerError) -> DeployError {
    move |source| DeployError::Ledger { operation, source }
}

impl World {
    pub fn platforms(&self) -> Result<Vec<Platform>, DeployError> {
        let all = self.ledger.list_records::<Platform>(PLATFORM, "").map_err(ledger("list platforms"))?;
        Ok(all.into_iter().map(|(_, platform)| platform).collect())
    }

    pub fn platform(&self, scope: &Scope) -> Result<Option<Platform>, DeployError> {
        self.ledger.get_record(PLATFORM, &scope.key()).map_err(ledger("read the platform"))
    }

    pub fn save_platform(&self, platform: &Platform) -> Result<(), DeployError> {
        self.put_kept(PLATFORM, &platform.scope.key(), platform).map_err(ledger("save the platform"))
    }

    /// Changes one part of a platform's record and keeps the rest as it is at that moment; `false` when it is not up.
    pub fn change_platform(&self, scope: &Scope, change: impl Fn(&mut Platform)) -> Result<bool, DeployError> {
        let key = scope.key();
        let changed = self.write_kept(|tx, changes| {
            let Some(mut platform) = tx.get_record::<Platform>(PLATFORM, &key)? else { return Ok(false) };
            change(&mut platform);
            changes.put(tx, PLATFORM, &key, &platform).map(|()| true)
        });
        changed.map_err(ledger("change the platform"))
    }

    /// Saves what a deploy knows about a platform; what operators have set meanwhile stays.
    pub fn save_described_platform(&self, described: &Platform) -> Result<Platform, DeployError> {
        let key = described.scope.key();
        let saved = self.write_kept(|tx, changes| {
            let mut platform = described.clone();
            if let Some(known) = tx.get_record::<Platform>(PLATFORM, &key)? {
                (platform.maintenance, platform.holders) = (known.maintenance, known.holders);
                // What leaves is called by its name until it has gone, and again where its removal is undone.
                for left in known.internals {
                    let is_described = described.internals.iter().any(|internal| internal.service == left.service);
                    let serves = || tx.get_record::<String>(SERVING, &described.scope.pool(&left.service));
                    if !is_described && serves()?.is_some() {
                        platform.internals.push(left);
                    }
                }
            }
            changes.put(tx, PLATFORM, &key, &platform).map(|()| platform)
        });
        saved.map_err(ledger("save the platform"))
    }

    /// Writes down where the names of its services are found; one that is not there any more stays so.
    pub fn save_holders(&self, scope: &Scope, holders: &[Holder]) -> Result<(), DeployError> {
        let key = scope.key();
        let saved = self.write_kept(|tx, changes| {
            let Some(mut platform) = tx.get_record::<Platform>(PLATFORM, &key)? else { return Ok(()) };
            platform.holders = holders.to_vec();
            changes.put(tx, PLATFORM, &key, &platform)
        });
        saved.map_err(ledger("save where names are found"))
    }

    pub fn forget_platform(&self, scope: &Scope) -> Result<(), DeployError> {
        self.delete_kept(PLATFORM, &scope.key()).map(drop).map_err(ledger("forget the platform"))
    }

    pub fn next_release(&self, scope: &Scope) -> Result<ReleaseId, DeployError> {
        self.ledger.next_number(&release_counter(scope)).map(ReleaseId::new).map_err(ledger("number a release"))
    }

    pub fn save_release(&self, release: &Release) -> Result<(), DeployError> {
        self.put_kept(RELEASE, &release.key(), release).map_err(ledger("save a release"))
    }

    pub fn forget_release(&self, release: &Release) -> Result<(), DeployError> {
        self.delete_kept(RELEASE, &release.key()).map(drop).map_err(ledger("forget a release"))
    }

    pub fn release(
        &self,
        scope: &Scope,
        service: &ServiceName,
        id: &ReleaseId,
    ) -> Result<Option<Release>, DeployError> {
        self.ledger.get_record(RELEASE, &release::key(scope, service, id)).map_err(ledger("read a release"))
    }

    /// Oldest first.
    pub fn releases(&self, scope: &Scope, service: Option<&ServiceName>) -> Result<Vec<Release>, DeployError> {
        let prefix = match service {
            Some(service) => format!("{}/", scope.pool(service)),
            None => format!("{}/", scope.key()),
        };
        let all = self.ledger.list_records::<Release>(RELEASE, &prefix).map_err(ledger("list releases"))?;
        let mut releases: Vec<Release> = all.into_iter().map(|(_, release)| release).collect();
        releases.sort_by_key(|release| release.id.number());
        Ok(releases)
    }

    /// Every release of every platform, for who must know what anybody needs.
    pub fn all_releases(&self) -> Result<Vec<Release>, DeployError> {
        let all = self.ledger.list_records::<Release>(RELEASE, "").map_err(ledger("list releases"))?;
        Ok(all.into_iter().map(|(_, release)| release).collect())
    }

    /// Every release that serves, of all platforms.
    pub fn all_serving(&self) -> Result<Vec<Release>, DeployError> {
        self.serving_under("")
    }

    fn serving_under(&self, prefix: &str) -> Result<Vec<Release>, DeployError> {
        let keys = self.ledger.list_records::<String>(SERVING, prefix).map_err(ledger("list what serves"))?;
        let mut serving = Vec::with_capacity(keys.len());
        for (_, key) in keys {
            let release = self.ledger.get_record::<Release>(RELEASE, &key).map_err(ledger("read a release"))?;
            if let Some(release) = release {
                serving.push(self.as_it_counts(release)?);
            }
        }
        Ok(serving)
    }

    /// Requests wait only for a release that is still undecided, whatever the serving one's record says: a roll-out
    /// that has ended, however it ended, holds nothing.
    fn as_it_counts(&self, mut release: Release) -> Result<Release, DeployError> {
        if let Some(next) = &release.making_way_for {
            let next = self.release(&release.scope, &release.service, next)?;
            if !next.is_some_and(|next| next.state == State::Starting) {
                release.making_way_for = None;
            }
        }
        if let Some(guests) = &release.guests {
            let next = self.release(&release.scope, &release.service, &guests.release)?;
            if !next.is_some_and(|next| next.state == State::Starting) {
                release.guests = None;
            }
        }
        Ok(release)
    }

    /// Nobody waits for this release any more; `false` when nobody did.
    pub fn let_go(&self, next: &Release) -> Result<bool, DeployError> {
        match self.serving_of(&next.scope, &next.service)? {
            Some(mut serving) if serving.making_way_for.as_ref() == Some(&next.id) => {
                serving.making_way_for = None;
                self.save_release(&serving).map(|()| true)
            }
            _ => Ok(false),
        }
    }

    pub fn serving(&self, scope: &Scope) -> Result<BTreeMap<ServiceName, Release>, DeployError> {
        let all = self.serving_under(&format!("{}/", scope.key()))?;
        Ok(all.into_iter().map(|release| (release.service.clone(), release)).collect())
    }

    pub fn serving_of(&self, scope: &Scope, service: &ServiceName) -> Result<Option<Release>, DeployError> {
        let key: Option<String> =
            self.ledger.get_record(SERVING, &scope.pool(service)).map_err(ledger("read what serves"))?;
        match key {
            Some(key) => self.ledger.get_record(RELEASE, &key).map_err(ledger("read a release")),
            None => Ok(None),
        }
    }

    /// Moves the one pointer that says which release of a service serves, and both releases' states
    /// with it, in one transaction: there is never a moment with two serving releases or none.
    pub fn move_serving(
        &self,
        to: &Release,
        from: Option<&Release>,
        warm_until: Option<i64>,
    ) -> Result<(), DeployError> {
        let mut new = to.clone();
        self.advance(&mut new, &Event::Switched)?;
        new.switched_ms = Some(self.clock.now_ms());
        new.parked_until_ms = None;
        let old = from.filter(|old| old.id != new.id).cloned();
        let old = match old {
            Some(mut old) => {
                self.advance(&mut old, &Event::Superseded { warm: warm_until.is_some() })?;
                old.parked_until_ms = warm_until;
                old.making_way_for = None;
                old.guests = None;
                Some(old)
            }
            None => None,
        };
        let moved = self.write_kept(|tx, changes| {
            changes.put(tx, RELEASE, &new.key(), &new)?;
            if let Some(old) = &old {
                changes.put(tx, RELEASE, &old.key(), old)?;
            }
            changes.put(tx, SERVING, &new.pool(), &new.key())
        });
        moved.map_err(ledger("record the switch"))
    }

    /// The numbers of copies that were set by hand.
    pub fn scaled(&self, scope: &Scope) -> Result<BTreeMap<ServiceName, Scaled>, DeployError> {
        let prefix = format!("{}/", scope.key());
        let all = self.ledger.list_records::<Scaled>(SCALED, &prefix).map_err(ledger("list numbers of copies"))?;
        let named =
            |(key, scaled): (String, Scaled)| Some((ServiceName::parse(key.strip_prefix(&prefix)?).ok()?, scaled));
        Ok(all.into_iter().filter_map(named).collect())
    }

    pub fn save_scaled(&self, scope: &Scope, service: &ServiceName, scaled: Scaled) -> Result<(), DeployError> {
        self.put_kept(SCALED, &scope.pool(service), &scaled).map_err(ledger("keep the number of copies"))
    }

    pub fn forget_scaled(&self, scope: &Scope, service: &ServiceName) -> Result<(), DeployError> {
        self.delete_kept(SCALED, &scope.pool(service)).map(drop).map_err(ledger("forget the number of copies"))
    }

    pub fn saga(&self, id: &SagaId) -> Result<Option<ledger::SagaRow>, DeployError> {
        self.ledger.saga(id).map_err(ledger("read a journal"))
    }

    /// A release that made way for another service's serves again.
    pub fn restore_serving(&self, release: &Release) -> Result<(), DeployError> {
        let mut release = release.clone();
        release.state = State::Serving;
        let restored = self.write_kept(|tx, changes| {
            changes.put(tx, RELEASE, &release.key(), &release)?;
            changes.put(tx, SERVING, &release.pool(), &release.key())
        });
        restored.map_err(ledger("record what serves again"))
    }

    /// Nothing of this service serves any more.
    pub fn clear_serving(&self, scope: &Scope, service: &ServiceName) -> Result<(), DeployError> {
        self.delete_kept(SERVING, &scope.pool(service)).map(drop).map_err(ledger("clear what serves"))
    }

    /// Applies an event to a release's state; an illegal one is a bug and is refused loudly.
    pub fn advance(&self, release: &mut Release, event: &Event) -> Result<(), DeployError> {
        let Some(next) = release.state.next(event) else {
            return Err(DeployError::Refused(format!(
                "release {} of `{}` is {} and cannot take {event:?}",
                release.id,
                release.service,
                release.state.word()
            )));
        };
        release.state = next;
        Ok(())
    }
}
