//! From a folder with a Compose file (and perhaps a `mainstay.yaml`) to a resolved platform.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use machine::compose::Compose;
use serde::{Deserialize, Serialize};
use spec::{EnvironmentName, HostSize, PlatformFile, PlatformName, Project, ServiceName};

use crate::attached::Attached;
use crate::error::DeployError;
use crate::names::Scope;
use crate::readers;
use crate::scale::{self, Scaled};
use crate::shown::Known;
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
    /// Versions of the environment files, by name.
    pub env_versions: BTreeMap<String, String>,
    /// Values that must not be shown.
    pub known: Known,
    /// The contents of the secrets and configs that its services use.
    pub attached: Attached,
}

pub async fn load(world: &World, source: &Source, host: &HostSize) -> Result<Loaded, DeployError> {
    let file = platform_file(&source.dir)?;
    let scope = scope_of(&file, source)?;
    let settings = file.environments.get(&scope.environment).cloned().unwrap_or_default();
    let env_files = env_files(&source.dir, &settings)?;
    let contents = contents(&env_files)?;
    let variable = |name: &str| variable(&contents, &source.shell, name);
    let files = compose_files(&file, &settings, &source.dir, &variable)?;
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
    let profiles = variable("COMPOSE_PROFILES");
    let resolved = with_profiles(&file, &scope.environment, profiles.as_deref());
    let facts = readers::facts(world, &scope, &project).await?;
    let platform = spec::resolve::resolve_with(&resolved, &project, &scope.environment, host, &facts);
    let platform = platform.map_err(DeployError::Invalid)?;
    let services = platform.services.iter().filter_map(|plan| project.services.get(&plan.name));
    let attached = Attached::read(world, &scope, &project, services, &variable)?;
    Ok(Loaded {
        redactor: redactor(&contents),
        env_versions: env_versions(world, &source.dir, &contents)?,
        attached,
        known: Known::new(contents.into_iter().map(|(_, file)| file).collect(), &source.shell),
        scope,
        file,
        project,
        platform,
        compose,
        shell: source.shell.clone(),
        scaled,
    })
}

/// Which platform and environment a folder means, without asking Compose.
pub fn scope(source: &Source) -> Result<Scope, DeployError> {
    target(source).map(|(scope, _)| scope)
}

/// An environment may be written for certain machines; nothing of it is done, or looked for, on another.
pub fn refuse_elsewhere(source: &Source) -> Result<(), DeployError> {
    target(source).map(drop)
}

/// The same, with what the file says about the environment.
pub fn target(source: &Source) -> Result<(Scope, spec::platform::Environment), DeployError> {
    let file = platform_file(&source.dir)?;
    let scope = scope_of(&file, source)?;
    let settings = file.environments.get(&scope.environment).cloned().unwrap_or_default();
    if let Some(hosts) = &settings.host {
        let here = machine::facts::identity();
        if !hosts.iter().any(|host| here.is(host)) {
            return Err(DeployError::Elsewhere { scope, hosts: hosts.join(", "), here: here.hostname });
        }
    }
    Ok((scope, settings))
}

/// What can be said against a folder without asking anybody: a platform file with mistakes, no Compose file.
pub fn check(source: &Source) -> Result<(), DeployError> {
    let file = platform_file(&source.dir)?;
    let (_, settings) = target(source)?;
    let contents = contents(&env_files(&source.dir, &settings)?)?;
    let variable = |name: &str| variable(&contents, &source.shell, name);
    compose_files(&file, &settings, &source.dir, &variable).map(drop)
}

fn scope_of(file: &PlatformFile, source: &Source) -> Result<Scope, DeployError> {
    Ok(Scope {
        platform: platform_name(file, &source.dir)?,
        environment: spec::resolve::environment(file, source.environment.as_ref()).map_err(DeployError::Invalid)?,
    })
}

pub(crate) fn platform_file(dir: &Path) -> Result<PlatformFile, DeployError> {
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
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<String>, DeployError> {
    let mut names = match (&file.compose, variable("COMPOSE_FILE").filter(|names| !names.is_empty())) {
        (Some(names), _) => names.clone(),
        // The environment file of a project that is put together names its files.
        (None, Some(named)) => {
            let separator = variable("COMPOSE_PATH_SEPARATOR").unwrap_or_else(|| ":".to_owned());
            named.split(separator.as_str()).map(str::to_owned).collect()
        }
        (None, None) => compose_files_in(dir)?,
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

/// A variable as Compose would find it: the shell's before the environment file's, the last file's before the first's.
fn variable(contents: &Contents, shell: &[(String, String)], name: &str) -> Option<String> {
    let in_shell = shell.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    let in_file = || contents.iter().rev().find_map(|(_, file)| file.get(name));
    in_shell.or_else(|| in_file().map(|secret| secret.expose().to_owned()))
}

/// Where the platform file says nothing about profiles, `COMPOSE_PROFILES` does, as for Compose.
fn with_profiles(file: &PlatformFile, environment: &EnvironmentName, said: Option<&str>) -> PlatformFile {
    let mut file = file.clone();
    let Some(said) = said.filter(|said| !said.is_empty()) else { return file };
    let settings = file.environments.entry(environment.clone()).or_default();
    if settings.profiles.is_none() {
        settings.profiles = Some(said.split(',').map(|profile| profile.trim().to_owned()).collect());
    }
    file
}

type Contents = Vec<(PathBuf, Arc<secrets::EnvFile>)>;

fn contents(env_files: &[PathBuf]) -> Result<Contents, DeployError> {
    let load = |path: &PathBuf| {
        let file = secrets::EnvFile::load(path).map_err(|source| DeployError::Secrets { source })?;
        Ok((path.clone(), Arc::new(file)))
    };
    env_files.iter().map(load).collect()
}

fn redactor(contents: &Contents) -> secrets::Redactor {
    secrets::Redactor::new(contents.iter().flat_map(|(_, file)| file.iter()))
}

/// By the names they have in the platform's folder.
fn env_versions(world: &World, dir: &Path, contents: &Contents) -> Result<BTreeMap<String, String>, DeployError> {
    let salt = secrets::Salt::try_new(&world.salt).map_err(|source| DeployError::Secrets { source })?;
    let name = |path: &PathBuf| path.strip_prefix(dir).unwrap_or(path).display().to_string();
    Ok(contents.iter().map(|(path, file)| (name(path), file.version(&salt).to_string())).collect())
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
