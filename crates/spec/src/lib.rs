//! The words of Mainstay: what a platform is, before anything is done to it.
//!
//! A platform is described twice.
//! `compose.yaml` says which containers there are, and Docker Compose owns that language: [`Project`] reads what
//! `docker compose config` prints, keeps all of it, and looks up the parts that decisions depend on.
//! `mainstay.yaml` says how they are operated: [`platform::parse`] reads it through a tree whose nodes know their
//! places, and reports everything that is wrong with it at once, each problem with line and column, what was found,
//! what is allowed, and the nearest known word.
//!
//! [`resolve()`] brings the two together for one environment on a host of a known size.
//! What the platform file leaves open is derived: a database is kept, a worker drains first, a scheduler never runs
//! twice, what serves HTTP is switched blue-green; ports come from what is published, exposed or probed; limits are
//! scaled to the host.
//! Beside each derived value stands its reason, so that nobody has to believe it: `mainstay config render` prints
//! them ([`render`]), `mainstay init` writes them into a first platform file ([`init`]), and a plan shows what
//! differs from the last release ([`diff`]).
//! All defaults stand in [`defaults`].
//!
//! The rest are words that every other crate shares: checked names ([`ServiceName`], [`ReleaseId`] and the others),
//! quantities that carry their unit ([`units`]), and the three answers of a check ([`Verdict`]): pass, fail and unknown.
//!
//! What this crate never does: it opens no file, asks no clock, reads no environment variable, starts no process and
//! touches no network. Text and values come in as arguments and go out as results, so everything here can be tested
//! in microseconds and nothing here can break a running platform.
//! It also never panics on what it is given; a text of random bytes is a problem with a line number.

mod error;
mod evidence;
mod ids;
mod problem;
mod yaml;

pub mod compose;
pub mod data;
pub mod defaults;
pub mod diff;
pub mod facts;
pub mod init;
pub mod platform;
pub mod render;
pub mod resolve;
pub mod units;

pub use compose::Project;
pub use data::{DataMount, Place};
pub use error::{InvalidId, InvalidUnit};
pub use evidence::{Evidence, Verdict};
pub use facts::Facts;
pub use ids::{EnvironmentName, PlatformName, ReleaseId, SagaId, ServiceName};
pub use platform::{PlatformFile, Strategy};
pub use problem::{Problem, Problems};
pub use resolve::{
    Canary, Check, Detect, EdgePlan, Finish, Health, Hold, HookJob, HookPlan, HostSize, HttpPort, Job, Limits,
    Migration, Platform, ResourceReport, Rolling, Route, ServicePlan, SoakLimits, TcpPort, resolve, resolve_with,
};
pub use units::{Bytes, Money, Percent, Rate, human_duration};

/// The commented example of a `mainstay.yaml`.
pub const EXAMPLE: &str = include_str!("../samples/example.yaml");
