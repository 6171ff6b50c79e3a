//! The saga that puts one new release of one service into service.
//!
//! Side by side (`blue-green`): the new container proves itself next to the old one, one routing
//! change moves the traffic, the old one drains and stays warm.
//! Batch by batch (`rolling`): see [`rolling`].
//! Stop-first (`exclusive`, `keep`, `drain-first`): there are never two at once, so the old container
//! is stopped before the new one starts, and started again if the new one fails.
//! Requests wait meanwhile: from before the old one stops until the new one, or the old one again, is routed.
//! A worker (`drain-first`) may be told before to take nothing new: see [`finish`].
//! A `job` runs to its end: see [`job`].
//!
//! Before `switch` has succeeded every failure is undone and traffic never moved (a canary's share aside); after it
//! the release is watched, and traffic goes back where it does worse; after that the saga only goes forward.

pub mod after;
mod canary;
pub mod finish;
pub mod job;
mod migration;
pub mod rolling;
mod soak;
pub mod steps;

use saga::{Saga, Step};
use serde::{Deserialize, Serialize};
use spec::{Canary, Finish, Migration, Percent, ReleaseId, Strategy};

use crate::judge::Judgement;
use crate::leaving::{self, Leaving};
use crate::release::Release;
use crate::world::World;

pub use soak::Baseline;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Params {
    /// The operation this belongs to.
    pub operation: String,
    pub release: Release,
    /// The release that serves now.
    pub previous: Option<ReleaseId>,
    /// How many copies that one has.
    #[serde(default = "one")]
    pub previous_copies: u32,
    /// Bring a stopped or never started container up; `false` for a warm release, which only needs the switch.
    pub start: bool,
    /// Run the release's migration first.
    pub migrate: bool,
    /// Watch the release after the switch, as its plan says.
    #[serde(default)]
    pub soak: bool,
    /// Let it take a share of the requests first.
    #[serde(default)]
    pub canary: Option<Canary>,
    /// Two releases at once would write the same data, whatever the strategy says.
    #[serde(default)]
    pub alone: bool,
    /// What makes way for it beside the release before it.
    #[serde(default)]
    pub leaving: Vec<Leaving>,
}

/// Whether the release and the one before it may not be there at once, since either writes data. Copies that are
/// replaced one by one are never more than the file asks for.
pub fn must_be_alone(release: &Release, previous: Option<&Release>) -> bool {
    let is_counted = release.plan.strategy == Strategy::Rolling && release.plan.rolling.surge == 0;
    let writes = |release: &Release| !release.plan.guarded().is_empty();
    (writes(release) && !is_counted) || previous.is_some_and(|previous| writes(previous) && !is_counted)
}

impl Params {
    /// Whether the new containers may run beside the old ones.
    pub fn side_by_side(&self) -> bool {
        self.release.side_by_side() && !self.alone
    }

    pub fn migration(&self) -> Option<&Migration> {
        self.release.plan.migrate.as_ref().filter(|_| self.migrate)
    }

    /// Whether the release is watched after the switch: without one before it there is nowhere to go back to, and one
    /// that was replaced batch by batch is not whole any more.
    pub fn soaks(&self) -> bool {
        let plan = &self.release.plan;
        let is_possible = self.start && self.previous.is_some() && plan.port.is_some() && !self.rolls();
        self.soak && is_possible && !plan.soak.is_zero()
    }

    /// Whether the copies of a release that comes in batch by batch are watched beside the old ones.
    pub fn watches_batches(&self) -> bool {
        self.soak && self.rolls() && self.release.plan.port.is_some() && !self.release.plan.soak.is_zero()
    }

    /// Whether traffic may go back by itself: not past a migration with which the release before does not work.
    pub fn goes_back(&self) -> bool {
        self.migration().is_none_or(|migration| migration.kind.can_go_back())
    }

    fn shares(&self) -> &[Percent] {
        let is_possible = self.start && self.previous.is_some() && can_share(&self.release) && !self.alone;
        self.canary.as_ref().filter(|_| is_possible).map_or(&[], |canary| canary.steps.as_slice())
    }

    /// How the previous worker is told to take nothing new; what is written now counts, not what was when it started.
    pub fn finish(&self) -> Option<&Finish> {
        let is_told = self.release.plan.strategy == Strategy::DrainFirst && self.start && self.previous.is_some();
        self.release.plan.finish.as_ref().filter(|_| is_told)
    }

    /// Whether copies of both releases serve together for a while.
    pub fn rolls(&self) -> bool {
        let is_rolling =
            self.release.plan.strategy == Strategy::Rolling && self.start && self.previous.is_some() && !self.alone;
        is_rolling && rolling::rolls(self)
    }

    /// Whether there is a gap between the two releases in which requests wait.
    pub fn holds(&self) -> bool {
        let stops_first = !self.side_by_side() && self.release.plan.strategy != Strategy::Job;
        self.start && self.previous.is_some() && stops_first
    }
}

/// What the steps find out.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Found {
    pub container_id: Option<String>,
    pub started_ms: Option<i64>,
    pub healthy_after_ms: Option<u64>,
    pub targets: Vec<std::net::SocketAddr>,
    #[serde(default)]
    pub addresses: Vec<std::net::IpAddr>,
    pub epoch: Option<u64>,
    pub switched_ms: Option<i64>,
    /// Whether the previous release's container was stopped by us.
    pub stopped_previous: bool,
    /// Whether it had done its work before that.
    #[serde(default)]
    pub previous_ended: bool,
    /// When that began, and when it ran again after all.
    #[serde(default)]
    pub stopped_ms: Option<i64>,
    #[serde(default)]
    pub back_ms: Option<i64>,
    /// Requests that were still running when the drain's budget was over.
    pub left: u64,
    pub parked_until_ms: Option<i64>,
    /// What the watch that goes on compares with.
    #[serde(default)]
    pub baseline: Option<Baseline>,
    /// A person has given it everything.
    #[serde(default)]
    pub promoted: bool,
    #[serde(default)]
    pub judged: Vec<Judgement>,
    /// Since when what made way for it is away, and for how long it was.
    #[serde(default)]
    pub away_since_ms: Option<i64>,
    #[serde(default)]
    pub away_ms: Option<u64>,
}

