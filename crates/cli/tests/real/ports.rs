//! Published ports mean what plain Compose means: the same addresses answer, with the same service, and no others.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::process::Stdio;
use std::time::{Duration, Instant};

use super::place::{Place, Ran, docker, image, service, wait};

const SOON: Duration = Duration::from_secs(3);

/// The first line that a server says by itself, then what comes back for these bytes.
fn talk(stream: &mut TcpStream, bytes: &[u8]) -> (String, Vec<u8>) {
    stream.set_read_timeout(Some(SOON)).unwrap();
    let mut greeting = Vec::new();
    while greeting.last() != Some(&b'\n') {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        greeting.push(byte[0]);
    }
    stream.write_all(bytes).unwrap();
    let mut back = vec![0; bytes.len()];
    stream.read_exact(&mut back).unwrap();
    (String::from_utf8(greeting).unwrap().trim().to_owned(), back)
}

/// What is answered at an address, whoever it is asked for: the body, the status of what is none, or that nobody listens.
fn ask(address: SocketAddr, host: &str) -> String {
    let Ok(mut stream) = TcpStream::connect_timeout(&address, SOON) else { return "nobody".into() };
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let request = format!("GET / HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    let mut answer = String::new();
    if stream.write_all(request.as_bytes()).is_err() || stream.read_to_string(&mut answer).is_err() {
        return "broken".into();
    }
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/1.1 200") => body.trim().to_owned(),
        Some((head, _)) => head.split(' ').nth(1).unwrap_or_default().to_owned(),
        None => "no answer".into(),
    }
}

/// The loopback and every other address of this machine, of both families.
fn addresses() -> Vec<IpAddr> {
    let output = std::process::Command::new("hostname").arg("-I").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let others = text.split_whitespace().filter_map(|address| address.parse().ok());
    let mut all: Vec<IpAddr> = vec!["127.0.0.1".parse().unwrap(), "::1".parse().unwrap()];
    let mut others: Vec<IpAddr> = others.collect();
    // One of each family, and the bridge, is enough.
    let six = others.iter().copied().find(IpAddr::is_ipv6);
    others.retain(IpAddr::is_ipv4);
    all.extend(others.first().copied().into_iter().chain(six));
    all
}

fn compose(place: &Place, words: &[&str]) {
    let mut command = place.docker_command();
    command.args(["compose", "-p", &format!("{}-plain", place.name)]).args(words);
    Ran::of(command.current_dir(place.dir()).stdin(Stdio::null()).output().unwrap()).done();
}

/// A folder without a platform file.
fn bare(test: &str, file: &str) -> Place {
    let place = Place::in_folder_of_its_name(test);
    std::fs::create_dir(place.dir()).unwrap();
    place.write("compose.yaml", file);
    place
}

/// Every address, port and host beside what answers there.
fn table(ports: &[u16], hosts: &[&str]) -> Vec<String> {
    let mut table = Vec::new();
    for address in addresses() {
        for port in ports {
            for host in hosts {
                table.push(format!("{address} {port} {host}: {}", ask(SocketAddr::new(address, *port), host)));
            }
        }
    }
    table
}

/// What a container on the default bridge, which is another machine to the server, gets from it.
fn from_outside(image: &str, port: u16) -> String {
    let gateway = docker(&["network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Gateway}}"]);
    let url = format!("http://{}:{port}/", gateway.trim());
    let words = ["run", "--rm", "--entrypoint", "/testapp", image, "get", &url];
    let output = std::process::Command::new("docker").args(words).output().unwrap();
    match output.status.success() {
        true => String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        false => "nothing".into(),
    }
}

