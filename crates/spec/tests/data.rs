//! What holds data: which mounts count, what a database is, and what follows for how a service is replaced.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use serde_json::{Value, json};
use spec::data::single_file::FileFacts;
use spec::facts::{Database, Facts, ImageFacts, PathFacts, PathKind, VolumeFacts};
use spec::{Bytes, EnvironmentName, HostSize, Platform, PlatformFile, Problems, Project, ServiceName, Strategy};

const HOST: HostSize = HostSize { cpus: 64.0, memory: Bytes(1 << 40) };

struct Case {
    written: &'static str,
    project: Value,
    facts: Facts,
}

impl Case {
    fn of(services: Value) -> Case {
        Case {
            written: "version: 1",
            project: json!({ "name": "shop", "services": services }),
            facts: Facts::default(),
        }
    }

    fn volumes(mut self, volumes: Value) -> Case {
        self.project["volumes"] = volumes;
        self
    }

    fn written(self, written: &'static str) -> Case {
        Case { written, ..self }
    }

    fn path(mut self, path: &str, canonical: &str, kind: PathKind, database: Option<(&str, bool)>) -> Case {
        let database = database.map(|(name, server)| Database { name: name.into(), server });
        self.facts
            .paths
            .insert(path.into(), PathFacts { canonical: canonical.into(), kind, database, file: FileFacts::default() });
        self
    }

    fn image(mut self, service: &str, image: ImageFacts) -> Case {
        self.facts.images.insert(ServiceName::parse(service).unwrap(), image);
        self
    }

    fn resolve(&self) -> Result<Platform, Problems> {
        let file: PlatformFile = spec::platform::parse(self.written, "mainstay.yaml").unwrap();
        let project = Project::from_json(self.project.clone()).unwrap();
        spec::resolve_with(&file, &project, &EnvironmentName::parse("production").unwrap(), &HOST, &self.facts)
    }

    #[track_caller]
    fn strategy(&self, service: &str) -> (Strategy, String) {
        let platform = self.resolve().unwrap_or_else(|problems| panic!("{problems}"));
        let plan = platform.service(service).expect(service);
        (plan.strategy, plan.reason.clone())
    }

    #[track_caller]
    fn refused(&self, text: &str) {
        let problems = self.resolve().expect_err("it is refused").to_string();
        assert!(problems.contains(text), "`{text}` is not in\n{problems}");
    }
}

fn web(volumes: Value) -> Case {
    Case::of(json!({ "web": { "image": "a", "ports": ["80:8080"], "volumes": volumes } })).volumes(json!({
        "data": { "name": "shop_data" },
        "bound": { "name": "shop_bound", "driver_opts": { "type": "none", "o": "bind", "device": "/srv/bound" } },
        "memory": { "name": "shop_memory", "driver_opts": { "type": "tmpfs", "device": "tmpfs" } },
        "share": { "name": "shop_share", "driver_opts": { "type": "nfs", "o": "addr=10.0.0.5,rw", "device": ":/export" } },
    }))
}

#[test]
fn every_kind_of_writable_mount_makes_a_service_stop_first() {
    for mount in ["data:/d", "bound:/d", "share:/d", "/srv/site:/d", "/d"] {
        let (strategy, reason) = web(json!([mount])).strategy("web");
        assert_eq!(strategy, Strategy::Exclusive, "{mount}: {reason}");
        assert!(reason.contains("writes to"), "{reason}");
    }
}

#[test]
fn what_is_no_data_leaves_a_service_blue_green() {
    for mount in [
        "data:/d:ro",
        "/srv/site:/d:ro",
        "memory:/d",
        "/var/run/docker.sock:/s",
        "/run/app:/d",
        "/sys:/sys",
        "/:/host",
        "/dev/shm:/dev/shm",
        "./nginx.conf:/etc/nginx/nginx.conf",
    ] {
        let case = web(json!([mount])).path("/var/run/docker.sock", "/run/docker.sock", PathKind::Other, None);
        assert_eq!(case.strategy("web").0, Strategy::BlueGreen, "{mount}");
    }
}

#[test]
fn a_single_file_is_data_by_what_is_in_it_and_by_its_name() {
    let file = |path: &str, database| {
        let mount = format!("{path}:/srv/app/{}", path.trim_start_matches("./"));
        web(json!([mount])).path(path, &path.replace("./", "/srv/"), PathKind::File, database)
    };
    assert_eq!(file("./settings.conf", Some(("SQLite", false))).strategy("web").0, Strategy::Exclusive);
    // The program of the next release would find the file of the last one, whatever is in it by then.
    let (strategy, reason) = file("./app.db", None).strategy("web");
    assert_eq!(strategy, Strategy::Exclusive);
    assert!(reason.contains("./app.db"), "{reason}");
    assert_eq!(file("./acme.json", None).strategy("web").0, Strategy::Exclusive);
    for configuration in ["./nginx.conf", "./Caddyfile", "./config.json", "./.env", "./start.sh"] {
        assert_eq!(file(configuration, None).strategy("web").0, Strategy::BlueGreen, "{configuration}");
    }
}

