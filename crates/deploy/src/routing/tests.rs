use std::collections::BTreeMap;
use std::time::Duration;

use edge::snapshot::{self, Certificate, Protocol, RateKey};
use edge::{Pool, Route, Snapshot};
use spec::{EnvironmentName, PlatformName, ReleaseId, ServiceName, ServicePlan, Strategy, units::Bytes};

use super::snapshot as routing;
use crate::holders::{Holder, Seat};
use crate::names::Scope;
use crate::release::{Definition, ImagePin, Release, State};
use crate::store::{InternalRecord, Platform};

fn platform(name: &str) -> Platform {
    let scope = Scope {
        platform: PlatformName::parse(name).unwrap(),
        environment: EnvironmentName::parse("production").unwrap(),
    };
    Platform { http: vec!["0.0.0.0:80".into()], ..Platform::new(scope, "/srv/shop") }
}

fn release(platform: &Platform, service: &str, strategy: Strategy) -> Release {
    let (id, service) = (ReleaseId::new(1), ServiceName::parse(service).unwrap());
    let mut plan = ServicePlan::new(service.clone(), strategy);
    plan.port = Some(8080);
    plan.routes = vec![spec::Route::new(None, "/")];
    Release {
        scope: platform.scope.clone(),
        image: ImagePin { reference: String::new(), id: String::new(), instead_of: None },
        definition: Definition { file: String::new(), service: String::new(), hash: String::new() },
        state: State::Serving,
        container: String::new(),
        targets: vec![([10, 0, 0, 2], 8080).into()],
        copies: 1,
        addresses: vec![[10, 0, 0, 2].into()],
        listens: Default::default(),
        making_way_for: None,
        guests: None,
        gateway_names: true,
        origin: Default::default(),
        by: String::new(),
        why: String::new(),
        created_ms: 0,
        switched_ms: None,
        parked_until_ms: None,
        healthy_after_ms: None,
        id,
        service,
        plan,
    }
}

/// What a platform file means for one service, through the same steps as a deploy.
fn written(edge: &str, service: &str) -> (Platform, Release) {
    let text = format!(
        "version: 1\nplatform: shop\nenvironments: {{production: {{{edge}}}}}\nservices: {{web: {{{service}}}}}"
    );
    let file = spec::platform::parse(&text, "mainstay.yaml").unwrap_or_else(|problems| panic!("{problems}"));
    let project = serde_json::json!({ "name": "shop", "services": { "web": { "image": "web", "expose": ["8080"] } } });
    let project = spec::Project::from_json(project).unwrap();
    let host = spec::HostSize { cpus: 4.0, memory: Bytes::gib(8) };
    let production = EnvironmentName::parse("production").unwrap();
    let resolved = spec::resolve(&file, &project, &production, &host).unwrap_or_else(|problems| panic!("{problems}"));
    let mut platform = platform("shop");
    platform.domain.clone_from(&resolved.domain);
    platform.http.clone_from(&resolved.http);
    platform.https.clone_from(&resolved.https);
    platform.edge.clone_from(&resolved.edge);
    let mut release = release(&platform, "web", Strategy::BlueGreen);
    release.plan = resolved.services[0].clone();
    (platform, release)
}

fn snapshot_of((platform, release): (Platform, Release)) -> Snapshot {
    routing(1, &[platform], &[release], &[])
}

fn route_of(service: &str) -> Route {
    snapshot_of(written("", service)).routes.remove(0)
}

fn pool_of(service: &str) -> Pool {
    snapshot_of(written("", service)).pools.remove(0)
}

const TLS: &str = "edge: {http: 80, https: 443, certificates: {chain: a.pem, key: a.key}}";

