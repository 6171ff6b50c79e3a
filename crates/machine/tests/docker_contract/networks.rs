//! Networks, and who is on them.

use std::net::IpAddr;

use machine::docker::{AddressPool, ContainerSpec, DockerError, NetworkMember, NetworkSpec, State};

use crate::ground::{Ground, Program};

pub(crate) async fn a_new_network_has_a_subnet_and_a_gateway_inside_it(ground: &Ground) {
    let made = ground.docker().create_network(&ground.network("front")).await.unwrap();
    assert_eq!(
        (made.name.as_str(), made.driver.as_str(), made.internal),
        (ground.name("front").as_str(), "bridge", false)
    );
    let (subnet, gateway) = (made.subnet.clone().unwrap(), made.gateway.unwrap());
    let IpAddr::V4(gateway) = gateway else { panic!("a gateway of version 6") };
    let base = subnet.split('/').next().unwrap();
    let octets = gateway.octets();
    assert!(base.starts_with(&format!("{}.{}.", octets[0], octets[1])), "{subnet} has not {gateway}");
    assert_eq!(ground.docker().network(&made.name).await.unwrap(), Some(made.clone()));
    assert_eq!(ground.docker().network(&made.id).await.unwrap(), Some(made));
}

pub(crate) async fn a_network_with_its_own_subnet_has_its_first_address_as_gateway(ground: &Ground) {
    // A range that the engine does not pick by itself; the last part differs between test runs side by side.
    let part = std::process::id() % 250;
    let pools = vec![AddressPool::subnet(format!("10.99.{part}.0/24"))];
    let spec = NetworkSpec { pools, internal: true, ..ground.network("own") };
    let made = ground.docker().create_network(&spec).await.unwrap();
    assert_eq!(made.subnet.as_deref(), spec.pools.first().map(|pool| pool.subnet.as_str()));
    assert_eq!(made.gateway.map(|gateway| gateway.to_string()), Some(format!("10.99.{part}.1")));
    assert!(made.internal);
}

pub(crate) async fn a_network_with_a_range_gives_addresses_out_of_it(ground: &Ground) {
    let part = std::process::id() % 250;
    let spec = NetworkSpec {
        pools: vec![AddressPool {
            gateway: Some(format!("10.98.{part}.7")),
            range: Some(format!("10.98.{part}.128/25")),
            reserved: [("router".to_owned(), format!("10.98.{part}.128"))].into(),
            ..AddressPool::subnet(format!("10.98.{part}.0/24"))
        }],
        ..ground.network("ranged")
    };
    let made = ground.docker().create_network(&spec).await.unwrap();
    assert_eq!(made.gateway.map(|gateway| gateway.to_string()), Some(format!("10.98.{part}.7")));
    let id = ground.docker().create(&ground.container("web", Program::Sleeps)).await.unwrap();
    ground.docker().connect(&made.name, &id, &[]).await.unwrap();
    ground.docker().start(&id).await.unwrap();
    let detail = ground.docker().inspect(&id).await.unwrap().unwrap();
    let own = detail.networks[&made.name].address.map(|own| own.to_string());
    assert_eq!(own, Some(format!("10.98.{part}.129")), "the first of the range is reserved");
}

pub(crate) async fn a_network_name_that_is_taken_is_a_conflict(ground: &Ground) {
    ground.docker().create_network(&ground.network("front")).await.unwrap();
    let second = ground.docker().create_network(&ground.network("front")).await;
    assert!(matches!(second, Err(DockerError::Conflict { .. })), "{second:?}");
}

pub(crate) async fn a_network_that_does_not_exist_is_not_found(ground: &Ground) {
    let docker = ground.docker();
    assert_eq!(docker.network("mainstay-nowhere").await.unwrap(), None);
    let id = docker.create(&ground.container("web", Program::Sleeps)).await.unwrap();
    for answer in [
        docker.remove_network("mainstay-nowhere").await,
        docker.connect("mainstay-nowhere", &id, &[]).await,
        docker.disconnect("mainstay-nowhere", &id).await,
    ] {
        assert!(
            matches!(&answer, Err(DockerError::NotFound(thing)) if thing == "network `mainstay-nowhere`"),
            "{answer:?}"
        );
    }
}

