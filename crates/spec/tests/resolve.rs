//! From a compose project and a platform file to what is meant.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on should stop with the cause"
)]

mod support;

use spec::compose::Project;
use spec::platform::{self, ResourceMode};
use spec::resolve::{Check, Detect, HostSize, Platform, resolve};
use spec::{Bytes, EnvironmentName, PlatformFile, Problems, ServicePlan, Strategy};
use std::time::Duration;
use support::project;

const HOST: HostSize = HostSize { cpus: 16.0, memory: Bytes::gib(64) };

fn environment(name: &str) -> EnvironmentName {
    EnvironmentName::parse(name).expect("a name")
}

fn derived(sample: &str) -> Platform {
    let file =
        platform::parse("version: 1\nplatform: p\nenvironments: {production: {profiles: ['*']}}\n", "mainstay.yaml")
            .expect("a file");
    resolve(&file, &project(sample), &environment("production"), &HOST).unwrap_or_else(|p| panic!("{sample}: {p}"))
}

fn with(text: &str, project: &Project, env: &str) -> Result<Platform, Problems> {
    let file = platform::parse(text, "mainstay.yaml").unwrap_or_else(|problems| panic!("{problems}"));
    resolve(&file, project, &environment(env), &HOST)
}

fn refused(text: &str, project: &Project) -> String {
    with(text, project, "production").expect_err("this should be refused").to_string()
}

fn from_services(services: serde_json::Value) -> Project {
    Project::from_json(serde_json::json!({ "name": "p", "services": services })).expect("a project")
}

fn service<'p>(platform: &'p Platform, name: &str) -> &'p ServicePlan {
    platform.service(name).unwrap_or_else(|| panic!("no service {name}"))
}

fn strategies(platform: &Platform) -> Vec<(&str, Strategy)> {
    let mut all: Vec<_> = platform.services.iter().map(|s| (s.name.as_str(), s.strategy)).collect();
    all.sort();
    all
}

fn routes(plan: &ServicePlan) -> Vec<String> {
    plan.routes.iter().map(ToString::to_string).collect()
}

#[test]
fn every_compose_sample_deploys_without_a_platform_file() {
    for (name, project) in support::projects() {
        let platform = resolve(&PlatformFile::default(), &project, &environment("production"), &HOST);
        let platform = platform.unwrap_or_else(|problems| panic!("{name}: {problems}"));
        assert!(platform.services.iter().all(|plan| !plan.reason.is_empty()), "{name}: a strategy without a reason");
    }
}

/// Where services have ports of their own, by service.
fn own(platform: &Platform) -> Vec<(&str, &str)> {
    platform.edge.ports.iter().map(|port| (port.service.as_str(), port.listen.as_str())).collect()
}

#[test]
fn a_published_port_is_opened_where_the_file_has_it_and_nothing_else_is() {
    let at = |ports: serde_json::Value| {
        let project = from_services(serde_json::json!({ "web": { "image": "a", "ports": ports } }));
        resolve(&PlatformFile::default(), &project, &environment("production"), &HOST).expect("a platform")
    };
    let published = |ip: &str| serde_json::json!([{ "target": 80, "published": "8080", "host_ip": ip }]);
    let everywhere = at(serde_json::json!([{ "target": 80, "published": "8080" }]));
    assert_eq!(own(&everywhere), [("web", "0.0.0.0:8080"), ("web", "[::]:8080")]);
    for (ip, listen) in [
        ("127.0.0.1", "127.0.0.1:8080"),
        ("0.0.0.0", "0.0.0.0:8080"),
        ("::", "[::]:8080"),
        ("::1", "[::1]:8080"),
        ("[::1]", "[::1]:8080"),
        ("10.1.2.3", "10.1.2.3:8080"),
    ] {
        let platform = at(published(ip));
        assert_eq!(own(&platform), [("web", listen)]);
        assert!(platform.http.is_empty() && platform.services[0].routes.is_empty(), "{ip}");
    }
    let nothing = at(serde_json::json!([]));
    assert!(own(&nothing).is_empty() && nothing.http.is_empty(), "no port is published, and 80 is nobody's");
}

/// A web server for everybody, a console for a tunnel over SSH, and one that is for other services alone.
fn with_a_console() -> Project {
    from_services(serde_json::json!({
        "web": { "image": "a", "ports": [{ "target": 8000, "published": "18016" }] },
        "api": { "image": "a", "ports": [{ "target": 8000, "published": "18017" }] },
        "admin": { "image": "a", "ports": [{ "target": 8000, "published": "18116", "host_ip": "127.0.0.1" }] },
        "internal": { "image": "a", "expose": ["8000"] },
    }))
}

#[test]
fn what_is_published_on_the_loopback_is_nowhere_else_whatever_the_file_says_about_domain_and_edge() {
    for environment in ["{}", "{domain: example.com}", "{edge: {http: 80}}", "{domain: example.com, edge: {http: 80}}"]
    {
        let text = format!("version: 1\nenvironments: {{production: {environment}}}");
        let platform = with(&text, &with_a_console(), "production").expect("a platform");
        for name in ["admin", "internal"] {
            assert!(service(&platform, name).routes.is_empty(), "{name} with {environment}");
        }
        let ports: Vec<_> = own(&platform).into_iter().filter(|(service, _)| *service == "admin").collect();
        assert_eq!(ports, [("admin", "127.0.0.1:18116")], "{environment}");
    }
}

