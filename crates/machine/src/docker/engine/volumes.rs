//! Volumes of the real engine.

use std::collections::BTreeMap;
use std::time::Duration;

use bollard::models::{Volume as Wire, VolumeCreateRequest};
use bollard::query_parameters::{
    DataUsageOptionsBuilder, ListVolumesOptions, ListVolumesOptionsBuilder, RemoveVolumeOptions,
};
use hyper::Uri;
use hyper::http::uri::PathAndQuery;

use super::{Engine, LONG_PATIENCE, PATIENCE, plain, translate};
use crate::docker::{DockerResult, Volume, VolumeSpec};

/// Counting the bytes of every file of a large volume.
const MEASURING: Duration = Duration::from_secs(600);

pub(super) async fn list(engine: &Engine, labels: &[(String, String)]) -> DockerResult<Vec<Volume>> {
    let options = ListVolumesOptionsBuilder::new().filters(&translate::label_filter(labels)).build();
    let found = engine.ask("list", "volumes", PATIENCE, engine.client.list_volumes(Some(options))).await?;
    Ok(found.volumes.unwrap_or_default().into_iter().map(translate::volume).collect())
}

pub(super) async fn inspect(engine: &Engine, name: &str) -> DockerResult<Volume> {
    let thing = plain("volume", name)?;
    Ok(translate::volume(engine.ask("inspect", thing, PATIENCE, engine.client.inspect_volume(name)).await?))
}

/// Up to API 1.51 the engine tells the volumes in the form of a listing, of which bollard's own question about the use
/// of the disk knows nothing any more; newer engines tell them in another place. So both are asked for.
pub(super) async fn sizes(engine: &Engine) -> DockerResult<BTreeMap<String, u64>> {
    let (operation, thing) = ("measure", "the volumes");
    let client = engine.client.clone().with_request_modifier(|mut request| {
        *request.uri_mut() = about_volumes(request.uri());
        request
    });
    let listed = client.list_volumes(None::<ListVolumesOptions>);
    if let Some(volumes) = engine.ask(operation, thing, MEASURING, listed).await?.volumes {
        return Ok(volumes.into_iter().filter_map(size).collect());
    }
    let options = DataUsageOptionsBuilder::new().verbose(true).build();
    let used = engine.ask(operation, thing, MEASURING, engine.client.df(Some(options))).await?;
    let items = used.volume_usage.and_then(|usage| usage.items).unwrap_or_default();
    Ok(items.into_iter().filter_map(|item| size(serde_json::from_value(item).ok()?)).collect())
}

/// The same engine, another question.
fn about_volumes(uri: &Uri) -> Uri {
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::from_static("/system/df?type=volume&verbose=1"));
    Uri::from_parts(parts).unwrap_or_else(|_| uri.clone())
}

/// The engine writes -1 for what it does not know.
fn size(volume: Wire) -> Option<(String, u64)> {
    Some((volume.name, u64::try_from(volume.usage_data?.size).ok()?))
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
