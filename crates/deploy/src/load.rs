//! From a folder with a Compose file (and perhaps a `mainstay.yaml`) to a resolved platform.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use machine::compose::Compose;
use serde::{Deserialize, Serialize};
use spec::{EnvironmentName, HostSize, PlatformFile, Project, ServiceName};

use crate::attached::{self, Attached};
use crate::error::DeployError;
use crate::identity::{self, ComposeName, Identity};
use crate::names::Scope;
use crate::own::OwnVolumes;
use crate::readers;
use crate::scale::{self, Scaled};
use crate::shown::Known;
use crate::world::World;
use crate::{facts, images, variables};

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
    /// A platform that was brought up from another folder is at home in this one from now on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub move_here: bool,
    /// Folders of Docker's settings that the caller has; their logins count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub docker_configs: Vec<PathBuf>,
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
    /// Environment files that others than their owner can read.
    pub open_files: Vec<(PathBuf, secrets::Access)>,
    /// Values that must not be shown.
    pub known: Known,
    /// The contents of the secrets and configs that its services use.
    pub attached: Attached,
    /// What it is called in Docker.
    pub identity: Identity,
    /// Whether this folder takes the place of the one that it was brought up from.
    pub move_here: bool,
    /// Where logins for registries are looked for.
    pub docker_configs: Vec<PathBuf>,
    /// Its volumes that no file names.
    pub own: OwnVolumes,
    /// The names of the Compose files that were read, as they are written.
    pub files: Vec<String>,
}

pub async fn load(world: &World, source: &Source, host: &HostSize) -> Result<Loaded, DeployError> {
    load_with(world, source, host, &BTreeMap::new()).await
}