/// Where the edge of a place listens for everybody: what is on a network's gateway is for containers.
fn listeners(place: &Place) -> Vec<String> {
    let pid = place.status()["edge"]["pid"].as_u64().unwrap();
    let output = std::process::Command::new("ss").args(["-ltnpH"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mine = text.lines().filter(|line| line.contains(&format!("pid={pid},")));
    let mut found: Vec<String> = mine.filter_map(|line| line.split_whitespace().nth(3)).map(str::to_owned).collect();
    found.retain(|bind| !bind.starts_with("172.") && !bind.starts_with("192.168.") && !bind.starts_with("10."));
    found.sort();
    found
}

#[test]
fn real_published_ports_are_reachable_where_plain_compose_has_them_and_nowhere_else() {
    let apps = ["web", "api", "admin", "six", "internal"].map(|name| image(name, &[]));
    let ports: [u16; 4] = std::array::from_fn(|_| testkit::free_port());
    let [web, api, admin, six] = ports;
    let published = [
        ("web", format!("[\"{web}:8080\"]")),
        ("api", format!("[\"{api}:8080\"]")),
        ("admin", format!("[\"127.0.0.1:{admin}:8080\"]")),
        ("six", format!("[\"[::1]:{six}:8080\"]")),
    ];
    let mut file = "services:\n".to_owned();
    for ((name, ports), image) in published.iter().zip(&apps) {
        file += &service(name, image, &format!("    ports: {ports}\n"));
    }
    file += &service("internal", &apps[4], "    expose: [\"8080\"]\n");
    let place = bare("ports", &file);
    let hosts = ["x", "admin.localhost", "internal.localhost", "api.localhost", "web"];

    compose(&place, &["up", "-d"]);
    wait("plain Compose", Duration::from_secs(20), || match ask(([127, 0, 0, 1], api).into(), "x").as_str() {
        "api" => Ok(()),
        other => Err(other.to_owned()),
    });
    let plain = table(&ports, &hosts);
    let plain_outside = ports.map(|port| from_outside(&apps[0], port));
    compose(&place, &["down", "-t", "1"]);
    assert!(plain.contains(&format!("127.0.0.1 {admin} x: admin")) && plain.contains(&format!("::1 {web} x: web")));

    let ran = place.run(&["up", "--yes"]).done();
    ran.says(&format!("127.0.0.1:{admin}, and no other address, leads to its port 8080"));
    ran.says(&format!("port {web} of the host leads to its port 8080"));
    assert_eq!(table(&ports, &hosts), plain);
    assert_eq!(ports.map(|port| from_outside(&apps[0], port)), plain_outside);
    let expected = [
        format!("0.0.0.0:{web}"),
        format!("[::]:{web}"),
        format!("0.0.0.0:{api}"),
        format!("[::]:{api}"),
        format!("127.0.0.1:{admin}"),
        format!("[::1]:{six}"),
    ];
    let mut expected = expected.to_vec();
    expected.sort();
    assert_eq!(listeners(&place), expected, "exactly what is published, and not port 80");
    assert_eq!(place.service("admin")["addresses"], serde_json::json!([format!("http://127.0.0.1:{admin}/")]));
    assert_eq!(place.service("web")["addresses"], serde_json::json!([format!("http://localhost:{web}/")]));
    assert_eq!(place.service("internal")["addresses"], serde_json::json!([]));

    // With hosts of its own the loopback stays the loopback.
    let shared = testkit::free_port();
    let platform = format!(
        "version: 1\nplatform: {}\nenvironments: {{production: {{domain: example.com, edge: {{http: {shared}}}}}}}\n",
        place.name
    );
    place.write("mainstay.yaml", &platform);
    place.run(&["up", "--yes"]).done().says(&format!("port {web} of the host is not opened"));
    let at = |port: u16, host: &str| ask(([127, 0, 0, 1], port).into(), host);
    assert_eq!([at(shared, "example.com"), at(shared, "api.example.com")], ["web", "api"].map(str::to_owned));
    for host in ["admin.example.com", "six.example.com", "internal.example.com", "admin.localhost"] {
        assert_eq!(at(shared, host), "404", "{host}");
    }
    assert_eq!(at(admin, "admin.example.com"), "admin");
    assert_eq!(at(web, "example.com"), "nobody");
}

#[test]
fn real_a_port_of_which_nobody_says_what_it_speaks_carries_what_its_clients_speak() {
    let images = ["one", "two"].map(|build| image(build, &[]));
    let [game, web, inside] = std::array::from_fn(|_| testkit::free_port());
    let of = |image: &str| {
        let raw = "    environment: {RAW_PORT: \"25565\", PORT: \"7777\"}\n";
        let game = service("game", image, &format!("{raw}    ports: [\"{game}:25565\"]\n"));
        let web = service("web", image, &format!("{raw}    ports: [\"{web}:7777\"]\n"));
        // A port of web servers on which no HTTP is spoken all the same, as TLS in a container.
        let more = format!("    environment: {{RAW_PORT: \"8080\", PORT: \"7777\"}}\n    ports: [\"{inside}:8080\"]\n");
        format!("services:\n{game}{web}{}", service("inside", image, &more))
    };
    let place = bare("raw", &of(&images[0]));
    let names = ["game", "web", "inside"]
        .map(|name| format!("  {name}: {{warm: 0s, soak: 0s, drain: 1s, drain_websocket: 3s}}\n"))
        .concat();
    place.write("mainstay.yaml", &format!("version: 1\nplatform: {}\nservices:\n{names}", place.name));
    let plan = place.run(&["plan"]).done();
    plan.says(&format!("port {game} of the host leads to its port 25565: requests where a client speaks HTTP/1"));
    plan.says("`protocol: http` or `tcp`");
    place.run(&["up", "--yes"]).done();

    let handshake = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 and more";
    let connect = |port: u16| TcpStream::connect(("127.0.0.1", port)).unwrap();
    for port in [game, inside] {
        for bytes in [&b"hello there\n"[..], handshake, b"\0"] {
            assert_eq!(talk(&mut connect(port), bytes), ("one".to_owned(), bytes.to_vec()), "{port}");
        }
    }
    let web_address: SocketAddr = ([127, 0, 0, 1], web).into();
    assert_eq!(ask(web_address, "x"), "one");
    // A client of HTTP that takes its time is one all the same.
    let mut slow = connect(web);
    std::thread::sleep(Duration::from_millis(600));
    slow.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    slow.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("via: 1.1 mainstay"), "{answer}");

    // New connections go to the new release, at any moment, and one that is open goes on until its time is over.
    let mut open = connect(game);
    assert_eq!(talk(&mut open, b"one").0, "one");
    place.write("compose.yaml", &of(&images[1]));
    let mut up = place.begin(&["up", "--yes"]);
    let mut seen = Vec::new();
    while up.try_wait().unwrap().is_none() {
        let answers = (talk(&mut connect(game), b"?").0, ask(web_address, "x"));
        if seen.last() != Some(&answers) {
            seen.push(answers);
        }
    }
    assert!(up.wait().unwrap().success());
    let mut left = Vec::new();
    let _ = open.read_to_end(&mut left);
    assert!(left.is_empty(), "it was carried to the old release until its time was over: {left:?}");
    assert!(
        seen.iter().all(|(game, web)| ["one", "two"].contains(&&**game) && ["one", "two"].contains(&&**web)),
        "{seen:?}"
    );
    assert_eq!((talk(&mut connect(game), b"?").0, ask(web_address, "x")), ("two".to_owned(), "two".to_owned()));
}

#[test]
fn real_who_gets_the_address_of_a_container_that_has_ended_gets_none_of_its_visitors() {
    let [one, two] = ["one", "two"].map(|build| image(build, &[]));
    let ports: [u16; 2] = std::array::from_fn(|_| testkit::free_port());
    let services = [("one", &one, ports[0]), ("two", &two, ports[1])]
        .map(|(name, image, port)| service(name, image, &format!("    ports: [\"{port}:8080\"]\n")))
        .concat();
    let subnet = format!("10.213.{}", std::process::id() % 200 + 20);
    let networks = format!("networks:\n  default: {{ipam: {{config: [{{subnet: {subnet}.0/28}}]}}}}\n");
    let place = bare("stranger", &format!("services:\n{services}{networks}"));
    place.run(&["up", "--yes"]).done();
    let container = |service: &str| {
        let label = format!("label=dev.mainstay.service={service}");
        place.docker(&["ps", "-aq", "--filter", &place.label(), "--filter", &label]).trim().to_owned()
    };
    let format = "{{range $name, $network := .NetworkSettings.Networks}}{{$name}} {{$network.IPAddress}}{{end}}";
    let found = place.docker(&["inspect", "--format", format, &container("one")]);
    let (network, address) = found.trim().split_once(' ').unwrap();
    let at = |port: u16| ask(([127, 0, 0, 1], port).into(), "x");
    assert_eq!([at(ports[0]), at(ports[1])], ["one", "two"].map(str::to_owned));

    place.docker(&["stop", "-t", "0", &container("one")]);
    let stranger = format!("{}-stranger", place.name);
    place.docker(&[
        "run",
        "-d",
        "--name",
        &stranger,
        "--network",
        network,
        "--ip",
        address,
        "-e",
        "BUILD=stranger",
        &one,
    ]);
    let began = Instant::now();
    let mut seen = Vec::new();
    while began.elapsed() < Duration::from_secs(4) {
        let answer = at(ports[0]);
        if seen.last() != Some(&answer) {
            seen.push(answer);
        }
        assert_eq!(at(ports[1]), "two");
    }
    place.docker(&["start", &container("one")]);
    let back = Instant::now();
    while at(ports[0]) != "one" && back.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(20));
    }
    let back = back.elapsed();
    place.docker(&["rm", "-f", &stranger]);
    assert_eq!(seen, ["503"], "the stranger answers nobody");
    assert!(back < Duration::from_secs(1), "back after {back:?}");

    // Two that swap their addresses never answer for each other.
    place.docker(&["stop", "-t", "0", &container("one"), &container("two")]);
    place.docker(&["start", &container("two")]);
    place.docker(&["start", &container("one")]);
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(2) {
        let (first, second) = (at(ports[0]), at(ports[1]));
        assert!(first != "two" && second != "one", "{first} and {second}");
    }
    assert_eq!([at(ports[0]), at(ports[1])], ["one", "two"].map(str::to_owned));

    // Who has left its network has no address there either.
    place.docker(&["network", "disconnect", network, &container("one")]);
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(at(ports[0]), "503");
}