#[test]
fn without_a_word_about_hosts_every_published_port_leads_to_its_service_alone() {
    let platform = with("version: 1", &with_a_console(), "production").expect("a platform");
    assert!(platform.http.is_empty() && platform.services.iter().all(|plan| plan.routes.is_empty()));
    let expected = ["127.0.0.1:18116", "0.0.0.0:18017", "[::]:18017", "0.0.0.0:18016", "[::]:18016"];
    let mut found: Vec<_> = own(&platform).into_iter().map(|(_, listen)| listen).collect();
    found.sort_by_key(|listen| expected.iter().position(|one| one == listen));
    assert_eq!(found, expected);
}

#[test]
fn a_domain_has_a_listener_of_its_own_beside_the_published_ports() {
    let text = "version: 1\nenvironments: {production: {domain: example.com}}";
    let platform = with(text, &with_a_console(), "production").expect("a platform");
    assert_eq!(platform.http, ["0.0.0.0:80", "[::]:80"]);
    assert_eq!(routes(service(&platform, "web")), ["*/"]);
    assert_eq!(routes(service(&platform, "api")), ["api.example.com/"]);
    assert!(own(&platform).contains(&("web", "0.0.0.0:18016")));
    let text = "version: 1\nenvironments: {production: {domain: example.com, edge: {http: 8080}}}";
    let platform = with(text, &with_a_console(), "production").expect("a platform");
    assert_eq!(platform.http, ["0.0.0.0:8080", "[::]:8080"]);
    assert_eq!(own(&platform), [("admin", "127.0.0.1:18116")], "the others are reached by their routes");
    assert!(service(&platform, "api").warnings.iter().any(|warning| warning.contains("port 18017 of the host is not")));
}

#[test]
fn a_console_on_the_port_of_the_edge_has_the_loopback_to_itself() {
    let project = from_services(serde_json::json!({
        "web": { "image": "a", "ports": [{ "target": 8000, "published": "18016" }] },
        "admin": { "image": "a", "ports": [{ "target": 8000, "published": "80", "host_ip": "127.0.0.1" }] },
    }));
    let platform = with("version: 1\nenvironments: {production: {edge: {http: 80}}}", &project, "production");
    assert_eq!(own(&platform.expect("a platform")), [("admin", "127.0.0.1:80")]);
}

#[test]
fn two_services_on_one_port_of_the_host_are_a_problem_with_both_names() {
    let two = |one: serde_json::Value, other: serde_json::Value| {
        let project = from_services(serde_json::json!({
            "web": { "image": "a", "ports": [one] }, "api": { "image": "a", "ports": [other] },
        }));
        with("version: 1", &project, "production").map(|_| ()).map_err(|problems| problems.to_string())
    };
    let at = |ip: &str, protocol: &str| {
        let mut port = serde_json::json!({ "target": 8000, "published": "18016", "protocol": protocol });
        if !ip.is_empty() {
            port["host_ip"] = ip.into();
        }
        port
    };
    for (one, other) in [("", ""), ("", "127.0.0.1"), ("::1", ""), ("10.0.0.1", "0.0.0.0"), ("127.0.0.1", "127.0.0.1")]
    {
        let text = two(at(one, "tcp"), at(other, "tcp")).expect_err(one);
        assert!(text.contains("`web`") && text.contains("`api`") && text.contains("18016"), "{text}");
    }
    assert!(two(at("", "udp"), at("", "udp")).is_err());
    for (one, other) in [("127.0.0.1", "127.0.0.2"), ("0.0.0.0", "::"), ("127.0.0.1", "::1")] {
        assert_eq!(two(at(one, "tcp"), at(other, "tcp")), Ok(()), "{one} and {other}");
    }
    assert_eq!(two(at("", "tcp"), at("", "udp")), Ok(()));
}

#[test]
fn http_is_assumed_only_where_something_proves_it_and_the_plan_says_so() {
    let project = from_services(serde_json::json!({
        "game": { "image": "a", "ports": [{ "target": 25565, "published": "25565" }] },
        "panel": { "image": "a", "ports": [{ "target": 9443, "published": "9443" }] },
        "web": { "image": "a", "ports": [{ "target": 8080, "published": "8080" }] },
        "api": {
            "image": "a", "ports": [{ "target": 7777, "published": "7777" }],
            "healthcheck": { "test": ["CMD", "curl", "-f", "http://localhost:7777/health"] },
        },
        "mail": { "image": "a", "ports": [{ "target": 25, "published": "25" }] },
    }));
    let how = |text: &str| {
        let platform = with(text, &project, "production").expect("a platform");
        let ports = platform.edge.ports.iter().filter(|port| port.listen.starts_with("0.0.0.0"));
        let mut how: Vec<_> = ports.map(|port| (port.service.to_string(), port.detect)).collect();
        how.sort_by(|one, two| one.0.cmp(&two.0));
        (how, platform)
    };
    let of = |name: &str, detect| (name.to_owned(), detect);
    let (found, platform) = how("version: 1");
    let unknown = Some(Detect::Unknown);
    let expected = [of("api", None), of("game", unknown), of("panel", unknown), of("web", Some(Detect::Likely))];
    assert_eq!(found, expected);
    let said = |name: &str| platform.edge.ports_in_words(service(&platform, name)).join("\n");
    assert!(said("game").contains("port 25565 of the host") && said("game").contains("`protocol: http` or `tcp`"));
    assert!(said("api").contains("its health check asks this port"), "{}", said("api"));
    assert!(said("mail").contains("bytes (port 25 is not known for HTTP)"), "{}", said("mail"));
    assert!(!service(&platform, "game").reason.contains("serves HTTP"));

    let (found, platform) = how("version: 1\nservices: {game: {protocol: tcp}, panel: {protocol: http}}");
    assert!(found.contains(&of("panel", None)) && !found.iter().any(|(name, _)| name == "game"), "{found:?}");
    assert!(platform.edge.tcp.iter().any(|tcp| tcp.service.as_str() == "game" && tcp.listen == "[::]:25565"));

    // What nobody knows is not taken from its port by a listener for requests.
    let (found, _) = how("version: 1\nenvironments: {production: {edge: {http: 80}}}");
    assert_eq!(found, [of("game", unknown), of("panel", unknown)]);
}

