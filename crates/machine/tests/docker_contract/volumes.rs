//! Volumes.

use machine::docker::{ContainerSpec, DockerError, Mount, MountKind, State, VolumeSpec};

use crate::ground::{Ground, Program, SOON};

pub(crate) async fn a_volume_is_made_once_and_found_by_name_and_label(ground: &Ground) {
    let made = ground.docker().create_volume(&ground.volume("data")).await.unwrap();
    assert_eq!((made.name.as_str(), made.driver.as_str()), (ground.name("data").as_str(), "local"));
    assert!(made.mountpoint.starts_with('/'), "{made:?}");
    assert_eq!(ground.docker().create_volume(&ground.volume("data")).await.unwrap(), made);
    assert_eq!(ground.docker().volume(&made.name).await.unwrap(), Some(made.clone()));
    assert_eq!(ground.docker().volumes(&[ground.label()]).await.unwrap(), [made]);
}

pub(crate) async fn a_volume_in_use_cannot_be_removed_even_by_a_stopped_container(ground: &Ground) {
    let volume = ground.docker().create_volume(&ground.volume("data")).await.unwrap().name;
    let mount = Mount { source: volume.clone(), target: "/data".into(), read_only: false };
    let spec = ContainerSpec { mounts: vec![mount], ..ground.container("db", Program::Sleeps) };
    let id = ground.docker().create(&spec).await.unwrap();
    let refused = ground.docker().remove_volume(&volume).await;
    assert!(matches!(refused, Err(DockerError::Conflict { .. })), "{refused:?}");
    ground.docker().remove(&id, false).await.unwrap();
    assert!(ground.docker().volume(&volume).await.unwrap().is_some(), "a named volume outlives its container");
    ground.docker().remove_volume(&volume).await.unwrap();
    assert_eq!(ground.docker().volume(&volume).await.unwrap(), None);
}

pub(crate) async fn a_volume_that_does_not_exist_is_not_found(ground: &Ground) {
    assert_eq!(ground.docker().volume("mainstay-nothing").await.unwrap(), None);
    let removed = ground.docker().remove_volume("mainstay-nothing").await;
    assert!(
        matches!(&removed, Err(DockerError::NotFound(thing)) if thing == "volume `mainstay-nothing`"),
        "{removed:?}"
    );
}

pub(crate) async fn a_volume_tells_its_options_and_its_age(ground: &Ground) {
    let options = [("type".to_owned(), "tmpfs".to_owned()), ("device".to_owned(), "tmpfs".to_owned())].into();
    let made = ground.docker().create_volume(&VolumeSpec { options, ..ground.volume("share") }).await.unwrap();
    assert_eq!(made.options.get("type").map(String::as_str), Some("tmpfs"));
    assert!(made.created_ms.is_some_and(|at| at > 0), "{made:?}");
    assert_eq!(ground.docker().volumes(&[ground.label()]).await.unwrap(), [made]);
    let plain = ground.docker().create_volume(&ground.volume("data")).await.unwrap();
    assert_eq!(plain.options, Default::default());
}

pub(crate) async fn the_sizes_of_volumes_are_told_by_name(ground: &Ground) {
    let empty = ground.docker().create_volume(&ground.volume("empty")).await.unwrap().name;
    let full = ground.docker().create_volume(&ground.volume("full")).await.unwrap().name;
    let mount = Mount { source: full.clone(), target: "/data".into(), read_only: false };
    let spec = ContainerSpec { mounts: vec![mount], ..ground.container("db", Program::Fills) };
    let id = ground.run(&spec).await;
    ground.until("the end", &id, |detail| detail.state == State::Exited).await;
    if let Ground::Fake(fake) = ground {
        fake.fill_volume(&full, 3_000_000);
    }
    let sizes = testkit::wait_for("an answer about the disk", SOON, || async {
        // An engine measures for one caller at a time and refuses the others.
        ground.docker().volume_sizes().await.map_err(|error| error.to_string())
    })
    .await;
    assert_eq!(sizes.get(&empty), Some(&0));
    assert!(sizes.get(&full).is_some_and(|bytes| *bytes >= 3_000_000), "{sizes:?}");
}

pub(crate) async fn removing_a_container_never_removes_a_volume(ground: &Ground) {
    let own = ground.declaring_image("db").await;
    let volume = ground.docker().create_volume(&ground.volume("data")).await.unwrap().name;
    let mount = Mount { source: volume.clone(), target: "/data".into(), read_only: false };
    let spec = ContainerSpec { image: own.tag.clone(), mounts: vec![mount], ..ground.container("db", Program::Sleeps) };
    let id = ground.run(&spec).await;
    let mounts = ground.detail(&id).await.mounts;
    assert!(mounts.iter().all(|mount| mount.kind == MountKind::Volume && mount.writable), "{mounts:?}");
    assert_eq!(mounts.iter().map(|mount| mount.target.as_str()).collect::<Vec<_>>(), ["/data", "/var/lib/more"]);
    assert_eq!(mounts[0].name, Some(volume.clone()), "a path with a mount needs no volume of the engine's");
    let nameless = mounts[1].name.clone().unwrap();
    assert!(nameless.len() == 64 && nameless.chars().all(|c| c.is_ascii_hexdigit()), "{nameless}");
    let held = ground.docker().remove_volume(&nameless).await;
    assert!(matches!(held, Err(DockerError::Conflict { .. })), "{held:?}");
    ground.docker().remove(&id, true).await.unwrap();
    for name in [&volume, &nameless] {
        assert!(ground.docker().volume(name).await.unwrap().is_some(), "{name} went with its container");
    }
    ground.docker().remove_volume(&nameless).await.unwrap();
}
