//! Networks and volumes that exist are compared with the file, and data is named before it is removed.

use std::process::Command;

use super::load::ask;
use super::place::{Place, docker, image, lines, service, web};

/// Plain Compose with the file of a place.
struct Plain<'p>(&'p Place);

impl Plain<'_> {
    fn name(&self) -> String {
        format!("{}-plain", self.0.name)
    }

    fn compose(&self, words: &[&str]) {
        let mut command = Command::new("docker");
        command.args(["compose", "--project-name", &self.name()]).args(words);
        let output = command.env("NET", net(1)).current_dir(self.0.dir()).output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

impl Drop for Plain<'_> {
    fn drop(&mut self) {
        let words = ["compose", "--project-name", &self.name(), "down", "--volumes", "--timeout", "0"];
        let _ = Command::new("docker").args(words).env("NET", net(1)).current_dir(self.0.dir()).output();
        let left = docker(&["volume", "ls", "--quiet", "--filter", &format!("name={}_", self.name())]);
        for volume in lines(&left) {
            let _ = Command::new("docker").args(["volume", "rm", &volume]).output();
        }
    }
}

/// Two subnets for each of two stacks, which no other test takes.
fn net(stack: u32) -> String {
    format!("10.{}.{}", 214 + stack, std::process::id() % 120 * 2)
}

fn place(test: &str) -> Place {
    let place = Place::new(test);
    place.write(".env", &format!("NET={}\n", net(0)));
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(place.dir().join(".env"), private).unwrap();
    exclusive(&place, "  db: {strategy: keep}\n");
    place
}

/// `web` writes data, so no two of its releases run at once.
fn exclusive(place: &Place, more: &str) {
    place.platform("0s", more);
    let file = std::fs::read_to_string(place.dir().join("mainstay.yaml")).unwrap();
    place.write("mainstay.yaml", &file.replace("strategy: blue-green", "strategy: exclusive"));
}

/// `web` on two networks and `db` on the inner one.
fn write(place: &Place, inner: &str, web: &str, db: &str, volumes: &str) {
    let one = image("one", &[]);
    let web = service("web", &one, &format!("    networks: [front, back]\n{web}"));
    let db = service("db", &one, &format!("    networks: [back]\n{db}"));
    let networks = format!("networks:\n  front: {{}}\n  back: {{{inner}}}\n");
    place.write(
        "compose.yaml",
        &format!("name: {}-production\nservices:\n{web}{db}{networks}volumes: {{{volumes}}}\n", place.name),
    );
}

fn subnet(last: &str) -> String {
    format!("ipam: {{config: [{{subnet: \"{last}/24\"}}]}}")
}

fn told(network: &str) -> String {
    let format = "{{.Internal}} {{range .IPAM.Config}}{{.Subnet}}{{end}}";
    docker(&["network", "inspect", "--format", format, network]).trim().to_owned()
}

fn real(place: &Place, key: &str) -> String {
    format!("{}-production_{key}", place.name)
}

fn is_there(volume: &str) -> bool {
    Command::new("docker").args(["volume", "inspect", volume]).output().unwrap().status.success()
}