#[test]
fn what_is_derived_for_each_compose_sample_is_shown_with_its_reasons() {
    for (name, project) in support::projects() {
        let file = platform::parse("version: 1\nenvironments: {production: {profiles: ['*']}}", "mainstay.yaml");
        let platform = resolve(&file.expect("a file"), &project, &environment("production"), &HOST).expect(&name);
        support::bless(&format!("samples/compose/{name}.derived.yaml"), &spec::render::yaml(&platform));
    }
}

#[test]
fn a_whole_product_gets_the_strategy_that_each_part_needs() {
    let platform = derived("whole_product");
    let expected = [
        ("api", Strategy::Exclusive),
        ("beat", Strategy::Exclusive),
        ("frontend", Strategy::BlueGreen),
        ("grafana", Strategy::Exclusive),
        ("migrate", Strategy::Job),
        ("n8n", Strategy::Exclusive),
        ("postgres", Strategy::Keep),
        ("redis", Strategy::Keep),
        ("seed", Strategy::Exclusive),
        ("worker", Strategy::DrainFirst),
    ];
    assert_eq!(strategies(&platform), expected);
    assert_eq!(service(&platform, "postgres").reason, "writes to volume `pgdata`, runs a database image");
}

#[test]
fn the_face_of_the_product_gets_the_root_and_others_that_publish_a_port_get_a_host() {
    let text = "version: 1\nenvironments: {production: {profiles: ['*'], edge: {http: 80}}}";
    let platform = with(text, &project("whole_product"), "production").expect("a platform");
    assert_eq!(routes(service(&platform, "frontend")), ["*/"]);
    assert_eq!(routes(service(&platform, "api")), ["api.localhost/"]);
    assert_eq!(routes(service(&platform, "n8n")), ["n8n.localhost/"]);
    assert!(service(&platform, "postgres").routes.is_empty() && service(&platform, "worker").routes.is_empty());
}

#[test]
fn a_web_front_that_publishes_nothing_gets_the_root_where_the_file_has_a_listener_for_it() {
    let project = from_services(serde_json::json!({
        "api": { "image": "a", "expose": ["8000"] }, "web": { "image": "b", "expose": ["3000"] },
    }));
    let listening = "version: 1\nenvironments: {production: {edge: {http: 80}}}";
    let platform = with(listening, &project, "production").expect("a platform");
    assert_eq!(routes(service(&platform, "web")), ["*/"]);
    assert!(service(&platform, "api").routes.is_empty());
    let bare = with("version: 1", &project, "production").expect("a platform");
    assert!(bare.http.is_empty() && service(&bare, "web").routes.is_empty(), "what is not published is not opened");
}

#[test]
fn proxy_labels_give_port_host_and_path_unless_the_proxy_is_there_itself() {
    let mut project = project("traefik_labels");
    let beside = with("version: 1\nplatform: p\n", &project, "production").expect("a platform");
    assert!(routes(service(&beside, "shop")).is_empty() && routes(service(&beside, "blog")).is_empty());
    assert_eq!(service(&beside, "shop").strategy, Strategy::Exclusive);

    project.services.retain(|name, _| name.as_str() != "proxy");
    let platform = with("version: 1\nplatform: p\n", &project, "production").expect("a platform");
    assert_eq!(routes(service(&platform, "shop")), ["shop.example.com/v2"]);
    assert_eq!(service(&platform, "shop").port, Some(9000));
    assert_eq!(service(&platform, "shop").strategy, Strategy::BlueGreen);
    assert_eq!(routes(service(&platform, "blog")), ["blog.example.com/"]);
}

#[test]
fn a_declared_health_check_is_run_as_it_is_and_never_rewritten() {
    let platform = derived("celery_with_beat");
    let api = service(&platform, "api");
    assert_eq!(api.health.check, Check::Docker, "{:?}", api.health);
    assert_eq!((api.health.successes, api.port), (1, Some(8000)));
    assert_eq!(api.reasons["health"], "its health check in the compose file");
    assert_eq!(api.stop_grace, Duration::from_secs(90));
    for test in [
        serde_json::json!(["CMD-SHELL", "curl -s http://127.0.0.1:80/health | grep -q ok"]),
        serde_json::json!(["CMD", "curl", "-f", "-H", "Host: shop.example.com", "http://localhost/up"]),
        serde_json::json!("curl -f http://localhost/up || exit 1"),
    ] {
        let project = from_services(
            serde_json::json!({ "web": { "image": "a", "expose": ["80"], "healthcheck": { "test": test } } }),
        );
        let platform = with("version: 1\nplatform: p\n", &project, "production").expect("a platform");
        assert_eq!(service(&platform, "web").health.check, Check::Docker, "{test}");
    }
}

