//! A random platform: services that write, the places they write to, and the two files that say so.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use super::random::Random;

pub const ENVIRONMENTS: [&str; 2] = ["production", "staging"];
/// Places that a service has for itself: a `VOLUME` of its image, and an anonymous volume of the file.
pub const IMAGE_VOLUME: usize = 900;
pub const ANONYMOUS: usize = 901;

/// Where data lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A named volume; every environment has its own.
    Named,
    /// A volume with a fixed `name:`, the same one for every environment.
    Fixed,
    /// The same, and made by somebody else before.
    External,
    /// A folder beside the file, which can be reached in several ways.
    Folder,
    /// A single file, as SQLite has it.
    SingleFile,
}

/// How a service reaches a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Direct,
    /// It mounts the folder above, and writes to the inner one.
    Parent,
    Link,
    /// A volume of `type: none, o: bind`.
    Driver,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    pub place: usize,
    pub way: Way,
    pub is_writable: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    Http,
    /// Without a port, proven by a health check of the file.
    Docker,
    /// Without a port and without any check.
    Stable,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    pub name: String,
    pub mounts: Vec<Mount>,
    pub health: Health,
    pub has_image_volume: bool,
    pub has_anonymous: bool,
    pub replicas: usize,
    /// As `scale` has left it.
    pub scaled: usize,
    pub long_grace: bool,
    pub save_ms: u32,
    /// Which of the two images.
    pub image: usize,
    pub version: u32,
    pub is_routed: bool,
}

/// The files as they are now; each command of an environment applies them there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    pub name: String,
    pub places: Vec<Kind>,
    pub services: Vec<Service>,
    /// Taken out of the file, and can come back.
    pub removed: Vec<Service>,
    pub environments: usize,
    pub ports: Vec<u16>,
    /// Without and with a `VOLUME`, two builds each.
    pub images: [[String; 2]; 2],
}

/// How many may write to each place at once.
pub type Allowed = BTreeMap<String, usize>;

impl Files {
    pub fn random(random: &mut Random, name: &str, ports: Vec<u16>, images: [[String; 2]; 2]) -> Files {
        let count = random.weighted(&[(3, 1), (4, 2), (3, 3), (2, 4), (1, 5), (1, 6)]);
        let kinds =
            [Kind::Named, Kind::Named, Kind::Fixed, Kind::External, Kind::Folder, Kind::Folder, Kind::SingleFile];
        let places: Vec<Kind> = (0..=random.below(count.min(3))).map(|_| random.pick(&kinds)).collect();
        let mut services: Vec<Service> = (0..count).map(|index| Service::random(random, index)).collect();
        for place in 0..places.len() {
            let first = random.below(count);
            services[first].mounts.push(Mount { place, way: way(random), is_writable: true });
            // A backup beside it, which reads, or writes as well.
            if count > 1 && random.chance(50) {
                let second = (first + 1 + random.below(count - 1)) % count;
                services[second].mounts.push(Mount { place, way: way(random), is_writable: random.chance(40) });
            }
        }
        if let Some(first) = services.iter_mut().find(|service| service.health == Health::Http) {
            first.is_routed = true;
        }
        let environments = if random.chance(30) { 2 } else { 1 };
        let mut places = places;
        if environments == 2 && random.chance(50) {
            // Otherwise nearly every second environment would be refused for what it shares.
            places.fill(Kind::Named);
        }
        Files { name: name.to_owned(), places, services, removed: Vec::new(), environments, ports, images }
    }

    /// The name of a place, the same for everybody who reaches the same bytes.
    pub fn key(&self, environment: &str, service: &str, place: usize) -> String {
        match self.places.get(place) {
            Some(Kind::Named) => format!("volume {environment}/v{place}"),
            Some(Kind::Fixed | Kind::External) => format!("volume v{place}"),
            Some(Kind::Folder) => format!("folder {place}"),
            Some(Kind::SingleFile) => format!("file {place}"),
            None if place == IMAGE_VOLUME => format!("image volume of {environment}/{service}"),
            None => format!("anonymous volume of {environment}/{service}"),
        }
    }

    /// What plain Compose would run for these files.
    pub fn writers(&self, environment: &str) -> Allowed {
        let mut allowed = Allowed::new();
        for service in &self.services {
            let copies = service.replicas.max(service.scaled);
            for place in service.written() {
                *allowed.entry(self.key(environment, &service.name, place)).or_default() += copies;
            }
        }
        allowed
    }

    /// Folders, files and links that the mounts need.
    pub fn prepare(&self, dir: &Path) {
        for (place, kind) in self.places.iter().enumerate() {
            match kind {
                Kind::Folder => {
                    std::fs::create_dir_all(dir.join(format!("folder{place}/inner"))).unwrap();
                    std::os::unix::fs::symlink(format!("folder{place}/inner"), dir.join(format!("link{place}")))
                        .unwrap();
                }
                Kind::SingleFile => std::fs::write(dir.join(format!("file{place}.db")), "").unwrap(),
                _ => {}
            }
        }
    }

    pub fn compose(&self, dir: &Path) -> String {
        let mut text = String::from("services:\n");
        for service in &self.services {
            self.service(&mut text, service);
        }
        text.push_str("volumes:\n  unused: {}\n");
        for (place, kind) in self.places.iter().enumerate() {
            let fixed = self.fixed_name(place);
            let line = match kind {
                Kind::Named => format!("v{place}: {{}}"),
                Kind::Fixed => format!("v{place}: {{name: {fixed}}}"),
                Kind::External => format!("v{place}: {{name: {fixed}, external: true}}"),
                Kind::Folder => format!(
                    "driven{place}: {{driver: local, driver_opts: {{type: none, o: bind, device: \"{}/folder{place}/inner\"}}}}",
                    dir.display()
                ),
                Kind::SingleFile => continue,
            };
            let _ = writeln!(text, "  {line}");
        }
        text
    }

