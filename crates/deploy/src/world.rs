//! What the steps of a saga may touch: Docker, Compose, the ledger, the edge, files and the clock.

use std::sync::Arc;

use machine::clock::Clock;
use machine::docker::Docker;
use machine::files::Root;
use machine::process::{Command, Processes};
use saga::Abort;
use spec::ServiceName;

use crate::error::DeployError;
use crate::notify::Notices;

/// Parts that every operation shares.
pub struct Parts {
    pub docker: Arc<dyn Docker>,
    pub processes: Arc<dyn Processes>,
    pub ledger: ledger::Ledger,
    pub edge: edge::Control,
    pub clock: Arc<dyn Clock>,
    /// The state folder.
    pub root: Root,
    /// The only variables that Docker's programs get from us: PATH, HOME, DOCKER_CONFIG, and always DOCKER_HOST, so that no
    /// context of root's leads them to another engine than ours.
    pub environment: Vec<(String, String)>,
    /// Keys the hashes of definitions, so that a hash tells nothing about the values in it.
    pub salt: Vec<u8>,
    /// One routing change at a time, so that epochs reach the edge in order.
    pub switching: tokio::sync::Mutex<()>,
    /// One change of the address holders at a time.
    pub holding: tokio::sync::Mutex<()>,
    /// Sockets in the holders' network namespaces, for the edge.
    pub lent: Arc<crate::lent::Lent>,
    /// Faults to inject into the journal: tests only.
    pub faults: Option<Arc<dyn saga::Faults>>,
}

/// The world of one operation.
#[derive(Clone)]
pub struct World {
    parts: Arc<Parts>,
    pub talk: Talk,
    pub abort: Abort,
    /// Where notices for others go.
    pub notices: Notices,
    /// Whether the operation still has the right to go on: asked before every step.
    pub fence: Option<saga::Fence>,
    /// Takes the values of the environment files that this operation has read out of what programs say.
    pub redactor: secrets::Redactor,
}

impl std::ops::Deref for World {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.parts
    }
}

impl World {
    pub fn new(parts: Arc<Parts>, talk: Talk, abort: Abort) -> World {
        World { parts, talk, abort, notices: Notices::default(), fence: None, redactor: secrets::Redactor::default() }
    }

    /// The same, whose sagas stop where they are as soon as this says so.
    pub fn fenced(self, fence: saga::Fence) -> World {
        World { fence: Some(fence), ..self }
    }

    /// The same, which tells none of these values.
    pub fn redacting(&self, redactor: &secrets::Redactor) -> World {
        World { redactor: redactor.clone(), ..self.clone() }
    }

    /// The same, whose notices leave by this way.
    pub fn notifying(self, notices: Notices) -> World {
        World { notices, ..self }
    }

    /// The same world, whose talk somebody else hears first.
    pub fn overheard(&self, hear: impl Fn(&Said) + Send + Sync + 'static) -> World {
        let talk = self.talk.clone();
        let both = Talk::new(move |said| {
            hear(&said);
            talk.pass(said);
        });
        World { talk: both, ..self.clone() }
    }

    pub fn parts(&self) -> &Arc<Parts> {
        &self.parts
    }

    /// Gives a command Docker's few variables and nothing else of ours.
    pub fn dress(&self, mut command: Command) -> Command {
        for (key, value) in &self.environment {
            command = command.env(key, value);
        }
        command
    }

    pub async fn run(&self, command: Command) -> Result<machine::process::Output, DeployError> {
        let command = self.dress(command);
        let failed = |source| DeployError::Process { command: command.to_string(), source };
        self.processes.run(&command).await.map_err(failed)
    }
}

/// What an operation says while it works.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case", tag = "said")]
pub enum Said {
    /// Something worth keeping.
    Line { service: Option<ServiceName>, text: String },
    /// A step began (`ms` is `None`) or succeeded.
    Step { service: ServiceName, step: String, ms: Option<u64> },
    /// What will be done, for a caller who did not ask first.
    Plan { plan: Box<crate::plan::Plan> },
    /// It goes on only when a person says so, and may be left alone until then.
    Waits { service: ServiceName, text: String },
    /// Passing detail, such as a build's output.
    Passing { service: Option<ServiceName>, text: String },
}

/// Where the talk of an operation goes.
#[derive(Clone)]
pub struct Talk(Arc<dyn Fn(Said) + Send + Sync>);

impl Talk {
    pub fn new(say: impl Fn(Said) + Send + Sync + 'static) -> Talk {
        Talk(Arc::new(say))
    }

    pub fn silent() -> Talk {
        Talk::new(|_| {})
    }

    /// Passes on what was said, as it was said.
    pub fn pass(&self, said: Said) {
        (self.0)(said);
    }

    pub fn say(&self, service: Option<&ServiceName>, text: impl Into<String>) {
        (self.0)(Said::Line { service: service.cloned(), text: text.into() });
    }

    pub fn waits(&self, service: &ServiceName, text: impl Into<String>) {
        (self.0)(Said::Waits { service: service.clone(), text: text.into() });
    }

    pub fn passing(&self, service: Option<&ServiceName>, text: impl Into<String>) {
        (self.0)(Said::Passing { service: service.cloned(), text: text.into() });
    }

    pub fn plan(&self, plan: &crate::plan::Plan) {
        (self.0)(Said::Plan { plan: Box::new(plan.clone()) });
    }

    pub fn step(&self, service: &ServiceName, step: &str, ms: Option<u64>) {
        (self.0)(Said::Step { service: service.clone(), step: step.to_owned(), ms });
    }
}