#[test]
fn a_check_that_is_switched_off_is_none() {
    for check in [serde_json::json!({ "test": ["NONE"] }), serde_json::json!({ "disable": true, "test": ["CMD", "a"] })]
    {
        let project =
            from_services(serde_json::json!({ "web": { "image": "a", "expose": ["80"], "healthcheck": check } }));
        let platform = with("version: 1\nplatform: p\n", &project, "production").expect("a platform");
        assert_eq!(service(&platform, "web").health.check, Check::Tcp { port: 80 }, "{check}");
    }
}

#[test]
fn the_edge_asks_the_url_of_a_declared_check_that_is_nothing_else() {
    let asked = |line: &str| {
        let project = from_services(serde_json::json!({
            "web": { "image": "a", "expose": ["8000"], "healthcheck": { "test": ["CMD-SHELL", line] } }
        }));
        let platform = with("version: 1\nplatform: p\n", &project, "production").expect("a platform");
        service(&platform, "web").edge_health.clone().map(|health| health.path)
    };
    assert_eq!(asked("curl -fsS http://localhost:8000/up || exit 1"), Some("/up".to_owned()));
    for line in ["curl -s http://localhost:8000/up | grep ok", "curl http://localhost:8000/up", "test -e /up"] {
        assert_eq!(asked(line), None, "{line}");
    }
}

#[test]
fn http_checks_ask_for_the_host_of_the_first_route() {
    let project = from_services(serde_json::json!({ "web": { "image": "a", "expose": ["80"] } }));
    let asked = |environment: &str, service_text: &str| {
        let text = format!(
            "version: 1\nplatform: p\nenvironments: {{production: {{{environment}}}}}\nservices: {{web: {{health: {{path: /up}}, {service_text}}}}}\n"
        );
        let platform = with(&text, &project, "production").unwrap_or_else(|problems| panic!("{problems}"));
        let web = service(&platform, "web").clone();
        let edge = web.edge_health.expect("an HTTP check");
        let Check::Http { host, https, .. } = web.health.check else { panic!("{:?}", web.health) };
        assert_eq!((&edge.host, edge.https), (&host, https), "the edge asks as the gate does");
        (host, https)
    };
    let named = |host: &str| Some(host.to_owned());
    assert_eq!(asked("", "route: /"), (None, false));
    assert_eq!(asked("domain: shop.example.com", "route: /"), (named("shop.example.com"), false));
    assert_eq!(asked("domain: example.com", "route: {host: shop.example.com}"), (named("shop.example.com"), false));
    let redirected = "routes: [{host: old.example.com, redirect: {to: 'https://x/'}}, {host: new.example.com}]";
    assert_eq!(asked("", redirected), (named("new.example.com"), false));
    assert_eq!(
        asked("edge: {https: 443, local_ca: true}", "route: {host: a.example.com}"),
        (named("a.example.com"), true)
    );
    let text = "version: 1\nplatform: p\nenvironments: {production: {domain: example.com}}\nservices: {web: {route: /}, inner: {health: {path: /up}}}\n";
    let two = from_services(
        serde_json::json!({ "web": { "image": "a", "expose": ["80"] }, "inner": { "image": "a", "expose": ["80"] } }),
    );
    let platform = with(text, &two, "production").unwrap_or_else(|problems| panic!("{problems}"));
    let check = &service(&platform, "inner").health.check;
    assert!(matches!(check, Check::Http { host: None, .. }), "nobody reaches it by the domain: {check:?}");
    let text = "version: 1\nplatform: p\nservices: {web: {health: {path: /up, host: Shop.Example.com}, route: {host: a.example.com}}}\n";
    let platform = with(text, &project, "production").unwrap_or_else(|problems| panic!("{problems}"));
    let check = &service(&platform, "web").health.check;
    assert!(matches!(check, Check::Http { host: Some(host), .. } if host == "shop.example.com"), "{check:?}");
}

#[test]
fn without_a_health_check_the_port_is_asked_and_a_warning_says_so() {
    let platform = derived("one_web_server");
    let web = service(&platform, "web");
    assert_eq!(web.health.check, Check::Tcp { port: 80 });
    assert!(web.warnings[0].contains("no health check is declared"), "{:?}", web.warnings);
}

#[test]
fn the_health_budget_is_never_shorter_than_dockers_own_patience() {
    let platform = derived("n8n_and_queue");
    // 60 s of start period, and three tries of 30 s interval and 30 s timeout.
    assert_eq!(service(&platform, "n8n").health.budget, Duration::from_secs(240));
}

#[test]
fn gunicorn_and_its_workers_are_a_web_server_and_not_a_worker() {
    let project = from_services(serde_json::json!({
        "api": { "image": "a", "expose": ["8000"], "command": ["gunicorn", "-k", "uvicorn.workers.UvicornWorker", "--workers", "4", "app:app"] },
        "jobs": { "image": "a", "command": ["sh", "-c", "python -m app.worker"] },
        "all": { "image": "a", "command": ["celery", "-A", "app", "worker", "--beat"] },
    }));
    let platform = with("version: 1", &project, "production").expect("a platform");
    let expected = [("all", Strategy::Exclusive), ("api", Strategy::BlueGreen), ("jobs", Strategy::DrainFirst)];
    assert_eq!(strategies(&platform), expected);
}

#[test]
fn who_writes_a_volume_is_stopped_first_whoever_else_mounts_it() {
    let n8n = derived("n8n_and_queue");
    assert_eq!(service(&n8n, "n8n").strategy, Strategy::Exclusive);
    let shared = derived("shared_uploads");
    assert_eq!(service(&shared, "api").strategy, Strategy::Exclusive);
}

