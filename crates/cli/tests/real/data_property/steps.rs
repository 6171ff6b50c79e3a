//! What people do to a platform, in random order.

use super::platform::{Files, Kind, Service};
use super::random::Random;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    Up,
    Deploy,
    DeployImage,
    Rename,
    Remove,
    ReAdd,
    Move,
    Scale,
    Rollback,
    Restart,
    Prune,
    Down,
    /// `docker stop` of one container.
    Stop,
    /// `docker kill` of one container.
    Kill,
    /// A habitual `docker compose up -d` beside it, and `down` again.
    Compose,
}

/// The numbers choose among what is there when the step's turn comes, so a sequence stays one when a step is left out.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    pub action: Action,
    pub environment: usize,
    pub choices: [usize; 2],
    /// The agent is killed so many milliseconds after the command has begun.
    pub crash: Option<u64>,
}

pub fn random(random: &mut Random, count: usize, environments: usize) -> Vec<Step> {
    let mut steps = vec![Step { action: Action::Up, environment: 0, choices: [0, 0], crash: None }];
    for _ in 0..count {
        let action = random.weighted(&[
            (3, Action::Up),
            (12, Action::Deploy),
            (5, Action::DeployImage),
            (12, Action::Rename),
            (8, Action::Remove),
            (8, Action::ReAdd),
            (9, Action::Move),
            (6, Action::Scale),
            (10, Action::Rollback),
            (7, Action::Restart),
            (3, Action::Prune),
            (7, Action::Down),
            (4, Action::Stop),
            (4, Action::Kill),
            (1, Action::Compose),
        ]);
        let is_crash = random.chance(20) && !matches!(action, Action::Stop | Action::Kill | Action::Compose);
        let crash = is_crash.then(|| u64::try_from(random.below(2500)).unwrap());
        let environment = usize::from(environments > 1 && random.chance(35));
        steps.push(Step { action, environment, choices: [random.below(1 << 20), random.below(1 << 20)], crash });
    }
    steps
}

/// What a step comes down to: the files afterwards, and the words of the command.
pub struct Resolved {
    pub files: Files,
    pub words: Vec<String>,
    pub told: String,
}

/// What the step means for these files; nothing where it makes no sense for them.
pub fn resolve(step: &Step, files: &Files) -> Option<Resolved> {
    let mut files = files.clone();
    let [first, second] = step.choices;
    let count = files.services.len();
    let chosen = first % count.max(1);
    let name = files.services.get(chosen)?.name.clone();
    let (words, told): (Vec<&str>, String) = match step.action {
        Action::Up | Action::Compose => (vec!["up"], "up".to_owned()),
        Action::Down => (vec!["down"], "down".to_owned()),
        Action::Prune => (vec!["prune"], "prune".to_owned()),
        Action::Restart => (vec!["restart", &name], format!("restart {name}")),
        Action::Rollback => (vec!["rollback", &name], format!("rollback {name}")),
        Action::Stop | Action::Kill => (Vec::new(), format!("docker {:?} of a container", step.action).to_lowercase()),
        Action::Deploy => {
            files.services[chosen].version += 1;
            (vec!["deploy", &name], format!("deploy {name} with another variable"))
        }
        Action::DeployImage => {
            files.services[chosen].image ^= 1;
            (vec!["deploy", &name], format!("deploy {name} with another image"))
        }
        Action::Rename => {
            let service = &mut files.services[chosen];
            service.name = renamed(&name);
            (vec!["up"], format!("rename {name} to {}, up", service.name))
        }
        Action::Remove if count > 1 => {
            let service = files.services.remove(chosen);
            files.removed.push(service);
            (vec!["up"], format!("remove {name}, up"))
        }
        Action::ReAdd => {
            let service = files.removed.pop()?;
            let told = format!("add {} again, up", service.name);
            files.services.push(service);
            (vec!["up"], told)
        }
        Action::Move => {
            let told = moved(&mut files, first, second)?;
            (vec!["up"], told)
        }
        Action::Scale => {
            let able: Vec<usize> = (0..count).filter(|index| files.services[*index].can_scale()).collect();
            let service = &mut files.services[*able.get(first % able.len().max(1))?];
            service.scaled = 1 + second % 2;
            let word = format!("{}={}", service.name, service.scaled);
            return Some(Resolved { told: format!("scale {word}"), words: vec!["scale".to_owned(), word], files });
        }
        Action::Remove => return None,
    };
    let words = words.into_iter().map(str::to_owned).collect();
    Some(Resolved { files, words, told })
}

/// `s1`, `s1b`, `s1bb`: never a name that was there before.
fn renamed(name: &str) -> String {
    format!("{name}b")
}

/// A place goes from one service to another one.
fn moved(files: &mut Files, first: usize, second: usize) -> Option<String> {
    let has_mount = |service: &Service| !service.mounts.is_empty();
    let givers: Vec<usize> = (0..files.services.len()).filter(|index| has_mount(&files.services[*index])).collect();
    let giver = *givers.get(first % givers.len().max(1))?;
    let position = second % files.services[giver].mounts.len();
    let place = files.services[giver].mounts[position].place;
    let takes = |service: &Service| service.mounts.iter().all(|mount| mount.place != place);
    let takers: Vec<usize> = (0..files.services.len()).filter(|index| takes(&files.services[*index])).collect();
    let taker = *takers.get(second % takers.len().max(1))?;
    let mount = files.services[giver].mounts.remove(position);
    let (from, to) = (files.services[giver].name.clone(), files.services[taker].name.clone());
    let kind: Kind = files.places[place];
    files.services[taker].mounts.push(mount);
    Some(format!("move place {place} ({kind:?}) from {from} to {to}, up"))
}
