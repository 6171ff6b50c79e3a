//! From one environment to the next: exactly the images that serve there, with the configuration of here.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use spec::{EnvironmentName, HostSize, ReleaseId, ServiceName};

use crate::error::DeployError;
use crate::load::{self, Loaded};
use crate::names::{self, Scope};
use crate::plan::{Action, Change, WantedImage};
use crate::release::Release;
use crate::release::origin::Promoted;
use crate::world::World;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Request {
    /// The platform's folder, and the environment that is promoted to.
    pub source: load::Source,
    pub from: EnvironmentName,
    /// All that serve there and are described here when none is named.
    #[serde(default)]
    pub services: Vec<ServiceName>,
}

/// The images that are promoted, fixed when the plan is drawn: what is shown is what is deployed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Promotion {
    pub from: EnvironmentName,
    pub images: BTreeMap<ServiceName, Pin>,
    /// Services that serve there and are not described here.
    #[serde(default)]
    pub left_out: Vec<ServiceName>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    pub release: ReleaseId,
    pub reference: String,
    pub id: String,
}

pub async fn promotion(world: &World, request: &Request, host: &HostSize) -> Result<Promotion, DeployError> {
    let loaded = load::load(world, &request.source, host).await?;
    let to = &loaded.scope;
    if request.from == to.environment {
        return Err(DeployError::Refused(format!("`{}` cannot be promoted to itself", request.from)));
    }
    let from = Scope { platform: to.platform.clone(), environment: request.from.clone() };
    let serving = world.serving(&from)?;
    if serving.is_empty() {
        let known = world.platforms()?.into_iter().filter(|one| one.scope.platform == to.platform);
        let known = known.map(|one| one.scope.environment.to_string()).collect::<Vec<_>>().join(", ");
        return Err(DeployError::Unknown { what: format!("a running {from}"), known });
    }
    if let Some(missing) = request.services.iter().find(|service| !serving.contains_key(*service)) {
        let what = format!("service `{missing}` serving in {}", request.from);
        return Err(DeployError::Unknown { what, known: names::list(serving.keys()) });
    }
    let asked = |service: &ServiceName| request.services.is_empty() || request.services.contains(service);
    let (here, left_out): (Vec<_>, Vec<_>) = serving
        .into_values()
        .filter(|release| asked(&release.service))
        .partition(|release| loaded.platform.service(release.service.as_ref()).is_some());
    Ok(Promotion {
        from: request.from.clone(),
        images: here.into_iter().map(|release| (release.service.clone(), pin(release))).collect(),
        left_out: left_out.into_iter().map(|release| release.service).collect(),
    })
}

fn pin(release: Release) -> Pin {
    Pin { release: release.id, reference: release.image.reference, id: release.image.id }
}

impl Promotion {
    /// Puts the promoted images in the place of those that the files name.
    pub async fn apply(
        &self,
        world: &World,
        loaded: &Loaded,
        images: &mut BTreeMap<ServiceName, WantedImage>,
    ) -> Result<(), DeployError> {
        for (service, pin) in &self.images {
            let Some(image) = images.get_mut(service) else { continue };
            if crate::images::find(world, &pin.id).await?.is_none() {
                let text =
                    format!("the image {} of {service} {} is no longer on this machine", pin.reference, pin.release);
                return Err(DeployError::Refused(text));
            }
            let written = loaded.project.services.get(service).and_then(|service| service.image.clone());
            let written = written.unwrap_or_else(|| format!("{}-{service}", loaded.identity.project));
            *image = WantedImage {
                never_pulled: false,
                reference: pin.reference.clone(),
                id: Some(pin.id.clone()),
                build: false,
                instead_of: Some(written),
            };
        }
        Ok(())
    }

    /// Says in the plan where the image comes from.
    pub fn explain(&self, changes: &mut [Change]) {
        for change in changes {
            let pin = self.images.get(&change.service);
            if let Some(pin) = pin.filter(|_| matches!(change.action, Action::Create | Action::Update | Action::Hold)) {
                change.reasons.insert(0, format!("promotes {} of {}", pin.release, self.from));
            }
        }
    }

    pub fn origin(&self, service: &ServiceName) -> Option<Promoted> {
        let pin = self.images.get(service)?;
        Some(Promoted { environment: self.from.clone(), release: pin.release.clone() })
    }
}