#[test]
fn real_a_network_that_differs_is_made_anew_and_everything_on_it_goes_on() {
    let place = place("net");
    let (one, two) = (format!("{}.0", net(0)), net(0));
    let third = two.rsplit_once('.').map(|(head, tail)| (head.to_owned(), tail.parse::<u32>().unwrap())).unwrap();
    let two = format!("{}.{}.0", third.0, third.1 + 1);
    write(&place, &subnet(&one), "", "", "");
    place.run(&["up", "--yes"]).done();
    let (back, guest) = (real(&place, "back"), format!("{}-guest", place.name));
    let plain_back = format!("{}-plain_back", place.name);
    docker(&["run", "--detach", "--name", &guest, "--network", &back, "--network-alias", "friend", &image("one", &[])]);
    assert_eq!(told(&back), format!("false {one}/24"));

    // The database's own change waits, as always; that it stands on the network does not make it come.
    write(&place, &format!("internal: true, {}", subnet(&two)), "", "    environment: {LATER: \"1\"}\n", "");
    let line = format!("~ network {back}  subnet {one}/24 → {two}/24; internal: no → yes; made anew");
    place.run(&["plan"]).done().says(&line);
    place.run(&["up", "--yes"]).done().says(&line).says(&format!("network {back} is made anew"));
    assert_eq!(told(&back), format!("true {two}/24"));
    assert_eq!(ask(place.port).as_deref(), Ok("one"));
    let seen = docker(&["inspect", "--format", "{{json .NetworkSettings.Networks}}", &guest]);
    assert!(seen.contains(&back) && seen.contains("friend"), "a stranger is moved as well: {seen}");
    let db = place.container("db", place.service("db")["release"].as_str().unwrap());
    assert!(!docker(&["inspect", "--format", "{{json .Config.Env}}", &db]).contains("LATER"), "it is kept as it was");
    let again = place.run(&["plan"]).done();
    assert!(!again.out.contains("made anew"), "{}", again.out);
    docker(&["rm", "--force", &guest]);

    // Plain Compose does the same with the file.
    let plain = Plain(&place);
    write(&place, "ipam: {config: [{subnet: \"${NET}.0/24\"}]}", "", "", "");
    plain.compose(&["up", "--detach"]);
    write(&place, "internal: true, ipam: {config: [{subnet: \"${NET}.0/24\"}]}", "", "", "");
    plain.compose(&["up", "--detach"]);
    assert!(told(&plain_back).starts_with("true"), "{}", told(&plain_back));
}

#[test]
fn real_a_volume_that_differs_is_kept_until_a_person_names_it() {
    let place = place("nas");
    for folder in ["one", "two"] {
        std::fs::create_dir(place.dir().join(folder)).unwrap();
        std::fs::write(place.dir().join(folder).join("where"), folder).unwrap();
    }
    let nas = |folder: &str| {
        let device = place.dir().join(folder);
        format!("nas: {{driver: local, driver_opts: {{type: none, o: bind, device: \"{}\"}}}}", device.display())
    };
    let mount = "    volumes: [\"nas:/nas\"]\n";
    write(&place, "", mount, "", &nas("one"));
    place.run(&["up", "--yes"]).done();
    write(&place, "", mount, "", &nas("two"));
    let volume = real(&place, "nas");
    let (one, two) = (place.dir().join("one"), place.dir().join("two"));
    let (one, two) = (one.display().to_string(), two.display().to_string());
    let before = place.containers();
    let differs = format!("device {one} → {two}");
    place.run(&["plan"]).done().says(&format!("! volume {volume}  {differs}: kept as it is"));
    let refused = place.run(&["up", "--yes"]).ended(4);
    refused.says(&differs).says(&format!("mainstay up --recreate-volume {volume}"));
    assert_eq!(place.containers(), before, "nothing was touched");
    let device = || docker(&["volume", "inspect", "--format", "{{.Options.device}}", &volume]).trim().to_owned();
    assert_eq!(device(), one);
    let anew = place.run(&["up", "--yes", "--recreate-volume", "nas"]).done();
    anew.says("what lies on the device stays");
    assert_eq!((device(), ask(place.port).as_deref()), (two, Ok("one")));
    place.run(&["up", "--yes"]).done().says("Nothing had to be changed");
    assert_eq!(std::fs::read_to_string(place.dir().join("one/where")).unwrap(), "one");
    place.run(&["up", "--yes", "--recreate-volume", "nonsense"]).ended(2).says("volume `nonsense` is not known");
}

#[test]
fn real_a_volume_that_is_gone_is_not_replaced_by_an_empty_one_without_a_word() {
    let place = Place::new("lost");
    place.compose(&web(&image("one", &[]), ""));
    exclusive(&place, "");
    place.run(&["up", "--yes"]).done();
    let volume = place.volumes().pop().unwrap();
    let web = place.container("web", "r1");
    // Somebody clears up what has stopped, with its volumes.
    docker(&["stop", "--time", "0", &web]);
    docker(&["rm", &web]);
    docker(&["volume", "rm", &volume]);
    place.run(&["drift"]).says("the volume is gone, and its data is lost or elsewhere").says("--new-volume");
    place.run(&["restart", "web", "--yes"]).ended(4).says("`mainstay up`");
    let refused = place.run(&["up", "--yes"]).ended(4);
    refused.says(&format!("volume {volume} is gone, and `web` kept its data there since"));
    refused.says(&format!("mainstay up --new-volume {volume}"));
    assert!(!is_there(&volume));
    place.run(&["up", "--yes", "--new-volume", &volume]).done();
    assert_eq!(ask(place.port).as_deref(), Ok("one"));
    assert!(is_there(&volume));
    place.run(&["up", "--yes"]).done().says("Nothing had to be changed");
}

