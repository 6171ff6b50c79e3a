//! Compose files of many shapes, each in a folder of `lab/corpus`: each comes up, is updated under load, goes back and
//! leaves nothing behind, or is refused with the reason and with what to change.
//!
//! What is expected of a shape stands in the comments at the top of its `compose.yaml`; `lab/corpus/README.md` says
//! which lines there are.

mod shape;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::load::{Load, ask_for};
use super::place::{Place, docker, image, lines, wait};
use shape::{Ask, Inside, Shape, Update};

const LIMIT: Duration = Duration::from_secs(30);
/// Ports of this machine that a shape may publish.
const PORTS: usize = 6;

/// One test for each folder, so that a failure has the name of its shape.
macro_rules! shapes {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                run(stringify!($name));
            }
        )*

        #[test]
        fn real_every_shape_of_the_corpus_has_a_test() {
            let mut known = vec![$(stringify!($name).replace('_', "-")),*];
            known.sort();
            assert_eq!(folders(), known, "a folder without a test, or a test without a folder");
            assert!(known.len() >= 24, "only {} shapes", known.len());
        }
    };
}

shapes! {
    aliases_and_addresses
    build
    ci_runner
    depends_on
    extends_include
    external_missing
    fixed_address_twice
    gitea
    gpu
    health_checks
    hooks_and_providers
    host_network
    machine_settings
    missing_variable
    monitoring
    n8n_queue
    nextcloud
    plausible
    pre_stop
    profiles
    pull_policy
    pull_policy_always
    pull_policy_never
    replicas
    secrets_configs
    service_network
    several_files
    static_names
    supabase
    traefik_labels
    udp_port
    volumes
    volumes_from
    web_db_redis_worker
    wordpress
}

/// The page says what is tried where; a name that is no folder, or a folder that is on no line, makes it a lie.
#[test]
fn real_the_page_about_compose_names_every_shape_and_nothing_else() {
    let page = std::fs::read_to_string(corpus().join("../../docs/compose-support.md")).unwrap();
    let rows =
        page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| key") && !line.contains("---"));
    let last = |row: &str| row.trim_end_matches('|').rsplit('|').next().unwrap_or_default().trim().to_owned();
    let named = rows.flat_map(|row| last(row).split(", ").map(str::to_owned).collect::<Vec<_>>());
    let mut named: Vec<String> = named.filter(|name| !name.is_empty()).collect();
    named.sort();
    named.dedup();
    assert_eq!(named, folders());
    for refusal in spec::resolve::REFUSED {
        for part in [refusal.key, refusal.why, refusal.instead] {
            assert!(page.contains(part), "docs/compose-support.md does not say `{part}`");
        }
    }
}

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../lab/corpus")
}

