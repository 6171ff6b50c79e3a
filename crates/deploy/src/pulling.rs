//! When an image is asked for again: as `pull_policy` says, and when a person does with `--pull`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use machine::process::Command;
use spec::ServiceName;

use crate::error::DeployError;
use crate::images::{find, stream};
use crate::load::Loaded;
use crate::logins;
use crate::plan::WantedImage;
use crate::up::Request;
use crate::world::World;

const DAY: Duration = Duration::from_secs(86_400);

/// Why an image is pulled that is here.
enum Again {
    Asked,
    Always,
    /// The policy as it is written: this long after it was last tagged.
    After(Duration, String),
}

/// Asks registries and builds before anything is compared; whether anything may be another image now.
pub async fn refresh(
    world: &World,
    loaded: &Loaded,
    images: &BTreeMap<ServiceName, WantedImage>,
    request: &Request,
) -> Result<bool, DeployError> {
    let services = &request.selection.services;
    let names = || {
        let all = loaded.platform.services.iter().map(|plan| &plan.name);
        all.filter(|name| services.is_empty() || services.contains(name))
    };
    let policy = |name: &ServiceName| loaded.project.services.get(name).and_then(|service| service.pull_policy.clone());
    let is_built = |name: &ServiceName| images.get(name).is_some_and(|image| image.build && image.instead_of.is_none());
    let built: Vec<String> = names()
        .filter(|name| policy(name).as_deref() == Some("build") && is_built(name))
        .map(ToString::to_string)
        .collect();
    if !built.is_empty() {
        world.talk.say(None, format!("builds {} (`pull_policy: build`)", built.join(", ")));
        build(world, loaded, &built).await?;
    }
    let mut pulled = BTreeSet::new();
    for name in names() {
        let Some(image) = images.get(name) else { continue };
        let Some(again) = again(request, name, image, policy(name).as_deref()) else { continue };
        if !pulled.contains(&image.reference) && is_due(world, image, &again).await? {
            pull_again(world, loaded, name, image, &again).await?;
            pulled.insert(image.reference.clone());
        }
    }
    Ok(!pulled.is_empty() || !built.is_empty())
}

/// An image that an earlier deploy named is the one; what a digest names does not move.
fn again(request: &Request, name: &ServiceName, image: &WantedImage, policy: Option<&str>) -> Option<Again> {
    let is_meant = image.instead_of.is_none() || request.images.contains_key(name);
    if image.build || image.never_pulled || image.reference.contains("@sha256:") || !is_meant {
        return None;
    }
    if request.pull {
        return Some(Again::Asked);
    }
    match (policy?, image.instead_of.is_none()) {
        ("always", true) => Some(Again::Always),
        (policy, true) => every(policy).map(|after| Again::After(after, policy.to_owned())),
        _ => None,
    }
}

/// `daily`, `weekly` and `every_12h`, as Compose writes them.
fn every(policy: &str) -> Option<Duration> {
    match policy {
        "daily" => Some(DAY),
        "weekly" => Some(DAY * 7),
        other => {
            let text = other.strip_prefix("every_")?;
            let (weeks, rest) = match text.split_once('w') {
                Some((weeks, rest)) => (weeks.parse::<u32>().ok()?, rest),
                None => (0, text),
            };
            let rest = if rest.is_empty() { Duration::ZERO } else { spec::units::parse_duration(rest).ok()? };
            Some(DAY * 7 * weeks + rest)
        }
    }
}

/// As Compose counts it: from when the image was last tagged here.
async fn is_due(world: &World, image: &WantedImage, again: &Again) -> Result<bool, DeployError> {
    let Again::After(after, _) = again else { return Ok(true) };
    let tagged = find(world, &image.reference).await?.and_then(|found| found.tagged_ms);
    let after = i64::try_from(after.as_millis()).unwrap_or(i64::MAX);
    Ok(tagged.is_none_or(|tagged| tagged.saturating_add(after) <= world.clock.now_ms()))
}

