//! What can go wrong while a platform is planned or changed.

use std::path::PathBuf;

use machine::docker::DockerError;
use spec::{Problems, ReleaseId, ServiceName};

use crate::names::Scope;
use crate::standing::{Kind, Order};

#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    #[error("{0}")]
    Invalid(Problems),
    #[error("could not read `{path}`")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("`{path}` holds no Compose file (looked for {looked_for})")]
    NoCompose { path: PathBuf, looked_for: String },
    #[error("Docker Compose could not read the Compose file: {said}")]
    Compose { said: String },
    #[error("could not run `{command}`")]
    Process { command: String, source: machine::process::ProcessError },
    #[error("could not {operation}")]
    Docker { operation: String, source: DockerError },
    #[error("could not {operation} in the ledger")]
    Ledger { operation: &'static str, source: ledger::LedgerError },
    #[error("could not {operation} at the edge")]
    Edge { operation: String, source: edge::ControlError },
    #[error("could not {operation} in the state folder")]
    State { operation: String, source: machine::files::FilesError },
    #[error("could not use the environment file")]
    Secrets { source: secrets::SecretsError },
    #[error("image `{image}` of `{service}` could not be had: {said}")]
    Image { service: ServiceName, image: String, said: String },
    #[error("could not build {services}:\n{said}")]
    Build { services: String, said: String },
    #[error("the hook {hook} (`{command}`) failed: {said}")]
    Hook { hook: String, command: String, said: String },
    #[error("`{scope}` is being changed by {holder}")]
    Locked { scope: String, holder: String },
    #[error("`{scope}` is {} by {} since {}{}", .kind.word(), .order.by, stamp(.order.since_ms), said(&.order.why))]
    Standing { scope: Scope, kind: Kind, order: Order },
    #[error("`{scope}` belongs on {hosts}, and this machine is {here}")]
    Elsewhere { scope: Scope, hosts: String, here: String },
    #[error("`{scope}` was brought up from {}, and this folder is {}", .known.display(), .dir.display())]
    OtherFolder { scope: Scope, known: PathBuf, dir: PathBuf },
    #[error("Docker Compose runs a project `{project}` from {}, and this folder is {}", .known.display(), .dir.display())]
    OthersProject { project: String, known: PathBuf, dir: PathBuf },
    #[error("{release} of `{service}` cannot simply serve again: {breaks}")]
    PastMigration { service: ServiceName, release: ReleaseId, breaks: String },
    #[error("{0}")]
    Refused(String),
    #[error("Docker Compose could not take {scope} over: {said}")]
    ToCompose {
        scope: Scope,
        said: String,
        /// Whether it is as it was before.
        is_back: bool,
    },
    #[error("{what} is not known")]
    Unknown { what: String, known: String },
    #[error("the ledger has lost its newest commits: what is kept beside it is newer")]
    Forgot,
    #[error(
        "the ledger is gone and cannot be built again: the edge serves {routed}, and nothing is known about that{}",
        if .unreadable.is_empty() { String::new() } else { format!("; not readable: {}", .unreadable) }
    )]
    Unrebuildable { routed: String, unreadable: String },
    #[error(
        "container `{container}` still runs after its stop signal and its grace of {}",
        spec::units::human_duration(*.grace)
    )]
    StillRuns { container: String, grace: std::time::Duration },
    #[error("could not keep the journal of `{saga}`")]
    Saga { saga: String, source: saga::SagaError },
}

/// UTC, to the second.
pub(crate) fn stamp(ms: i64) -> String {
    let stamp = jiff::Timestamp::from_millisecond(ms);
    stamp.map(|stamp| stamp.strftime("%Y-%m-%d %H:%M:%SZ").to_string()).unwrap_or_default()
}

fn said(why: &str) -> String {
    if why.is_empty() { String::new() } else { format!(": {why}") }
}

/// What is already gone needs no second removing.
pub fn is_gone(error: &DockerError) -> bool {
    matches!(error, DockerError::NotFound(_))
}