/// The same with images that are named for this deploy.
pub async fn load_with(
    world: &World,
    source: &Source,
    host: &HostSize,
    named: &BTreeMap<ServiceName, String>,
) -> Result<Loaded, DeployError> {
    let file = platform_file(&source.dir)?;
    let scope = scope_of(world, &file, source)?;
    let settings = file.environments.get(&scope.environment).cloned().unwrap_or_default();
    let env_files = env_files(&source.dir, &settings)?;
    let contents = contents(&env_files)?;
    let variable = |name: &str| variable(&contents, &source.shell, name);
    let files = compose_files(&file, &settings, &source.dir, &variable)?;
    let name = compose_name(source, &files, &variable);
    let is_default = identity::default_environment(&file).as_ref() == Some(&scope.environment);
    let paths: Vec<PathBuf> = files.iter().map(|name| source.dir.join(name)).collect();
    let likely = world.identity(&scope)?.map(|known| known.project);
    let likely = likely.unwrap_or_else(|| if is_default { name.name.clone() } else { scope.project() });
    let mut compose = Compose {
        project: likely,
        files: paths.clone(),
        dir: Some(source.dir.clone()),
        env_files,
        // Every service is read; which profiles this environment has is the platform file's word.
        profiles: vec!["*".into()],
    };
    let (mut found, mut values) = project(world, &compose, &source.shell, &contents).await?;
    // What is wrong with the files is told without asking anybody.
    spec::resolve::check_names(&file, &found, &scope.environment).map_err(DeployError::Invalid)?;
    let identity = world.identify(&scope, &source.dir, &paths, &name, is_default).await?;
    if identity.project != compose.project {
        compose.project.clone_from(&identity.project);
        (found, values) = project(world, &compose, &source.shell, &contents).await?;
    }
    let mut project = found;
    let scaled = scale::lay_over(&world.scaled(&scope)?, &mut project);
    let profiles = variable("COMPOSE_PROFILES");
    let resolved = with_profiles(&file, &scope.environment, profiles.as_deref());
    let serving = world.serving(&scope)?;
    let references = images::references(&identity, &project, named, &serving);
    let mut facts = facts::look(world, &project, &references).await?;
    facts.readers = readers::of_machine(world, &scope, &project).await?;
    let resolved = spec::resolve_with(&resolved, &project, &scope.environment, host, &facts);
    let mut platform = resolved.map_err(DeployError::Invalid)?;
    let mut own = OwnVolumes::of(&identity);
    own.adopt(world, &platform.services, &serving).await?;
    platform.services.iter_mut().for_each(|plan| own.place(plan));
    let services = || platform.services.iter().filter_map(|plan| project.services.get(&plan.name));
    let wanted = attached::from_variables(&project, services());
    let filled = filled(world, &compose, &source.shell, &values, &wanted).await?;
    let attached = Attached::read(world, &scope, &project, services(), &filled)?;
    let env_versions = env_versions(world, &source.dir, &contents)?;
    let open_files = open_files(&contents);
    // What is written and what it means is a secret, both.
    let meant = secrets::EnvFile::of_values(values.into_iter().chain(by_key(&filled)));
    let files_known = contents.iter().map(|(_, file)| file.clone()).chain([Arc::new(meant)]).collect::<Vec<_>>();
    Ok(Loaded {
        redactor: secrets::Redactor::new(files_known.iter().flat_map(|file| file.iter())),
        env_versions,
        open_files,
        attached,
        known: Known::new(files_known, &source.shell),
        identity,
        move_here: source.move_here,
        docker_configs: source.docker_configs.clone(),
        own,
        files,
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
pub fn scope(world: &World, source: &Source) -> Result<Scope, DeployError> {
    known(world, source).map(|(scope, _)| scope)
}

/// An environment may be written for certain machines; nothing of it is done, or looked for, on another.
pub fn refuse_elsewhere(world: &World, source: &Source) -> Result<(), DeployError> {
    known(world, source).map(drop)
}

/// The same for a change, with what the file says about the environment: a folder that only says the same name changes
/// nothing of a platform that another folder has.
pub fn target(world: &World, source: &Source) -> Result<(Scope, spec::platform::Environment), DeployError> {
    let (scope, settings) = known(world, source)?;
    identity::moved(world, &scope, source)?;
    Ok((scope, settings))
}

fn known(world: &World, source: &Source) -> Result<(Scope, spec::platform::Environment), DeployError> {
    let file = platform_file(&source.dir)?;
    let scope = scope_of(world, &file, source)?;
    let settings = file.environments.get(&scope.environment).cloned().unwrap_or_default();
    Ok((here(&settings, scope)?, settings))
}

/// The scope, where it belongs on this machine.
fn here(settings: &spec::platform::Environment, scope: Scope) -> Result<Scope, DeployError> {
    let Some(hosts) = &settings.host else { return Ok(scope) };
    let here = machine::facts::identity();
    match hosts.iter().any(|host| here.is(host)) {
        true => Ok(scope),
        false => Err(DeployError::Elsewhere { scope, hosts: hosts.join(", "), here: here.hostname }),
    }
}

/// What can be said against a folder without asking anybody: a platform file with mistakes, no Compose file.
pub fn check(source: &Source) -> Result<(), DeployError> {
    let file = platform_file(&source.dir)?;
    let environment = environment(&file, source)?;
    let settings = file.environments.get(&environment).cloned().unwrap_or_default();
    let contents = contents(&env_files(&source.dir, &settings)?)?;
    let variable = |name: &str| variable(&contents, &source.shell, name);
    let files = compose_files(&file, &settings, &source.dir, &variable)?;
    let compose = compose_name(source, &files, &variable);
    let platform = identity::platform_name(&file, &source.dir, &environment, &compose, &[])?;
    here(&settings, Scope { platform, environment }).map(drop)
}

/// The environment files of a folder that others than their owners can read.
pub fn open_env_files(source: &Source) -> Result<Vec<(PathBuf, secrets::Access)>, DeployError> {
    let file = platform_file(&source.dir)?;
    let settings = file.environments.get(&environment(&file, source)?).cloned().unwrap_or_default();
    Ok(open_files(&contents(&env_files(&source.dir, &settings)?)?))
}

fn open_files(contents: &Contents) -> Vec<(PathBuf, secrets::Access)> {
    let open = contents.iter().filter(|(_, file)| file.access().is_open());
    open.map(|(path, file)| (path.clone(), file.access())).collect()
}

fn environment(file: &PlatformFile, source: &Source) -> Result<EnvironmentName, DeployError> {
    spec::resolve::environment(file, source.environment.as_ref()).map_err(DeployError::Invalid)
}

fn scope_of(world: &World, file: &PlatformFile, source: &Source) -> Result<Scope, DeployError> {
    let environment = environment(file, source)?;
    let settings = file.environments.get(&environment).cloned().unwrap_or_default();
    // What cannot be read is told by whoever needs it; for the name, what can be read will do.
    let contents = env_files(&source.dir, &settings).and_then(|files| contents(&files)).unwrap_or_default();
    let variable = |name: &str| variable(&contents, &source.shell, name);
    let files = compose_files(file, &settings, &source.dir, &variable).unwrap_or_default();
    let compose = compose_name(source, &files, &variable);
    let platform = world.platform_name(file, &source.dir, &environment, &compose)?;
    Ok(Scope { platform, environment })
}

pub(crate) fn platform_file(dir: &Path) -> Result<PlatformFile, DeployError> {
    let path = dir.join(PLATFORM_FILE);
    match std::fs::read_to_string(&path) {
        Ok(text) => spec::platform::parse(&text, &path.display().to_string()).map_err(DeployError::Invalid),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(PlatformFile::default()),
        Err(source) => Err(DeployError::Read { path, source }),
    }
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

fn compose_name(source: &Source, files: &[String], variable: &dyn Fn(&str) -> Option<String>) -> ComposeName {
    let of_shell = source.shell.iter().any(|(name, value)| name == "COMPOSE_PROJECT_NAME" && !value.is_empty());
    ComposeName { of_shell, ..identity::compose_name(&source.dir, files, variable) }
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

/// A variable that says which files and names are meant, before Compose can be asked: the shell's before the environment
/// file's, the last file's before the first's.
fn variable(contents: &Contents, shell: &[(String, String)], name: &str) -> Option<String> {
    let in_shell = |name: &str| shell.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    let written = |name: &str| {
        let found = contents.iter().rev().find_map(|(_, file)| file.get(name));
        in_shell(name).or_else(|| found.map(|secret| secret.expose().to_owned()))
    };
    let value = written(name)?;
    Some(if in_shell(name).is_none() { identity::expanded(&value, &written) } else { value })
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

/// By the names they have in the platform's folder.
fn env_versions(world: &World, dir: &Path, contents: &Contents) -> Result<BTreeMap<String, String>, DeployError> {
    let salt = secrets::Salt::try_new(&world.salt).map_err(|source| DeployError::Secrets { source })?;
    let name = |path: &PathBuf| path.strip_prefix(dir).unwrap_or(path).display().to_string();
    Ok(contents.iter().map(|(path, file)| (name(path), file.version(&salt).to_string())).collect())
}

/// Interpolation, profiles, `extends`, `include` and overrides are Compose's job, and so is what the variables of
/// environment files mean: this asks it for both.
async fn project(
    world: &World,
    compose: &Compose,
    shell: &[(String, String)],
    contents: &Contents,
) -> Result<(Project, BTreeMap<String, String>), DeployError> {
    let names: Vec<&str> = contents.iter().flat_map(|(_, file)| file.all_names()).collect();
    let command = match names.is_empty() {
        true => compose.config(),
        false => compose.config_with(&variables::probe(names.into_iter())),
    };
    let output = world.run(with_shell(command, shell)).await?;
    let mut document = answer(output).map_err(|error| refused(error, contents))?;
    let values = variables::take(&mut document, variables::PROBE);
    let values = values.into_iter().chain(shell.iter().cloned()).collect();
    Ok((Project::from_json(document).map_err(DeployError::Invalid)?, values))
}

/// What `config` printed.
pub(crate) fn answer(output: machine::process::Output) -> Result<serde_json::Value, DeployError> {
    if output.status != 0 {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(DeployError::Compose { said: said.trim().to_owned() });
    }
    let unreadable =
        |error: serde_json::Error| DeployError::Compose { said: format!("its answer is not JSON: {error}") };
    machine::compose::decode_config(&output.stdout).map_err(unreadable)
}

/// Compose quotes the line that it cannot read, and that may be the one with the password.
fn refused(error: DeployError, contents: &Contents) -> DeployError {
    let DeployError::Compose { said } = &error else { return error };
    for (path, file) in contents {
        let name = path.display().to_string();
        if !said.contains(&format!("failed to read {name}")) {
            continue;
        }
        if !file.faults().0.is_empty() {
            let source = secrets::SecretsError::Mistakes { file: name, faults: file.faults().clone() };
            return DeployError::Secrets { source };
        }
        let line = said.split_once("line ").map(|(_, rest)| rest.chars().take_while(char::is_ascii_digit).collect());
        let line = line.filter(|digits: &String| !digits.is_empty()).unwrap_or_else(|| "unknown".into());
        return DeployError::Compose {
            said: format!(
                "the environment file `{name}` has a mistake in line {line}; `docker compose config` in that folder shows it"
            ),
        };
    }
    let redactor = secrets::Redactor::new(contents.iter().flat_map(|(_, file)| file.iter()));
    DeployError::Compose { said: redactor.redact(said).into_owned() }
}

/// The contents of secrets and configs that come from variables, as Compose would mount them.
async fn filled(
    world: &World,
    compose: &Compose,
    shell: &[(String, String)],
    values: &BTreeMap<String, String>,
    wanted: &[variables::Wanted],
) -> Result<variables::Contents, DeployError> {
    let of_project = |(kind, key, name): &variables::Wanted| Some(((*kind, key.clone()), values.get(name)?.clone()));
    let mut filled: variables::Contents = wanted.iter().filter_map(of_project).collect();
    let missing: Vec<variables::Wanted> =
        wanted.iter().filter(|(kind, key, _)| !filled.contains_key(&(*kind, key.clone()))).cloned().collect();
    filled.extend(variables::of_includes(world, compose, shell, &missing, values).await?);
    Ok(filled)
}

/// The same, for what must not be shown.
fn by_key(filled: &variables::Contents) -> impl Iterator<Item = (String, String)> + '_ {
    filled.iter().map(|((kind, key), value)| (format!("{kind}.{key}"), value.clone()))
}

/// The caller's variables may be secrets, so they are marked as such.
pub fn with_shell(mut command: machine::process::Command, shell: &[(String, String)]) -> machine::process::Command {
    for (key, value) in shell {
        command = command.secret_env(key, value);
    }
    command
}
