//! What resolving looks at: the file, the environment, and the services that run in it.

use std::collections::{BTreeMap, BTreeSet};

use super::{data, known};
use crate::compose::{Condition, FILE, Project, Service};
use crate::data::DataMount;
use crate::facts::Facts;
use crate::ids::{EnvironmentName, ServiceName};
use crate::platform::{Environment, PlatformFile, ServiceSettings};
use crate::problem::{Problem, Problems, nearest};

/// The reason of a value that the platform file gives.
pub(super) const WRITTEN: &str = "written in mainstay.yaml";

/// Everything that is looked at.
pub(super) struct Scene<'a> {
    pub(super) file: &'a PlatformFile,
    pub(super) project: &'a Project,
    pub(super) name: &'a EnvironmentName,
    /// What the machine says about images, folders and volumes.
    pub(super) facts: &'a Facts,
    pub(super) environment: Environment,
    pub(super) active: BTreeMap<&'a ServiceName, &'a Service>,
}

/// What the file says about one service, the environment's word before the platform's.
pub(super) struct Written<'s> {
    layers: Vec<(String, &'s ServiceSettings)>,
    environment: &'s EnvironmentName,
}

impl<'a> Scene<'a> {
    /// `None` when the environment is not known; the problem is noted.
    pub(super) fn open(
        file: &'a PlatformFile,
        project: &'a Project,
        name: &'a EnvironmentName,
        facts: &'a Facts,
        problems: &mut Problems,
    ) -> Option<Self> {
        let environment = match file.environments.get(name) {
            Some(environment) => environment.clone(),
            None if file.environments.is_empty() => Environment::default(),
            None => {
                let known: Vec<&str> = file.environments.keys().map(AsRef::as_ref).collect();
                problems.0.push(Problem {
                    found: name.to_string(),
                    allowed: known.join(", "),
                    nearest: nearest(name.as_ref(), known.iter().copied()),
                    ..written_problem(file, "environments", "this environment is not in the platform file")
                });
                return None;
            }
        };
        let active = project.active(environment.profiles.as_deref().unwrap_or_default());
        Some(Scene { file, project, name, facts, environment, active })
    }

    /// Whether the platform file says where the edge listens for requests of all services.
    pub(super) fn says_where_to_listen(&self) -> bool {
        self.environment.edge.as_ref().is_some_and(|edge| edge.http.is_some() || edge.https.is_some())
    }

    /// Whether services share listeners on which the host that is asked for tells them apart.
    pub(super) fn has_hosts(&self) -> bool {
        self.says_where_to_listen() || self.environment.domain.is_some()
    }

    /// What is written about this service.
    pub(super) fn written(&self, service: &ServiceName) -> Written<'_> {
        let here = self.environment.services.get(service);
        let everywhere = self.file.services.get(service);
        let here = here.map(|settings| (format!("environments.{}.services.{service}", self.name), settings));
        let everywhere = everywhere.map(|settings| (format!("services.{service}"), settings));
        Written { layers: here.into_iter().chain(everywhere).collect(), environment: self.name }
    }

    /// The services that others wait for until they have ended well.
    pub(super) fn awaited(&self) -> BTreeSet<&ServiceName> {
        let ended = |(name, condition): (&'a ServiceName, &Condition)| {
            (*condition == Condition::CompletedSuccessfully).then_some(name)
        };
        self.active.values().flat_map(|service| service.depends_on.iter().filter_map(ended)).collect()
    }

    /// Why this service is a database, if it is one. What lies in a folder counts where none of those who mount it is
    /// one by itself: otherwise it is whoever looks after that one's files.
    pub(super) fn database(&self, name: &ServiceName, service: &Service, data: &[DataMount]) -> Option<String> {
        let by_itself = known::database(name.as_ref(), service, self.facts.images.get(name), data);
        by_itself.or_else(|| {
            let reason = known::database_by_files(data)?;
            let is_anothers = self.active.iter().filter(|(other, _)| **other != name).any(|(other, service)| {
                let theirs = data::of(self, other, service);
                let meets = theirs.iter().any(|mount| data.iter().any(|mine| mine.meets(mount)));
                meets && known::database(other.as_ref(), service, self.facts.images.get(*other), &theirs).is_some()
            });
            (!is_anothers && !known::is_tool(service)).then_some(reason)
        })
    }

    /// Everything that the file names and the compose project does not have.
    pub(super) fn check_names(&self, problems: &mut Problems) {
        let known: Vec<&str> = self.project.services.keys().map(AsRef::as_ref).collect();
        let everywhere = self.file.services.keys().map(|name| (name, format!("services.{name}")));
        let per_environment = self.file.environments.iter().flat_map(|(environment, settings)| {
            settings.services.keys().map(move |name| (name, format!("environments.{environment}.services.{name}")))
        });
        let hooks = &self.file.hooks;
        let lists = [
            ("pre_build", &hooks.pre_build),
            ("pre_deploy", &hooks.pre_deploy),
            ("post_deploy", &hooks.post_deploy),
            ("deploy_failed", &hooks.deploy_failed),
            ("post_rollback", &hooks.post_rollback),
        ];
        let hooked = lists.into_iter().flat_map(|(key, hooks)| {
            hooks
                .iter()
                .enumerate()
                .filter_map(move |(index, hook)| Some((hook.service.as_ref()?, hook_path(key, index, hooks.len()))))
        });
        for (name, path) in everywhere.chain(per_environment).chain(hooked) {
            if !self.project.services.contains_key(name) {
                problems.0.push(Problem {
                    found: name.to_string(),
                    allowed: known.join(", "),
                    nearest: nearest(name.as_ref(), known.iter().copied()),
                    ..written_problem(self.file, &path, "the compose project has no service of this name")
                });
            }
        }
    }
}

/// A single hook may be written without a list, and then its path has no index.
fn hook_path(key: &str, index: usize, count: usize) -> String {
    if count == 1 { format!("hooks.{key}.service") } else { format!("hooks.{key}[{index}].service") }
}

impl<'s> Written<'s> {
    /// The value that counts, the path it was written at, and the reason to show.
    pub(super) fn get<T>(&self, pick: impl Fn(&'s ServiceSettings) -> Option<T>) -> Option<(T, String)> {
        self.layers.iter().find_map(|(path, settings)| {
            let reason = if path.starts_with("environments.") {
                format!("{WRITTEN} for {}", self.environment)
            } else {
                WRITTEN.to_owned()
            };
            pick(settings).map(|value| (value, reason))
        })
    }

    /// The path of a key, where it was written.
    pub(super) fn path(&self, key: &str, file: &PlatformFile) -> String {
        let mut paths = self.layers.iter().map(|(path, _)| format!("{path}.{key}"));
        let written = paths.clone().find(|path| file.source.wrote(path));
        written.or_else(|| paths.next_back()).unwrap_or_else(|| key.to_owned())
    }
}

/// A problem with something that the platform file says, at its line.
pub(super) fn written_problem(file: &PlatformFile, path: &str, message: &str) -> Problem {
    let (line, column) = file.source.place(path);
    let name = if file.source.file.is_empty() { "mainstay.yaml" } else { &file.source.file };
    Problem {
        file: name.to_owned(),
        line,
        column,
        path: path.to_owned(),
        message: message.to_owned(),
        ..Problem::default()
    }
}

/// A problem with the compose project.
pub(super) fn compose_problem(path: &str, found: &str, message: &str) -> Problem {
    Problem {
        file: FILE.to_owned(),
        path: path.to_owned(),
        found: found.to_owned(),
        message: message.to_owned(),
        ..Problem::default()
    }
}
