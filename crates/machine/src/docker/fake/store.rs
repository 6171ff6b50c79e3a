//! Images of the fake.

use super::behaviour::Behaviour;
use super::places::conflict;
use super::world::World;
use crate::docker::{DockerError, DockerResult, Image};

#[derive(Debug, Clone)]
pub(super) struct FakeImage {
    pub(super) image: Image,
    pub(super) behaviour: Behaviour,
}

impl World {
    pub(super) fn add_image(&mut self, name: &str, behaviour: Behaviour) -> String {
        let reference = full(name);
        let id = format!("sha256:{}", self.new_id());
        let created_ms = self.clock.now_ms();
        self.take_name(&reference);
        let image = Image {
            id: id.clone(),
            tags: vec![reference],
            size: 100_000_000,
            created_ms,
            volumes: behaviour.volumes.clone(),
            ..Image::default()
        };
        self.images.push(FakeImage { image, behaviour });
        id
    }

    pub(super) fn find_image(&self, name: &str) -> DockerResult<&FakeImage> {
        let reference = full(name);
        let bare = name.trim_start_matches("sha256:");
        // A short id is hexadecimal and long enough not to be met by chance.
        let is_id = bare.len() >= 6 && bare.chars().all(|c| c.is_ascii_hexdigit());
        let by_id = |one: &&FakeImage| is_id && one.image.id.trim_start_matches("sha256:").starts_with(bare);
        let by_name = self.images.iter().find(|one| one.image.tags.contains(&reference));
        let found = by_name.or_else(|| self.images.iter().find(by_id));
        found.ok_or_else(|| DockerError::NotFound(format!("image `{name}`")))
    }

    pub(super) fn tag(&mut self, image: &str, repo: &str, tag: &str) -> DockerResult<()> {
        let id = self.find_image(image)?.image.id.clone();
        let reference = format!("{repo}:{tag}");
        self.take_name(&reference);
        self.calls.push(format!("tag {image} {reference}"));
        if let Some(found) = self.images.iter_mut().find(|one| one.image.id == id) {
            found.image.tags.push(reference);
            found.image.tags.sort();
        }
        Ok(())
    }

    pub(super) fn untag(&mut self, reference: &str) -> DockerResult<()> {
        let found = self.find_image(reference)?;
        let (id, tags) = (found.image.id.clone(), found.image.tags.clone());
        let last = tags.len() <= 1;
        let thing = format!("image `{reference}`");
        if last && self.containers.values().any(|one| one.image_id == id) {
            return Err(conflict("untag", thing, "image is being used by a container".to_owned()));
        }
        if !last && !tags.contains(&full(reference)) {
            let message = "image is referenced in multiple repositories".to_owned();
            return Err(conflict("untag", thing, message));
        }
        self.calls.push(format!("untag {reference}"));
        if last {
            self.images.retain(|one| one.image.id != id);
        } else {
            self.take_name(&full(reference));
        }
        Ok(())
    }

    fn take_name(&mut self, reference: &str) {
        for one in &mut self.images {
            one.image.tags.retain(|tag| tag != reference);
        }
    }
}

/// A name without a tag means `latest`.
fn full(name: &str) -> String {
    let last = name.rsplit('/').next().unwrap_or(name);
    if last.contains(':') { name.to_owned() } else { format!("{name}:latest") }
}