    pub fn fixed_name(&self, place: usize) -> String {
        format!("{}-fixed{place}", self.name)
    }

    fn service(&self, text: &mut String, service: &Service) {
        let image = &self.images[usize::from(service.has_image_volume)][service.image];
        let writes: Vec<String> = service.written().iter().map(|place| self.inside(service, *place)).collect();
        let reads: Vec<String> = service
            .mounts
            .iter()
            .filter(|mount| !mount.is_writable)
            .map(|mount| self.inside(service, mount.place))
            .collect();
        let _ = writeln!(text, "  {}:\n    image: {image}", service.name);
        let _ = writeln!(
            text,
            "    environment: {{SERVICE: {}, VERSION: \"{}\", WRITES: \"{}\", READS: \"{}\", SAVE_MS: \"{}\"}}",
            service.name,
            service.version,
            writes.join(","),
            reads.join(","),
            service.save_ms
        );
        if service.long_grace {
            text.push_str("    stop_grace_period: 30s\n");
        }
        if service.replicas > 1 {
            let _ = writeln!(text, "    deploy: {{replicas: {}}}", service.replicas);
        }
        match service.health {
            Health::Http => text.push_str("    expose: [\"8080\"]\n"),
            Health::Docker => text.push_str(
                "    healthcheck: {test: [CMD, /testapp, get, \"http://127.0.0.1:8080/health\"], interval: 500ms, timeout: 2s, retries: 20}\n",
            ),
            Health::Stable => {}
        }
        let mut mounts: Vec<String> = service.mounts.iter().map(|mount| self.mount(mount)).collect();
        if service.has_anonymous {
            mounts.push(format!("/d{ANONYMOUS}"));
        }
        if !mounts.is_empty() {
            let _ = writeln!(
                text,
                "    volumes: [{}]",
                mounts.iter().map(|mount| format!("\"{mount}\"")).collect::<Vec<_>>().join(", ")
            );
        }
    }

    fn mount(&self, mount: &Mount) -> String {
        let place = mount.place;
        let mode = if mount.is_writable { "" } else { ":ro" };
        match (self.places[place], mount.way) {
            (Kind::Folder, Way::Direct) => format!("./folder{place}/inner:/d{place}{mode}"),
            (Kind::Folder, Way::Parent) => format!("./folder{place}:/d{place}{mode}"),
            (Kind::Folder, Way::Link) => format!("./link{place}:/d{place}{mode}"),
            (Kind::Folder, Way::Driver) => format!("driven{place}:/d{place}{mode}"),
            (Kind::SingleFile, _) => format!("./file{place}.db:/d{place}.db{mode}"),
            _ => format!("v{place}:/d{place}{mode}"),
        }
    }

    /// The path of a place in a container of the service.
    fn inside(&self, service: &Service, place: usize) -> String {
        let way = service.mounts.iter().find(|mount| mount.place == place).map(|mount| mount.way);
        match (self.places.get(place), way) {
            (Some(Kind::Folder), Some(Way::Parent)) => format!("/d{place}/inner"),
            (Some(Kind::SingleFile), _) => format!("/d{place}.db"),
            _ => format!("/d{place}"),
        }
    }

    /// The platform file: short times, and strategies that are derived.
    pub fn mainstay(&self) -> String {
        let mut text = format!("version: 1\nplatform: {}\nenvironments:\n", self.name);
        for (environment, port) in ENVIRONMENTS.iter().zip(&self.ports).take(self.environments) {
            let _ = writeln!(text, "  {environment}:\n    edge: {{http: \"127.0.0.1:{port}\"}}");
        }
        text.push_str("services:\n");
        for service in &self.services {
            let http = match (&service.health, service.is_routed) {
                (Health::Http, true) => ", port: 8080, health: {path: /health, budget: 10s}, routes: [{path: /}]",
                (Health::Http, false) => ", port: 8080, health: {path: /health, budget: 10s}",
                _ => "",
            };
            let _ = writeln!(text, "  {}: {{soak: 0s, warm: 3s, drain: 1s, drain_websocket: 1s{http}}}", service.name);
        }
        text
    }
}

impl Service {
    fn random(random: &mut Random, index: usize) -> Service {
        let (has_image_volume, has_anonymous) = (random.chance(12), random.chance(12));
        let is_alone = !has_image_volume && !has_anonymous;
        Service {
            name: format!("s{}", index + 1),
            mounts: Vec::new(),
            health: random.weighted(&[(11, Health::Http), (7, Health::Docker), (2, Health::Stable)]),
            has_image_volume,
            has_anonymous,
            // Copies would each have a volume of their own there.
            replicas: if is_alone && random.chance(15) { 2 } else { 1 },
            scaled: 0,
            long_grace: random.chance(30),
            save_ms: random.weighted(&[(4, 0), (3, 300), (2, 1000), (1, 2000)]),
            image: 0,
            version: 1,
            is_routed: false,
        }
    }

    /// The places that it mounts to write to.
    pub fn written(&self) -> Vec<usize> {
        let mounted = self.mounts.iter().filter(|mount| mount.is_writable).map(|mount| mount.place);
        let own = [(self.has_image_volume, IMAGE_VOLUME), (self.has_anonymous, ANONYMOUS)];
        mounted.chain(own.into_iter().filter(|(has, _)| *has).map(|(_, place)| place)).collect()
    }

    pub fn can_scale(&self) -> bool {
        !self.has_image_volume && !self.has_anonymous
    }
}

fn way(random: &mut Random) -> Way {
    random.pick(&[Way::Direct, Way::Parent, Way::Link, Way::Driver])
}