#[test]
fn a_plain_route_asks_for_nothing() {
    let snapshot = snapshot_of(written("", "route: /"));
    let listeners = vec!["http 0.0.0.0:80".into(), "http [::]:80".into()];
    let expected = Route { listeners, ..Route::new(None, "/", "shop/production/web") };
    assert_eq!(snapshot.routes, [expected]);
    assert_eq!(snapshot.pools, [Pool::new("shop/production/web", "r1", vec![([10, 0, 0, 2], 8080).into()])]);
    assert!(snapshot.certificates.is_empty() && snapshot.tcp.is_empty() && snapshot.shedding.is_none());
}

#[test]
fn what_is_written_about_a_route_reaches_the_edge() {
    let route = route_of(
        "routes: [{host: a.example, path: /x, strip_prefix: true, priority: 7, methods: [get, POST],
          https_only: true, hsts: {max_age: 30d, subdomains: true}, sticky: {cookie: c, max_age: 1h},
          client_certificate: required,
          headers: {request: {set: {X-A: '1'}, remove: X-B}, response: {add: {X-C: '2'}}}}]",
    );
    assert_eq!((route.host.as_deref(), &*route.path, route.strip_prefix), (Some("a.example"), "/x", true));
    assert_eq!((route.priority, route.methods), (7, vec!["GET".to_owned(), "POST".to_owned()]));
    assert!(route.https_only && route.client_certificate);
    let hsts = route.hsts.unwrap();
    assert_eq!((hsts.max_age_s, hsts.include_subdomains, hsts.preload), (30 * 86_400, true, false));
    assert_eq!(route.sticky, Some(snapshot::Sticky { cookie: "c".into(), max_age_s: Some(3600) }));
    assert_eq!(
        (route.request_headers.set["x-a"].as_str(), route.request_headers.remove),
        ("1", vec!["x-b".to_owned()])
    );
    assert_eq!(route.response_headers.add["x-c"], "2");
}

#[test]
fn limits_reach_the_edge_with_their_defaults_filled_in() {
    let limits = route_of(
        "routes: [{limits: {rate: [100/s, {requests: 60, per: 1m, burst: 5, by: 'header:X-Key'}, {requests: 9, by: route}],
          in_flight: 10, in_flight_per_client: 2, queue: 3, body: 10m, body_rate: 1k, response: 30s, priority: critical}}]",
    )
    .limits;
    let rates: Vec<_> = limits.rates.iter().map(|r| (r.requests, r.per_ms, r.burst, r.by.clone())).collect();
    let key = RateKey::Header("x-key".into());
    assert_eq!(rates, [(100, 1000, 0, RateKey::Client), (60, 60_000, 5, key), (9, 1000, 0, RateKey::Route)]);
    assert_eq!((limits.in_flight, limits.in_flight_per_client), (Some(10), Some(2)));
    assert_eq!((limits.queue, limits.queue_ms), (Some(3), Some(5000)));
    assert_eq!(
        (limits.body_bytes, limits.body_rate, limits.response_ms),
        (Some(10 << 20), Some(1 << 10), Some(30_000))
    );
    assert_eq!(limits.priority, snapshot::Priority::Critical);
}

#[test]
fn a_sticky_cookie_is_named_for_its_service() {
    assert_eq!(route_of("routes: [{sticky: true}]").sticky.unwrap().cookie, "mainstay-web");
}

#[test]
fn a_redirect_asks_no_pool_and_keeps_method_and_body() {
    let route = route_of("routes: [{host: www.example.com, redirect: 'https://example.com{path}{query}'}]");
    let redirect = route.redirect.unwrap();
    assert_eq!((&*route.pool, &*redirect.to, redirect.status), ("", "https://example.com{path}{query}", 308));
}

#[test]
fn a_redirect_is_there_even_when_its_service_has_no_target() {
    let (platform, mut release) = written("", "routes: [/, {path: /old, redirect: /new}]");
    release.targets.clear();
    let snapshot = snapshot_of((platform, release));
    assert_eq!(snapshot.routes.iter().map(|route| &*route.path).collect::<Vec<_>>(), ["/old"]);
    assert!(snapshot.pools.is_empty());
}

