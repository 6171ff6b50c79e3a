//! Images and their names.

use machine::docker::{ContainerSpec, DockerError};

use crate::ground::{Ground, Program};

pub(crate) async fn an_image_that_is_not_here_is_none(ground: &Ground) {
    assert_eq!(ground.docker().image("mainstay-test/never-built:1").await.unwrap(), None);
    let untagged = ground.docker().untag("mainstay-test/never-built:1").await;
    assert!(matches!(untagged, Err(DockerError::NotFound(_))), "{untagged:?}");
    let tagged = ground.docker().tag("mainstay-test/never-built:1", "mainstay-test/x", "1").await;
    assert!(matches!(tagged, Err(DockerError::NotFound(_))), "{tagged:?}");
}

pub(crate) async fn an_image_is_found_by_its_name_and_by_its_id(ground: &Ground) {
    let own = ground.own_image("app").await;
    let image = ground.docker().image(&own.tag).await.unwrap().unwrap();
    assert_eq!(image.tags, [own.tag.as_str()]);
    assert!(image.size > 0 && image.created_ms > 0 && image.id.starts_with("sha256:"), "{image:?}");
    assert_eq!(image.labels.get(&ground.label().0), Some(&ground.label().1));
    assert_eq!(ground.docker().image(&image.id).await.unwrap().unwrap(), image);
}

pub(crate) async fn a_second_name_comes_and_goes_without_touching_the_image(ground: &Ground) {
    let own = ground.own_image("app").await;
    let repo = format!("mainstay-test/{}", ground.name("copy"));
    ground.docker().tag(&own.tag, &repo, "r1").await.unwrap();
    let second = format!("{repo}:r1");
    let image = ground.docker().image(&second).await.unwrap().unwrap();
    assert!(image.tags.contains(&second) && image.tags.contains(&own.tag), "{image:?}");
    ground.docker().untag(&second).await.unwrap();
    assert_eq!(ground.docker().image(&second).await.unwrap(), None);
    assert_eq!(ground.docker().image(&own.tag).await.unwrap().unwrap().tags, [own.tag.as_str()]);
    ground.docker().untag(&own.tag).await.unwrap();
    assert_eq!(ground.docker().image(&image.id).await.unwrap(), None, "the last name takes the image with it");
}

pub(crate) async fn a_name_moves_to_the_image_that_is_tagged_last(ground: &Ground) {
    let (first, second) = (ground.own_image("one").await, ground.own_image("two").await);
    let repo = format!("mainstay-test/{}", ground.name("current"));
    let current = format!("{repo}:1");
    for own in [&first, &second] {
        ground.docker().tag(&own.tag, &repo, "1").await.unwrap();
        let (named, wanted) = (ground.docker().image(&current).await, ground.docker().image(&own.tag).await);
        assert_eq!(named.unwrap().unwrap().id, wanted.unwrap().unwrap().id);
    }
    ground.docker().untag(&current).await.unwrap();
}

pub(crate) async fn the_last_name_of_an_image_in_use_cannot_be_taken_away(ground: &Ground) {
    let own = ground.own_image("app").await;
    let spec = ContainerSpec { image: own.tag.clone(), ..ground.container("web", Program::Sleeps) };
    let id = ground.docker().create(&spec).await.unwrap();
    let refused = ground.docker().untag(&own.tag).await;
    assert!(matches!(refused, Err(DockerError::Conflict { .. })), "{refused:?}");
    ground.docker().remove(&id, true).await.unwrap();
    ground.docker().untag(&own.tag).await.unwrap();
}

pub(crate) async fn images_are_listed_by_label_and_by_the_beginning_of_a_name(ground: &Ground) {
    let own = ground.own_image("app").await;
    let labels = [ground.label()];
    let found = ground.docker().images(&labels, None).await.unwrap();
    assert_eq!(found.iter().map(|image| image.tags.clone()).collect::<Vec<_>>(), [[own.tag.clone()]]);
    let prefix = format!("mainstay-test/{}", ground.name("ap"));
    assert_eq!(ground.docker().images(&[], Some(&prefix)).await.unwrap().len(), 1);
    assert_eq!(ground.docker().images(&labels, Some("mainstay-test/other")).await.unwrap(), []);
}

pub(crate) async fn an_image_tells_what_it_declares(ground: &Ground) {
    let own = ground.declaring_image("db").await;
    let image = ground.docker().image(&own.tag).await.unwrap().unwrap();
    assert_eq!(image.volumes, ["/data", "/var/lib/more"]);
    assert_eq!((image.exposed, image.command), (vec!["5432/tcp".to_owned()], vec!["sleep".to_owned(), "600".into()]));
    assert_eq!((image.entrypoint, image.stop_signal.as_deref()), (Vec::<String>::new(), Some("SIGINT")));
}
