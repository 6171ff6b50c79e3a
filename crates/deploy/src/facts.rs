//! Looking at what the files name: images, folders of this machine, volumes. What was found decides, purely, what holds
//! data and what a database is.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use futures_util::future::join_all;
use machine::docker::Image;
use machine::places::{self, Content, PathKind as Kind};
use serde_json::Value;
use spec::compose::{MountKind, Resource};
use spec::data::single_file::FileFacts;
use spec::facts::{Database, Facts, ImageFacts, PathFacts, PathKind, VolumeFacts};
use spec::{Place, Project, ServiceName};

use crate::error::DeployError;
use crate::images;
use crate::world::World;

/// The label of the image specification that names what is in an image.
const TITLE: &str = "org.opencontainers.image.title";

/// Looks at everything that the project names; `images` are the references that its services shall run.
pub async fn look(
    world: &World,
    project: &Project,
    images: &BTreeMap<ServiceName, String>,
) -> Result<Facts, DeployError> {
    let mut facts = Facts::default();
    let found = join_all(images.values().map(|reference| images::find(world, reference))).await;
    for (service, image) in images.keys().zip(found) {
        facts.images.extend(image?.map(|image| (service.clone(), image_facts(&image))));
    }
    let names: Vec<&String> = project.volumes.values().map(|volume| &volume.name).collect();
    let found = join_all(names.iter().map(|name| world.docker.volume(name))).await;
    for (name, volume) in names.into_iter().zip(found) {
        let failed = |source| DeployError::Docker { operation: format!("look for volume `{name}`"), source };
        facts.volumes.extend(volume.map_err(failed)?.map(|volume| (name.clone(), volume_facts(&volume))));
    }
    let kept = kept(world)?;
    let mut paths = paths_of(project);
    paths.extend(facts.volumes.values().filter_map(|volume| volume.options.get("device").cloned()));
    for path in paths.into_iter().filter(|path| path.starts_with('/')) {
        let mut found = path_facts(Path::new(&path));
        found.file.was_data = found.kind == PathKind::File && was_data(&kept, &found);
        facts.paths.insert(path, found);
    }
    Ok(facts)
}

/// The paths that known releases keep as data. A file stays data whatever has been written to it since.
pub fn kept(world: &World) -> Result<BTreeSet<String>, DeployError> {
    let mut kept = BTreeSet::new();
    for release in world.all_releases()? {
        for place in release.plan.data.into_iter().flatten().flat_map(|mount| mount.places) {
            if let Place::Path(path) = place {
                kept.insert(path);
            }
        }
    }
    Ok(kept)
}

/// Whether a file is one of those that are kept.
pub fn was_data(kept: &BTreeSet<String>, found: &PathFacts) -> bool {
    kept.contains(&found.canonical)
}

/// What an image says about itself.
pub fn image_facts(image: &Image) -> ImageFacts {
    let tcp = |port: &String| port.strip_suffix("/tcp")?.parse().ok();
    ImageFacts {
        volumes: image.volumes.clone(),
        ports: image.exposed.iter().filter_map(tcp).collect(),
        words: image.entrypoint.iter().chain(&image.command).cloned().collect(),
        variables: image.env.iter().map(|(name, _)| name.to_owned()).collect(),
        title: image.labels.get(TITLE).cloned(),
    }
}

fn volume_facts(volume: &machine::docker::Volume) -> VolumeFacts {
    let mountpoint = Path::new(&volume.mountpoint);
    let content = if volume.driver == "local" { places::look(mountpoint).content } else { None };
    VolumeFacts { driver: volume.driver.clone(), options: volume.options.clone(), database: content.map(database) }
}

/// What lies at a path of this machine.
pub fn path_facts(path: &Path) -> PathFacts {
    let found = places::look(path);
    let kind = match found.kind {
        Kind::Missing => PathKind::Missing,
        Kind::Directory => PathKind::Folder,
        Kind::File => PathKind::File,
        Kind::BlockDevice { major, minor } => PathKind::Disk(format!("{major}:{minor}")),
        Kind::Socket | Kind::CharDevice | Kind::Fifo => PathKind::Other,
    };
    let file = FileFacts { is_empty: found.is_empty, is_program: found.is_program, was_data: false };
    PathFacts { canonical: found.canonical.display().to_string(), kind, database: found.content.map(database), file }
}

fn database(content: Content) -> Database {
    Database { name: content.word().to_owned(), server: content.is_server() }
}

/// Every path of the host that the project names.
fn paths_of(project: &Project) -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    for service in project.services.values() {
        let binds = service.volumes.iter().filter(|mount| mount.kind == MountKind::Bind);
        paths.extend(binds.filter_map(|mount| mount.source.clone()));
        let devices = service.raw.get("devices").and_then(Value::as_array).into_iter().flatten();
        paths.extend(devices.filter_map(|device| {
            let source = device.get("source").and_then(Value::as_str).or(device.as_str())?;
            Some(source.split(':').next().unwrap_or(source).to_owned())
        }));
    }
    let device = |volume: &Resource| Some(volume.raw.get("driver_opts")?.get("device")?.as_str()?.to_owned());
    paths.extend(project.volumes.values().filter_map(device));
    paths
}