/// How the operation ended, as the exit code of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    Done,
    /// Nothing was changed.
    Failed,
    Invalid,
    /// Changes were made and taken back.
    RolledBack,
    Refused,
    /// Neither forward nor back; a person is needed.
    Stuck,
}

impl Ending {
    pub fn exit_code(self) -> u8 {
        match self {
            Ending::Done => 0,
            Ending::Failed => 1,
            Ending::Invalid => 2,
            Ending::RolledBack => 3,
            Ending::Refused => 4,
            Ending::Stuck => 5,
        }
    }
}

impl DeployError {
    pub fn ending(&self) -> Ending {
        match self {
            DeployError::Invalid(_)
            | DeployError::Compose { .. }
            | DeployError::NoCompose { .. }
            | DeployError::Unknown { .. } => Ending::Invalid,
            DeployError::Locked { .. }
            | DeployError::Standing { .. }
            | DeployError::Elsewhere { .. }
            | DeployError::OtherFolder { .. }
            | DeployError::OthersProject { .. }
            | DeployError::PastMigration { .. }
            | DeployError::Forgot
            | DeployError::Unrebuildable { .. }
            | DeployError::Refused(_) => Ending::Refused,
            DeployError::ToCompose { is_back: true, .. } => Ending::RolledBack,
            DeployError::ToCompose { is_back: false, .. } => Ending::Stuck,
            _ => Ending::Failed,
        }
    }

    /// The next command to type, where the operator's intent is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            DeployError::Docker { source: DockerError::NotReachable { .. }, .. } => {
                Some("start Docker (`systemctl start docker`), then try again".into())
            }
            DeployError::ToCompose { is_back: true, .. } => Some("it runs under Mainstay again".into()),
            DeployError::ToCompose { is_back: false, .. } => {
                Some("`mainstay up` brings it back under Mainstay; its data is where it was".into())
            }
            DeployError::NoCompose { .. } => {
                Some("run in the folder of your compose.yaml, or name it with --dir".into())
            }
            DeployError::Unknown { known, .. } if !known.is_empty() => Some(format!("known: {known}")),
            DeployError::Standing { kind, .. } => Some(format!("end it with `mainstay {}`", kind.end())),
            DeployError::Elsewhere { scope, .. } => {
                let key = format!("environments.{}.host", scope.environment);
                Some(format!("run it there, name another environment with -e, or change `{key}`"))
            }
            DeployError::OtherFolder { known, .. } => Some(format!(
                "for what runs: `mainstay -C {}`; when this folder takes its place: `mainstay up --move-here`; for another platform: write `name: …` into the Compose file here, or `platform: …` into {}",
                known.display(),
                crate::load::PLATFORM_FILE
            )),
            DeployError::OthersProject { known, .. } => Some(format!(
                "take it over where it lies: `mainstay -C {} up`; when this folder takes its place: `mainstay up --move-here`; for another platform: write `name: …` into the Compose file here, or `platform: …` into {}",
                known.display(),
                crate::load::PLATFORM_FILE
            )),
            DeployError::Locked { .. } => Some("wait for it, or look at it with `mainstay status`".into()),
            DeployError::PastMigration { service, release, .. } => Some(format!(
                "take the migration back in the database first, or go back all the same with `mainstay rollback {service} {release} --past-migration`"
            )),
            DeployError::Forgot
            | DeployError::Ledger {
                source: ledger::LedgerError::Damaged { .. } | ledger::LedgerError::Decode { .. },
                ..
            } => Some(
                "`mainstay rebuild` sets it aside and builds another from the containers and the edge; traffic goes on"
                    .into(),
            ),
            DeployError::Ledger { source, .. } => source.next_step(),
            DeployError::Unrebuildable { .. } => Some(
                "traffic goes on as it is; put `ledger.db` or the folder `kept` back from a backup, or move the folder `edge` away and run `mainstay up` to begin anew".into(),
            ),
            DeployError::StillRuns { container, .. } => Some(format!(
                "look at it with `docker inspect {container}`; when it has ended, run the same command again"
            )),
            DeployError::Edge { .. } => Some("`mainstay status` tells whether the edge runs".into()),
            _ => None,
        }
    }
}
