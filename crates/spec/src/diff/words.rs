//! Changes of a service in words that an operator would use.

use crate::resolve::ServicePlan;

/// What changes for a service, one sentence each; empty when nothing does.
pub fn service_changes(_old: Option<&ServicePlan>, _new: Option<&ServicePlan>) -> Vec<String> {
    Vec::new()
}
