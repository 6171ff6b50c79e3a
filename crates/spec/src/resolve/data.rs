//! What a service writes: which of its mounts keep data, and where that data lies on this machine.

use std::collections::BTreeMap;

use serde_json::Value;

use super::known;
use super::scene::Scene;
use crate::compose::{Mount, MountKind, Resource, Service};
use crate::data::single_file;
use crate::data::{DataMount, Place};
use crate::facts::{Database, PathKind};
use crate::ids::ServiceName;

/// Folders that hold no data of anybody: what the kernel and the running system keep there is gone with the next boot.
const SYSTEM: [&str; 7] = ["/proc", "/sys", "/dev", "/run", "/var/run", "/tmp/.X11-unix", "/lib/modules"];

/// Every mount through which a service writes data, those of the file first.
pub(super) fn of(scene: &Scene<'_>, name: &ServiceName, service: &Service) -> Vec<DataMount> {
    let written = service.volumes.iter().filter(|mount| !mount.read_only).filter_map(|mount| mounted(scene, mount));
    let mut all: Vec<DataMount> = written.collect();
    all.extend(devices(scene, service));
    let declared = scene.facts.images.get(name).map(|image| image.volumes.as_slice()).unwrap_or_default();
    for target in declared.iter().filter(|target| !is_covered(service, target)) {
        all.push(own(target, format!("image volume `{target}`")));
    }
    all
}

/// Whether the file itself mounts something at a folder that the image declares.
fn is_covered(service: &Service, target: &str) -> bool {
    let same = |other: &str| other.trim_end_matches('/') == target.trim_end_matches('/');
    let memory = crate::compose::texts(service.raw.get("tmpfs"));
    service.volumes.iter().any(|mount| same(&mount.target))
        || memory.iter().any(|entry| same(entry.split(':').next().unwrap_or(entry)))
}

fn own(target: &str, what: String) -> DataMount {
    let database = known::data_folder(target).map(str::to_owned);
    DataMount { target: target.to_owned(), what, places: Vec::new(), own: true, database }
}

fn mounted(scene: &Scene<'_>, mount: &Mount) -> Option<DataMount> {
    match (mount.kind, &mount.source) {
        (MountKind::Volume, None) => Some(own(&mount.target, format!("anonymous volume `{}`", mount.target))),
        (MountKind::Volume, Some(key)) => volume(scene, mount, key),
        (MountKind::Bind, Some(path)) => bind(scene, mount, path),
        _ => None,
    }
}

fn volume(scene: &Scene<'_>, mount: &Mount, key: &str) -> Option<DataMount> {
    let resource = scene.project.volumes.get(key);
    let name = resource.map_or(key, |resource| resource.name.as_str());
    let (places, database) = places_of_volume(scene, name, resource)?;
    let database = database.map(|found| found.name).or_else(|| known::data_folder(&mount.target).map(str::to_owned));
    Some(DataMount { target: mount.target.clone(), what: format!("volume `{key}`"), places, own: false, database })
}

/// The volume itself, and what its driver leads to; `None` where that is memory.
fn places_of_volume(
    scene: &Scene<'_>,
    name: &str,
    resource: Option<&Resource>,
) -> Option<(Vec<Place>, Option<Database>)> {
    let found = scene.facts.volumes.get(name);
    let mut options = found.map(|found| found.options.clone()).unwrap_or_default();
    let mut driver = found.map(|found| found.driver.clone()).unwrap_or_default();
    let mut places = vec![Place::Volume(name.to_owned())];
    // The file's word counts beside that of a volume that exists: which of the two comes true is decided later.
    if let Some(resource) = resource.filter(|resource| !resource.external) {
        if driver.is_empty() {
            driver = resource.raw.get("driver").and_then(Value::as_str).unwrap_or_default().to_owned();
        }
        let written = written_options(resource);
        if written != options && !written.is_empty() {
            places.extend(led_to(scene, &driver, &written));
        }
        if options.is_empty() {
            options = written;
        }
    }
    if options.get("type").is_some_and(|kind| kind == "tmpfs") {
        return None;
    }
    for place in led_to(scene, &driver, &options) {
        if !places.contains(&place) {
            places.push(place);
        }
    }
    Some((places, found.and_then(|found| found.database.clone())))
}

fn written_options(resource: &Resource) -> BTreeMap<String, String> {
    let listed = resource.raw.get("driver_opts").and_then(Value::as_object);
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    listed.into_iter().flatten().map(|(key, value)| (key.clone(), text(value))).collect()
}