#[test]
fn a_text_file_is_data_where_it_was_made_for_a_program_to_write() {
    let text = |look: FileFacts| {
        let mut case = web(json!(["./users.json:/app/users.json"]));
        let found = PathFacts { canonical: "/srv/users.json".into(), kind: PathKind::File, database: None, file: look };
        case.facts.paths.insert("./users.json".into(), found);
        case.strategy("web").0
    };
    assert_eq!(text(FileFacts::default()), Strategy::BlueGreen);
    assert_eq!(text(FileFacts { is_empty: true, ..FileFacts::default() }), Strategy::Exclusive);
    assert_eq!(text(FileFacts { was_data: true, ..FileFacts::default() }), Strategy::Exclusive);
}

#[test]
fn a_disk_is_data_and_another_device_is_none() {
    let service = json!({ "web": { "image": "a", "ports": ["80:8080"], "devices": ["/dev/sdb:/dev/xvda"] } });
    let disk = Case::of(service.clone()).path("/dev/sdb", "/dev/sdb", PathKind::Disk("8:16".into()), None);
    assert_eq!(disk.strategy("web").0, Strategy::Exclusive);
    let card = Case::of(service).path("/dev/sdb", "/dev/sdb", PathKind::Other, None);
    assert_eq!(card.strategy("web").0, Strategy::BlueGreen);
}

#[test]
fn a_folder_that_only_the_image_declares_is_data_unless_something_is_mounted_there() {
    let declares = |volumes: &[&str]| ImageFacts {
        volumes: volumes.iter().map(|v| (*v).to_owned()).collect(),
        ..ImageFacts::default()
    };
    let plain = web(json!([])).image("web", declares(&["/uploads"]));
    assert_eq!(plain.strategy("web").0, Strategy::Exclusive);
    let platform = plain.resolve().unwrap();
    assert!(platform.services[0].data.as_ref().unwrap()[0].own);
    let covered = web(json!(["data:/uploads/:ro"])).image("web", declares(&["/uploads"]));
    assert_eq!(covered.strategy("web").0, Strategy::BlueGreen);
    let mut memory = web(json!([])).image("web", declares(&["/uploads"]));
    memory.project["services"]["web"]["tmpfs"] = json!(["/uploads:size=1m"]);
    assert_eq!(memory.strategy("web").0, Strategy::BlueGreen);
}

#[test]
fn a_sidecar_on_the_same_volume_makes_it_no_safer_to_run_a_service_twice() {
    for mode in ["", ":ro"] {
        let services = json!({
            "web": { "image": "a", "ports": ["80:8080"], "volumes": ["data:/d"] },
            "backup": { "image": "b", "volumes": [format!("data:/d{mode}")] },
        });
        let case = Case::of(services).volumes(json!({ "data": { "name": "shop_data" } }));
        assert_eq!(case.strategy("web").0, Strategy::Exclusive);
    }
}

#[test]
fn copies_that_write_are_replaced_and_never_more_of_them_run_than_the_file_asks_for() {
    let mut case = web(json!(["data:/d"]));
    case.project["services"]["web"]["deploy"] = json!({ "replicas": 3 });
    assert_eq!(case.strategy("web").0, Strategy::Rolling);
    let rolling = case.resolve().unwrap().services[0].rolling;
    assert_eq!((rolling.surge, rolling.unavailable), (0, 1));
    case.written("version: 1\nservices: {web: {rolling: {surge: 1}}}")
        .refused("more copies than the compose file asks for");
}

#[test]
fn side_by_side_on_data_needs_the_owners_word() {
    for strategy in ["blue-green", "rolling"] {
        let text: &'static str = format!("version: 1\nservices: {{web: {{strategy: {strategy}}}}}").leak();
        web(json!(["data:/d"])).written(text).refused("this service writes to volume `data`");
        let text: &'static str =
            format!("version: 1\nservices: {{web: {{strategy: {strategy}, shared_data: safe}}}}").leak();
        assert_eq!(web(json!(["data:/d"])).written(text).strategy("web").0.as_str(), strategy);
    }
    let safe = web(json!(["data:/d"])).written("version: 1\nservices: {web: {shared_data: safe}}");
    assert_eq!(safe.strategy("web").0, Strategy::BlueGreen);
}