pub(crate) async fn networks_are_listed_by_label(ground: &Ground) {
    let made = ground.docker().create_network(&ground.network("front")).await.unwrap();
    assert_eq!(ground.docker().networks(&[ground.label()]).await.unwrap(), [made]);
    let other = (ground.label().0, "another test".to_owned());
    assert_eq!(ground.docker().networks(&[other]).await.unwrap(), []);
}

async fn on(ground: &Ground, network: &str, of: &str, aliases: &[&str]) -> ContainerSpec {
    let aliases = aliases.iter().map(|alias| (*alias).to_owned()).collect();
    ContainerSpec { network: Some(ground.name(network)), aliases, ..ground.container(of, Program::Sleeps) }
}

pub(crate) async fn a_network_in_use_cannot_be_removed_and_an_empty_one_can(ground: &Ground) {
    let name = ground.docker().create_network(&ground.network("front")).await.unwrap().name;
    let id = ground.run(&on(ground, "front", "web", &[]).await).await;
    let refused = ground.docker().remove_network(&name).await;
    assert!(matches!(refused, Err(DockerError::Conflict { .. })), "{refused:?}");
    ground.docker().remove(&id, true).await.unwrap();
    ground.docker().remove_network(&name).await.unwrap();
    assert_eq!(ground.docker().network(&name).await.unwrap(), None);
}

pub(crate) async fn containers_of_one_network_have_different_addresses(ground: &Ground) {
    let network = ground.docker().create_network(&ground.network("front")).await.unwrap();
    let mut addresses = vec![network.gateway];
    for of in ["a", "b"] {
        let id = ground.run(&on(ground, "front", of, &["service"]).await).await;
        let place = ground.detail(&id).await.networks[&network.name].clone();
        assert_eq!(place.aliases, ["service"]);
        addresses.push(place.address);
    }
    assert!(addresses.iter().all(Option::is_some), "{addresses:?}");
    addresses.sort();
    addresses.dedup();
    assert_eq!(addresses.len(), 3);
}

pub(crate) async fn a_connected_container_is_on_both_networks_until_it_is_disconnected(ground: &Ground) {
    let back = ground.docker().create_network(&ground.network("back")).await.unwrap().name;
    let id = ground.sleeper("web").await;
    ground.docker().connect(&back, &id, &["api".to_owned()]).await.unwrap();
    let detail = ground.detail(&id).await;
    assert!(detail.networks["bridge"].address.is_some() && detail.networks[&back].address.is_some(), "{detail:?}");
    assert_eq!(detail.networks[&back].aliases, ["api"]);
    ground.docker().disconnect(&back, &id).await.unwrap();
    assert_eq!(ground.detail(&id).await.networks.into_keys().collect::<Vec<_>>(), ["bridge"]);
}

pub(crate) async fn connecting_or_disconnecting_twice_is_a_conflict(ground: &Ground) {
    let back = ground.docker().create_network(&ground.network("back")).await.unwrap().name;
    let id = ground.sleeper("web").await;
    ground.docker().connect(&back, &id, &[]).await.unwrap();
    let again = ground.docker().connect(&back, &id, &[]).await;
    assert!(matches!(again, Err(DockerError::Conflict { .. })), "{again:?}");
    ground.docker().disconnect(&back, &id).await.unwrap();
    let again = ground.docker().disconnect(&back, &id).await;
    assert!(matches!(again, Err(DockerError::Conflict { .. })), "{again:?}");
}

pub(crate) async fn a_container_whose_network_is_gone_cannot_start(ground: &Ground) {
    let name = ground.docker().create_network(&ground.network("front")).await.unwrap().name;
    let id = ground.docker().create(&on(ground, "front", "web", &[]).await).await.unwrap();
    ground.docker().remove_network(&name).await.unwrap();
    let error = ground.docker().start(&id).await.unwrap_err();
    assert!(matches!(&error, DockerError::NotFound(thing) if thing.starts_with("network `")), "{error:?}");
}

