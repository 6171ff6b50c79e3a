//! A page instead of the platform: every public route answers 503, except to those who are let through.

use std::net::IpAddr;

use edge::snapshot::Maintenance;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::account::Deed;
use crate::error::DeployError;
use crate::names::Scope;
use crate::world::World;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Request {
    pub scope: Scope,
    /// `None` takes the page away.
    pub page: Option<Maintenance>,
    pub by: String,
    #[serde(default)]
    pub why: String,
}

/// A page larger than this is a site of its own; it is kept in memory and in every snapshot.
const LARGEST_PAGE: usize = 256 * 1024;

impl World {
    /// Puts the page up or takes it away; goes on only when the edge has acknowledged it.
    pub async fn maintenance(&self, request: &Request) -> Result<(), DeployError> {
        if let Some(page) = &request.page {
            check(page)?;
        }
        let scope = &request.scope;
        let changed = self.change_platform(scope, |platform| platform.maintenance.clone_from(&request.page))?;
        if !changed {
            let known = self.platforms()?.iter().map(|platform| platform.scope.to_string()).collect::<Vec<_>>();
            return Err(DeployError::Unknown { what: format!("a running {scope}"), known: known.join(", ") });
        }
        self.push_routes().await?;
        let action = if request.page.is_some() { "maintenance on" } else { "maintenance off" };
        let allow = request.page.as_ref().map(|page| page.allow.clone());
        let detail = json!({ "why": request.why, "allow": allow });
        self.account(Deed { by: &request.by, action, scope, detail })
    }
}

fn check(page: &Maintenance) -> Result<(), DeployError> {
    if let Some(wrong) = page.allow.iter().find(|network| !is_network(network)) {
        return Err(DeployError::Refused(format!(
            "`{wrong}` is no network; write an address such as `203.0.113.7` or a network such as `10.0.0.0/8`"
        )));
    }
    match page.page.as_ref().is_some_and(|page| page.len() > LARGEST_PAGE) {
        true => Err(DeployError::Refused(format!("the page is larger than {} KB", LARGEST_PAGE / 1024))),
        false => Ok(()),
    }
}

fn is_network(text: &str) -> bool {
    let (address, length) = text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)));
    let Ok(address) = address.parse::<IpAddr>() else { return false };
    let most = if address.is_ipv4() { 32 } else { 128 };
    length.is_none_or(|length| length.parse::<u8>().is_ok_and(|length| length <= most))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_networks_are_told_from_other_words() {
        for good in ["10.0.0.0/8", "203.0.113.7", "2001:db8::/32", "::1"] {
            assert!(is_network(good), "{good}");
        }
        for bad in ["office", "10.0.0.0/33", "10.0.0/8", "::1/129", "10.0.0.1/"] {
            assert!(!is_network(bad), "{bad}");
        }
    }
}
