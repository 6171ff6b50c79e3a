//! Volumes that neither file names: an image declares them, or the compose file gives a target alone.
//!
//! Docker would give each container an anonymous one, and the next release would begin with an empty folder. Here each
//! copy of a service has one of its own under a name that follows from service, copy and target, from release to
//! release. Where a container from before has data in an anonymous volume, that volume is taken over as it is.

use std::collections::BTreeMap;

use machine::docker::{ContainerDetail, MountKind, VolumeSpec};
use saga::StepError;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use spec::{Place, ServiceName, ServicePlan};

use crate::error::DeployError;
use crate::health;
use crate::identity::{COMPOSE_NUMBER, COMPOSE_PROJECT, COMPOSE_SERVICE, Identity, KnownVolume};
use crate::names;
use crate::release::Release;
use crate::roll_out::steps::wrap;
use crate::world::World;

/// The key of a definition under which they stand; Compose leaves keys with this beginning alone.
pub const KEY: &str = "x-mainstay-volumes";

/// Every volume of this kind that a platform has or will have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OwnVolumes {
    project: String,
    /// Real names that do not follow from the rule, by `service/copy/target`.
    known: BTreeMap<String, String>,
    /// Compose has had it in between, and what its containers have counts.
    with_compose: bool,
    /// Those that are taken over now: the key, the volume, the container that has it.
    pub adopted: Vec<(String, String, String)>,
}

/// One target of a service, as its definition keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Own {
    pub target: String,
    /// From which the names of the copies' volumes follow.
    base: String,
    slug: String,
    /// Names that do not follow, by copy.
    #[serde(default)]
    known: BTreeMap<u32, String>,
}

impl Own {
    pub fn name(&self, copy: u32) -> String {
        self.known.get(&copy).cloned().unwrap_or_else(|| named(&self.base, copy, &self.slug))
    }

    /// The key of the volume in a definition.
    fn key(&self, copy: u32) -> String {
        format!("own-{copy}-{}", self.slug)
    }
}

fn named(base: &str, copy: u32, slug: &str) -> String {
    format!("{base}.{copy}.{slug}")
}

fn key(service: &ServiceName, copy: u32, target: &str) -> String {
    format!("{service}/{copy}/{}", target.trim_matches('/'))
}

/// What of a path a volume's name may have.
fn slug(target: &str) -> String {
    let kept = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-') { c } else { '-' };
    let slug: String = target.trim_matches('/').chars().map(kept).collect();
    if slug.is_empty() { "root".into() } else { slug }
}

impl OwnVolumes {
    pub fn of(identity: &Identity) -> OwnVolumes {
        OwnVolumes {
            project: identity.project.clone(),
            known: identity.own.clone(),
            with_compose: identity.with_compose,
            adopted: Vec::new(),
        }
    }

    /// How a service's definition names them.
    pub fn of_service(&self, plan: &ServicePlan) -> Vec<Own> {
        let own = plan.data.iter().flatten().filter(|mount| mount.own);
        own.map(|mount| {
            let known = |copy: u32| Some((copy, self.known.get(&key(&plan.name, copy, &mount.target))?.clone()));
            Own {
                base: format!("{}_{}", self.project, plan.name),
                slug: slug(&mount.target),
                known: (1..=plan.replicas.max(1)).filter_map(known).collect(),
                target: mount.target.clone(),
            }
        })
        .collect()
    }

    /// The plan's mounts get the places that they are here.
    pub fn place(&self, plan: &mut ServicePlan) {
        let own = self.of_service(plan);
        let copies = plan.replicas.max(1);
        for mount in plan.data.iter_mut().flatten().filter(|mount| mount.own) {
            let Some(own) = own.iter().find(|own| own.target == mount.target) else { continue };
            mount.places = (1..=copies).map(|copy| Place::Volume(own.name(copy))).collect();
        }
    }