#[test]
fn what_is_written_about_a_service_reaches_its_pool() {
    let pool = pool_of(
        "protocol: grpc, edge_health: {path: /live, interval: 2s}, outlier: {failures: 3}, slow_start: 20s,
         connect_timeout: 500ms, response_timeout: 5m, drain: 10s",
    );
    assert_eq!(pool.protocol, Protocol::H2c);
    let health = pool.health.unwrap();
    assert_eq!((&*health.path, health.interval_ms, health.timeout_ms), ("/live", 2000, 2000));
    assert_eq!((health.fall, health.rise), (3, 2));
    assert_eq!(pool.outlier, Some(snapshot::Outlier { consecutive: 3, eject_ms: 10_000 }));
    assert_eq!((pool.slow_start_ms, pool.connect_timeout_ms, pool.response_timeout_ms), (20_000, 500, 300_000));
    assert_eq!((pool.drain_ms, pool.hold), (10_000, None));
}

#[test]
fn a_single_target_is_not_asked_unless_that_is_written_and_several_are() {
    assert_eq!(pool_of("health: /ready").health, None);
    assert_eq!(pool_of("health: /ready, edge_health: true").health.unwrap().path, "/ready");
    let (platform, mut release) = written("", "health: {path: /ready, timeout: 1s}");
    release.targets.push(([10, 0, 0, 3], 8080).into());
    let health = snapshot_of((platform.clone(), release.clone())).pools.remove(0).health.unwrap();
    assert_eq!((&*health.path, health.interval_ms, health.timeout_ms), ("/ready", 5000, 1000));
    release.plan.edge_health = None;
    assert_eq!(snapshot_of((platform, release)).pools.remove(0).health, None);
}

#[test]
fn with_https_plain_requests_are_sent_there_but_for_the_challenge_of_a_certificate_authority() {
    let snapshot = snapshot_of(written(TLS, "route: /"));
    let told: Vec<_> =
        snapshot.routes.iter().map(|r| (&*r.path, r.https_only, r.hsts.is_some(), r.listeners.len())).collect();
    // Each for IPv4 and IPv6.
    assert_eq!(told, [("/.well-known/acme-challenge", false, false, 2), ("/", true, true, 4)]);
    let hsts = snapshot.routes[1].hsts.clone().unwrap();
    assert_eq!((hsts.max_age_s, hsts.include_subdomains), (365 * 86_400, false));
}

#[test]
fn a_route_may_stay_plain_and_the_challenge_may_have_a_service_of_its_own() {
    let snapshot = snapshot_of(written(TLS, "routes: [{path: /a, https_only: false}, /.well-known/acme-challenge]"));
    let told: Vec<_> = snapshot.routes.iter().map(|r| (&*r.path, r.https_only)).collect();
    assert_eq!(told, [("/a", false), ("/.well-known/acme-challenge", false)]);
    assert_eq!(snapshot.routes[0].hsts, None, "a browser told to use https would not come plain again");
}

#[test]
fn https_only_that_is_written_leaves_no_exception() {
    let snapshot = snapshot_of(written(TLS, "routes: [{path: /, https_only: true}]"));
    assert_eq!(snapshot.routes.len(), 1);
}

#[test]
fn https_on_another_port_is_named_in_the_redirect() {
    let snapshot = snapshot_of(written(
        "edge: {http: 8080, https: 8443, local_ca: true}",
        "routes: [/, {path: /p, methods: GET}]",
    ));
    let told: Vec<_> =
        snapshot.routes.iter().map(|r| (&*r.path, &*r.pool, r.listeners[0].split(' ').next().unwrap())).collect();
    let pool = "shop/production/web";
    let expected = [
        ("/.well-known/acme-challenge", pool, "http"),
        ("/", "", "http"),
        ("/", pool, "https"),
        ("/p", "", "http"),
        ("/p", pool, "https"),
    ];
    assert_eq!(told, expected);
    assert_eq!(snapshot.routes[1].redirect.as_ref().unwrap().to, "https://{host}:8443{path}{query}");
    assert_eq!(snapshot.routes[3].methods, ["GET"]);
    assert!(snapshot.routes.iter().all(|route| route.hsts.is_none() && !route.https_only));
}