#[test]
fn several_copies_with_a_port_are_rolled() {
    let platform = derived("replicas_and_scale");
    assert_eq!(service(&platform, "frontend").strategy, Strategy::Rolling);
    assert_eq!((service(&platform, "images").strategy, service(&platform, "images").replicas), (Strategy::Rolling, 2));
}

#[test]
fn services_come_after_what_they_depend_on() {
    let platform = derived("whole_product");
    let place = |name: &str| platform.services.iter().position(|plan| plan.name.as_str() == name).expect("a place");
    for plan in &platform.services {
        for needed in &plan.depends_on {
            assert!(place(needed.as_str()) < place(plan.name.as_str()), "{} before {}", plan.name, needed);
        }
    }
}

#[test]
fn services_that_wait_for_each_other_are_a_problem_that_shows_the_circle() {
    let depends =
        |on: &str| serde_json::json!({ "image": "a", "depends_on": { on: { "condition": "service_started" } } });
    let project = from_services(
        serde_json::json!({ "a": depends("b"), "b": depends("c"), "c": depends("a"), "d": depends("a") }),
    );
    assert!(refused("version: 1", &project).contains("a -> b -> c -> a"));
}

#[test]
fn a_dependency_outside_the_profiles_is_a_problem_that_names_the_profile() {
    let project = from_services(serde_json::json!({
        "a": { "image": "a", "depends_on": { "b": { "condition": "service_started", "required": true } } },
        "b": { "image": "b", "profiles": ["full"] },
    }));
    let text = refused("version: 1", &project);
    assert!(text.contains("does not run in environment `production`") && text.contains("full"), "{text}");
}

#[test]
fn profiles_decide_which_services_run_and_an_absent_one_may_still_be_written_about() {
    let text = "version: 1\nenvironments: {production: {}, dev: {profiles: [dev]}}\nservices: {adminer: {port: 8080}}";
    let project = project("profiles");
    let names = |env| -> Vec<String> {
        with(text, &project, env).expect("a platform").services.iter().map(|plan| plan.name.to_string()).collect()
    };
    assert_eq!(names("production"), ["app"]);
    assert_eq!(names("dev"), ["adminer", "mailhog", "app"]);
}

#[test]
fn a_service_that_compose_does_not_have_is_a_problem_with_the_nearest_name() {
    let text = refused("version: 1\nservices:\n  frontent: {port: 3000}\n", &project("whole_product"));
    assert!(text.starts_with("mainstay.yaml:3:3: the compose project has no service of this name"), "{text}");
    assert!(text.contains("nearest  frontend"), "{text}");
}

#[test]
fn a_route_without_a_port_is_a_problem() {
    let project = from_services(serde_json::json!({ "app": { "image": "a" } }));
    assert!(refused("version: 1\nservices: {app: {route: /}}", &project).contains("a route needs a port to lead to"));
}

#[test]
fn two_services_on_the_same_route_are_a_problem_even_when_spelled_differently() {
    let text = "version: 1\nservices:\n  api: {route: /api/}\n  frontend: {routes: [/, /api]}\n";
    let said = refused(text, &project("whole_product"));
    assert!(said.contains("this route already leads to service `api`") && said.contains(":4:14"), "{said}");
}

#[test]
fn blue_green_for_a_database_with_a_volume_is_a_problem() {
    let text = refused("version: 1\nservices: {postgres: {strategy: blue-green}}", &project("whole_product"));
    assert!(text.contains("two containers would write to volume `pgdata` of a database"), "{text}");
}

#[test]
fn all_problems_of_resolving_are_reported_at_once() {
    let text = "version: 1\nservices:\n  nope: {}\n  worker: {route: /w}\n  postgres: {strategy: rolling}\nhooks: {pre_deploy: {command: [a], service: apy}}";
    let problems = with(text, &project("whole_product"), "production").expect_err("problems");
    assert_eq!(problems.len(), 4, "{problems}");
}

#[test]
fn an_unknown_environment_is_a_problem_with_the_nearest_one() {
    let problems = with("version: 1\nenvironments: {production: {}}", &project("one_web_server"), "prodction");
    assert!(problems.expect_err("a problem").to_string().contains("nearest  production"));
}

#[test]
fn what_is_written_for_an_environment_counts_before_what_is_written_for_all() {
    let text = "version: 1\nenvironments: {production: {}, staging: {services: {web: {warm: 0s}}}}\nservices: {web: {warm: 5m, soak: 1m}}";
    let project = project("one_web_server");
    let staging = with(text, &project, "staging").expect("a platform");
    assert_eq!((staging.services[0].warm, staging.services[0].soak), (Duration::ZERO, Duration::from_secs(60)));
    assert_eq!(staging.services[0].reasons["warm"], "written in mainstay.yaml for staging");
    assert_eq!(with(text, &project, "production").expect("a platform").services[0].warm, Duration::from_secs(300));
}

#[test]
fn the_reference_platform_resolves_as_it_is_written() {
    let (_, text) = support::folder("samples/valid", "yaml")
        .into_iter()
        .find(|(name, _)| name == "the_reference_platform")
        .expect("a sample");
    let platform = with(&text, &project("whole_product"), "production").unwrap_or_else(|problems| panic!("{problems}"));
    let api = service(&platform, "api");
    assert_eq!((api.strategy, api.reason.as_str()), (Strategy::BlueGreen, "written in mainstay.yaml"));
    assert_eq!(routes(api), ["*/api", "*/version"]);
    assert_eq!(api.migrate.as_ref().expect("a migration").job.command, ["alembic", "upgrade", "head"]);
    let staging = with(&text, &project("whole_product"), "staging").unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(staging.http, ["0.0.0.0:8081", "[::]:8081"]);
    assert_eq!(staging.service("n8n"), None);
}

