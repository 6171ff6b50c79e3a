//! Images of the real engine.

use std::time::Duration;

use bollard::query_parameters::{
    CreateImageOptionsBuilder, ListImagesOptionsBuilder, RemoveImageOptionsBuilder, TagImageOptionsBuilder,
};
use futures_util::TryStreamExt;

use super::{Engine, plain, translate};
use crate::docker::{DockerResult, Image};

/// While the engine stores a large layer, questions about images wait: more than half a minute was seen for 2 GB.
const PATIENCE: Duration = Duration::from_secs(300);

pub(super) async fn inspect(engine: &Engine, name: &str) -> DockerResult<Image> {
    let thing = plain("image", name)?;
    let found = engine.ask("inspect", thing, PATIENCE, engine.client.inspect_image(name)).await?;
    Ok(translate::image(found))
}

pub(super) async fn list(
    engine: &Engine,
    labels: &[(String, String)],
    prefix: Option<&str>,
) -> DockerResult<Vec<Image>> {
    let options = ListImagesOptionsBuilder::new().digests(true).filters(&translate::label_filter(labels)).build();
    let found = engine.ask("list", "images", PATIENCE, engine.client.list_images(Some(options))).await?;
    // The engine's own reference filter is a glob over parts of names: a prefix with a `/` would not do.
    let wanted = |image: &Image| prefix.is_none_or(|prefix| image.tags.iter().any(|tag| tag.starts_with(prefix)));
    Ok(found.into_iter().map(translate::image_listed).filter(wanted).collect())
}

pub(super) async fn tag(engine: &Engine, image: &str, repo: &str, tag: &str) -> DockerResult<()> {
    let thing = plain("image", image)?;
    let options = TagImageOptionsBuilder::new().repo(repo).tag(tag).build();
    engine.ask("tag", thing, PATIENCE, engine.client.tag_image(image, Some(options))).await
}

pub(super) async fn import(
    engine: &Engine,
    archive: Vec<u8>,
    repo: &str,
    tag: &str,
    lines: &[&str],
) -> DockerResult<()> {
    let thing = plain("image", repo)?;
    let options = CreateImageOptionsBuilder::new()
        .from_src("-")
        .repo(repo)
        .tag(tag)
        .changes(lines.iter().map(|line| (*line).to_owned()).collect())
        .build();
    let made = engine.client.create_image(Some(options), Some(bollard::body_full(archive.into())), None);
    engine.ask("import", thing, PATIENCE, made.try_for_each(|_| async { Ok(()) })).await
}

pub(super) async fn untag(engine: &Engine, reference: &str) -> DockerResult<()> {
    let thing = plain("image", reference)?;
    let options = RemoveImageOptionsBuilder::new().force(false).noprune(false).build();
    let question = engine.client.remove_image(reference, Some(options), None);
    engine.ask("untag", thing, PATIENCE, question).await.map(drop)
}
