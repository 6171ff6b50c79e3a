//! An engine in memory that keeps Docker's own rules, for tests of whatever stands on `Docker`.
//!
//! Honest means: the contract suite that the real engine passes is passed here too, and nothing succeeds that a
//! real engine would refuse. What a container does is written on its image, as a `Behaviour`.

mod answers;
mod behaviour;
mod container;
mod places;
mod store;
mod world;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::broadcast;

use super::{ContainerEvent, ContainerSpec, DockerError, DockerResult, Health, Image};
use crate::clock::{Clock, SystemClock};
pub use behaviour::{Behaviour, HealthScript};
use world::World;

/// A Docker Engine that exists only in memory. Clones share one world.
#[derive(Clone)]
pub struct FakeDocker {
    world: Arc<Mutex<World>>,
    events: broadcast::Sender<ContainerEvent>,
}

impl std::fmt::Debug for FakeDocker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FakeDocker").field("calls", &self.calls().len()).finish_non_exhaustive()
    }
}

impl Default for FakeDocker {
    fn default() -> Self {
        Self::new(Arc::new(SystemClock::new()))
    }
}

impl FakeDocker {
    /// An engine without images. What is timed (`Behaviour::exits`) goes by this clock.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let (events, _) = broadcast::channel(1024);
        Self { world: Arc::new(Mutex::new(World::new(clock, events.clone()))), events }
    }

    /// Puts an image on this machine; its containers behave like this. Answers the image id.
    pub fn add_image(&self, name: &str, behaviour: Behaviour) -> String {
        self.world().add_image(name, behaviour)
    }

    /// Writes a label on an image.
    pub fn label_image(&self, name: &str, key: &str, value: &str) -> DockerResult<()> {
        let mut world = self.look()?;
        let id = world.find_image(name)?.image.id.clone();
        let found = world.images.iter_mut().find(|one| one.image.id == id);
        found.map(|one| one.image.labels.insert(key.to_owned(), value.to_owned()));
        Ok(())
    }

    /// Creates and starts a container in one go, outside any async code: what `docker run --detach` does.
    pub fn run_now(&self, spec: &ContainerSpec) -> DockerResult<String> {
        let mut world = self.look()?;
        let id = world.create(spec)?;
        world.start(&id)?;
        Ok(id)
    }

    /// The container's process ends now, by itself, with this code.
    pub fn end(&self, id: &str, code: i64) -> DockerResult<()> {
        let mut world = self.look()?;
        let id = world.find(id)?;
        world.end(&id, code, false);
        Ok(())
    }

    /// From now on the container's health is this, whatever its script says.
    pub fn set_health(&self, id: &str, health: Health) -> DockerResult<()> {
        let mut world = self.look()?;
        let id = world.find(id)?;
        world.set_health(&id, health);
        Ok(())
    }

    /// So many bytes are in the volume from now on.
    pub fn fill_volume(&self, name: &str, bytes: u64) {
        self.world().sizes.insert(name.to_owned(), bytes);
    }

    /// Changes what an image declares, besides its labels.
    pub fn change_image(&self, name: &str, change: impl FnOnce(&mut Image)) -> DockerResult<()> {
        let mut world = self.look()?;
        let id = world.find_image(name)?.image.id.clone();
        if let Some(found) = world.images.iter_mut().find(|one| one.image.id == id) {
            change(&mut found.image);
            found.behaviour.volumes.clone_from(&found.image.volumes);
        }
        Ok(())
    }

    /// The container writes a line.
    pub fn say(&self, id: &str, line: &str) -> DockerResult<()> {
        let mut world = self.look()?;
        let id = world.find(id)?;
        world.say(&id, line);
        Ok(())
    }

    /// The next call of this name (`start`, `stop`, `create`, `remove`, `inspect`, ..) is refused with this message.
    pub fn refuse_next(&self, call: &str, message: &str) {
        self.world().refusals.push((call.to_owned(), message.to_owned()));
    }

    /// The daemon goes away, or comes back. Containers live on, as with `live-restore`.
    pub fn set_reachable(&self, reachable: bool) {
        self.world().reachable = reachable;
    }

    /// The calls that changed something, in order: `start web-7f3`, `rename web-1 web-1-old`.
    pub fn calls(&self) -> Vec<String> {
        self.world().calls.clone()
    }

    fn world(&self) -> MutexGuard<'_, World> {
        // A panicking test leaves a world that is still worth looking at.
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The world as it is by now, if the daemon answers.
    fn look(&self) -> DockerResult<MutexGuard<'_, World>> {
        let mut world = self.world();
        if !world.reachable {
            return Err(DockerError::NotReachable { host: "fake".to_owned(), source: None });
        }
        world.settle();
        Ok(world)
    }

    /// As `look`, for a call that a test may want to be refused.
    fn called(&self, call: &'static str, thing: &str) -> DockerResult<MutexGuard<'_, World>> {
        let mut world = self.look()?;
        if let Some(at) = world.refusals.iter().position(|(name, _)| name == call) {
            let (_, message) = world.refusals.remove(at);
            return Err(DockerError::Refused { operation: call, thing: format!("`{thing}`"), message });
        }
        Ok(world)
    }
}

#[cfg(test)]
mod tests;
