//! What people lost with other tools, and what plain Compose does with the same files: data is never doubled, lost or
//! hidden. Each test is one such day.

use std::process::Command;

use super::place::{Place, block_on, docker, lines, wait};
use super::postgres;

const LIMIT: std::time::Duration = std::time::Duration::from_secs(20);

fn writer(build: &str) -> String {
    block_on(testkit::writer_image(build, None))
}

/// A service that writes down when it begins and ends, and takes so long to save.
fn keeper(name: &str, image: &str, save_ms: u32, more: &str) -> String {
    format!(
        "  {name}:\n    image: {image}\n    stop_grace_period: 30s\n    environment: {{WRITES: /data, SERVICE: {name}, SAVE_MS: \"{save_ms}\"}}\n    healthcheck: {{test: [CMD, /testapp, get, \"http://localhost:8080/health\"], interval: 1s}}\n{more}"
    )
}

fn place(test: &str) -> Place {
    let place = Place::in_folder_of_its_name(test);
    std::fs::create_dir_all(place.dir()).unwrap();
    place.write(
        "mainstay.yaml",
        &format!("version: 1\nenvironments:\n  production:\n    edge: {{http: \"127.0.0.1:{}\"}}\n", place.port),
    );
    place
}

/// The log of what was written to a volume or folder.
fn log(source: &str) -> String {
    let volume = format!("{source}:/v:ro");
    docker(&[
        "run",
        "--rm",
        "--network",
        "none",
        "--volume",
        &volume,
        &super::place::image("one", &[]),
        "cat",
        "/v/log",
    ])
}

/// The log's `begin` and `end` lines as `+service` and `-service`, in their order.
fn lives(log: &str) -> Vec<String> {
    let mut services = std::collections::BTreeMap::new();
    let mut lives = Vec::new();
    for line in log.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            ["begin", id, service, ..] => {
                services.insert((*id).to_owned(), (*service).to_owned());
                lives.push(format!("+{service}"));
            }
            ["end", id, ..] => lives.push(format!("-{}", services.get(*id).map_or("?", String::as_str))),
            _ => {}
        }
    }
    lives
}

/// Plain Compose with the same files, in a project and a folder of its own: what the data goes through there is the
/// measure of what Mainstay may do to it.
struct Plain {
    project: String,
    folder: tempfile::TempDir,
    /// Those of the place, which its edge has, and those that stand for them here.
    ports: [u16; 2],
}

impl Plain {
    fn beside(place: &Place) -> Plain {
        Plain::called(place, "plain")
    }

    fn called(place: &Place, name: &str) -> Plain {
        let project = format!("{}-{name}", place.name);
        Plain { project, folder: tempfile::tempdir().unwrap(), ports: [place.port, testkit::free_port()] }
    }