#[test]
fn a_database_is_known_by_many_signs() {
    let volumes = || json!({ "data": { "name": "shop_data" } });
    let one = |service: Value| Case::of(json!({ "x": service })).volumes(volumes());
    let mounted = |image: &str| json!({ "image": image, "volumes": ["data:/files"] });
    let with = |image: ImageFacts| one(mounted("acme/thing")).image("x", image);
    let words =
        |words: &[&str]| ImageFacts { words: words.iter().map(|w| (*w).to_owned()).collect(), ..ImageFacts::default() };
    let port = one(json!({ "image": "acme/thing", "ports": ["127.0.0.1:15432:5432"], "volumes": ["./pg:/files"] }));
    let target = one(json!({ "image": "acme/thing", "volumes": ["./pg:/var/lib/postgresql/data"] }));
    let command = one(
        json!({ "image": "acme/thing", "command": ["sh", "-c", "exec postgres -D /files"], "volumes": ["./pg:/files"] }),
    );
    let files = one(json!({ "image": "acme/thing", "volumes": ["./pg:/files"] })).path(
        "./pg",
        "/srv/pg",
        PathKind::Folder,
        Some(("PostgreSQL", true)),
    );
    for (what, case) in [
        ("image", one(mounted("docker.io/library/postgres:16"))),
        ("port", port),
        ("folder", target),
        ("command", command),
        ("files", files),
        ("image's command", with(words(&["docker-entrypoint.sh", "/usr/sbin/mysqld"]))),
        ("image's variable", with(ImageFacts { variables: ["PGDATA".to_owned()].into(), ..ImageFacts::default() })),
        ("image's title", with(ImageFacts { title: Some("MariaDB".into()), ..ImageFacts::default() })),
        ("image's port", with(ImageFacts { ports: vec![27017], ..ImageFacts::default() })),
    ] {
        assert_eq!(case.strategy("x").0, Strategy::Keep, "{what}");
    }
}

#[test]
fn who_only_looks_after_a_database_is_none() {
    let services = json!({
        "db": { "image": "postgres:16", "volumes": ["data:/var/lib/postgresql/data"] },
        "dump": { "image": "postgres:16", "command": ["sh", "-c", "while sleep 3600; do pg_dump -h db; done"] },
        "permissions": { "image": "busybox", "command": ["chown", "-R", "999", "/pg"], "volumes": ["data:/pg"] },
        "pooler": { "image": "acme/pgbouncer", "ports": ["5432:5432"], "volumes": ["./pgbouncer:/etc/pgbouncer"] },
    });
    let mut case = Case::of(services).volumes(json!({ "data": { "name": "shop_data" } }));
    let database = Some(Database { name: "PostgreSQL".into(), server: true });
    case.facts.volumes.insert("shop_data".into(), VolumeFacts { database, ..VolumeFacts::default() });
    for service in ["dump", "permissions", "pooler"] {
        assert_ne!(case.strategy(service).0, Strategy::Keep, "{service}");
    }
    assert_eq!(case.strategy("db").0, Strategy::Keep);
}

#[test]
fn two_database_servers_on_one_folder_are_refused_however_they_are_written() {
    let db = |mount: &str| json!({ "image": "postgres:16", "volumes": [mount] });
    let two = |one: &str, other: &str| {
        Case::of(json!({ "a": db(one), "b": db(other) })).volumes(json!({
        "data": { "name": "shop_data" },
        "bound": { "name": "shop_bound", "driver_opts": { "type": "none", "o": "bind", "device": "/srv/pg" } },
        "share": { "name": "shop_share", "driver_opts": { "type": "nfs4", "o": "addr=10.0.0.5", "device": ":/export" } },
        "again": { "name": "shop_again", "driver_opts": { "type": "nfs", "o": "rw,addr=10.0.0.5", "device": ":/export/" } },
    }))
    };
    let target = "/var/lib/postgresql/data";
    for (one, other) in [
        ("data", "data"),
        ("/srv/pg", "/srv/pg"),
        ("/srv/pg", "/srv"),
        ("/srv/pg", "bound"),
        ("share", "again"),
        ("data", "/var/lib/docker/volumes/shop_data/_data"),
    ] {
        two(&format!("{one}:{target}"), &format!("{other}:{target}")).refused("two database servers");
    }
    let linked = two(&format!("/srv/pg:{target}"), &format!("/mnt/link:{target}"))
        .path("/mnt/link", "/srv/pg", PathKind::Folder, None)
        .path("/srv/pg", "/srv/pg", PathKind::Folder, None);
    linked.refused("two database servers");
    assert!(two(&format!("/srv/pg:{target}"), &format!("/srv/pg2:{target}")).resolve().is_ok());
    let mut copies =
        Case::of(json!({ "a": db(&format!("data:{target}")) })).volumes(json!({ "data": { "name": "d" } }));
    copies.project["services"]["a"]["deploy"] = json!({ "replicas": 2 });
    copies.refused("two database servers");
}

#[test]
fn nobody_can_say_that_a_database_shares_its_data() {
    Case::of(json!({ "db": { "image": "postgres", "volumes": ["/srv/pg:/var/lib/postgresql/data"] } }))
        .written("version: 1\nservices: {db: {shared_data: safe}}")
        .refused("nobody can say that a database shares its data");
}