    /// Takes over what containers of today have in volumes without a name.
    pub async fn adopt(
        &mut self,
        world: &World,
        plans: &[ServicePlan],
        serving: &BTreeMap<ServiceName, Release>,
    ) -> Result<(), DeployError> {
        for plan in plans {
            for own in self.of_service(plan) {
                for copy in 1..=plan.replicas.max(1) {
                    let key = key(&plan.name, copy, &own.target);
                    let is_known = self.known.contains_key(&key) || exists(world, &own.name(copy)).await?;
                    if is_known && (!self.with_compose || serving.contains_key(&plan.name)) {
                        continue;
                    }
                    let found = match serving.get(&plan.name) {
                        Some(release) => in_use(world, &names::copy(&release.container, copy), &own.target).await?,
                        None => in_project(world, &self.project, &plan.name, copy, &own.target).await?,
                    };
                    if let Some((volume, container)) = found.filter(|(volume, _)| *volume != own.name(copy)) {
                        self.known.insert(key.clone(), volume.clone());
                        self.adopted.push((key, volume, container));
                    }
                }
            }
        }
        Ok(())
    }
}

async fn exists(world: &World, volume: &str) -> Result<bool, DeployError> {
    let found = world.docker.volume(volume).await;
    let failed = |source| DeployError::Docker { operation: format!("look for volume `{volume}`"), source };
    Ok(found.map_err(failed)?.is_some())
}

/// The volume that a container has at this target.
async fn in_use(world: &World, container: &str, target: &str) -> Result<Option<(String, String)>, DeployError> {
    let detail = health::inspect(world, container).await?;
    Ok(detail.and_then(|detail| volume_at(&detail, target).map(|volume| (volume, detail.name))))
}

fn volume_at(detail: &ContainerDetail, target: &str) -> Option<String> {
    let same = |other: &str| other.trim_end_matches('/') == target.trim_end_matches('/');
    let found = detail.mounts.iter().find(|mount| mount.kind == MountKind::Volume && same(&mount.target))?;
    found.name.clone()
}

/// The same of the container that Compose runs as this copy.
async fn in_project(
    world: &World,
    project: &str,
    service: &ServiceName,
    copy: u32,
    target: &str,
) -> Result<Option<(String, String)>, DeployError> {
    let labels = [
        (COMPOSE_PROJECT.to_owned(), project.to_owned()),
        (COMPOSE_SERVICE.to_owned(), service.to_string()),
        (COMPOSE_NUMBER.to_owned(), copy.to_string()),
    ];
    let found = world.docker.list(&labels, true).await;
    let failed = |source| DeployError::Docker { operation: "list the containers of Compose".into(), source };
    match found.map_err(failed)?.into_iter().find(|one| !one.labels.contains_key(names::PLATFORM)) {
        Some(container) => in_use(world, &container.id, target).await,
        None => Ok(None),
    }
}

/// Writes them into a definition: the mounts of the first copy, and what the others' names follow from.
pub fn render(document: &mut serde_json::Map<String, Value>, key: &str, own: &[Own]) {
    if own.is_empty() {
        return;
    }
    document.insert(KEY.into(), json!(own));
    mount(document, key, 1, own);
}

/// The mounts of one copy, in place of those of any other.
pub fn mount(document: &mut serde_json::Map<String, Value>, key: &str, copy: u32, own: &[Own]) {
    let Some(service) = document.get_mut("services").and_then(|all| all.get_mut(key)).and_then(Value::as_object_mut)
    else {
        return;
    };
    let mounts = service.entry("volumes").or_insert_with(|| json!([]));
    if let Some(mounts) = mounts.as_array_mut() {
        let same = |mount: &Value, own: &Own| {
            let target = mount.get("target").and_then(Value::as_str).or(mount.as_str()).unwrap_or_default();
            target.trim_end_matches('/') == own.target.trim_end_matches('/')
        };
        mounts.retain(|mount| !own.iter().any(|own| same(mount, own)));
        mounts.extend(own.iter().map(|own| json!({ "type": "volume", "source": own.key(copy), "target": own.target })));
    }
    let volumes = document.entry("volumes").or_insert_with(|| json!({}));
    if let Some(volumes) = volumes.as_object_mut() {
        let external = |own: &Own| json!({ "external": true, "name": own.name(copy) });
        volumes.extend(own.iter().map(|own| (own.key(copy), external(own))));
    }
}