#[test]
fn real_the_edge_listens_only_where_something_is_served() {
    let worker = image("worker", &[]);
    let port = testkit::free_port();
    let more = format!("    ports: [\"127.0.0.1:{port}:5432\"]\n    environment: {{RAW_PORT: \"5432\"}}\n");
    let file = format!("services:\n{}{}", service("queue", &worker, ""), service("bytes", &worker, &more));
    let place = bare("nothing", &file);
    place.run(&["up", "--yes"]).done();
    assert_eq!(listeners(&place), [format!("127.0.0.1:{port}")]);
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    assert_eq!(talk(&mut stream, b"select").0, "worker");
    assert_eq!(place.service("bytes")["addresses"], serde_json::json!([format!("tcp://127.0.0.1:{port}")]));
}

#[test]
fn real_two_services_on_one_port_of_the_host_are_refused_with_both_names() {
    let app = image("app", &[]);
    let port = testkit::free_port();
    let ports = |ip: &str| format!("    ports: [\"{ip}{port}:8080\"]\n");
    let file = format!("services:\n{}{}", service("web", &app, &ports("")), service("api", &app, &ports("127.0.0.1:")));
    let place = bare("twice", &file);
    let ran = place.run(&["up", "--yes"]).ended(2);
    ran.says("already leads to port 8080 of `api`");
    ran.says("`web`");
    assert!(place.containers().is_empty());
}
