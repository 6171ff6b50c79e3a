use std::time::Duration;

use serde_json::{Value, json};

use crate::compose::Project;
use crate::ids::EnvironmentName;
use crate::platform::{self, Strategy};
use crate::problem::Problems;
use crate::resolve::{Facts, HostSize, Platform, resolve_with};
use crate::units::Bytes;

const HOST: HostSize = HostSize { cpus: 16.0, memory: Bytes::gib(64) };
const SOCKET: &str = "/var/run/docker.sock:/var/run/docker.sock:ro";

fn resolved(written: &str, services: &Value, facts: &Facts) -> Result<Platform, Problems> {
    let file = platform::parse(&format!("version: 1\nplatform: p\n{written}"), "mainstay.yaml").unwrap();
    let project = Project::from_json(json!({ "name": "p", "services": services })).unwrap();
    resolve_with(&file, &project, &EnvironmentName::parse("production").unwrap(), &HOST, facts)
}

fn derived(services: &Value) -> Platform {
    resolved("", services, &Facts::default()).unwrap_or_else(|problems| panic!("{problems}"))
}

/// A web server with these labels or variables, beside these services.
fn shop(key: &str, value: &Value, others: &Value) -> Value {
    let mut services = json!({ "shop": { "image": "shop:1", "expose": ["8000"], key: value } });
    services.as_object_mut().unwrap().extend(others.as_object().unwrap().clone());
    services
}

fn strategy(services: &Value) -> Strategy {
    derived(services).service("shop").unwrap().strategy
}

fn traefik() -> Value {
    json!({ "traefik": { "image": "traefik:v3", "ports": ["80:80"], "volumes": [SOCKET] } })
}

fn routed() -> Value {
    json!({
        "traefik.enable": "true",
        "traefik.http.routers.shop.rule": "Host(`shop.example.com`)",
        "traefik.http.services.shop.loadbalancer.server.port": "8000",
    })
}

#[test]
fn what_a_program_on_the_socket_acts_on_is_never_there_in_two_releases() {
    let labels = [
        ("caddy", "shop.example.com"),
        ("caddy_1", "www.example.com"),
        ("caddy.reverse_proxy", "{{upstreams 8000}}"),
        ("ofelia.enabled", "true"),
        ("ofelia.job-exec.bill.schedule", "@daily"),
        ("chadburn.enabled", "true"),
        ("deck-chores.dump.command", "dump"),
        ("swarm.cronjob.enable", "true"),
        ("docker-volume-backup.stop-during-backup", "true"),
        ("com.centurylinklabs.watchtower.enable", "true"),
        ("wud.watch", "true"),
        ("autoheal", "true"),
        ("diun.enable", "true"),
        ("homepage.name", "Shop"),
        ("kuma.shop.http.name", "Shop"),
        ("glance.name", "Shop"),
        ("sablier.group", "shop"),
        ("tsdproxy.enable", "true"),
        ("dockflare.enable", "true"),
        ("swag", "enable"),
        ("swag_port", "8000"),
        ("prometheus.io/scrape", "true"),
        ("prometheus-job", "shop"),
        ("co.elastic.logs/enabled", "true"),
        ("com.datadoghq.ad.check_names", "[]"),
        ("logging", "promtail"),
    ];
    for (label, value) in labels {
        let platform = derived(&shop("labels", &json!({ label: value }), &json!({})));
        let plan = platform.service("shop").unwrap();
        assert_eq!(plan.strategy, Strategy::Exclusive, "{label}");
        assert!(plan.reason.contains(label), "{label}: {}", plan.reason);
    }
    for variable in ["VIRTUAL_HOST", "VIRTUAL_HOST_MULTIPORTS", "LETSENCRYPT_HOST"] {
        let services = shop("environment", &json!({ variable: "shop.example.com" }), &json!({}));
        assert_eq!(strategy(&services), Strategy::Exclusive, "{variable}");
    }
}