fn folders() -> Vec<String> {
    let entries = std::fs::read_dir(corpus()).unwrap().map(|entry| entry.unwrap());
    let folders = entries.filter(|entry| entry.path().is_dir());
    let mut names: Vec<String> = folders.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A shape on its way: its platform, and the volumes that its containers have had.
struct Run {
    shape: Shape,
    place: Place,
    ports: Vec<u16>,
    volumes: Vec<String>,
    build: &'static str,
    /// Each stage with its time, for the table.
    took: Vec<String>,
}

fn run(name: &str) {
    let folder = corpus().join(name.replace('_', "-"));
    let mut run = Run::prepare(name, &folder);
    run.shell(&run.shape.before.clone());
    match run.shape.refusals.is_empty() {
        true => run.live(),
        false => run.refused(),
    }
    let took = run.took.join(", ");
    eprintln!("| {} | {} | {} | {took} |", name.replace('_', "-"), run.shape.stands_for, run.shape.expected);
}

impl Run {
    fn prepare(name: &str, folder: &Path) -> Run {
        let place = Place::in_folder_of_its_name(&format!("shape-{}", name.replace('_', "-")));
        let ports = ports();
        copy(folder, place.dir());
        let shape = Shape::read(&std::fs::read_to_string(folder.join("compose.yaml")).unwrap());
        let mut run = Run { shape, place, ports, volumes: Vec::new(), build: "one", took: Vec::new() };
        let settings: String = run.variables().iter().map(|(key, value)| format!("{key}={value}\n")).collect();
        let known = std::fs::read_to_string(folder.join(".env")).unwrap_or_default();
        run.place.write(".env", &format!("{known}{settings}"));
        private(&run.place.dir().join(".env"));
        if let Ok(text) = std::fs::read_to_string(folder.join("mainstay.yaml")) {
            run.place.write("mainstay.yaml", &run.filled(&text));
        }
        run.place.port = run.ports[0];
        run
    }

    /// What the files of a shape may name.
    fn variables(&self) -> Vec<(String, String)> {
        let ports =
            self.ports.iter().enumerate().map(|(index, port)| (format!("PORT_{}", index + 1), port.to_string()));
        let subnet = (100 + std::process::id() % 120).to_string();
        let own = [
            ("NAME", self.place.name.clone()),
            ("SUBNET", subnet),
            ("IMAGE", image("one", &[])),
            ("IMAGE_TWO", image("two", &[])),
        ];
        own.into_iter().map(|(key, value)| (key.to_owned(), value)).chain(ports).collect()
    }

    fn filled(&self, text: &str) -> String {
        let fill = |text: String, (key, value): &(String, String)| text.replace(&format!("${{{key}}}"), value);
        self.variables().iter().fold(text.to_owned(), fill)
    }

    fn shell(&self, commands: &[String]) {
        for command in commands {
            let output = Command::new("sh").args(["-ec", &self.filled(command)]).output().unwrap();
            assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
        }
    }

    fn refused(&self) {
        let ran = self.place.run(&["up", "--yes"]);
        assert_ne!(ran.code, 0, "it was not refused\n--- stdout\n{}\n--- stderr\n{}", ran.out, ran.err);
        for text in &self.shape.refusals {
            ran.says(&self.filled(text));
        }
        assert!(self.place.containers().is_empty(), "nothing of it was started: {:?}", self.place.containers());
    }

    fn live(&mut self) {
        let plan = self.place.run(&["plan"]).done();
        for text in &self.shape.plan {
            plan.says(&self.filled(text));
        }
        self.timed("up", |run| {
            run.place.run(&["up", "--yes", "--no-soak"]).done();
            run.look();
        });
        self.place.run(&["up", "--yes"]).done().says("Nothing had to be changed");

        let service = self.timed("update", |run| run.under_load(Run::update));
        self.timed("rollback", |run| {
            run.under_load(|run| {
                run.place.run(&["rollback", &service, "--yes"]).done();
                run.build = "one";
            });
        });
        self.timed("down", Run::goes_away);
    }

    fn timed<T>(&mut self, stage: &str, work: impl FnOnce(&mut Run) -> T) -> T {
        let began = std::time::Instant::now();
        let done = work(self);
        self.took.push(format!("{stage} {:.1} s", began.elapsed().as_secs_f64()));
        done
    }

    /// Every request that is sent meanwhile is answered.
    fn under_load<T>(&mut self, change: impl FnOnce(&mut Run) -> T) -> T {
        let load = (!self.shape.under_load.is_empty()).then(|| Load::start(self.ports[0]));
        let changed = change(self);
        self.look();
        if let Some(load) = load {
            load.end().only(&self.shape.under_load.iter().map(String::as_str).collect::<Vec<_>>());
        }
        changed
    }

    /// Another image or another word in a file; answers which service goes back afterwards.
    fn update(&mut self) -> String {
        match self.shape.update.clone() {
            Update::Deploy(service) => {
                let two = image("two", &[]);
                self.place.run(&["deploy", &service, "--image", &two, "--yes", "--no-soak"]).done();
                self.build = "two";
                service
            }
            Update::Edit { service, file, old, new } => {
                let path = self.place.dir().join(&file);
                let text = std::fs::read_to_string(&path).unwrap();
                assert!(text.contains(&old), "`{old}` is not in {file}");
                std::fs::write(&path, text.replace(&old, &new)).unwrap();
                self.place.run(&["up", "--yes", "--no-soak"]).done().says(&service);
                self.build = "two";
                service
            }
        }
    }

    /// Everything that is expected of it now.
    fn look(&mut self) {
        for ask in self.shape.asks.clone() {
            self.ask(&ask);
        }
        for inside in self.shape.insides.clone() {
            self.inside(&inside);
        }
        for (code, expected) in &self.shape.outsides {
            let output = Command::new("python3").args(["-c", &self.filled(code)]).output().unwrap();
            let said = format!("{output:?}");
            assert!(said.contains(&self.expected(expected)), "`{code}`: {said}");
        }
        let names: Vec<String> = self.place.containers().into_iter().map(|(name, _)| name).collect();
        for name in &names {
            let format = "{{range .Mounts}}{{if eq .Type \"volume\"}}{{.Name}}\n{{end}}{{end}}";
            self.volumes.extend(lines(docker(&["inspect", "--format", format, name]).trim()));
        }
    }

    fn expected(&self, text: &str) -> String {
        self.filled(text).replace("{build}", self.build)
    }

    fn ask(&self, ask: &Ask) {
        let port: u16 = self.filled(&ask.port).parse().unwrap();
        let expected = self.expected(&ask.expected);
        // The port of a service that is not behind the edge may need a moment after a replacement.
        wait(&format!("port {port} to answer `{expected}`"), LIMIT, || match ask_for(port, &ask.host, &ask.path) {
            Ok(said) | Err(said) if said.contains(&expected) => Ok(()),
            other => Err(format!("{other:?}")),
        });
    }

    fn inside(&self, inside: &Inside) {
        let release = self.place.service(&inside.service);
        let release = release["release"].as_str().unwrap_or_default();
        let container = self.place.container(&inside.service, release);
        let command = self.filled(&inside.command);
        let output = Command::new("docker").args(["exec", &container, "sh", "-c", &command]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        let expected = self.expected(&inside.expected);
        assert!(said.contains(&expected), "`{command}` in {container}: `{expected}` is not in\n{said}");
    }

    fn goes_away(&mut self) {
        self.place.down_with_data().done();
        let named = |kind: &[&str], format: &str| {
            let filter = format!("name={}", self.place.name);
            lines(&docker(&[kind, &["--filter", &filter, "--format", format]].concat()))
        };
        let outside = |name: &String| !name.contains("-outside");
        let mut left = named(&["ps", "--all"], "{{.Names}}");
        left.extend(named(&["network", "ls"], "{{.Name}}"));
        left.extend(named(&["volume", "ls"], "{{.Name}}"));
        let there = lines(&docker(&["volume", "ls", "--format", "{{.Name}}"]));
        left.extend(self.volumes.iter().filter(|volume| there.contains(volume)).cloned());
        left.retain(outside);
        assert!(left.is_empty(), "left behind: {left:?}");
        assert_eq!(self.place.status()["platforms"].as_array().map(Vec::len), Some(0));
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.place.command(&["down", "--yes", "--volumes"]).output();
        for command in &self.shape.finally {
            let _ = Command::new("sh").args(["-c", &self.filled(command)]).output();
        }
    }
}

/// Free ports below those that the kernel gives to connections, which take a port that waits to be listened on.
fn ports() -> Vec<u16> {
    let first = 20_000 + u16::try_from(std::process::id() % 1_000).unwrap() * 12;
    let is_free = |port: &u16| std::net::TcpListener::bind(("0.0.0.0", *port)).is_ok();
    let ports: Vec<u16> = (first..32_767).filter(is_free).take(PORTS).collect();
    assert_eq!(ports.len(), PORTS, "too few ports are free");
    ports
}

/// With everything in it; what a shape builds lies in folders of its own.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        match path.is_dir() {
            true => copy(&path, &target),
            false => std::fs::write(&target, std::fs::read(&path).unwrap()).unwrap(),
        }
    }
}

fn private(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}
