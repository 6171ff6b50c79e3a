//! A network that is made anew keeps everything that was on it, wherever this breaks; data goes by its name.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod site;

use std::collections::BTreeMap;

use deploy::DeployError;
use deploy::ground::remake;
use deploy::identity::{COMPOSE_PROJECT, Identity, KnownVolume};
use deploy::migration::Migrated;
use deploy::removal::{Request, volumes};
use deploy::store::Platform;
use machine::docker::{AddressPool, Behaviour, ContainerSpec, Docker, NetworkSpec, VolumeSpec};
use spec::Strategy;
use spec::platform::MigrationKind;

use site::{Site, container, release, scope, site};

const NETWORK: &str = "shop_back";

/// Two containers on a network, one of them with a fixed address, and one that does not run.
async fn with_network() -> Site {
    let site = site(Strategy::Exclusive, Behaviour::healthy_after(1)).await;
    let pools = vec![AddressPool::subnet("10.77.1.0/24")];
    let spec = NetworkSpec { pools, ..NetworkSpec::bridge(NETWORK) };
    site.docker.create_network(&spec).await.unwrap();
    for name in ["guest", "still"] {
        site.docker.run_now(&ContainerSpec { labels: BTreeMap::new(), ..container(name, "1") }).unwrap();
    }
    site.docker.connect(NETWORK, "shop-production-web-r1", &["web".into()]).await.unwrap();
    site.docker.connect_at(NETWORK, "guest", &["friend".into()], "10.77.1.9".parse().ok()).await.unwrap();
    site.docker.connect(NETWORK, "still", &[]).await.unwrap();
    site.docker.stop("still", std::time::Duration::ZERO).await.unwrap();
    site
}

fn wanted() -> NetworkSpec {
    let pools = vec![AddressPool::subnet("10.77.2.0/24")];
    NetworkSpec { internal: true, pools, ..NetworkSpec::bridge(NETWORK) }
}

/// Whether it is closed, and which names each container has on it.
async fn seen(site: &Site) -> (bool, BTreeMap<String, Vec<String>>) {
    let network = site.docker.network(NETWORK).await.unwrap().unwrap();
    let mut on = BTreeMap::new();
    for name in ["shop-production-web-r1", "guest", "still"] {
        let detail = site.docker.inspect(name).await.unwrap().unwrap();
        if let Some(at) = detail.networks.get(NETWORK) {
            on.insert(
                name.to_owned(),
                at.aliases.iter().filter(|alias| !detail.id.starts_with(*alias)).cloned().collect(),
            );
        }
    }
    (network.internal, on)
}

fn everybody() -> BTreeMap<String, Vec<String>> {
    let names = [("shop-production-web-r1", vec!["web"]), ("guest", vec!["friend"]), ("still", vec![])];
    names.map(|(name, aliases)| (name.to_owned(), aliases.into_iter().map(str::to_owned).collect())).into()
}

async fn begin(site: &Site) -> Result<(), DeployError> {
    let before = site.docker.network(NETWORK).await.unwrap().unwrap();
    remake::begin(&site.world, &scope(), &wanted(), before).await
}

#[tokio::test]
async fn everything_on_a_network_is_on_the_new_one_and_a_fixed_address_only_where_it_lies_in_it() {
    let site = with_network().await;
    begin(&site).await.unwrap();
    assert_eq!(seen(&site).await, (true, everybody()));
    let guest = site.docker.inspect("guest").await.unwrap().unwrap();
    assert_eq!(guest.networks[NETWORK].fixed, None);
    assert!(remake::unfinished(&site.world, &scope()).unwrap().is_empty());
}