#[test]
fn behind_a_trusted_proxy_https_is_where_the_proxy_has_it() {
    let edge = "edge: {http: 8080, https: 8443, local_ca: true, trusted_proxies: 10.0.0.0/8}";
    let snapshot = snapshot_of(written(edge, "routes: [/a]"));
    assert_eq!(snapshot.routes.len(), 1);
    assert!(snapshot.routes[0].https_only);
}

#[test]
fn certificates_of_the_local_authority_are_never_remembered_by_browsers() {
    let snapshot = snapshot_of(written("edge: {https: 443, local_ca: true}", "routes: [/a]"));
    assert_eq!((snapshot.routes[0].https_only, &snapshot.routes[0].hsts), (true, &None));
}

#[test]
fn listeners_carry_what_their_environment_asks_of_tls_and_proxies() {
    let edge = "edge: {http: 80, https: 443, certificates: {chain: a, key: b}, client_ca: ca.pem, tls: {only_13: true},
                trusted_proxies: [10.0.0.0/8], proxy_protocol: true}";
    let snapshot = snapshot_of(written(edge, "route: /"));
    let secure = snapshot.listeners.iter().find(|listener| listener.name == "https 0.0.0.0:443").unwrap();
    let tls = secure.tls.clone().unwrap();
    assert_eq!((tls.client_ca, tls.only_13), (Some("/srv/shop/ca.pem".into()), true));
    assert!(snapshot.listeners.iter().all(|listener| listener.proxy_protocol));
    assert_eq!(snapshot.trusted_proxies, ["10.0.0.0/8"]);
}

#[test]
fn the_access_log_is_on_unless_it_is_switched_off() {
    let log = snapshot_of(written("", "route: /")).access_log.unwrap();
    assert_eq!(
        (log.file, log.sample, log.slow_ms, log.rotate_bytes, log.mask_client),
        (None, 1, 1000, 64 << 20, false)
    );
    assert_eq!(snapshot_of(written("edge: {access_log: false}", "route: /")).access_log, None);
    let own = "edge: {access_log: {file: log/a.log, sample: 5, slow: 2s, mask: sid, mask_client: true, rotate: 1m}}";
    let log = snapshot_of(written(own, "route: /")).access_log.unwrap();
    assert_eq!((log.file, log.sample, log.slow_ms), (Some("/srv/shop/log/a.log".into()), 5, 2000));
    assert_eq!((log.mask, log.mask_client, log.rotate_bytes), (vec!["sid".to_owned()], true, 1 << 20));
}

#[test]
fn where_several_platforms_ask_the_whole_edge_for_something_the_careful_answer_counts() {
    let one = written(
        "edge: {shedding: {in_flight: 100}, access_log: {sample: 10, mask: a}, trusted_proxies: 10.0.0.0/8}",
        "route: /",
    )
    .0;
    let mut two = written("edge: {shedding: {in_flight: 50, target: 300ms}, access_log: {mask: b, mask_client: true}, trusted_proxies: [10.0.0.0/8, 192.0.2.7]}", "route: /").0;
    two.scope.platform = PlatformName::parse("other").unwrap();
    let snapshot = routing(1, &[one, two], &[], &[]);
    assert_eq!(snapshot.shedding, Some(snapshot::Shedding { in_flight: 50, target_ms: Some(300) }));
    let log = snapshot.access_log.unwrap();
    assert_eq!((log.sample, log.mask, log.mask_client), (1, vec!["a".to_owned(), "b".to_owned()], true));
    assert_eq!(snapshot.trusted_proxies, ["10.0.0.0/8", "192.0.2.7/32"]);
}