#[test]
fn limits_are_scaled_in_proportion_when_they_add_up_to_more_than_the_host_has() {
    let text = "version: 1\nplatform: p\nresources: fit\nenvironments: {production: {profiles: [full]}}";
    let file = platform::parse(text, "mainstay.yaml").expect("a file");
    let host = HostSize { cpus: 2.0, memory: Bytes::gib(8) };
    let platform = resolve(&file, &project("whole_product"), &environment("production"), &host).expect("a platform");
    let sum: f64 = platform.services.iter().filter_map(|plan| plan.limits.cpus).sum();
    assert!(sum <= 4.0 * 1.8 + 0.01, "{sum}");
    let memory: u64 = platform.services.iter().filter_map(|plan| plan.limits.memory).map(|bytes| bytes.0).sum();
    assert!(memory <= host.memory.0 * 9 / 10, "{}", Bytes(memory));
    let lines = &platform.resources.lines;
    assert!(
        lines[0].starts_with("CPU limits add up to 22.5; the host has 2, 0.2 of them kept for the system"),
        "{lines:?}"
    );
    assert!(lines.iter().any(|line| line.starts_with("worker: 8 -> 1.8 CPUs, 32 GB -> ")), "{lines:?}");
}

#[test]
fn a_single_limit_above_the_hosts_processors_is_cut_even_where_limits_stay_as_declared() {
    for mode in ["fit", "declared"] {
        let file = platform::parse(&format!("version: 1\nresources: {mode}"), "mainstay.yaml").expect("a file");
        let host = HostSize { cpus: 4.0, memory: Bytes::gib(128) };
        let platform =
            resolve(&file, &project("graphics_card"), &environment("production"), &host).expect("a platform");
        let render = service(&platform, "render");
        assert!(render.limits.cpus.expect("a limit") <= 4.0, "{mode}: {:?}", render.limits);
        assert!(platform.resources.lines.iter().any(|line| line.starts_with("render: 16 -> ")), "{mode}");
    }
}

#[test]
fn limits_that_fit_stay_exactly_as_declared() {
    let text = "version: 1\nresources: fit";
    let platform = with(text, &project("celery_with_beat"), "production").expect("a platform");
    assert_eq!(platform.resources.mode, ResourceMode::Fit);
    assert_eq!((platform.resources.factor_cpu, platform.resources.factor_memory), (1.0, 1.0));
    assert_eq!(service(&platform, "api").limits.cpus, Some(1.5));
    assert!(platform.resources.lines.is_empty());
}

#[test]
fn the_environment_of_a_command_is_the_named_one_or_the_default_or_the_only_one() {
    let choose = |text: &str, asked: Option<&str>| {
        let file = platform::parse(text, "mainstay.yaml").expect("a file");
        let asked = asked.map(environment);
        spec::resolve::environment(&file, asked.as_ref()).map(|name| name.to_string()).map_err(|p| p.to_string())
    };
    assert_eq!(choose("version: 1", None).as_deref(), Ok("production"));
    assert_eq!(choose("version: 1\nenvironments: {dev: {}}", None).as_deref(), Ok("dev"));
    assert_eq!(
        choose("version: 1\nenvironments: {dev: {}, staging: {}}\ndefault_environment: staging", None).as_deref(),
        Ok("staging")
    );
    assert!(
        choose("version: 1\nrequire_environment: true", None)
            .expect_err("a refusal")
            .contains("must name its environment")
    );
    assert!(
        choose("version: 1\nenvironments: {dev: {}, staging: {}}", Some("stagin"))
            .expect_err("a refusal")
            .contains("nearest  staging")
    );
}

mod scaling {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn scaled_limits_never_exceed_the_declared_ones_or_the_host_and_never_fall_below_the_floors(
            limits in prop::collection::vec((1_u32..6400, 1_u64..200_000, 1_u32..5), 1..12),
            cpus in 1_u32..64,
            gib in 1_u64..256,
        ) {
            let entry = |(index, (cpus, mib, replicas)): (usize, &(u32, u64, u32))| {
                let limits = serde_json::json!({ "cpus": f64::from(*cpus) / 100.0, "memory": (mib << 20).to_string() });
                (format!("s{index}"), serde_json::json!({ "image": "a", "deploy": { "replicas": replicas, "resources": { "limits": limits } } }))
            };
            let services: serde_json::Map<_, _> = limits.iter().enumerate().map(entry).collect();
            let project = from_services(services.into());
            let file = platform::parse("version: 1\nresources: fit", "f").expect("a file");
            let host = HostSize { cpus: f64::from(cpus), memory: Bytes::gib(gib) };
            let platform = resolve(&file, &project, &environment("production"), &host).expect("a platform");
            let floored = platform.services.iter().all(|plan| plan.limits.memory <= Some(Bytes::mib(128)));
            let sum: u64 = platform.services.iter().map(|s| s.limits.memory.map_or(0, |m| m.0) * u64::from(s.replicas)).sum();
            prop_assert!(floored || sum <= host.memory.0);
            for plan in &platform.services {
                let declared = &project.services[&plan.name];
                let (before, after) = (declared.cpus.expect("declared"), plan.limits.cpus.expect("scaled"));
                prop_assert!(after <= before && after <= host.cpus && after >= before.min(0.05));
                let (before, after) = (declared.memory.expect("declared"), plan.limits.memory.expect("scaled"));
                prop_assert!(after <= before && after >= before.min(Bytes::mib(128)));
            }
        }
    }
}

