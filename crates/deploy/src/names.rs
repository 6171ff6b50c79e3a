//! Names and labels: everything Mainstay creates is found again by them.
//!
//! Container names, Compose project names and labels come from the release id alone, so that a
//! "create" which may or may not have happened before a crash can be retried by look-up.

use serde::{Deserialize, Serialize};
use spec::{EnvironmentName, PlatformName, ReleaseId, ServiceName};

pub const PLATFORM: &str = "dev.mainstay.platform";
pub const ENVIRONMENT: &str = "dev.mainstay.environment";
pub const SERVICE: &str = "dev.mainstay.service";
pub const RELEASE: &str = "dev.mainstay.release";
pub const HASH: &str = "dev.mainstay.definition";
pub const STRATEGY: &str = "dev.mainstay.strategy";
/// On volumes that no file names: where they appear in the container.
pub const TARGET: &str = "dev.mainstay.target";
/// On address holders: the key of the scope whose services have their names there.
pub const HOLDER: &str = "dev.mainstay.names";
/// On one-off containers (migrations), so that they are never mistaken for the service itself.
pub const ONE_OFF: &str = "dev.mainstay.one-off";

/// One platform in one environment: the unit that is locked, planned and addressed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Scope {
    pub platform: PlatformName,
    pub environment: EnvironmentName,
}

impl Scope {
    /// The prefix of Compose project, network and volume names: `ytempire-production`.
    pub fn project(&self) -> String {
        compose_safe(&format!("{}-{}", self.platform, self.environment))
    }

    /// The key of records and pools: `ytempire/production`.
    pub fn key(&self) -> String {
        format!("{}/{}", self.platform, self.environment)
    }

    /// The name of a service's pool at the edge: `ytempire/production/api`.
    pub fn pool(&self, service: &ServiceName) -> String {
        format!("{}/{}", self.key(), service)
    }

    /// The name of the lease that a change of this scope holds.
    pub fn lease(&self) -> String {
        format!("deploy/{}", self.key())
    }

    /// Labels that select every container of this scope.
    pub fn selector(&self) -> Vec<(String, String)> {
        vec![(PLATFORM.into(), self.platform.to_string()), (ENVIRONMENT.into(), self.environment.to_string())]
    }

    /// The container, and Compose project, of one release: `ytempire-production-api-r12`.
    pub fn container(&self, service: &ServiceName, release: &ReleaseId) -> String {
        compose_safe(&format!("{}-{}-{}", self.project(), service, release))
    }

    /// The tag that keeps a release's image from being pruned: `mainstay/ytempire-production/api:r12`.
    pub fn keep_tag(&self, service: &ServiceName, release: &ReleaseId) -> (String, String) {
        let repository = format!("mainstay/{}/{}", self.project(), compose_safe(service.as_ref()));
        (repository, release.to_string())
    }
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.platform, self.environment)
    }
}

/// The container of one copy of a release: the first has the release's own name, `…-r12`, the others `…-r12-2`, `…-r12-3`.
/// A release's name ends in its number, so no name of a copy is ever the name of another release.
pub fn copy(container: &str, number: u32) -> String {
    if number <= 1 { container.to_owned() } else { format!("{container}-{number}") }
}

/// Whether a container is one of the copies of a release.
pub fn is_copy(container: &str, name: &str) -> bool {
    let number = name.strip_prefix(container).map(|rest| rest.strip_prefix('-').map(str::parse::<u32>));
    matches!(number, Some(Some(Ok(2..)))) || name == container
}

/// Names for a sentence.
pub fn list<'a>(names: impl IntoIterator<Item = &'a ServiceName>) -> String {
    names.into_iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Compose accepts lower-case letters, digits, `-` and `_` in project names, nothing else.
fn compose_safe(name: &str) -> String {
    name.chars()
        .map(|c| match c.to_ascii_lowercase() {
            c @ ('a'..='z' | '0'..='9' | '-' | '_') => c,
            _ => '-',
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope() -> Scope {
        Scope {
            platform: PlatformName::parse("shop").unwrap(),
            environment: EnvironmentName::parse("production").unwrap(),
        }
    }

    #[test]
    fn a_release_names_its_container_and_pool() {
        let web = ServiceName::parse("web").unwrap();
        assert_eq!(scope().container(&web, &ReleaseId::new(7)), "shop-production-web-r7");
        assert_eq!(scope().pool(&web), "shop/production/web");
    }

    #[test]
    fn the_first_copy_has_the_releases_own_name_and_the_others_a_number() {
        assert_eq!(
            [1, 2].map(|number| copy("shop-production-web-r7", number)),
            ["shop-production-web-r7", "shop-production-web-r7-2"]
        );
        for (name, is) in
            [("a-r7", true), ("a-r7-2", true), ("a-r7-1", false), ("a-r7-migrate", false), ("a-r70", false)]
        {
            assert_eq!(is_copy("a-r7", name), is, "{name}");
        }
    }

    #[test]
    fn a_service_name_that_compose_would_refuse_as_a_project_is_made_safe() {
        let odd = ServiceName::parse("Web.Front").unwrap();
        assert_eq!(scope().container(&odd, &ReleaseId::new(1)), "shop-production-web-front-r1");
    }
}
