//! What a change would do, and why: a pure function from what is wanted and what is there.

pub mod follow;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use spec::{Migration, ReleaseId, ServiceName, Strategy};

use crate::error::DeployError;
use crate::names::Scope;

/// A service as the platform's files describe it now.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub service: ServiceName,
    pub strategy: Strategy,
    pub strategy_reason: String,
    pub image: WantedImage,
    /// Keyed hash over the definition with this image; `None` while the image is not here yet.
    pub hash: Option<String>,
    /// How many containers it shall have.
    pub copies: u32,
    /// What the file says about that, where `scale` has set another number.
    pub scaled: Option<u32>,
    pub warnings: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedImage {
    pub reference: String,
    pub id: Option<String>,
    /// Compose can build it.
    pub build: bool,
    /// It may not be pulled (`pull_policy: never`).
    pub never_pulled: bool,
    /// What the Compose file names, when this deploy names another image.
    pub instead_of: Option<String>,
}

/// A service as it runs now.
#[derive(Debug, Clone)]
pub struct Running {
    pub release: ReleaseId,
    pub hash: String,
    pub image_id: String,
    pub image_reference: String,
    pub copies: u32,
    /// Why the container is not what it should be, if it is not.
    pub trouble: Option<String>,
    /// What was changed by hand.
    pub drift: Vec<String>,
    /// Why it stays although it is not wanted now: its profile is off, the file that has it was not given.
    pub left_out: Option<String>,
    /// What has changed about it without a new release.
    pub note: Option<String>,
    /// Data that stays when it is removed.
    pub data: Vec<String>,
}