mod edge {
    use super::*;

    fn web(service: &str) -> Result<ServicePlan, Problems> {
        let project = from_services(serde_json::json!({ "web": { "image": "a", "expose": ["8080"] } }));
        with(&format!("version: 1\nservices: {{web: {{{service}}}}}"), &project, "production")
            .map(|platform| service_of(&platform))
    }

    fn service_of(platform: &Platform) -> ServicePlan {
        service(platform, "web").clone()
    }

    fn warned(plan: &ServicePlan, part: &str) -> bool {
        plan.warnings.iter().any(|warning| warning.contains(part))
    }

    #[test]
    fn routes_of_one_path_are_told_apart_by_method_or_priority() {
        for good in [
            "routes: [{path: /a, methods: GET}, {path: /a, methods: [POST, PUT]}]",
            "routes: [/a, {path: /a, methods: GET, priority: 1}]",
            "routes: [{host: a.example}, {host: b.example}]",
        ] {
            assert!(web(good).is_ok(), "{good}");
        }
        for bad in [
            "routes: [{path: /a, methods: GET}, {path: /a/, methods: [GET, POST]}]",
            "routes: [/a, {path: /a, methods: GET}]",
        ] {
            let said = web(bad).expect_err(bad).to_string();
            assert!(said.contains("this route already leads to service `web`"), "{said}");
        }
        let said = web("routes: [{path: /a, priority: 5}, {path: /a, methods: GET}]").expect_err("hidden").to_string();
        assert!(said.contains("route */a of priority 0 is never asked"), "{said}");
    }

    #[test]
    fn a_redirect_needs_no_port_and_a_job_may_have_one() {
        let project = from_services(serde_json::json!({ "web": { "image": "a" } }));
        let text =
            "version: 1\nservices: {web: {routes: [{host: www.example.com, redirect: 'https://example.com{path}'}]}}";
        let platform = with(text, &project, "production").expect("a platform");
        let redirect = platform.services[0].routes[0].redirect.clone().expect("a redirect");
        assert_eq!((redirect.to.as_str(), redirect.status), ("https://example.com{path}", 308));
    }

