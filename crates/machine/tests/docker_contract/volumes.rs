//! Volumes.

use machine::docker::{ContainerSpec, DockerError, Mount};

use crate::ground::{Ground, Program};

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