/// Whether requests can be shared between a release and the one before it.
pub fn can_share(release: &Release) -> bool {
    release.plan.strategy == Strategy::BlueGreen && release.plan.port.is_some()
}

pub struct RollOut;

impl Saga for RollOut {
    type World = World;
    type Params = Params;
    type State = Found;
    const KIND: &'static str = "roll-out";

    fn steps(params: &Params) -> Vec<Step<Self>> {
        match params.release.plan.strategy {
            Strategy::Job => job::line(params),
            _ if !params.start => warm(),
            _ if params.rolls() => rolling::line(params),
            _ if params.side_by_side() => side_by_side(params),
            _ => stop_first(params),
        }
    }
}

/// Back to a release whose container still runs: one routing change.
fn warm() -> Vec<Step<RollOut>> {
    vec![
        Step::new("probe", steps::probe).no_undo("it only looks"),
        Step::new("switch", steps::switch).undo(steps::switch_back).commits(),
        Step::new("drain", steps::drain).no_undo("waiting changes nothing"),
        Step::new("park", steps::park).no_undo("the previous release only waits"),
    ]
}

fn side_by_side(params: &Params) -> Vec<Step<RollOut>> {
    let mut steps = vec![Step::new("pin", steps::pin).undo(steps::unpin)];
    steps.extend(migration(params));
    steps.extend(make_way_first(params));
    steps.extend([
        Step::new("start", steps::start).undo(steps::keep_failed),
        Step::new("healthy", steps::healthy).no_undo("it only looks"),
    ]);
    steps.extend(make_way_late(params));
    steps.extend(params.shares().iter().flat_map(|share| try_out(*share)));
    steps.extend(switch(params));
    steps.extend([
        Step::new("drain", steps::drain).no_undo("waiting changes nothing"),
        Step::new("park", steps::park).no_undo("the previous release only waits"),
    ]);
    steps.extend(take_away(params));
    steps
}

/// What cannot be there with the new release stops before it starts.
pub(crate) fn make_way_first(params: &Params) -> Option<Step<RollOut>> {
    let step = Step::new("make-way", leaving::stop_first).undo(leaving::bring_back_first);
    params.leaves_first().then_some(step)
}

/// What holds a port that the edge gets stops when the new release has proved itself.
pub(crate) fn make_way_late(params: &Params) -> Option<Step<RollOut>> {
    let step = Step::new("hand-over", leaving::stop_late).undo(leaving::bring_back_late);
    params.leaves_late().then_some(step)
}

pub(crate) fn take_away(params: &Params) -> Option<Step<RollOut>> {
    let step = Step::new("take-away", leaving::take_away).no_undo("the new release has taken its place");
    params.leaving_services().next().map(|_| step)
}

/// One share of a canary, and its judgement.
fn try_out(share: Percent) -> [Step<RollOut>; 2] {
    [
        Step::new(format!("canary {share}"), move |world, params, found| canary::open(world, params, found, share))
            .undo(canary::close),
        Step::new(format!("judge {share}"), move |world, params, found| canary::judge(world, params, found, share))
            .no_undo("it only looks"),
    ]
}

/// All the traffic, and the watch over it: what is watched can still go back, and the watch's end is the point of no return.
fn switch(params: &Params) -> Vec<Step<RollOut>> {
    let switch = Step::new("switch", steps::switch).undo(steps::switch_back);
    if !params.soaks() {
        return vec![switch.commits()];
    }
    let (switch, soak) = (switch, Step::new("soak", soak::soak).no_undo("it only looks"));
    let measure = Step::new("measure", soak::measure).no_undo("it only looks");
    match params.goes_back() {
        true => vec![measure, switch, soak.commits()],
        false => vec![measure, switch.commits(), soak],
    }
}

fn stop_first(params: &Params) -> Vec<Step<RollOut>> {
    let mut steps = vec![Step::new("pin", steps::pin).undo(steps::unpin)];
    // A migration of what the service itself keeps would be a second writer beside the old release.
    let migrates_late = params.alone || !params.release.plan.guarded().is_empty();
    if !migrates_late {
        steps.extend(migration(params));
    }
    steps.extend(finish::line(params));
    if params.holds() {
        steps.push(Step::new("hold", steps::hold).undo(steps::let_go));
        steps.push(Step::new("stop-previous", steps::stop_previous).undo(steps::start_previous));
    }
    steps.extend(make_way_first(params));
    if migrates_late {
        steps.extend(migration(params));
    }
    steps.extend([
        Step::new("start", steps::start).undo(steps::keep_failed),
        Step::new("healthy", steps::healthy).no_undo("it only looks"),
    ]);
    steps.extend(make_way_late(params));
    steps.extend(switch(params));
    steps.push(Step::new("retire", steps::retire_previous).no_undo("the previous container is already stopped"));
    steps.extend(take_away(params));
    steps
}

fn one() -> u32 {
    1
}

fn migration(params: &Params) -> Option<Step<RollOut>> {
    params.migration().map(|_| {
        Step::new("migrate", migration::migrate)
            .no_undo("a database cannot be taken back; the plan says what that means for the release before")
    })
}
