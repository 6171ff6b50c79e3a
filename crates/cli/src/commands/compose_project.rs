//! What plain Docker Compose runs, or has left, of the stack in a folder.

use std::path::{Path, PathBuf};

use deploy::identity::{self, COMPOSE_PROJECT};
use deploy::load::compose_files_in;
use deploy::names;
use machine::docker::{Docker, Engine};

/// One line about it, where there is something and Mainstay does not have it already.
pub async fn line(dir: &Path, host: &str) -> Option<String> {
    let files = compose_files_in(dir).ok()?;
    let engine = Engine::connect(Some(host)).ok()?;
    let label = |project: &str| [(COMPOSE_PROJECT.to_owned(), project.to_owned())];
    let all = engine.list(&label(""), true).await.ok()?;
    let paths: Vec<PathBuf> = files.iter().map(|file| dir.join(file)).collect();
    let said = name(dir, &files);
    let project = identity::project_of_folder(&all, dir, &paths).unwrap_or(said);
    let containers = all.iter().filter(|one| one.labels.get(COMPOSE_PROJECT) == Some(&project));
    let containers = containers.filter(|one| !one.labels.contains_key(names::PLATFORM)).count();
    let volumes = engine.volumes(&label(&project)).await.ok()?;
    let volumes = volumes.into_iter().filter(|volume| !volume.labels.contains_key(names::PLATFORM));
    told(&project, containers, &volumes.map(|volume| volume.name).collect::<Vec<_>>())
}

/// Compose's name of the project, with the variables of this shell.
pub fn name(dir: &Path, files: &[String]) -> String {
    let file = secrets::EnvFile::load(&dir.join(".env")).ok();
    let of_file = |name: &str| Some(file.as_ref()?.get(name)?.expose().to_owned());
    identity::compose_name(dir, files, &|name| std::env::var(name).ok().or_else(|| of_file(name))).name
}

fn told(project: &str, containers: usize, volumes: &[String]) -> Option<String> {
    let kept = if volumes.is_empty() { String::new() } else { format!("volumes {}", volumes.join(", ")) };
    let what = match (containers, kept.is_empty()) {
        (0, true) => return None,
        (0, false) => format!("Docker Compose has left data of this stack as project `{project}` ({kept})"),
        (count, true) => format!("Docker Compose runs this stack as project `{project}` ({count} containers)"),
        (count, false) => format!("Docker Compose runs this stack as project `{project}` ({count} containers, {kept})"),
    };
    Some(format!("{what}; `mainstay up` takes it over as it is, `mainstay release-to-compose` gives it back"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_compose_has_is_told_and_nothing_where_it_has_nothing() {
        assert_eq!(told("shop", 0, &[]), None);
        let both = told("shop", 2, &["shop_data".to_owned()]).unwrap();
        assert!(
            both.starts_with("Docker Compose runs this stack as project `shop` (2 containers, volumes shop_data);"),
            "{both}"
        );
        let left = told("shop", 0, &["shop_data".to_owned()]).unwrap();
        assert!(left.contains("has left data of this stack as project `shop` (volumes shop_data)"), "{left}");
    }
}