/// Which changes were asked for.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Selection {
    /// Empty means every service.
    pub services: Vec<ServiceName>,
    /// Replace even what has not changed.
    pub force: bool,
    /// Services of strategy `keep` that were named explicitly for an update.
    pub update_kept: bool,
    /// Remove also what is only switched off: a profile, a file that is not given.
    #[serde(default)]
    pub remove_orphans: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    Create,
    Update,
    /// What is there is started again as it was: no new release.
    Start,
    /// Another number of containers of the same release.
    Scale,
    /// Differs, and is left as it is.
    Hold,
    Nothing,
    Remove,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Change {
    pub service: ServiceName,
    pub action: Action,
    pub strategy: Strategy,
    pub strategy_reason: String,
    pub reasons: Vec<String>,
    pub image: String,
    /// The image has to be built or pulled first.
    pub fetch: Option<Fetch>,
    pub from: Option<ReleaseId>,
    /// How many containers it shall have.
    #[serde(default = "one")]
    pub copies: u32,
    /// What the file says about that, where `scale` has set another number.
    #[serde(default)]
    pub scaled: Option<u32>,
    pub warnings: Vec<String>,
    /// What changes at the edge alone while the containers stay.
    #[serde(default)]
    pub at_edge: Vec<String>,
    /// The same image and definition once more: nothing migrates, and there is nothing new to judge.
    #[serde(default)]
    pub again: bool,
    /// It differs from the file and stays so: the image and definition that serve, once more.
    #[serde(default)]
    pub as_it_was: bool,
    /// What runs first, and what it means for the way back.
    #[serde(default)]
    pub migration: Option<Migration>,
    /// The service that takes its place, of one that is removed.
    #[serde(default)]
    pub replaced_by: Option<ServiceName>,
    /// What a reader should know although nothing changes.
    #[serde(default)]
    pub notes: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fetch {
    Build,
    Pull,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Plan {
    pub scope: Scope,
    pub changes: Vec<Change>,
    /// Networks and volumes that do not exist yet.
    pub ground: Vec<String>,
    /// Those that differ from the file and are made anew.
    #[serde(default)]
    pub remade: Vec<String>,
    /// Those that differ and stay as they are.
    #[serde(default)]
    pub kept: Vec<String>,
    /// What a person has to decide before anything is done.
    #[serde(default)]
    pub refused: Vec<String>,
    /// What a reader should know of the platform as a whole: what is taken over, who else writes its data.
    #[serde(default)]
    pub notes: Vec<String>,
    /// What `resources: fit` scaled.
    pub resources: Vec<String>,
}

impl Plan {
    pub fn is_empty(&self) -> bool {
        self.ground.is_empty()
            && self.remade.is_empty()
            && self.refused.is_empty()
            && self.pending().next().is_none()
            && self.changes.iter().all(|change| change.at_edge.is_empty())
    }

    /// Nothing is begun before a person has decided.
    pub fn refuse(&self) -> Result<(), DeployError> {
        match self.refused.is_empty() {
            true => Ok(()),
            false => Err(DeployError::Refused(self.refused.join("\n"))),
        }
    }

    /// Services whose migration closes the way back.
    pub fn one_way(&self) -> Vec<&ServiceName> {
        let closes = |change: &&Change| change.migration.as_ref().is_some_and(|m| !m.kind.can_go_back());
        self.changes.iter().filter(closes).map(|change| &change.service).collect()
    }

    /// A rebuild was asked for: what can be built is part of the plan, whatever its image says now.
    pub fn mark_for_build(&mut self, can_build: impl Fn(&ServiceName) -> bool) {
        for change in &mut self.changes {
            if can_build(&change.service) && change.action != Action::Hold {
                // A kept service that lies still is not replaced by the way: it was not named.
                if change.action == Action::Start && change.strategy == Strategy::Keep {
                    continue;
                }
                change.fetch = Some(Fetch::Build);
                if matches!(change.action, Action::Nothing | Action::Scale | Action::Start) {
                    change.action = Action::Update;
                }
            }
        }
    }

    /// The changes that will be carried out, in order.
    pub fn pending(&self) -> impl Iterator<Item = &Change> {
        let is_pending = |action| !matches!(action, Action::Hold | Action::Nothing);
        self.changes.iter().filter(move |change| is_pending(change.action))
    }
}

/// Compares service by service, in the order in which `wanted` lists them (dependencies first).
pub fn plan(
    scope: &Scope,
    wanted: &[Wanted],
    running: &BTreeMap<ServiceName, Running>,
    selection: &Selection,
) -> Vec<Change> {
    let _ = scope;
    let mut changes: Vec<Change> = wanted
        .iter()
        .filter(|wanted| selection.services.is_empty() || selection.services.contains(&wanted.service))
        .map(|wanted| change(wanted, running.get(&wanted.service), selection))
        .collect();
    if selection.services.is_empty() {
        changes.extend(
            running
                .iter()
                .filter(|(service, _)| !wanted.iter().any(|wanted| wanted.service == **service))
                .map(|(service, running)| removal(service, running, selection)),
        );
    }
    changes
}

fn change(wanted: &Wanted, running: Option<&Running>, selection: &Selection) -> Change {
    let (action, reasons) = verdict(wanted, running, selection);
    Change {
        service: wanted.service.clone(),
        action,
        strategy: wanted.strategy,
        strategy_reason: wanted.strategy_reason.clone(),
        reasons,
        // What is started again has its image.
        image: match (action, running) {
            (Action::Start, Some(running)) => running.image_reference.clone(),
            _ => wanted.image.reference.clone(),
        },
        fetch: fetch(&wanted.image).filter(|_| action != Action::Start),
        from: running.map(|running| running.release.clone()),
        copies: wanted.copies,
        scaled: wanted.scaled,
        warnings: wanted.warnings.clone(),
        at_edge: Vec::new(),
        again: false,
        as_it_was: false,
        migration: None,
        replaced_by: None,
        notes: running.and_then(|running| running.note.clone()).into_iter().collect(),
    }
}

fn fetch(image: &WantedImage) -> Option<Fetch> {
    match (&image.id, image.build) {
        (Some(_), _) => None,
        (None, true) => Some(Fetch::Build),
        (None, false) => Some(Fetch::Pull),
    }
}

fn verdict(wanted: &Wanted, running: Option<&Running>, selection: &Selection) -> (Action, Vec<String>) {
    let Some(running) = running else {
        return (Action::Create, vec!["it does not run yet".into()]);
    };
    let mut reasons = Vec::new();
    match &wanted.image.id {
        None => reasons.push(format!("image `{}` is not here yet", wanted.image.reference)),
        Some(id) if *id != running.image_id => reasons.push(format!(
            "image {} → {}",
            short(&running.image_reference, &running.image_id),
            short(&wanted.image.reference, id)
        )),
        Some(_) if wanted.hash.as_deref() != Some(running.hash.as_str()) => {
            reasons.push("its definition or environment has changed".into());
        }
        Some(_) => {}
    }
    let drift = running.drift.iter().map(|found| format!("changed by hand: {found}"));
    let is_kept = wanted.strategy == Strategy::Keep && !selection.update_kept;
    if let Some(trouble) = &running.trouble {
        let mut others = reasons.clone();
        others.extend(drift.clone());
        others.extend(scaled(wanted, running));
        // To mend it and to change it are two things: nobody has asked for the second.
        if is_kept || (others.is_empty() && !selection.force) {
            let held = (!others.is_empty()).then(|| kept(&wanted.service));
            let told = [trouble.clone()].into_iter().chain(others).chain(held);
            return (Action::Start, told.collect());
        }
    }
    reasons.extend(running.trouble.clone());
    reasons.extend(drift);
    if selection.force && reasons.is_empty() {
        reasons.push("asked for with --force".into());
    }
    let is_same = reasons.is_empty();
    reasons.extend(scaled(wanted, running));
    if reasons.is_empty() {
        return (Action::Nothing, Vec::new());
    }
    if is_kept {
        reasons.push(kept(&wanted.service));
        return (Action::Hold, reasons);
    }
    (if is_same { Action::Scale } else { Action::Update }, reasons)
}

fn scaled(wanted: &Wanted, running: &Running) -> Option<String> {
    let differs = wanted.copies != running.copies;
    differs.then(|| format!("{} → {}", running.copies, crate::render::plan::copies(wanted.copies)))
}

fn kept(service: &ServiceName) -> String {
    format!("kept as it is; `mainstay up --service {service}` changes it")
}

/// One that is only switched off here is left as it is; only what the file no longer has is removed, and its data stays.
fn removal(service: &ServiceName, running: &Running, selection: &Selection) -> Change {
    let (action, mut reasons) = match &running.left_out {
        Some(why) if !selection.remove_orphans => {
            (Action::Hold, vec![format!("{why}; left as it is, `mainstay up --remove-orphans` removes it")])
        }
        Some(why) => (Action::Remove, vec![format!("{why}, and --remove-orphans was given")]),
        None => (Action::Remove, vec!["the Compose file no longer has it".into()]),
    };
    if action == Action::Remove && !running.data.is_empty() {
        reasons.push(format!("its data stays in {}", running.data.join(", ")));
    }
    Change {
        service: service.clone(),
        action,
        strategy: Strategy::Keep,
        strategy_reason: "no longer described".into(),
        reasons,
        image: running.image_reference.clone(),
        fetch: None,
        from: Some(running.release.clone()),
        copies: 0,
        scaled: None,
        warnings: Vec::new(),
        at_edge: Vec::new(),
        again: false,
        as_it_was: false,
        migration: None,
        replaced_by: None,
        notes: Vec::new(),
    }
}

fn one() -> u32 {
    1
}

/// `shop/web:2 (3fa9c1)`: enough of the id to tell two builds of one tag apart.
fn short(reference: &str, id: &str) -> String {
    let digits: String = id.trim_start_matches("sha256:").chars().take(8).collect();
    format!("{reference} ({digits})")
}

#[cfg(test)]
mod tests;
