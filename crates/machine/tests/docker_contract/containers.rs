//! Making, finding, naming and removing containers.

use std::time::Duration;

use machine::docker::{
    ContainerSpec, DockerError, DockerResult, Mount, MountKind, MountPoint, PublishedPort, Restart, State,
};

use crate::ground::{Ground, Program};

fn is_not_found<T: std::fmt::Debug>(answer: DockerResult<T>) -> bool {
    matches!(&answer, Err(DockerError::NotFound(thing)) if thing == "container `mainstay-nobody`")
}

pub(crate) async fn the_engine_tells_its_version(ground: &Ground) {
    let version = ground.docker().ping().await.unwrap();
    assert!(!version.engine.is_empty() && version.api.starts_with("1."), "{version:?}");
}

pub(crate) async fn a_container_that_does_not_exist_is_not_found_by_any_call(ground: &Ground) {
    let (docker, nobody) = (ground.docker(), "mainstay-nobody");
    assert_eq!(docker.inspect(nobody).await.unwrap(), None);
    assert!(is_not_found(docker.start(nobody).await));
    assert!(is_not_found(docker.stop(nobody, Duration::ZERO).await));
    assert!(is_not_found(docker.kill(nobody, "SIGKILL").await));
    assert!(is_not_found(docker.remove(nobody, true).await));
    assert!(is_not_found(docker.rename(nobody, "x").await));
    assert!(is_not_found(docker.logs(nobody, 1).await));
    assert!(is_not_found(docker.follow_logs(nobody, 1).await.map(drop)));
    assert!(is_not_found(docker.stats(nobody).await));
}

pub(crate) async fn a_created_container_waits_to_be_started(ground: &Ground) {
    let id = ground.docker().create(&ground.container("web", Program::Sleeps)).await.unwrap();
    let detail = ground.detail(&id).await;
    assert_eq!(detail.state, State::Created);
    assert_eq!((detail.pid, detail.exit_code, detail.started_ms, detail.finished_ms), (None, None, None, None));
    assert!(detail.networks.values().all(|place| place.address.is_none()), "{detail:?}");
    let labels = [ground.label()];
    assert_eq!(ground.docker().list(&labels, false).await.unwrap(), []);
    assert_eq!(ground.docker().list(&labels, true).await.unwrap()[0].state, State::Created);
}

pub(crate) async fn a_running_container_has_a_process_and_an_address(ground: &Ground) {
    let id = ground.sleeper("web").await;
    let detail = ground.detail(&id).await;
    assert_eq!((detail.state, detail.exit_code, detail.oom_killed), (State::Running, None, false));
    assert!(detail.pid.is_some() && detail.started_ms.is_some() && detail.created_ms > 0, "{detail:?}");
    let address = detail.networks["bridge"].address.unwrap();
    let listed = ground.docker().list(&[ground.label()], false).await.unwrap().remove(0);
    assert_eq!((listed.id, listed.name, listed.state), (id, ground.name("web"), State::Running));
    assert_eq!((listed.image, listed.image_id), (detail.image, detail.image_id));
    assert_eq!(listed.addresses["bridge"], address);
}

pub(crate) async fn a_container_is_found_by_name_by_id_and_by_the_beginning_of_its_id(ground: &Ground) {
    let id = ground.docker().create(&ground.container("web", Program::Sleeps)).await.unwrap();
    for handle in [id.as_str(), &id[..12], &ground.name("web")] {
        let detail = ground.detail(handle).await;
        assert_eq!((detail.id.as_str(), detail.name), (id.as_str(), ground.name("web")));
    }
}

pub(crate) async fn a_listing_keeps_to_the_labels_asked_for(ground: &Ground) {
    let mut spec = ground.container("web", Program::Sleeps);
    spec.labels.insert("role".into(), "web".into());
    ground.docker().create(&spec).await.unwrap();
    let count = async |extra: (&str, &str)| {
        let labels = [ground.label(), (extra.0.to_owned(), extra.1.to_owned())];
        ground.docker().list(&labels, true).await.unwrap().len()
    };
    assert_eq!(count(("role", "web")).await, 1);
    assert_eq!(count(("role", "")).await, 1, "an empty value asks only that the label is there");
    assert_eq!(count(("role", "db")).await, 0);
    assert_eq!(count(("rank", "")).await, 0);
}

pub(crate) async fn a_name_that_is_taken_cannot_be_given_again(ground: &Ground) {
    ground.docker().create(&ground.container("web", Program::Sleeps)).await.unwrap();
    let second = ground.docker().create(&ground.container("web", Program::Sleeps)).await;
    assert!(matches!(second, Err(DockerError::Conflict { .. })), "{second:?}");
    let other = ground.docker().create(&ground.container("db", Program::Sleeps)).await.unwrap();
    let renamed = ground.docker().rename(&other, &ground.name("web")).await;
    assert!(matches!(renamed, Err(DockerError::Conflict { .. })), "{renamed:?}");
}

