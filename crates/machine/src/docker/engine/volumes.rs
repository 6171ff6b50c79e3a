//! Volumes of the real engine.

use bollard::models::VolumeCreateRequest;
use bollard::query_parameters::{ListVolumesOptionsBuilder, RemoveVolumeOptions};

use super::{Engine, LONG_PATIENCE, PATIENCE, plain, translate};
use crate::docker::{DockerResult, Volume, VolumeSpec};

pub(super) async fn list(engine: &Engine, labels: &[(String, String)]) -> DockerResult<Vec<Volume>> {
    let options = ListVolumesOptionsBuilder::new().filters(&translate::label_filter(labels)).build();
    let found = engine.ask("list", "volumes", PATIENCE, engine.client.list_volumes(Some(options))).await?;
    Ok(found.volumes.unwrap_or_default().into_iter().map(translate::volume).collect())
}

pub(super) async fn inspect(engine: &Engine, name: &str) -> DockerResult<Volume> {
    let thing = plain("volume", name)?;
    Ok(translate::volume(engine.ask("inspect", thing, PATIENCE, engine.client.inspect_volume(name)).await?))
}

pub(super) async fn create(engine: &Engine, spec: &VolumeSpec) -> DockerResult<Volume> {
    let thing = plain("volume", &spec.name)?;
    let request = VolumeCreateRequest {
        name: Some(spec.name.clone()),
        driver: spec.driver.clone(),
        driver_opts: (!spec.options.is_empty()).then(|| spec.options.clone().into_iter().collect()),
        labels: Some(spec.labels.clone().into_iter().collect()),
        ..VolumeCreateRequest::default()
    };
    Ok(translate::volume(engine.ask("create", thing, LONG_PATIENCE, engine.client.create_volume(request)).await?))
}

pub(super) async fn remove(engine: &Engine, name: &str) -> DockerResult<()> {
    let thing = plain("volume", name)?;
    let question = engine.client.remove_volume(name, None::<RemoveVolumeOptions>);
    engine.ask("remove", thing, LONG_PATIENCE, question).await
}
