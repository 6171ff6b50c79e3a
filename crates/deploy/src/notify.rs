//! Telling others what happens: typed notices, and the channels they leave by.
//!
//! Whoever has something to tell says it to [`Notices`], which never waits: a notice is handed over or, when too many
//! are under way, dropped and written down as lost. Delivery goes on beside the work, with a time limit for each
//! attempt and a bounded number of them, so that no deploy waits for somebody's web server.

mod channels;

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use ledger::NewEvent;
use serde::{Deserialize, Serialize};
use serde_json::json;
use spec::platform::{NoticeKind, PlatformFile};
use spec::{EnvironmentName, PlatformName, ServiceName};
use tokio::sync::mpsc;

use crate::names::Scope;
use crate::world::World;

pub use channels::{Program, Webhook};

/// Something others may want to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    pub kind: NoticeKind,
    pub at_ms: i64,
    pub platform: PlatformName,
    pub environment: EnvironmentName,
    /// The verb: `up`, `rollback`, `restart`.
    pub what: String,
    pub operation: Option<String>,
    pub services: Vec<ServiceName>,
    pub by: String,
    pub why: String,
    /// Why it failed, or what was found.
    pub cause: Option<String>,
    /// All of it in one sentence.
    pub text: String,
    /// Where the platform file lies, which says who is told.
    #[serde(skip)]
    pub dir: PathBuf,
}

/// A way out. It tries once; whether it is tried again is decided elsewhere.
#[async_trait]
pub trait Channel: Send + Sync {
    /// How it is called in the record: no secret.
    fn name(&self) -> String;
    async fn send(&self, world: &World, notice: &Notice) -> Result<(), String>;
}

/// Notices under way; more than these are lost, and that is written down.
const ROOM: usize = 256;
/// Pauses between the attempts: three in all.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(5)];

/// Where notices go. Telling never waits.
#[derive(Clone, Default)]
pub struct Notices(Option<mpsc::Sender<Notice>>);

impl Notices {
    pub fn channel() -> (Notices, mpsc::Receiver<Notice>) {
        let (sender, receiver) = mpsc::channel(ROOM);
        (Notices(Some(sender)), receiver)
    }

    /// `false` when it could not be handed over.
    pub fn tell(&self, notice: Notice) -> bool {
        self.0.as_ref().is_none_or(|sender| sender.try_send(notice).is_ok())
    }
}

impl Notice {
    /// A notice about a platform; the rest is filled in by whoever knows it.
    pub fn new(kind: NoticeKind, scope: &Scope, dir: PathBuf, what: &str, by: &str) -> Notice {
        Notice {
            kind,
            at_ms: 0,
            platform: scope.platform.clone(),
            environment: scope.environment.clone(),
            what: what.to_owned(),
            operation: None,
            services: Vec::new(),
            by: by.to_owned(),
            why: String::new(),
            cause: None,
            text: String::new(),
            dir,
        }
    }

    fn sentence(&self) -> String {
        let services = match self.services.is_empty() {
            true => String::new(),
            false => format!(" of {}", crate::names::list(&self.services)),
        };
        let cause = self.cause.as_ref().map_or(String::new(), |cause| format!(": {cause}"));
        let how = match self.kind {
            NoticeKind::Started => "has begun",
            NoticeKind::Succeeded => "is done",
            NoticeKind::Failed => "has failed, and nothing was changed",
            NoticeKind::RolledBack => "has failed and was rolled back",
            NoticeKind::FlippedBack => "was flipped back to the release before",
            NoticeKind::Stuck => "is stuck and needs a person",
            NoticeKind::DriftFound => "found changes by hand",
            NoticeKind::Intruder => "found a container that is nobody's here",
            NoticeKind::StartedAgain => "found what had ended and started it again",
        };
        let place = format!("{} ({})", self.platform, self.environment);
        format!("{place}: `{}`{services} by {} {how}{cause}", self.what, self.by)
    }
}

impl World {
    /// Writes a notice into the story of its platform and hands it to whoever delivers.
    pub fn tell(&self, mut notice: Notice) {
        notice.at_ms = self.clock.now_ms();
        notice.text = notice.sentence();
        self.note(&notice, &format!("notice.{}", notice.kind), json!(notice));
        let name = notice.clone();
        if !self.notices.tell(notice) {
            self.note(&name, "notice.lost", json!({ "kind": name.kind, "cause": "too many notices are under way" }));
        }
    }

    fn note(&self, notice: &Notice, kind: &str, data: serde_json::Value) {
        let event = NewEvent {
            kind: kind.to_owned(),
            platform: notice.platform.clone(),
            environment: notice.environment.clone(),
            service: None,
            saga: None,
            data,
        };
        // What happens is not undone because it could not be told.
        if let Err(error) = self.ledger.append_event(event) {
            tracing::warn!("could not write an event down: {error}");
        }
    }
}

/// Sends a notice by every channel that its platform file names for it.
pub async fn deliver(world: &World, notice: &Notice) {
    let works = channels::of(notice).into_iter().map(|channel| async move {
        send(world, channel.as_ref(), notice, &PAUSES).await;
    });
    futures_util::future::join_all(works).await;
}

/// Tries until it is sent or the attempts are over, and writes down which.
pub async fn send(world: &World, channel: &dyn Channel, notice: &Notice, pauses: &[Duration]) {
    let mut result = channel.send(world, notice).await;
    let mut attempts = 1;
    for pause in pauses {
        if result.is_ok() {
            break;
        }
        tokio::time::sleep(*pause).await;
        result = channel.send(world, notice).await;
        attempts += 1;
    }
    let (kind, cause) = match result {
        Ok(()) => ("notice.sent", None),
        Err(cause) => ("notice.lost", Some(cause)),
    };
    if let Some(cause) = &cause {
        tracing::warn!(channel = channel.name(), attempts, "a notice was not delivered: {cause}");
    }
    let data = json!({ "kind": notice.kind, "channel": channel.name(), "attempts": attempts, "cause": cause });
    world.note(notice, kind, data);
}

/// Who is told, by the file as it is now; one that cannot be read tells nobody.
fn file(notice: &Notice) -> Option<PlatformFile> {
    crate::load::platform_file(&notice.dir).ok()
}

#[cfg(test)]
mod tests;