#[test]
fn labels_of_others_and_labels_that_switch_a_program_off_force_nothing() {
    let labels = [
        ("org.opencontainers.image.title", "shop"),
        ("caddying", "no"),
        ("caddy_x", "no"),
        ("logging", "json"),
        ("autohealing", "true"),
        ("diun.enable", "false"),
        ("com.centurylinklabs.watchtower.enable", "False"),
        ("autoheal", "false"),
        ("ofelia.enabled", "0"),
        ("prometheus.io/scrape", "false"),
        ("SERVICE_NAME", "shop"),
    ];
    for (label, value) in labels {
        assert_eq!(strategy(&shop("labels", &json!({ label: value }), &json!({}))), Strategy::BlueGreen, "{label}");
    }
    let off = json!({ "traefik.enable": "false", "traefik.http.routers.shop.rule": "Host(`a`)" });
    assert_eq!(strategy(&shop("labels", &off, &traefik())), Strategy::BlueGreen);
    assert_eq!(strategy(&shop("environment", &json!({ "SERVICE_NAME": "shop" }), &json!({}))), Strategy::BlueGreen);
}

#[test]
fn a_registrator_makes_its_variables_count() {
    let registrator = json!({ "registry": { "image": "gliderlabs/registrator:latest", "volumes": [SOCKET] } });
    let named = json!({ "SERVICE_NAME": "shop" });
    assert_eq!(strategy(&shop("environment", &named, &registrator)), Strategy::Exclusive);
    assert_eq!(strategy(&shop("labels", &named, &registrator)), Strategy::Exclusive);
}

#[test]
fn traefiks_labels_are_routes_of_the_edge_only_where_no_traefik_reads_them() {
    let alone = derived(&shop("labels", &routed(), &json!({})));
    let plan = alone.service("shop").unwrap();
    assert_eq!((plan.strategy, plan.routes.len()), (Strategy::BlueGreen, 1));

    let beside = derived(&shop("labels", &routed(), &traefik()));
    let plan = beside.service("shop").unwrap();
    assert_eq!(plan.strategy, Strategy::Exclusive);
    assert_eq!(
        plan.reason,
        "carries `traefik.http.routers.shop.rule`, by which Traefik finds every running container: two releases at once would both be served; it costs a short gap in which requests wait"
    );
    assert!(plan.routes.is_empty(), "{:?}", plan.routes);
    assert_eq!(plan.port, Some(8000));
    let told = "`traefik.http.routers.shop.rule`: the new release starts when the old one has exited, so `shop` is away for as long as it takes to start (requests through the edge wait up to 30 s; what Traefik sends fails meanwhile)";
    assert!(plan.warnings.iter().any(|warning| warning == told), "{:?}", plan.warnings);
    assert_eq!(beside.service("traefik").unwrap().strategy, Strategy::Exclusive);
    let ports: Vec<_> = beside.edge.ports.iter().map(|port| (port.service.as_str(), port.listen.as_str())).collect();
    assert_eq!(ports, [("traefik", "0.0.0.0:80"), ("traefik", "[::]:80")]);
}

#[test]
fn a_traefik_is_known_by_its_image_or_its_command_where_it_reaches_the_socket() {
    let proxy = json!({ "image": "tecnativa/docker-socket-proxy:1", "volumes": [SOCKET] });
    let known = [
        json!({ "proxy": { "image": "registry.example/infra/traefik@sha256:1", "volumes": ["/run:/run"] } }),
        json!({ "proxy": { "image": "infra/proxy:1", "command": ["/usr/bin/traefik", "--api"], "volumes": [SOCKET] } }),
        json!({ "proxy": { "image": "traefik", "command": ["--providers.docker.endpoint=tcp://socket:2375"] } }),
        json!({ "proxy": { "image": "traefik", "environment": { "DOCKER_HOST": "tcp://socket:2375" } } }),
        json!({ "proxy": { "image": "traefik" }, "socket": proxy }),
        json!({ "traefik": { "build": { "context": "." }, "volumes": [SOCKET] } }),
    ];
    for others in known {
        assert_eq!(strategy(&shop("labels", &routed(), &others)), Strategy::Exclusive, "{others}");
    }
    let others = [
        json!({ "proxy": { "image": "traefik", "command": ["--providers.file.filename=/routes.yaml"] } }),
        json!({ "proxy": { "image": "traefik", "volumes": [SOCKET], "profiles": ["proxy"] } }),
        json!({ "viewer": { "image": "portainer/portainer-ce", "volumes": [SOCKET] } }),
    ];
    for others in others {
        assert_eq!(strategy(&shop("labels", &routed(), &others)), Strategy::BlueGreen, "{others}");
    }
}

