//! From what is written to what is meant: platform file and compose project become one resolved platform.

mod plan;

use crate::compose::Project;
use crate::ids::EnvironmentName;
use crate::platform::PlatformFile;
use crate::problem::Problems;

pub use plan::{
    Check, Health, Hold, HookJob, HookPlan, HostSize, Job, Limits, Platform, ResourceReport, Route, ServicePlan,
};

/// Fills in everything that the platform file leaves open, and reports everything that cannot be.
pub fn resolve(
    _file: &PlatformFile,
    _project: &Project,
    _env: &EnvironmentName,
    _host: &HostSize,
) -> Result<Platform, Problems> {
    Err(Problems::default())
}
