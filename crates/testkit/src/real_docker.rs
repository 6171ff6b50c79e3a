//! The engine of this machine, for one test, without leftovers.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use machine::docker::{ContainerSpec, Docker, Engine, Labels, NetworkSpec, VolumeSpec};
use machine::process::{Command, Processes, SystemProcesses};

/// What every container of a test is made from.
pub const BASE_IMAGE: &str = "debian:bookworm-slim";

/// The label whose value is this test's own.
const LABEL: &str = "mainstay.test";

const ADVICE: &str = "this test needs a Docker Engine: install docker.io (or docker-ce) and start dockerd";

/// A real engine and a label that only this test uses. Dropping it removes all that carries the label.
#[derive(Debug)]
pub struct RealDocker {
    engine: Engine,
    id: String,
}

impl RealDocker {
    /// Connects, and fails the test when there is no engine or no base image.
    pub async fn connect() -> Self {
        let engine = Engine::connect(None).unwrap_or_else(|error| panic!("{error}. {ADVICE}"));
        if let Err(error) = engine.ping().await {
            panic!("{error}. {ADVICE}");
        }
        let image = engine.image(BASE_IMAGE).await.expect("the engine does not tell its images");
        assert!(
            image.is_some(),
            "image {BASE_IMAGE} is missing: `docker pull` it, or make it with debootstrap and `docker import`"
        );
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let id = format!("mst-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        Self { engine, id }
    }

    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Unique among all tests that run now; good as a Compose project name.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// A name for something of this test.
    pub fn name(&self, of: &str) -> String {
        format!("{}-{of}", self.id)
    }

    /// The label that marks what is to be removed.
    pub fn label(&self) -> (String, String) {
        (LABEL.to_owned(), self.id.clone())
    }

    pub fn labels(&self) -> Labels {
        Labels::from([self.label()])
    }

    /// A container of this test that runs the given words, under an init.
    pub fn container(&self, of: &str, command: &[&str]) -> ContainerSpec {
        ContainerSpec {
            name: self.name(of),
            image: BASE_IMAGE.to_owned(),
            command: command.iter().map(|word| (*word).to_owned()).collect(),
            labels: self.labels(),
            init: true,
            ..ContainerSpec::default()
        }
    }

    pub fn network(&self, of: &str) -> NetworkSpec {
        NetworkSpec { labels: self.labels(), ..NetworkSpec::bridge(self.name(of)) }
    }

    pub fn volume(&self, of: &str) -> VolumeSpec {
        VolumeSpec { name: self.name(of), labels: self.labels(), ..VolumeSpec::default() }
    }
}

impl Drop for RealDocker {
    /// Runs on a thread of its own, because a drop cannot wait inside the test's runtime.
    fn drop(&mut self) {
        let (key, id) = self.label();
        let cleaner = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            if let Ok(runtime) = runtime {
                runtime
                    .block_on(clean(&format!("label={key}={id}"), &format!("label=com.docker.compose.project={id}")));
            }
        });
        // A failed clean-up must not hide the test's own verdict.
        let _ = cleaner.join();
    }
}

async fn clean(label: &str, project: &str) {
    for filter in [label, project] {
        remove(&["ps", "--all", "--quiet", "--filter", filter], &["rm", "--force", "--volumes"]).await;
        remove(&["network", "ls", "--quiet", "--filter", filter], &["network", "rm"]).await;
        remove(&["volume", "ls", "--quiet", "--filter", filter], &["volume", "rm", "--force"]).await;
    }
}

async fn remove(find: &[&str], remove: &[&str]) {
    let limit = Duration::from_secs(60);
    let docker = |words: &[&str]| Command::new("docker").args(words.iter().copied()).timeout(limit);
    let Ok(found) = SystemProcesses.run(&docker(find)).await else { return };
    let text = found.text();
    let ids: Vec<&str> = text.split_whitespace().collect();
    if !ids.is_empty() {
        let _ = SystemProcesses.run(&docker(remove).args(ids)).await;
    }
}