#[tokio::test]
async fn a_change_that_breaks_in_the_middle_is_brought_to_its_end() {
    for call in ["disconnect", "connect", "inspect"] {
        let site = with_network().await;
        site.docker.refuse_next(call, "not now");
        begin(&site).await.unwrap_err();
        for change in remake::unfinished(&site.world, &scope()).unwrap() {
            let there = site.docker.network(NETWORK).await.unwrap();
            let differs = there.is_some_and(|network| !network.internal);
            remake::finish(&site.world, &scope(), &change, Some(&wanted()), differs).await.unwrap();
        }
        let (is_internal, on) = seen(&site).await;
        assert_eq!(on, everybody(), "{call}");
        // What broke before anything was written down has changed nothing.
        assert_eq!(is_internal, call != "inspect", "{call}");
        assert!(remake::unfinished(&site.world, &scope()).unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_network_that_cannot_be_made_is_there_again_as_it_was() {
    let site = with_network().await;
    site.docker.refuse_next("create_network", "the pool overlaps with another one");
    let error = begin(&site).await.unwrap_err();
    assert!(matches!(error, DeployError::Docker { .. }), "{error}");
    assert_eq!(seen(&site).await, (false, everybody()));
    let guest = site.docker.inspect("guest").await.unwrap().unwrap();
    assert_eq!(guest.networks[NETWORK].fixed, "10.77.1.9".parse().ok());
    assert!(remake::unfinished(&site.world, &scope()).unwrap().is_empty());
}

/// A platform with a database, an archive of a service that the file has given up, and something of somebody else.
async fn with_data() -> Site {
    let site = site(Strategy::Exclusive, Behaviour::healthy_after(1)).await;
    let known = |service: &str, database: Option<&str>| KnownVolume {
        since_ms: 0,
        services: vec![service.into()],
        database: database.map(str::to_owned),
    };
    let volumes = [("shop_pgdata", known("db", Some("PostgreSQL"))), ("shop_archive", known("old", None))];
    let identity = Identity {
        with_compose: false,
        scope: scope(),
        dir: "/".into(),
        project: "shop".into(),
        volumes: volumes.map(|(name, known)| (name.to_owned(), known)).into(),
        own: BTreeMap::new(),
        declared: vec!["shop_pgdata".into()],
        external: vec!["shop_outer".into()],
        services: vec!["web".into(), "db".into()],
    };
    site.world.save_identity(&identity).unwrap();
    for name in ["shop_pgdata", "shop_archive", "shop_outer", "other"] {
        let labels =
            [(COMPOSE_PROJECT.to_owned(), "shop".to_owned())].into_iter().filter(|_| name != "other").collect();
        site.docker.create_volume(&VolumeSpec { name: name.into(), labels, ..VolumeSpec::default() }).await.unwrap();
    }
    let platform = Platform { volumes: vec!["shop_pgdata".into()], ..Platform::new(scope(), "/") };
    site.world.save_platform(&platform).unwrap();
    let migrated = Migrated {
        release: release(1, Strategy::Exclusive).id,
        kind: MigrationKind::Breaking,
        command: vec!["migrate".into()],
        started_ms: 0,
        ended_ms: Some(1),
        failed: None,
    };
    site.world.save_migration(&release(1, Strategy::Exclusive), &migrated).unwrap();
    site
}

fn asks(volumes: bool, named: &[&str]) -> Request {
    Request { scope: scope(), volumes, named: named.iter().map(|name| (*name).to_owned()).collect() }
}

async fn left(site: &Site) -> Vec<String> {
    site.docker.volumes(&[]).await.unwrap().into_iter().map(|volume| volume.name).collect()
}

#[tokio::test]
async fn down_tells_of_each_volume_what_becomes_of_it() {
    let site = with_data().await;
    site.docker.fill_volume("shop_pgdata", 42);
    let fates = volumes::shown(&site.world, &asks(true, &[])).await.unwrap();
    let told: Vec<_> = fates.iter().map(|fate| (fate.name.as_str(), fate.goes, fate.bytes)).collect();
    assert_eq!(told, [("shop_pgdata", true, Some(42)), ("shop_archive", false, Some(0))]);
    assert_eq!(fates[1].stays_because.as_deref(), Some("of `old`, which the file no longer has"));
    let error = volumes::shown(&site.world, &asks(true, &["nonsense"])).await.unwrap_err();
    assert!(matches!(error, DeployError::Unknown { .. }), "{error}");
}

#[tokio::test]
async fn a_database_of_production_goes_by_its_name_alone_and_its_migrations_are_forgotten() {
    let site = with_data().await;
    let DeployError::Refused(text) = deploy::down(&site.world, &asks(true, &[])).await.unwrap_err() else {
        panic!("not refused");
    };
    assert!(text.contains("`mainstay down --volumes --yes --volume shop_pgdata`"), "{text}");
    assert_eq!(site.world.serving(&scope()).unwrap().len(), 1, "nothing was touched");
    for foreign in ["other", "shop_outer"] {
        let error = deploy::down(&site.world, &asks(true, &["shop_pgdata", foreign])).await.unwrap_err();
        assert!(matches!(error, DeployError::Refused(_)), "{error}");
    }
    let removed = deploy::down(&site.world, &asks(true, &["shop_pgdata"])).await.unwrap();
    assert_eq!((removed.volumes, removed.kept_volumes), (vec!["shop_pgdata".to_owned()], vec!["shop_archive".into()]));
    assert_eq!(left(&site).await, ["other", "shop_archive", "shop_outer"]);
    let identity = site.world.identity(&scope()).unwrap().unwrap();
    assert_eq!(identity.volumes.into_keys().collect::<Vec<_>>(), ["shop_archive"]);
    assert_eq!(site.world.migration_of(&release(1, Strategy::Exclusive)).unwrap(), None);
    // Again, as after a crash: what is gone needs no second removing.
    deploy::down(&site.world, &asks(true, &["shop_pgdata", "shop_archive"])).await.unwrap();
    assert_eq!(left(&site).await, ["other", "shop_outer"]);
}

#[tokio::test]
async fn without_a_word_about_data_all_of_it_stays_and_so_do_the_migrations() {
    let site = with_data().await;
    let removed = deploy::down(&site.world, &asks(false, &[])).await.unwrap();
    assert_eq!((removed.volumes.len(), left(&site).await.len()), (0, 4));
    assert!(site.world.migration_of(&release(1, Strategy::Exclusive)).unwrap().is_some());
    let removed = deploy::down(&site.world, &asks(false, &["shop_archive"])).await.unwrap();
    assert_eq!(removed.volumes, ["shop_archive"], "what is named goes alone");
}