#[test]
fn only_one_certificate_is_shown_to_strangers() {
    let certificate = |chain: &str| Certificate {
        names: vec![],
        chain: chain.into(),
        key: "k".into(),
        digest: String::new(),
        is_default: true,
    };
    let (mut one, mut two) = (platform("one"), platform("two"));
    one.certificates = vec![certificate("a"), certificate("b")];
    two.certificates = vec![certificate("b"), certificate("c")];
    let snapshot = routing(1, &[one, two], &[], &[]);
    let told: Vec<_> = snapshot.certificates.iter().map(|c| (c.chain.to_str().unwrap(), c.is_default)).collect();
    assert_eq!(told, [("a", true), ("b", false), ("c", false)]);
}

#[test]
fn a_tcp_port_leads_to_the_container_of_a_kept_service() {
    let (mut platform, _) = written(
        "edge: {tcp: {listen: '127.0.0.1:5433', service: web, port: 5432, idle: 1h, send_proxy: true}}",
        "port: 1",
    );
    platform.edge.tcp[0].service = ServiceName::parse("postgres").unwrap();
    let mut kept = release(&platform, "postgres", Strategy::Keep);
    (kept.plan.port, kept.plan.routes, kept.targets) = (None, vec![], vec![]);
    let snapshot = routing(1, &[platform.clone()], &[kept], &[]);
    let (pool, port) = (&snapshot.pools[0], &snapshot.tcp[0]);
    assert_eq!(
        (&*pool.name, pool.targets.as_slice()),
        ("shop/production/postgres:5432", &[([10, 0, 0, 2], 5432).into()][..])
    );
    assert_eq!(
        (&*port.listener, &*port.pool, port.idle_ms, port.send_proxy),
        ("tcp 127.0.0.1:5433", &*pool.name, Some(3_600_000), true)
    );
    assert!(snapshot.listeners.iter().any(|listener| listener.name == port.listener));
    let without = routing(1, &[platform], &[], &[]);
    assert!(!without.listeners.iter().any(|listener| listener.name.starts_with("tcp")), "it would answer in HTTP");
}

#[test]
fn a_release_that_makes_way_keeps_its_routes_and_its_requests_wait() {
    let mut platform = platform("shop");
    let mut old = release(&platform, "web", Strategy::Exclusive);
    platform.gateways = BTreeMap::from([("net".to_owned(), [10, 0, 0, 1].into())]);
    platform.internals = vec![InternalRecord {
        service: old.service.clone(),
        port: 8080,
        tcp: false,
        networks: vec!["net".to_owned()],
        names: vec![],
    }];
    let before = routing(1, &[platform.clone()], &[old.clone()], &[]);
    let hold = before.pools[0].hold.clone().unwrap();
    assert_eq!((hold.now, hold.max_requests, hold.max_bytes, hold.max_ms), (false, 1000, 64 << 20, 30_000));
    old.making_way_for = Some(ReleaseId::new(2));
    let held = routing(1, &[platform.clone()], &[old.clone()], &[]);
    assert_eq!(held.routes, before.routes, "public and internal ones");
    assert!(held.pools[0].targets.is_empty() && held.pools[0].hold.as_ref().unwrap().now);
    old.plan.hold.time = Duration::ZERO;
    assert_eq!(routing(1, &[platform], &[old], &[]).pools[0].hold, None, "nobody waits for no time");
}

#[test]
fn maintenance_that_was_set_stands_on_every_public_route_that_asks_the_service() {
    let (mut platform, release) = written("", "routes: [/, {path: /old, redirect: /}]");
    let closed =
        snapshot::Maintenance { page: None, message: Some("back at 9".into()), retry_after_s: None, allow: vec![] };
    platform.maintenance = Some(closed.clone());
    let snapshot = snapshot_of((platform, release));
    assert_eq!(snapshot.routes[0].maintenance, Some(closed));
    assert_eq!(snapshot.routes[1].maintenance, None);
}