    fn compose(&self, words: &[&str], variables: &[(&str, &str)]) {
        let mut command = Command::new("docker");
        command
            .args(["compose", "--project-name", &self.project, "--file"])
            .arg(self.folder.path().join("compose.yaml"));
        let output = command.args(words).envs(variables.iter().copied()).output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Brings up what the place's own file says by now.
    fn up(&self, place: &Place) {
        self.up_with(place, &[]);
    }

    fn up_with(&self, place: &Place, variables: &[(&str, &str)]) {
        let text = std::fs::read_to_string(place.dir().join("compose.yaml")).unwrap();
        let [theirs, ours] = self.ports.map(|port| port.to_string());
        // A volume with a fixed name is the same for several projects, and must not be the place's.
        let text = text.replace(&theirs, &ours).replace("-fixed", "-plain-fixed");
        std::fs::write(self.folder.path().join("compose.yaml"), text).unwrap();
        self.compose(&["up", "--detach", "--remove-orphans", "--wait"], variables);
    }

    fn volume(&self) -> String {
        format!("{}_data", self.project)
    }

    /// Where a container of this service has something.
    fn mounted(&self, service: &str, target: &str) -> String {
        let format =
            format!("{{{{range .Mounts}}}}{{{{if eq .Destination \"{target}\"}}}}{{{{.Name}}}}{{{{end}}}}{{{{end}}}}");
        docker(&["inspect", "--format", &format, &format!("{}-{service}-1", self.project)]).trim().to_owned()
    }

    /// The services that run.
    fn running(&self) -> Vec<String> {
        let filter = format!("label=com.docker.compose.project={}", self.project);
        let format = "{{.Label \"com.docker.compose.service\"}}";
        let mut services = lines(&docker(&["ps", "--filter", &filter, "--format", format]));
        services.sort();
        services
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        let words = ["compose", "--project-name", &self.project, "down", "--volumes", "--timeout", "0"];
        let _ = Command::new("docker").args(words).output();
    }
}

fn running(place: &Place) -> Vec<String> {
    let states = place.containers();
    let mut names: Vec<String> =
        states.into_iter().filter(|(_, state)| state == "running").map(|(name, _)| name).collect();
    names.sort();
    names
}

#[test]
fn real_data_a_renamed_service_begins_when_the_old_one_has_saved() {
    let place = place("data-rename");
    let plain = Plain::beside(&place);
    let image = writer("one");
    place.compose(&keeper("mc", &image, 3000, "    volumes: [\"data:/data\"]\n"));
    place.run(&["up", "--yes"]).done();
    plain.up(&place);
    place.compose(&keeper("minecraft", &image, 3000, "    volumes: [\"data:/data\"]\n"));
    place.run(&["plan"]).done().says("takes over volume `data` from `mc`, which is stopped first");
    place.run(&["up", "--yes"]).done();
    let volume = format!("{}_data", place.name);
    assert_eq!(lives(&log(&volume)), ["+mc", "-mc", "+minecraft"]);
    assert_eq!(running(&place), [place.container("minecraft", "r2")]);
    plain.up(&place);
    // Back under the old name, with the same data.
    place.compose(&keeper("mc", &image, 3000, "    volumes: [\"data:/data\"]\n"));
    place.run(&["up", "--yes"]).done();
    plain.up(&place);
    assert_eq!(lives(&log(&volume)), ["+mc", "-mc", "+minecraft", "-minecraft", "+mc"]);
    assert_eq!(lives(&log(&plain.volume())), lives(&log(&volume)), "plain Compose does the same");
}

#[test]
fn real_data_a_rename_that_fails_brings_the_old_service_back() {
    let place = place("data-rename-back");
    place.compose(&keeper("mc", &writer("one"), 100, "    volumes: [\"data:/data\"]\n"));
    place.run(&["up", "--yes"]).done();
    let broken = "    volumes: [\"data:/data\"]\n    entrypoint: [\"false\"]\n";
    place.compose(&keeper("minecraft", &writer("one"), 100, broken));
    let ran = place.run(&["up", "--yes"]).ended(3);
    assert!(!ran.err.contains("traffic stayed where it was"), "it did not: {}", ran.err);
    assert_eq!(place.service("mc")["state"], "running");
    assert_eq!(running(&place), [place.container("mc", "r1")]);
    assert_eq!(lives(&log(&format!("{}_data", place.name))), ["+mc", "-mc", "+mc"]);
    // Named alone it would have been a second writer beside the old one.
    place.run(&["up", "--yes", "--service", "minecraft"]).ended(4).says("`mc`");
}

#[test]
fn real_data_a_renamed_postgresql_keeps_every_row() {
    let place = place("data-rename-pg");
    let db = |name: &str| {
        let volumes =
            "    volumes: [\"data:/var/lib/postgresql/data\"]\n    stop_grace_period: 2m\n    shm_size: 256m\n";
        format!("  {name}:\n    image: {}\n{volumes}", postgres::image("one"))
    };
    place.compose(&db("db"));
    place.run(&["up", "--yes"]).done();
    let old = place.container("db", "r1");
    postgres::sql(
        &old,
        "create table t as select generate_series(1, 200) as n; create table dirty as select repeat('x', 500) as t from generate_series(1, 200000)",
    );
    place.compose(&db("postgres"));
    place.run(&["up", "--yes"]).done();
    let new = place.container("postgres", "r2");
    assert_eq!(postgres::sql(&new, "select count(*) from t"), "200");
    assert_eq!(postgres::sql(&new, "select count(*) from dirty"), "200000");
    let said = Command::new("docker").args(["logs", &new]).output().unwrap();
    let said = String::from_utf8_lossy(&said.stdout).into_owned() + &String::from_utf8_lossy(&said.stderr);
    assert!(!said.contains("interrupted") && !said.contains("recovery in progress"), "{said}");
}

#[test]
fn real_data_a_folder_of_the_host_is_data_and_is_written_by_one_release() {
    let place = place("data-folder");
    let plain = Plain::beside(&place);
    let web = |image: &str| {
        let more = format!("    ports: [\"127.0.0.1:{}:8080\"]\n    volumes: [\"./data:/data\"]\n", place.port);
        keeper("notes", image, 500, &more)
    };
    place.compose(&web(&writer("one")));
    std::fs::remove_file(place.dir().join("mainstay.yaml")).unwrap();
    place.run(&["plan"]).done().says("exclusive").says("writes to folder");
    place.run(&["up", "--yes", "--no-soak"]).done();
    plain.up(&place);
    place.compose(&web(&writer("two")));
    place.run(&["up", "--yes", "--no-soak"]).done();
    plain.up(&place);
    place.run(&["rollback", "notes", "--yes"]).done();
    // Without Mainstay the way back is the file as it was.
    place.compose(&web(&writer("one")));
    plain.up(&place);
    let of = |folder: &std::path::Path| lives(&std::fs::read_to_string(folder.join("data/log")).unwrap());
    assert_eq!(of(place.dir()), ["+notes", "-notes", "+notes", "-notes", "+notes"]);
    assert_eq!(of(plain.folder.path()), of(place.dir()), "plain Compose does the same");
}

#[test]
fn real_data_a_postgresql_that_no_list_knows_is_kept_and_never_runs_twice() {
    let place = place("data-unknown-pg");
    let port = testkit::free_port();
    let db = |version: &str| {
        let more =
            format!("    ports: [\"127.0.0.1:{}:5432\"]\n    volumes: [\"./pgdata:/var/lib/postgresql/data\"]\n", port);
        format!("  db:\n    image: {}\n{more}", postgres::image(version))
    };
    place.compose(&db("one"));
    place.run(&["plan"]).done().says("keep");
    place.run(&["up", "--yes"]).done();
    let first = place.container("db", "r1");
    postgres::sql(&first, "create table t(n int)");
    postgres::sql(&first, "insert into t select generate_series(1, 1000)");
    place.compose(&db("two"));
    place.run(&["up", "--yes"]).done();
    assert_eq!(postgres::servers(&place), [first.as_str()], "an update is for who names it");
    place.run(&["up", "--yes", "--service", "db"]).done();
    let second = place.container("db", "r2");
    assert_eq!(postgres::servers(&place), [second.as_str()]);
    assert_eq!(postgres::sql(&second, "select count(*) from t"), "1000");
    place.run(&["rollback", "db", "--yes"]).done();
    assert_eq!(postgres::servers(&place), [first.as_str()]);
    assert_eq!(postgres::sql(&first, "select count(*) from t"), "1000");
}

/// Every way to have a second server on one folder that we could think of; none works, and none harms the first.
#[test]
fn real_data_no_verb_brings_two_postgresql_on_one_folder() {
    let place = place("data-two-pg");
    let image = postgres::image("one");
    let db = |name: &str, mount: &str, more: &str| {
        format!("  {name}:\n    image: {image}\n    volumes: [\"{mount}:/var/lib/postgresql/data\"]\n{more}")
    };
    let settings = |services: &str| {
        place.write(
            "mainstay.yaml",
            &format!("version: 1\nenvironments:\n  production: {{edge: {{http: \"127.0.0.1:{0}\"}}}}\n  staging: {{edge: {{http: \"127.0.0.1:{1}\"}}}}\n{services}", place.port, place.port + 1),
        );
    };
    settings("");
    place.compose(&db("db", "./pg", ""));
    place.run(&["up", "--yes"]).done();
    let first = place.container("db", "r1");
    postgres::sql(&first, "create table t(n int)");
    std::os::unix::fs::symlink(place.dir().join("pg"), place.dir().join("link")).unwrap();
    let both = |one: &str, other: &str| format!("{}{}", db("db", one, ""), db("second", other, ""));
    let attempts: Vec<(&str, String, &str, Vec<&str>)> = vec![
        ("two services", both("./pg", "./pg"), "", vec!["up", "--yes"]),
        ("through a link", both("./pg", "./link"), "", vec!["up", "--yes"]),
        ("the folder above", both("./pg", "."), "", vec!["up", "--yes"]),
        ("copies", db("db", "./pg", "    deploy: {replicas: 2}\n"), "", vec!["up", "--yes", "--service", "db"]),
        ("scale", db("db", "./pg", ""), "", vec!["scale", "db=2"]),
        (
            "blue-green",
            db("db", "./pg", ""),
            "services: {db: {strategy: blue-green}}\n",
            vec!["up", "--yes", "--service", "db", "--force"],
        ),
        (
            "rolling",
            db("db", "./pg", ""),
            "services: {db: {strategy: rolling}}\n",
            vec!["up", "--yes", "--service", "db", "--force"],
        ),
        (
            "the owner's word",
            db("db", "./pg", ""),
            "services: {db: {strategy: blue-green, shared_data: safe}}\n",
            vec!["up", "--yes", "--service", "db", "--force"],
        ),
        ("staging", db("db", "./pg", ""), "", vec!["-e", "staging", "up", "--yes"]),
        ("a new name alone", db("postgres", "./pg", ""), "", vec!["up", "--yes", "--service", "postgres"]),
        (
            "a profile beside it",
            format!("{}{}", db("db", "./pg", "    profiles: [a]\n"), db("second", "./pg", "")),
            "",
            vec!["up", "--yes"],
        ),
    ];
    for (what, compose, services, words) in attempts {
        place.compose(&compose);
        settings(services);
        let ran = place.run(&words);
        assert!([2, 4].contains(&ran.code), "{what}: exit {}\n{}\n{}", ran.code, ran.out, ran.err);
        assert_eq!(postgres::servers(&place), [first.as_str()], "{what}");
        postgres::sql(&first, "insert into t values (1)");
    }
    assert_eq!(postgres::sql(&first, "select count(*) from t"), "11");
    // What replaces it one after the other is allowed, and is one at a time.
    place.compose(&db("db", "./pg", ""));
    settings("");
    for words in [
        vec!["restart", "db", "--yes"],
        vec!["up", "--yes", "--service", "db", "--force"],
        vec!["rollback", "db", "--yes"],
    ] {
        place.run(&words).done();
        assert_eq!(postgres::servers(&place).len(), 1, "{words:?}");
    }
}

#[test]
fn real_data_a_sidecar_on_the_volume_makes_two_releases_no_safer() {
    let place = place("data-sidecar");
    let plain = Plain::beside(&place);
    let stack = |image: &str, mode: &str| {
        let more = format!("    ports: [\"127.0.0.1:{}:8080\"]\n    volumes: [\"data:/data\"]\n", place.port);
        let app = keeper("app", image, 200, &more);
        format!(
            "{app}  backup:\n    image: {image}\n    command: [sleep, infinity]\n    init: true\n    environment: {{READS: /data}}\n    volumes: [\"data:/data{mode}\"]\n    healthcheck: {{test: [CMD, \"true\"], interval: 1s}}\n"
        )
    };
    std::fs::remove_file(place.dir().join("mainstay.yaml")).unwrap();
    for (round, mode) in [":ro", ""].into_iter().enumerate() {
        place.compose(&stack(&writer("one"), mode));
        place.run(&["up", "--yes", "--no-soak"]).done();
        plain.up(&place);
        place.compose(&stack(&writer("two"), mode));
        place.run(&["plan"]).done().says("exclusive");
        place.run(&["up", "--yes", "--no-soak"]).done();
        plain.up(&place);
        let text = log(&format!("{}_data", place.name));
        let ours: Vec<String> = lives(&text);
        let pairs = ours
            .chunks(2)
            .all(|pair| pair.first().is_some_and(|one| one == "+app") && pair.get(1).is_none_or(|two| two == "-app"));
        assert!(pairs, "round {round}: {ours:?}");
        assert!(!text.contains("double"), "round {round}");
        assert_eq!(lives(&log(&plain.volume())), ours, "plain Compose does the same in round {round}");
    }
}

#[test]
fn real_data_what_only_an_image_declares_is_carried_from_release_to_release() {
    let place = place("data-image-volume");
    let plain = Plain::beside(&place);
    let image = |build: &str| block_on(testkit::writer_image(build, Some("/data")));
    let app =
        |build: &str| keeper("blog", &image(build), 100, &format!("    ports: [\"127.0.0.1:{}:8080\"]\n", place.port));
    std::fs::remove_file(place.dir().join("mainstay.yaml")).unwrap();
    place.compose(&app("one"));
    place.run(&["up", "--yes", "--no-soak"]).done();
    plain.up(&place);
    let write_at = |port: u16, number: u32| {
        let url = format!("http://127.0.0.1:{port}/write?x={number}");
        wait("a write to be acknowledged", LIMIT, || {
            let output = Command::new("python3")
                .args([
                    "-c",
                    &format!("import urllib.request as u; print(u.urlopen(u.Request('{url}', method='POST')).status)"),
                ])
                .output()
                .unwrap();
            match output.status.success() {
                true => Ok(()),
                false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
            }
        });
    };
    let write = |number| plain.ports.into_iter().for_each(|port| write_at(port, number));
    write(1);
    place.compose(&app("two"));
    place.run(&["up", "--yes", "--no-soak"]).done();
    plain.up(&place);
    write(2);
    place.run(&["rollback", "blog", "--yes"]).done();
    place.compose(&app("one"));
    plain.up(&place);
    write(3);
    let acks = |text: &str| -> Vec<String> {
        let acks = text.lines().filter(|line| line.starts_with("ack "));
        acks.filter_map(|line| line.split(' ').nth(2)).map(str::to_owned).collect()
    };
    assert_eq!(acks(&log(&plain.mounted("blog", "/data"))), ["1", "2", "3"], "plain Compose carries it over, too");
    place.run(&["restart", "blog", "--yes"]).done();
    place.run(&["down", "--yes"]).done();
    place.run(&["up", "--yes", "--no-soak"]).done();
    let volume = format!("{}_blog.1.data", place.name);
    assert_eq!(acks(&log(&volume)), ["1", "2", "3"]);
    let all = lines(&docker(&["volume", "ls", "--quiet", "--filter", &place.label()]));
    assert!(all.contains(&volume), "named and labelled: {all:?}");
}

#[test]
fn real_data_another_environment_and_another_platform_cannot_write_the_same_data() {
    let place = place("data-staging");
    place.write(
        "mainstay.yaml",
        &format!("version: 1\nenvironments:\n  production: {{edge: {{http: \"127.0.0.1:{0}\"}}}}\n  staging: {{edge: {{http: \"127.0.0.1:{1}\"}}}}\n", place.port, place.port + 1),
    );
    let fixed = format!("{}-fixed", place.name);
    let compose = |mount: &str| {
        let service = keeper("app", &writer("one"), 100, &format!("    volumes: [\"{mount}:/data\"]\n"));
        place.write("compose.yaml", &format!("services:\n{service}volumes:\n  data: {{name: {fixed}}}\n"));
    };
    for mount in ["data", "./folder"] {
        compose(mount);
        place.run(&["-e", "production", "up", "--yes"]).done();
        let refused = place.run(&["-e", "staging", "up", "--yes"]).ended(4);
        refused.says("(staging)").says("(production)").says("shared_data: safe");
        assert!(running(&place).iter().all(|name| name.contains("-production-")), "{:?}", running(&place));
    }
    // Plain Compose lets both write, and this is why it is refused here.
    compose("data");
    let plain = ["one", "other"].map(|name| Plain::called(&place, name));
    plain.iter().for_each(|plain| plain.up(&place));
    let both = fixed.replace("-fixed", "-plain-fixed");
    assert_eq!(lives(&log(&both)), ["+app", "+app"]);
    drop(plain);
    let _ = Command::new("docker").args(["volume", "rm", &both]).output();
    compose("./folder");
    // The owner's word lets it.
    let settings = std::fs::read_to_string(place.dir().join("mainstay.yaml")).unwrap();
    place.write("mainstay.yaml", &format!("{settings}services: {{app: {{shared_data: safe}}}}\n"));
    place.run(&["-e", "staging", "up", "--yes"]).done();
    place.run(&["-e", "staging", "down", "--yes"]).done();
    docker(&["volume", "ls"]);
    place.run(&["-e", "production", "down", "--yes"]).done();
    let _ = Command::new("docker").args(["volume", "rm", &fixed]).output();
}

#[test]
fn real_data_a_profile_that_is_off_and_a_file_that_is_not_given_take_nothing_away() {
    let place = place("data-profile");
    let plain = Plain::beside(&place);
    let web = keeper("web", &writer("one"), 100, "    volumes: [\"data:/data\"]\n");
    let search = "  search:\n    image: IMAGE\n    command: [sleep, infinity]\n    init: true\n    profiles: [search]\n    healthcheck: {test: [CMD, \"true\"], interval: 1s}\n".replace("IMAGE", &writer("one"));
    place.compose(&format!("{web}{search}"));
    let up = |variables: &[(&str, &str)]| {
        let mut command = place.command(&["up", "--yes"]);
        command.envs(variables.iter().copied());
        super::place::Ran::of(command.output().unwrap())
    };
    up(&[("COMPOSE_PROFILES", "search")]).done();
    plain.up_with(&place, &[("COMPOSE_PROFILES", "search")]);
    let before = running(&place);
    assert_eq!(before.len(), 2);
    up(&[]).done().says("its profile (search) is off here");
    assert_eq!(running(&place), before);
    plain.up(&place);
    assert_eq!(plain.running(), ["search", "web"], "plain Compose leaves it as well");
    assert_eq!(lives(&log(&plain.volume())), lives(&log(&format!("{}_data", place.name))));
    place.write("more.yaml", &search.replace("search", "extra").replace("    profiles: [extra]\n", ""));
    place
        .write("more.yaml", &format!("services:\n{}", std::fs::read_to_string(place.dir().join("more.yaml")).unwrap()));
    up(&[("COMPOSE_FILE", "compose.yaml:more.yaml")]).done();
    assert_eq!(running(&place).len(), 3);
    up(&[]).done().says("more.yaml");
    assert_eq!(running(&place).len(), 3);
    place.run(&["up", "--yes", "--remove-orphans"]).done();
    let web = place.service("web");
    assert_eq!(running(&place), [place.container("web", web["release"].as_str().unwrap())]);
}