/// Those of a definition.
pub fn read(document: &Value) -> Vec<Own> {
    document.get(KEY).and_then(|own| serde_json::from_value(own.clone()).ok()).unwrap_or_default()
}

/// Makes those of these copies that are not there yet.
pub async fn create(world: &World, release: &Release, document: &Value, copies: &[u32]) -> Result<(), StepError> {
    for own in read(document) {
        for copy in copies {
            let name = own.name(*copy);
            if world.docker.volume(&name).await.map_err(wrap("look for a volume"))?.is_some() {
                continue;
            }
            world.talk.say(Some(&release.service), format!("creates volume {name} for `{}`", own.target));
            let mut labels: BTreeMap<String, String> = release.scope.selector().into_iter().collect();
            labels.insert(names::SERVICE.into(), release.service.to_string());
            labels.insert(names::TARGET.into(), own.target.clone());
            let spec = VolumeSpec { name, labels, ..VolumeSpec::default() };
            let name = spec.name.clone();
            world.docker.create_volume(&spec).await.map_err(wrap("create a volume"))?;
            remember(world, release, &own.target, &name).map_err(wrap("note a volume"))?;
        }
    }
    Ok(())
}

/// From now on it holds data of the platform.
fn remember(world: &World, release: &Release, target: &str, volume: &str) -> Result<(), DeployError> {
    let mount = release.plan.data.iter().flatten().find(|mount| mount.own && mount.target == target);
    let known = KnownVolume {
        since_ms: world.clock.now_ms(),
        services: vec![release.service.to_string()],
        database: mount.and_then(|mount| mount.database.clone()),
    };
    world.change_identity(&release.scope, |identity| {
        identity.volumes.entry(volume.to_owned()).or_insert_with(|| known.clone());
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use spec::{DataMount, Strategy};

    fn own_of(known: BTreeMap<String, String>) -> Vec<Own> {
        let mut plan = ServicePlan::new(ServiceName::parse("web").unwrap(), Strategy::Exclusive);
        plan.replicas = 2;
        let mount = DataMount {
            target: "/var/lib/app".into(),
            what: String::new(),
            places: Vec::new(),
            own: true,
            database: None,
        };
        plan.data = Some(vec![mount]);
        OwnVolumes { project: "shop".into(), known, ..OwnVolumes::default() }.of_service(&plan)
    }

    #[test]
    fn each_copy_has_a_volume_whose_name_follows_and_one_that_was_taken_over_keeps_its_name() {
        let own = own_of([("web/2/var/lib/app".to_owned(), "f00d".to_owned())].into());
        assert_eq!((own[0].name(1), own[0].name(2)), ("shop_web.1.var-lib-app".into(), "f00d".into()));
        assert_eq!(own[0].name(3), "shop_web.3.var-lib-app");
    }

    #[test]
    fn a_definition_mounts_the_volume_in_place_of_the_anonymous_one() {
        let service = json!({ "volumes": [{ "type": "volume", "target": "/var/lib/app/" }, { "type": "bind", "source": "/a", "target": "/a" }] });
        let mut document = json!({ "services": { "web-r1": service } }).as_object().cloned().unwrap();
        render(&mut document, "web-r1", &own_of(BTreeMap::new()));
        let mounts = &document["services"]["web-r1"]["volumes"];
        assert_eq!(mounts[0]["source"], "/a");
        assert_eq!(mounts[1], json!({ "type": "volume", "source": "own-1-var-lib-app", "target": "/var/lib/app" }));
        assert_eq!(document["volumes"]["own-1-var-lib-app"]["name"], "shop_web.1.var-lib-app");
        assert_eq!(read(&Value::Object(document)).len(), 1);
    }
}