#[test]
fn a_service_that_speaks_tcp_is_reached_by_name_and_on_its_published_port_and_all_its_copies_take_turns() {
    let (mut platform, mut release) = written("", "port: 8080, protocol: tcp");
    platform.edge.tcp = vec![spec::resolve::TcpPort {
        listen: "0.0.0.0:2525".into(),
        service: release.service.clone(),
        port: 8080,
        idle: None,
        send_proxy: false,
    }];
    platform.internals = vec![InternalRecord {
        service: release.service.clone(),
        port: 8080,
        tcp: true,
        networks: vec!["net".to_owned()],
        names: vec![],
    }];
    platform.gateways = [("net".to_owned(), [10, 0, 0, 1].into())].into();
    (release.copies, release.addresses) = (2, vec![[10, 0, 0, 2].into(), [10, 0, 0, 3].into()]);
    let snapshot = snapshot_of((platform, release));
    let listeners: Vec<&str> = snapshot.tcp.iter().map(|tcp| tcp.listener.as_str()).collect();
    assert_eq!(listeners, ["tcp 0.0.0.0:2525", "internal net:8080"]);
    assert!(snapshot.listeners.iter().any(|listener| listener.name == "internal net:8080"));
    assert!(snapshot.tcp.iter().all(|tcp| tcp.pool == "shop/production/web:8080"));
    let pools: Vec<&Pool> = snapshot.pools.iter().filter(|pool| pool.name.ends_with(":8080")).collect();
    assert_eq!((pools.len(), pools[0].targets.len()), (1, 2));
    assert!(
        !snapshot.routes.iter().any(|route| route.scope == edge::Scope::Internal),
        "nothing is read, so no host is"
    );
}

#[test]
fn a_service_is_found_by_every_name_and_on_every_port_that_the_file_tells_of() {
    let (mut platform, release) = written("", "port: 8080");
    let on = |port: u16| InternalRecord {
        service: release.service.clone(),
        port,
        tcp: false,
        networks: vec!["net".to_owned()],
        names: vec!["shop.internal".to_owned()],
    };
    platform.internals = vec![on(8080), on(9100)];
    platform.gateways = [("net".to_owned(), [10, 0, 0, 1].into())].into();
    let snapshot = snapshot_of((platform, release));
    let inside = snapshot.routes.iter().filter(|route| route.scope == edge::Scope::Internal);
    let told: Vec<(&str, &str, &str)> = inside
        .map(|route| (route.host.as_deref().unwrap(), route.listeners[0].as_str(), route.pool.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            ("web", "internal net:8080", "shop/production/web"),
            ("shop.internal", "internal net:8080", "shop/production/web"),
            ("web", "internal net:9100", "shop/production/web:9100"),
            ("shop.internal", "internal net:9100", "shop/production/web:9100"),
        ]
    );
    let more = snapshot.pools.iter().find(|pool| pool.name == "shop/production/web:9100").unwrap();
    assert!(more.targets.iter().all(|target| target.port() == 9100) && !more.targets.is_empty());
}

#[test]
fn a_published_port_of_its_own_leads_to_its_service_whatever_host_is_asked_for() {
    let (mut platform, release) = written("", "port: 8080");
    platform.edge.ports =
        vec![spec::HttpPort { listen: "0.0.0.0:8081".into(), service: release.service.clone(), detect: None }];
    let snapshot = snapshot_of((platform, release));
    assert!(snapshot.listeners.iter().any(|listener| listener.name == "http 0.0.0.0:8081"));
    let own: Vec<&Route> = snapshot.routes.iter().filter(|route| route.listeners == ["http 0.0.0.0:8081"]).collect();
    assert_eq!((own.len(), own[0].host.as_deref(), own[0].pool.as_str()), (1, None, "shop/production/web"));
}