/// What a driver's options name: a folder of the host, a disk, a share of another machine.
fn led_to(scene: &Scene<'_>, driver: &str, options: &BTreeMap<String, String>) -> Vec<Place> {
    if options.is_empty() {
        return Vec::new();
    }
    let option = |key: &str| options.get(key).map(String::as_str).unwrap_or_default();
    let device = option("device");
    if !driver.is_empty() && driver != "local" {
        // Only the plugin knows what its options mean: the same options are the same place.
        let all: Vec<String> = options.iter().map(|(key, value)| format!("{key}={value}")).collect();
        return vec![Place::Share { server: format!("{driver}:"), path: format!("/{}", all.join(",")) }];
    }
    if device.is_empty() {
        return Vec::new();
    }
    let kind = option("type");
    let address = option("o").split(',').find_map(|word| word.trim().strip_prefix("addr=")).unwrap_or_default();
    if kind.starts_with("nfs") {
        let (host, path) = device.split_once(":/").map_or(("", device), |(host, path)| (host, path));
        let server = if host.is_empty() { address } else { host };
        let path = format!("/{}", path.trim_start_matches([':', '/']));
        return vec![Place::Share { server: format!("nfs:{server}"), path: path.trim_end_matches('/').to_owned() }];
    }
    if device.starts_with("//") {
        let path = device.trim_start_matches('/');
        let (server, path) = path.split_once('/').unwrap_or((path, ""));
        return vec![Place::Share { server: format!("smb:{server}"), path: format!("/{path}") }];
    }
    match device.starts_with('/') {
        true => on_host(scene, device, "").map(|found| found.places).unwrap_or_default(),
        false => vec![Place::Share { server: format!("{kind}:{address}"), path: format!("/{device}") }],
    }
}

fn bind(scene: &Scene<'_>, mount: &Mount, path: &str) -> Option<DataMount> {
    let found = on_host(scene, path, &mount.target)?;
    let word = if found.is_file { "file" } else { "folder" };
    let database = found.database.map(|found| found.name);
    let database = database.or_else(|| known::data_folder(&mount.target).map(str::to_owned));
    let what = format!("{word} `{path}`");
    Some(DataMount { target: mount.target.clone(), what, places: found.places, own: false, database })
}

struct OnHost {
    places: Vec<Place>,
    is_file: bool,
    database: Option<Database>,
}

/// What a path of the host that appears at `target` keeps; `None` where that is no data.
fn on_host(scene: &Scene<'_>, path: &str, target: &str) -> Option<OnHost> {
    let facts = scene.facts.paths.get(path);
    let canonical = facts.map_or(path, |facts| facts.canonical.as_str());
    if let Some(PathKind::Disk(number)) = facts.map(|facts| &facts.kind) {
        return Some(OnHost { places: vec![Place::Device(number.clone())], is_file: true, database: None });
    }
    let is_system = |path: &str| {
        SYSTEM
            .iter()
            .any(|folder| path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
    };
    // Whoever has the whole machine mounted looks after it; that is no data of his own.
    if is_system(path) || is_system(canonical) || canonical == "/" {
        return None;
    }
    let database = facts.and_then(|facts| facts.database.clone());
    let is_file = match facts.map(|facts| &facts.kind) {
        Some(PathKind::Other) => return None,
        Some(PathKind::File) => true,
        None => is_file_by_name(path),
        _ => false,
    };
    let look = facts.map(|facts| facts.file).unwrap_or_default();
    // A configuration file is no data; one that a database keeps its tables in is, and what programs write.
    if is_file && database.is_none() && !single_file::is_data(path, target, look) {
        return None;
    }
    let mut places = vec![Place::Path(canonical.to_owned())];
    places.extend(volume_of(canonical));
    Some(OnHost { places, is_file, database })
}

/// Where nobody has looked, what is called like a file is one.
fn is_file_by_name(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let is_ending = |ending: &str| (2..=5).contains(&ending.len()) && ending.chars().all(|c| c.is_ascii_alphanumeric());
    let is_dotted = name.rsplit_once('.').is_some_and(|(stem, ending)| !stem.is_empty() && is_ending(ending));
    is_dotted && !name.ends_with(".d")
}

/// The folder in which Docker keeps a volume is that volume.
fn volume_of(path: &str) -> Option<Place> {
    let (_, rest) = path.split_once("/volumes/")?;
    let (name, inside) = rest.split_once('/')?;
    (inside == "_data" || inside.starts_with("_data/")).then(|| Place::Volume(name.to_owned()))
}

/// A disk that is handed into the container.
fn devices(scene: &Scene<'_>, service: &Service) -> Vec<DataMount> {
    let listed = service.raw.get("devices").and_then(Value::as_array).into_iter().flatten();
    let disk = |entry: &Value| {
        let (source, permissions) = match entry {
            Value::Object(fields) => {
                let text = |key: &str| fields.get(key).and_then(Value::as_str);
                (text("source")?.to_owned(), text("permissions").unwrap_or("rwm").to_owned())
            }
            other => {
                let mut parts = other.as_str()?.split(':');
                let source = parts.next()?.to_owned();
                (source, parts.nth(1).unwrap_or("rwm").to_owned())
            }
        };
        let facts = scene.facts.paths.get(&source)?;
        let PathKind::Disk(number) = &facts.kind else { return None };
        permissions.contains('w').then(|| DataMount {
            target: source.clone(),
            what: format!("disk `{source}`"),
            places: vec![Place::Device(number.clone())],
            own: false,
            database: None,
        })
    };
    listed.filter_map(disk).collect()
}