    #[test]
    fn the_edge_asks_what_proves_a_container_healthy_where_it_can() {
        let asked =
            |service: &str| web(service).expect("a plan").edge_health.map(|health| (health.path, health.even_alone));
        assert_eq!(asked("health: /ready"), Some(("/ready".to_owned(), false)));
        assert_eq!(asked("health: /ready, edge_health: true"), Some(("/ready".to_owned(), true)));
        assert_eq!(asked("edge_health: {path: /live}"), Some(("/live".to_owned(), true)));
        for nothing in [
            "port: 8080",
            "health: /ready, edge_health: false",
            "health: {path: /ready, port: 9000}",
            "health: {path: /ready, status: 401}",
            "health: /ready, protocol: grpc",
        ] {
            assert_eq!(asked(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn a_written_health_check_of_the_edge_that_cannot_be_asked_is_a_problem() {
        for (service, said) in [
            ("edge_health: true", "the health check is none that the edge can ask"),
            ("health: {path: /ready, port: 9000}, edge_health: true", "asks another port than the one that serves"),
            ("health: {path: /ready, status: 401}, edge_health: {}", "the edge takes 200 to 399 for well"),
            ("health: /ready, protocol: grpc, edge_health: true", "speaks HTTP/1.1, and the edge asks in HTTP/2"),
            ("port: 1, health: {check: grpc}, edge_health: true", "that is not `grpc`"),
        ] {
            let problems = web(service).expect_err(service).to_string();
            assert!(problems.contains(said) && problems.starts_with("mainstay.yaml:2:"), "{problems}");
        }
    }

    #[test]
    fn grpc_is_never_derived_and_whoever_may_want_it_is_told_the_word() {
        let plan = web("port: 50051").expect("a plan");
        assert_eq!(plan.protocol, platform::ServiceProtocol::Http);
        assert!(warned(&plan, "port 50051 is mostly gRPC, which needs `protocol: grpc`"), "{:?}", plan.warnings);
        let plan = web("port: 50051, protocol: grpc").expect("a plan");
        assert_eq!(plan.protocol, platform::ServiceProtocol::Grpc);
        assert!(plan.warnings.is_empty(), "{:?}", plan.warnings);
    }

    #[test]
    fn a_grpc_service_is_asked_by_grpcs_own_protocol_and_a_written_check_insists_on_it() {
        let asked = |service: &str| {
            let plan = web(service).expect("a plan");
            (plan.health.check, plan.edge_health.and_then(|health| health.grpc))
        };
        let whole = |must_answer| Check::Grpc { port: 50051, service: String::new(), must_answer };
        assert_eq!(asked("port: 50051, protocol: grpc"), (whole(false), Some(String::new())));
        assert_eq!(asked("port: 50051, protocol: grpc, health: {check: grpc}"), (whole(true), Some(String::new())));
        let orders = Check::Grpc { port: 50051, service: "shop.Orders".to_owned(), must_answer: true };
        let written = "port: 50051, protocol: grpc, health: {check: grpc, service: shop.Orders}";
        assert_eq!(asked(written), (orders, Some("shop.Orders".to_owned())));
        let elsewhere = "port: 50051, protocol: grpc, health: {check: http, path: /healthz, port: 9090}";
        assert_eq!(asked(elsewhere).1, None);
        assert!(web(elsewhere).expect("a plan").warnings.is_empty());
    }

    fn at(edge: &str) -> Result<Platform, Problems> {
        let text = format!("version: 1\nenvironments: {{production: {{profiles: [full], edge: {{{edge}}}}}}}");
        with(&text, &project("whole_product"), "production")
    }

    #[test]
    fn a_tcp_port_finds_the_port_of_its_service() {
        let platform = at("tcp: [{listen: 5433, service: postgres, port: 5432}, {listen: 9000, service: api}]");
        let tcp = platform.expect("a platform").edge.tcp;
        let told: Vec<_> = tcp.iter().map(|tcp| (tcp.listen.as_str(), tcp.service.as_str(), tcp.port)).collect();
        let postgres = [("0.0.0.0:5433", "postgres", 5432), ("[::]:5433", "postgres", 5432)];
        assert_eq!(told, [&postgres[..], &[("0.0.0.0:9000", "api", 8000), ("[::]:9000", "api", 8000)]].concat());
    }

    #[test]
    fn a_tcp_port_that_leads_nowhere_is_a_problem_at_its_line() {
        for (tcp, said) in [
            ("{listen: 5433, service: postgress, port: 1}", "nearest  postgres"),
            ("[{listen: 5433, service: migrate, port: 1}]", "a job cannot be connected to"),
            ("{listen: 5433, service: worker}", "a TCP port needs a port to lead to"),
        ] {
            let problems = at(&format!("tcp: {tcp}")).expect_err(tcp).to_string();
            assert!(problems.contains(said) && problems.starts_with("mainstay.yaml:2:"), "{problems}");
        }
    }

    #[test]
    fn a_service_that_publishes_a_port_of_the_edge_is_warned_about() {
        let project = from_services(serde_json::json!({ "db": {
            "image": "postgres", "ports": [{ "target": 5432, "published": "5432", "protocol": "tcp" }],
        } }));
        let text = "version: 1\nenvironments: {production: {edge: {tcp: {listen: 5432, service: db}}}}";
        let platform = with(text, &project, "production").expect("a platform");
        assert!(platform.services[0].warnings.iter().any(|w| w.contains("only one of the two can have it")));
    }

    #[test]
    fn the_first_certificate_is_the_default_unless_another_says_so() {
        let chosen = |edge: &str| -> Vec<bool> {
            at(edge).expect("a platform").edge.certificates.iter().map(|files| files.default).collect()
        };
        let two = "https: 443, certificates: [{chain: a, key: a}, {chain: b, key: b";
        assert_eq!(chosen(&format!("{two}}}]")), [true, false]);
        assert_eq!(chosen(&format!("{two}, default: true}}]")), [false, true]);
    }

    #[test]
    fn a_client_certificate_that_nobody_can_have_is_warned_about() {
        assert!(warned(&web("routes: [{client_certificate: required}]").expect("a plan"), "nobody gets in"));
    }
}

#[test]
fn only_what_routes_lead_to_is_watched_unless_it_is_written() {
    let project = from_services(serde_json::json!({
        "web": { "image": "w", "ports": [{ "target": 80, "published": "80" }] },
        "inner": { "image": "i", "expose": ["9000"] },
        "worker": { "image": "r" },
    }));
    let text = "version: 1\nservices: {web: {}, inner: {soak: 5s}, worker: {soak: 5s}}";
    let platform = with(text, &project, "production").expect("a platform");
    assert_eq!(service(&platform, "web").soak, Duration::from_secs(30));
    assert_eq!(service(&platform, "inner").soak, Duration::from_secs(5));
    assert!(service(&platform, "worker").warnings.iter().any(|warning| warning.contains("a soak sees no requests")));
    let bare = with("version: 1", &project, "production").expect("a platform");
    assert_eq!(service(&bare, "inner").soak, Duration::ZERO);
    assert_eq!(service(&bare, "inner").reasons["soak"], "no route leads here");
}

#[test]
fn a_release_earns_its_traffic_as_it_is_written_and_by_the_defaults() {
    let project = project("one_web_server");
    let text = "version: 1\nservices: {web: {soak: {errors: 1%}, canary: {steps: [10%]}, migrate: {command: [m], kind: breaking}}}";
    let platform = with(text, &project, "production").expect("a platform");
    let web = &platform.services[0];
    let limits = &web.soak_limits;
    assert_eq!((web.soak, limits.requests, limits.errors.value()), (Duration::from_secs(30), 50, 1.0));
    let canary = web.canary.as_ref().expect("a canary");
    assert_eq!((canary.steps[0].value(), canary.pause), (10.0, platform::Pause::Time(Duration::from_secs(120))));
    let migration = web.migrate.as_ref().expect("a migration");
    assert!(!migration.kind.can_go_back() && !migration.idempotent);
}

#[test]
fn a_canary_needs_two_releases_side_by_side_and_requests_to_share() {
    let project = from_services(serde_json::json!({
        "web": { "image": "w", "ports": [{ "target": 80, "published": "80" }] },
        "inner": { "image": "i", "expose": ["9000"] },
    }));
    let text =
        "version: 1\nservices: {web: {strategy: exclusive, canary: {}}, inner: {strategy: blue-green, canary: {}}}";
    let problems = refused(text, &project);
    assert!(problems.contains("strategy exclusive") && problems.contains("two releases side by side"), "{problems}");
    assert!(problems.contains("a canary needs requests to share"), "{problems}");
}