#[test]
fn a_service_is_reached_at_its_seats_whatever_host_is_asked_for_and_only_while_it_serves() {
    let (mut platform, mut release) = written("", "port: 8080");
    release.gateway_names = false;
    platform.internals = vec![InternalRecord {
        service: release.service.clone(),
        port: 8080,
        tcp: false,
        networks: vec!["back".to_owned()],
        names: vec![],
    }];
    platform.gateways = [("back".to_owned(), [10, 0, 0, 1].into())].into();
    let seat = |network: &str, names: &[&str], last: u8| Seat {
        network: network.to_owned(),
        addresses: vec![[10, 0, 0, last].into()],
        names: names.iter().map(|name| (*name).to_owned()).collect(),
    };
    let seats = vec![seat("back", &["web"], 9), seat("front", &["web"], 8), seat("back", &["other"], 7)];
    platform.holders = vec![Holder { container: "names".into(), namespace: "/ns".into(), seats }];
    let snapshot = routing(1, &[platform.clone()], &[release.clone()], &[]);
    let inner: Vec<&edge::Listener> =
        snapshot.listeners.iter().filter(|listener| listener.scope == edge::Scope::Internal).collect();
    assert_eq!(inner.len(), 1, "on its own network, and not on a gateway: {inner:?}");
    assert_eq!((inner[0].bind, inner[0].namespace.as_deref()), (([10, 0, 0, 9], 8080).into(), Some("/ns")));
    let routes: Vec<&Route> = snapshot.routes.iter().filter(|route| route.scope == edge::Scope::Internal).collect();
    assert_eq!((routes.len(), routes[0].host.as_deref()), (1, None));
    assert_eq!(routes[0].listeners, [inner[0].name.clone()]);
    // A port of which no file tells is reached as well, unless somebody else on the network has it.
    let mut listening = release.clone();
    listening.listens = [8080, 9100, 9200].into();
    platform.internals.push(InternalRecord {
        service: ServiceName::parse("other").unwrap(),
        port: 9200,
        ..platform.internals[0].clone()
    });
    let more = routing(1, &[platform.clone()], &[listening], &[]);
    let carried: Vec<(&str, &str)> = more.tcp.iter().map(|tcp| (tcp.listener.as_str(), tcp.pool.as_str())).collect();
    assert_eq!(carried, [("internal back 10.0.0.9:9100", "shop/production/web:9100")]);
    assert!(more.pools.iter().any(|pool| pool.name == "shop/production/web:9100" && pool.targets.len() == 1));
    let without = routing(1, &[platform], &[], &[]);
    assert!(without.listeners.iter().all(|listener| listener.namespace.is_none()), "nobody is there to be asked");
}

#[test]
fn a_port_of_which_nobody_says_what_it_speaks_leads_to_one_pool_as_requests_and_as_bytes() {
    let mut platform = platform("shop");
    let release = release(&platform, "game", Strategy::BlueGreen);
    let port =
        |listen: &str, detect| spec::HttpPort { listen: listen.into(), service: release.service.clone(), detect };
    platform.edge.ports = vec![port("0.0.0.0:25565", Some(spec::Detect::Unknown)), port("127.0.0.1:9000", None)];
    let snapshot = routing(1, &[platform], &[release], &[]);
    let pool = "shop/production/game";
    let expected =
        edge::TcpRoute { detect: Some(snapshot::Detect::Unknown), ..edge::TcpRoute::new("http 0.0.0.0:25565", pool) };
    assert_eq!(snapshot.tcp, [expected]);
    let own = snapshot.routes.iter().find(|route| route.listeners.contains(&"http 127.0.0.1:9000".into())).unwrap();
    assert_eq!((own.host.as_deref(), own.pool.as_str()), (None, pool));
    assert_eq!(snapshot.pools.len(), 1);
}