#[test]
fn real_down_removes_the_data_that_the_file_declares_and_an_archive_only_by_its_name() {
    let place = Place::new("archive");
    let one = image("one", &[]);
    let web = service("web", &one, "    volumes: [\"data:/data\"]\n");
    let db = service("db", &one, "    volumes: [\"pgdata:/var/lib/postgresql/data\"]\n");
    let old = service("old", &one, "    volumes: [\"archive:/archive\"]\n");
    let head = format!("name: {}-production\nservices:", place.name);
    place.write(
        "compose.yaml",
        &format!("{head}\n{web}{db}{old}volumes:\n  data: {{}}\n  pgdata: {{}}\n  archive: {{}}\n"),
    );
    exclusive(&place, "");
    place.run(&["up", "--yes"]).done();
    place.write("compose.yaml", &format!("{head}\n{web}{db}volumes:\n  data: {{}}\n  pgdata: {{}}\n"));
    place.run(&["up", "--yes"]).done().says("its data stays");
    let [data, pgdata, archive] = ["data", "pgdata", "archive"].map(|key| real(&place, key));

    // A yes alone is not enough for a database of production.
    let refused = place.run(&["down", "--volumes", "--yes"]).ended(4);
    refused.says(&format!("- volume {pgdata}  ")).says("of `db`").says("last backup: none known");
    refused.says(&format!("`mainstay down --volumes --yes --volume {pgdata}`"));
    assert_eq!(place.containers().len(), 2, "nothing was touched");
    let kept = format!("kept: {archive} (of `old`, which the file no longer has); `--volume {archive}` removes it");
    let gone = place.run(&["down", "--volumes", "--yes", "--volume", &pgdata]).done();
    gone.says(&kept).says(&format!("Its data stays in: {archive}"));
    assert_eq!([&data, &pgdata, &archive].map(|volume| is_there(volume)), [false, false, true]);
    place.run(&["down", "--yes", "--volume", "nonsense"]).ended(2).says("volume `nonsense` is not known");
    place.run(&["down", "--yes", "--volume", "archive"]).done();
    assert!(!is_there(&archive));
}

#[test]
fn real_what_compose_has_made_goes_with_down_and_what_is_external_stays() {
    let place = Place::new("composed");
    let one = image("one", &[]);
    let (network, volume) = (format!("{}-outer", place.name), format!("{}-outer-data", place.name));
    docker(&["network", "create", &network]);
    docker(&["volume", "create", &volume]);
    let web = service("web", &one, "    networks: [default, outer]\n    volumes: [\"data:/data\", \"outer:/outer\"]\n");
    let outer = |name: &str| format!("  outer: {{external: true, name: {name}}}\n");
    let (networks, volumes) = (outer(&network), outer(&volume));
    place.write(
        "compose.yaml",
        &format!("name: {}\nservices:\n{web}networks:\n{networks}volumes:\n  data: {{}}\n{volumes}", place.name),
    );
    let up = Command::new("docker").args(["compose", "up", "--detach"]).current_dir(place.dir()).output().unwrap();
    assert!(up.status.success(), "{}", String::from_utf8_lossy(&up.stderr));
    exclusive(&place, "");
    place.run(&["up", "--yes"]).done();
    let by_compose = format!("label=com.docker.compose.project={}", place.name);
    let left = |kind: &str| lines(&docker(&[kind, "ls", "--quiet", "--filter", &by_compose])).len();
    assert_eq!((left("network"), left("volume")), (1, 1), "it goes on with what Compose has made");
    place.run(&["down", "--yes", "--volume", &volume]).ended(4).says("is not one that");
    place.run(&["down", "--yes", "--volumes"]).done();
    assert_eq!((left("network"), left("volume")), (0, 0));
    assert!(is_there(&volume));
    docker(&["network", "rm", &network]);
    docker(&["volume", "rm", &volume]);
}