async fn pull_again(
    world: &World,
    loaded: &Loaded,
    name: &ServiceName,
    image: &WantedImage,
    again: &Again,
) -> Result<(), DeployError> {
    let why = match again {
        Again::Asked => "`--pull`".to_owned(),
        Again::Always => "`pull_policy: always`".to_owned(),
        Again::After(_, policy) => format!("`pull_policy: {policy}`"),
    };
    world.talk.say(Some(name), format!("pulls {} ({why})", image.reference));
    let advice = match again {
        Again::Asked => "without `--pull`, what is here is taken".to_owned(),
        _ => format!("{why} asks the registry; `missing` takes what is here"),
    };
    pull(world, loaded, name, &image.reference).await.map_err(|error| match error {
        DeployError::Image { service, image, said } => {
            DeployError::Image { said: format!("{said} ({advice})"), service, image }
        }
        other => other,
    })
}

/// Pulls an image with the logins of whoever deploys.
pub async fn pull(world: &World, loaded: &Loaded, name: &ServiceName, image: &str) -> Result<(), DeployError> {
    let command = Command::new("docker").args(["pull", "--quiet", image]);
    let command = logins::with_login(world.dress(command), &loaded.docker_configs, image);
    stream(world, loaded, command, Some(name), image).await.map_err(|error| match error {
        DeployError::Image { service, image, said } if logins::is_denied(&said) => {
            let looked_at = logins::looked_at(&loaded.docker_configs, &image);
            DeployError::Image { said: format!("{said}\n{looked_at}"), service, image }
        }
        other => other,
    })
}

/// Builds these services, all in one Compose run so that layers are shared.
pub async fn build(world: &World, loaded: &Loaded, services: &[String]) -> Result<(), DeployError> {
    let command = logins::with_any_login(world.dress(loaded.compose.build(services)), &loaded.docker_configs);
    stream(world, loaded, command, None, &services.join(", ")).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(reference: &str) -> WantedImage {
        WantedImage { reference: reference.into(), id: None, build: false, never_pulled: false, instead_of: None }
    }

    #[test]
    fn the_policies_of_compose_are_durations() {
        for (policy, expected) in [
            ("daily", Some(86_400)),
            ("weekly", Some(604_800)),
            ("every_12h", Some(43_200)),
            ("every_1h30m", Some(5_400)),
            ("every_2d", Some(172_800)),
            ("every_1w2d", Some(777_600)),
            ("every_2w", Some(1_209_600)),
            ("always", None),
            ("missing", None),
            ("every_soon", None),
        ] {
            assert_eq!(every(policy), expected.map(Duration::from_secs), "{policy}");
        }
    }

    #[test]
    fn an_image_is_asked_for_again_where_its_tag_may_have_moved() {
        let name = ServiceName::parse("web").unwrap();
        let asked = Request { pull: true, ..Request::default() };
        let of = |request: &Request, image: &WantedImage, policy| again(request, &name, image, policy).is_some();
        let quiet = Request::default();
        assert!(of(&asked, &image("shop/web:latest"), None));
        assert!(!of(&quiet, &image("shop/web:latest"), None));
        assert!(of(&quiet, &image("shop/web:latest"), Some("always")));
        assert!(of(&quiet, &image("shop/web:latest"), Some("every_1h")));
        assert!(!of(&quiet, &image("shop/web:latest"), Some("missing")));
        assert!(!of(&asked, &image("shop/web@sha256:00"), Some("always")));
        assert!(!of(&asked, &WantedImage { build: true, ..image("shop/web") }, None));
        assert!(!of(&asked, &WantedImage { never_pulled: true, ..image("shop/web") }, None));
        let named = WantedImage { instead_of: Some("shop/web:latest".into()), ..image("shop/web:42") };
        assert!(!of(&asked, &named, None) && !of(&quiet, &named, Some("always")));
        let again = Request { images: [(name.clone(), "shop/web:42".to_owned())].into(), ..asked };
        assert!(of(&again, &named, None));
    }
}