pub(crate) async fn a_network_tells_how_it_was_made_and_who_runs_on_it(ground: &Ground) {
    let part = std::process::id() % 250;
    let pool = AddressPool {
        gateway: Some(format!("10.97.{part}.7")),
        range: Some(format!("10.97.{part}.128/25")),
        reserved: [("printer".to_owned(), format!("10.97.{part}.130"))].into(),
        ..AddressPool::subnet(format!("10.97.{part}.0/24"))
    };
    let options = [("com.docker.network.driver.mtu".to_owned(), "1400".to_owned())].into();
    let spec = NetworkSpec { pools: vec![pool], options, attachable: true, ..ground.network("front") };
    let made = ground.docker().create_network(&spec).await.unwrap();
    assert_eq!((&made.pools, made.attachable, made.ipv6), (&spec.pools, true, false));
    assert!(spec.options.iter().all(|(key, value)| made.options.get(key) == Some(value)), "{made:?}");
    assert_eq!(made.containers, []);
    let id = ground.run(&on(ground, "front", "web", &[]).await).await;
    let address = ground.detail(&id).await.networks[&made.name].address;
    let member = NetworkMember { id: id.clone(), name: ground.name("web"), address };
    assert_eq!(ground.docker().network(&made.name).await.unwrap().unwrap().containers, [member]);
    ground.docker().kill(&id, "SIGKILL").await.unwrap();
    ground.until("the end", &id, |detail| detail.state == State::Exited).await;
    assert_eq!(ground.docker().network(&made.name).await.unwrap(), Some(made), "who does not run is not on it");
}

pub(crate) async fn a_container_is_connected_at_the_address_it_asks_for(ground: &Ground) {
    let part = std::process::id() % 250;
    let pools = vec![AddressPool::subnet(format!("10.96.{part}.0/24"))];
    let name = ground.docker().create_network(&NetworkSpec { pools, ..ground.network("own") }).await.unwrap().name;
    let wanted: Option<IpAddr> = format!("10.96.{part}.77").parse().ok();
    let id = ground.sleeper("web").await;
    ground.docker().connect_at(&name, &id, &["api".to_owned()], wanted).await.unwrap();
    let place = ground.detail(&id).await.networks[&name].clone();
    assert_eq!((place.address, place.fixed, place.aliases), (wanted, wanted, vec!["api".to_owned()]));
    ground.docker().kill(&id, "SIGKILL").await.unwrap();
    ground.until("the end", &id, |detail| detail.state == State::Exited).await;
    ground.docker().start(&id).await.unwrap();
    assert_eq!(ground.detail(&id).await.networks[&name].address, wanted, "it is its own from then on");
}

pub(crate) async fn an_address_that_cannot_be_had_is_refused(ground: &Ground) {
    let part = std::process::id() % 250;
    let pools = vec![AddressPool::subnet(format!("10.95.{part}.0/24"))];
    let own = ground.docker().create_network(&NetworkSpec { pools, ..ground.network("own") }).await.unwrap().name;
    let picked = ground.docker().create_network(&ground.network("picked")).await.unwrap();
    let wanted: Option<IpAddr> = format!("10.95.{part}.77").parse().ok();
    let (first, second) = (ground.sleeper("a").await, ground.sleeper("b").await);
    ground.docker().connect_at(&own, &first, &[], wanted).await.unwrap();
    let taken = ground.docker().connect_at(&own, &second, &[], wanted).await;
    assert!(matches!(taken, Err(DockerError::Refused { .. })), "{taken:?}");
    let unchosen = ground.docker().connect_at(&picked.name, &second, &[], wanted).await;
    assert!(matches!(unchosen, Err(DockerError::Refused { .. })), "{unchosen:?}");
}
