//! The words of Mainstay.
mod error;
mod evidence;
mod ids;
mod problem;

pub mod compose;
pub mod defaults;
pub mod diff;
pub mod init;
pub mod platform;
pub mod render;
pub mod resolve;
pub mod units;
mod yaml;

pub use compose::Project;
pub use error::{InvalidId, InvalidUnit};
pub use evidence::{Evidence, Verdict};
pub use ids::{EnvironmentName, PlatformName, ReleaseId, SagaId, ServiceName};
pub use platform::{PlatformFile, Strategy};
pub use problem::{Problem, Problems};
pub use resolve::{
    Check, Health, Hold, HostSize, Job, Limits, Platform, ResourceReport, Route, ServicePlan, resolve,
};
pub use units::{Bytes, Money, Percent, human_duration};