pub(crate) async fn a_container_of_a_missing_image_cannot_be_created(ground: &Ground) {
    let image = "mainstay-test/never-built:1".to_owned();
    let spec = ContainerSpec { image, ..ground.container("web", Program::Sleeps) };
    let error = ground.docker().create(&spec).await.unwrap_err();
    assert_eq!(error.to_string(), "there is no image `mainstay-test/never-built:1`");
}

pub(crate) async fn a_renamed_container_is_found_under_its_new_name_only(ground: &Ground) {
    let id = ground.sleeper("web").await;
    ground.docker().rename(&id, &ground.name("web-old")).await.unwrap();
    assert_eq!(ground.detail(&ground.name("web-old")).await.id, id);
    assert_eq!(ground.docker().inspect(&ground.name("web")).await.unwrap(), None);
}

pub(crate) async fn a_running_container_is_removed_only_by_force(ground: &Ground) {
    let id = ground.sleeper("web").await;
    let refused = ground.docker().remove(&id, false).await;
    assert!(matches!(refused, Err(DockerError::Conflict { .. })), "{refused:?}");
    ground.docker().remove(&id, true).await.unwrap();
    assert_eq!(ground.docker().inspect(&id).await.unwrap(), None);
    assert!(matches!(ground.docker().remove(&id, true).await, Err(DockerError::NotFound(_))));
}

pub(crate) async fn a_container_tells_what_it_sees_and_how_it_ends(ground: &Ground) {
    let volume = ground.docker().create_volume(&ground.volume("data")).await.unwrap();
    let mount = |source: &str, target: &str| Mount { source: source.into(), target: target.into(), read_only: true };
    let spec = ContainerSpec {
        mounts: vec![mount("/etc", "/host"), Mount { read_only: false, ..mount(&volume.name, "/data") }],
        restart: Restart::OnFailure(3),
        stop_signal: Some("SIGINT".into()),
        stop_timeout: Some(Duration::from_secs(90)),
        ..ground.container("db", Program::Sleeps)
    };
    let id = ground.docker().create(&spec).await.unwrap();
    let detail = ground.detail(&id).await;
    let data = MountPoint {
        kind: MountKind::Volume,
        name: Some(volume.name.clone()),
        source: volume.mountpoint,
        target: "/data".into(),
        writable: true,
        driver: Some("local".into()),
    };
    let host =
        MountPoint { kind: MountKind::Bind, source: "/etc".into(), target: "/host".into(), ..MountPoint::default() };
    assert_eq!(detail.mounts, [data, host]);
    assert_eq!(detail.restart, Restart::OnFailure(3));
    assert_eq!((detail.stop_signal.as_deref(), detail.stop_timeout), (Some("SIGINT"), spec.stop_timeout));
    assert_eq!((detail.command, detail.network_mode.as_deref()), (spec.command, Some("default")));
    let listed = ground.docker().list(&[ground.label()], true).await.unwrap().remove(0);
    let seen = |mounts: &[MountPoint]| -> Vec<_> {
        mounts.iter().map(|mount| (mount.kind, mount.name.clone(), mount.target.clone(), mount.writable)).collect()
    };
    assert_eq!(seen(&listed.mounts), seen(&detail.mounts));
}

pub(crate) async fn a_container_tells_the_ports_it_publishes(ground: &Ground) {
    let asked =
        PublishedPort { host_ip: "127.0.0.1".into(), host_port: 0, container_port: 5432, protocol: "tcp".into() };
    let spec = ContainerSpec { published: vec![asked.clone()], ..ground.container("db", Program::Sleeps) };
    let id = ground.docker().create(&spec).await.unwrap();
    assert_eq!(ground.detail(&id).await.published, vec![asked.clone()], "what is asked for");
    ground.docker().start(&id).await.unwrap();
    let published = ground.detail(&id).await.published;
    let given = published[0].host_port;
    assert!(given > 0, "the engine picks one");
    assert_eq!(published, [PublishedPort { host_port: given, ..asked.clone() }]);
    assert_eq!(ground.docker().list(&[ground.label()], true).await.unwrap()[0].published, published);
    ground.docker().kill(&id, "SIGKILL").await.unwrap();
    ground.until("the end", &id, |detail| detail.state == State::Exited).await;
    assert_eq!(ground.detail(&id).await.published, [asked]);
    assert_eq!(ground.docker().list(&[ground.label()], true).await.unwrap()[0].published, []);
}