#[test]
fn a_traefik_of_another_stack_forces_what_one_of_this_stack_does() {
    let facts = Facts { readers: ["traefik".to_owned()].into(), ..Facts::default() };
    let platform = resolved("", &shop("labels", &routed(), &json!({})), &facts).unwrap();
    assert_eq!(platform.service("shop").unwrap().strategy, Strategy::Exclusive);
    let plain = resolved("", &shop("labels", &json!({ "a": "b" }), &json!({})), &facts).unwrap();
    assert_eq!(plain.service("shop").unwrap().strategy, Strategy::BlueGreen);
}

#[test]
fn two_releases_at_once_cannot_be_written_for_what_is_read() {
    for written in ["blue-green", "rolling"] {
        let file = format!("services: {{shop: {{strategy: {written}}}}}\n");
        let by_labels =
            |labels: &Value, others: &Value| resolved(&file, &shop("labels", labels, others), &Facts::default());
        let refused = by_labels(&json!({ "ofelia.enabled": "true" }), &json!({})).unwrap_err();
        let [problem] = refused.0.as_slice() else { panic!("{refused}") };
        assert_eq!((problem.found.as_str(), problem.allowed.as_str()), (written, "exclusive"));
        assert!(problem.message.contains("carries `ofelia.enabled`, by which Ofelia"), "{}", problem.message);
        assert!(by_labels(&routed(), &traefik()).is_err());
        assert!(by_labels(&routed(), &json!({})).is_ok());
    }
    let stop_first = "services: {shop: {strategy: drain-first}}\n";
    assert!(resolved(stop_first, &shop("labels", &routed(), &traefik()), &Facts::default()).is_ok());
}

#[test]
fn the_copies_of_one_release_may_all_be_read() {
    let replicas = json!({ "replicas": 3 });
    let services = |labels: Value| json!({ "shop": { "image": "shop:1", "expose": ["8000"], "labels": labels, "deploy": replicas } });
    let platform = derived(&services(json!({ "homepage.name": "Shop" })));
    let plan = platform.service("shop").unwrap();
    assert_eq!((plan.strategy, plan.replicas), (Strategy::Exclusive, 3));
    assert_eq!(derived(&services(json!({}))).service("shop").unwrap().strategy, Strategy::Rolling);

    let file = "services: {shop: {strategy: exclusive}}\n";
    let single = resolved(file, &services(json!({})), &Facts::default()).unwrap();
    assert_eq!(single.service("shop").unwrap().replicas, 1);
}

#[test]
fn a_program_that_acts_on_containers_never_runs_twice_and_one_that_shows_them_may() {
    let on_socket = |image: &str| {
        let service = json!({ "image": image, "expose": ["9000"], "volumes": [SOCKET] });
        strategy(&json!({ "shop": service }))
    };
    let acting = [
        "mcuadros/ofelia:latest",
        "traefik:v3",
        "containrrr/watchtower",
        "willfarrell/autoheal:1.2.0",
        "nginxproxy/nginx-proxy",
        "nginxproxy/docker-gen",
        "lucaslorentz/caddy-docker-proxy:ci-alpine",
        "crazymax/swarm-cronjob",
        "offen/docker-volume-backup:v2",
    ];
    for image in acting {
        assert_eq!(on_socket(image), Strategy::Exclusive, "{image}");
    }
    for image in ["portainer/portainer-ce", "amir20/dozzle:latest", "gcr.io/cadvisor/cadvisor", "grafana/promtail"] {
        assert_eq!(on_socket(image), Strategy::BlueGreen, "{image}");
    }
    let without = json!({ "shop": { "image": "caddy:2", "expose": ["80"] } });
    assert_eq!(strategy(&without), Strategy::BlueGreen);

    let written = |image: &str| {
        let services = json!({ "shop": { "image": image, "expose": ["9000"], "volumes": [SOCKET] } });
        resolved("services: {shop: {strategy: blue-green}}\n", &services, &Facts::default())
    };
    assert!(written("containrrr/watchtower").is_err());
    assert!(written("traefik:v3").is_ok());
}

#[test]
fn what_it_costs_is_said_without_requests_where_there_are_none() {
    let services = json!({ "shop": { "image": "shop:1", "labels": { "ofelia.enabled": "true" } } });
    let platform = derived(&services);
    let plan = platform.service("shop").unwrap();
    assert_eq!(plan.strategy, Strategy::Exclusive);
    let told = "`ofelia.enabled`: the new release starts when the old one has exited, so `shop` is away for as long as it takes to start";
    assert!(plan.warnings.iter().any(|warning| warning == told), "{:?}", plan.warnings);
    assert_eq!(plan.hold.time, Duration::from_secs(30));
}
