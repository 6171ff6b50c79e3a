//! From a folder with a Compose file (and perhaps a `mainstay.yaml`) to a resolved platform.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use machine::compose::Compose;
use serde::{Deserialize, Serialize};
use spec::{EnvironmentName, HostSize, PlatformFile, PlatformName, Project, ServiceName};

use crate::error::DeployError;
use crate::names::Scope;
use crate::scale::{self, Scaled};
use crate::world::World;

/// The file beside the Compose file.
pub const PLATFORM_FILE: &str = "mainstay.yaml";
/// Names that Docker Compose itself looks for, in its order.
const COMPOSE_FILES: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"];

/// Where the platform lies and which environment of it is meant.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Source {
    pub dir: PathBuf,
    pub environment: Option<EnvironmentName>,
    /// Variables of the caller's shell that the Compose file names. They may be secrets, so they
    /// are never stored.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shell: Vec<(String, String)>,
}

/// A platform, read and resolved.
#[derive(Debug, Clone)]
pub struct Loaded {
    pub scope: Scope,
    pub file: PlatformFile,
    pub project: Project,
    pub platform: spec::Platform,
    /// The Compose invocation that read it; also builds and pulls.
    pub compose: Compose,
    pub shell: Vec<(String, String)>,
    pub redactor: secrets::Redactor,
    /// Services whose number of copies was set by hand, where that still counts.
    pub scaled: BTreeMap<ServiceName, Scaled>,
}

pub async fn load(world: &World, source: &Source, host: &HostSize) -> Result<Loaded, DeployError> {
    let file = platform_file(&source.dir)?;
    let scope = scope_of(&file, source)?;
    let settings = file.environments.get(&scope.environment).cloned().unwrap_or_default();
    let env_files = env_files(&source.dir, &settings)?;
    let redactor = redactor(&env_files)?;
    let files = compose_files(&file, &settings, &source.dir)?;
    let compose = Compose {
        project: scope.project(),
        files: files.iter().map(|name| source.dir.join(name)).collect(),
        dir: Some(source.dir.clone()),
        env_files,
        // Every service is read; which profiles this environment has is the platform file's word.
        profiles: vec!["*".into()],
    };
    let mut project = project(world, &compose, &source.shell).await?;
    let scaled = scale::lay_over(&world.scaled(&scope)?, &mut project);
    let platform = spec::resolve(&file, &project, &scope.environment, host).map_err(DeployError::Invalid)?;
    Ok(Loaded { scope, file, project, platform, compose, shell: source.shell.clone(), redactor, scaled })
}

/// Which platform and environment a folder means, without asking Compose.
pub fn scope(source: &Source) -> Result<Scope, DeployError> {
    scope_of(&platform_file(&source.dir)?, source)
}

/// What can be said against a folder without asking anybody: a platform file with mistakes, no Compose file.
pub fn check(source: &Source) -> Result<(), DeployError> {
    let file = platform_file(&source.dir)?;
    let scope = scope_of(&file, source)?;
    let settings = file.environments.get(&scope.environment).cloned().unwrap_or_default();
    compose_files(&file, &settings, &source.dir).map(drop)
}

fn scope_of(file: &PlatformFile, source: &Source) -> Result<Scope, DeployError> {
    Ok(Scope {
        platform: platform_name(file, &source.dir)?,
        environment: spec::resolve::environment(file, source.environment.as_ref()).map_err(DeployError::Invalid)?,
    })
}

fn platform_file(dir: &Path) -> Result<PlatformFile, DeployError> {
    let path = dir.join(PLATFORM_FILE);
    match std::fs::read_to_string(&path) {
        Ok(text) => spec::platform::parse(&text, &path.display().to_string()).map_err(DeployError::Invalid),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(PlatformFile::default()),
        Err(source) => Err(DeployError::Read { path, source }),
    }
}

/// The platform file's name, or the folder's.
fn platform_name(file: &PlatformFile, dir: &Path) -> Result<PlatformName, DeployError> {
    if let Some(name) = &file.platform {
        return Ok(name.clone());
    }
    let folder = dir.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    let name: String = folder.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    PlatformName::parse(name.trim_matches('-')).map_err(|_| {
        DeployError::Refused(format!(
            "the folder's name `{folder}` is no platform name; write `platform: …` into {PLATFORM_FILE}"
        ))
    })
}

fn compose_files(
    file: &PlatformFile,
    settings: &spec::platform::Environment,
    dir: &Path,
) -> Result<Vec<String>, DeployError> {
    let mut names = match &file.compose {
        Some(names) => names.clone(),
        None => compose_files_in(dir)?,
    };
    names.extend(settings.compose.iter().flatten().cloned());
    Ok(names)
}

/// What Compose itself would pick, with its override file.
pub fn compose_files_in(dir: &Path) -> Result<Vec<String>, DeployError> {
    let first = COMPOSE_FILES.iter().find(|name| dir.join(name).is_file());
    let Some(first) = first else {
        return Err(DeployError::NoCompose { path: dir.to_owned(), looked_for: COMPOSE_FILES.join(", ") });
    };
    let over = first.replace(".y", ".override.y");
    let mut names = vec![(*first).to_owned()];
    if dir.join(&over).is_file() {
        names.push(over);
    }
    Ok(names)
}

fn env_files(dir: &Path, settings: &spec::platform::Environment) -> Result<Vec<PathBuf>, DeployError> {
    let Some(names) = &settings.env_file else {
        let default = dir.join(".env");
        return Ok(if default.is_file() { vec![default] } else { Vec::new() });
    };
    let paths: Vec<PathBuf> = names.iter().map(|name| dir.join(name)).collect();
    match paths.iter().find(|path| !path.is_file()) {
        Some(missing) => Err(DeployError::Refused(format!(
            "the environment file `{}` is missing; create it with mode 0600",
            missing.display()
        ))),
        None => Ok(paths),
    }
}

fn redactor(env_files: &[PathBuf]) -> Result<secrets::Redactor, DeployError> {
    let mut redactor = secrets::Redactor::default();
    for path in env_files {
        let file = secrets::EnvFile::load(path).map_err(|source| DeployError::Secrets { source })?;
        for (name, secret) in file.iter() {
            redactor.know(name, secret);
        }
    }
    Ok(redactor)
}

/// Interpolation, profiles, `extends`, `include` and overrides are Compose's job: this asks it.
async fn project(world: &World, compose: &Compose, shell: &[(String, String)]) -> Result<Project, DeployError> {
    let output = world.run(with_shell(compose.config(), shell)).await?;
    if output.status != 0 {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(DeployError::Compose { said: said.trim().to_owned() });
    }
    let unreadable =
        |error: serde_json::Error| DeployError::Compose { said: format!("its answer is not JSON: {error}") };
    let value = machine::compose::decode_config(&output.stdout).map_err(unreadable)?;
    Project::from_json(value).map_err(DeployError::Invalid)
}

/// The caller's variables may be secrets, so they are marked as such.
pub fn with_shell(mut command: machine::process::Command, shell: &[(String, String)]) -> machine::process::Command {
    for (key, value) in shell {
        command = command.secret_env(key, value);
    }
    command
}
