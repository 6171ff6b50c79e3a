//! What each new release is made from.

use std::collections::BTreeMap;

use spec::ServiceName;

use super::Request;
use crate::draft::Draft;
use crate::error::DeployError;
use crate::images;
use crate::release::{Origin, origin};
use crate::world::World;

/// Of every service that changes.
pub async fn all(
    world: &World,
    request: &Request,
    draft: &Draft,
) -> Result<BTreeMap<ServiceName, Origin>, DeployError> {
    let common = origin::of(world, &draft.loaded, &request.source.dir).await;
    let mut origins = BTreeMap::new();
    for change in draft.plan.pending() {
        let service = &change.service;
        let mut origin = common.clone();
        let id = draft.images.get(service).and_then(|image| image.id.as_deref());
        let Some(id) = id else { continue };
        if let Some(image) = images::find(world, id).await? {
            origin = origin::with_image(origin, &image);
        }
        // Another configuration for a promoted image leaves it a promoted one.
        let stays = draft.serving.get(service);
        let stays = stays.filter(|serving| serving.image.id == id && !request.images.contains_key(service));
        origin.promoted = match &request.promotion {
            Some(promotion) => promotion.origin(service),
            None => stays.and_then(|serving| serving.origin.promoted.clone()),
        };
        origins.insert(service.clone(), origin);
    }
    Ok(origins)
}
