//! One sequence: a platform, its steps one after the other, and the judge after each of them.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use machine::files::{Lock, Root};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::super::place::{Place, Ran, docker};
use super::judge::{self, Breach, Known, Rule, Timeline, breach};
use super::look::{self, Running};
use super::platform::{ANONYMOUS, Allowed, ENVIRONMENTS, Files, IMAGE_VOLUME, Kind};
use super::signals::Signals;
use super::steps::{Action, Resolved, Step, resolve};

const LIMIT: Duration = Duration::from_secs(90);

/// Who carries out the steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum System {
    Mainstay,
    /// The control: plain Compose with the same file.
    Compose,
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ended {
    Done,
    Refused,
    Failed,
}

pub struct Sequence {
    pub system: System,
    place: Place,
    pub files: Files,
    timeline: Timeline,
    /// What may be in force in each environment, the latest last; empty where nothing is up.
    applied: BTreeMap<&'static str, Vec<Allowed>>,
    logs: BTreeMap<String, String>,
    acks: BTreeMap<String, BTreeSet<u64>>,
    next_ack: u64,
    killed: BTreeSet<String>,
    stopped: BTreeSet<String>,
    signals: Signals,
    /// How long each service may take to stop, in nanoseconds.
    graces: BTreeMap<String, u128>,
    volumes: BTreeSet<String>,
    pub counts: BTreeMap<(Action, Ended), usize>,
    pub crashes: usize,
    /// How many writers each place has had.
    pub lives: BTreeMap<String, usize>,
    /// Those of them that were killed after their whole grace.
    pub slow: BTreeMap<String, usize>,
    /// Each step with how it ended, for whoever reads a failure.
    pub told: Vec<String>,
}

impl Sequence {
    pub fn new(system: System, place: Place, files: Files) -> Sequence {
        files.prepare(place.dir());
        for (index, kind) in files.places.iter().enumerate() {
            if *kind == Kind::External {
                docker(&["volume", "create", &files.fixed_name(index)]);
            }
        }
        let signals = Signals::follow(&files.name, place.dir());
        Sequence {
            signals,
            graces: BTreeMap::new(),
            stopped: BTreeSet::new(),
            slow: BTreeMap::new(),
            system,
            place,
            files,
            timeline: Timeline::default(),
            applied: BTreeMap::new(),
            logs: BTreeMap::new(),
            acks: BTreeMap::new(),
            next_ack: 0,
            killed: BTreeSet::new(),
            volumes: BTreeSet::new(),
            counts: BTreeMap::new(),
            crashes: 0,
            lives: BTreeMap::new(),
            told: Vec::new(),
        }
    }

    /// All of the steps, and at last everything down and up again.
    pub fn run(&mut self, steps: &[Step]) -> Result<(), Breach> {
        self.steps(steps)?;
        let plain = |action, environment| Step { action, environment, choices: [0, 0], crash: None };
        for environment in (0..self.files.environments).rev() {
            self.step(&plain(Action::Down, environment))?;
        }
        self.step(&plain(Action::Up, 0))
    }

    pub fn steps(&mut self, steps: &[Step]) -> Result<(), Breach> {
        steps.iter().try_for_each(|step| self.step(step))
    }

    fn step(&mut self, step: &Step) -> Result<(), Breach> {
        let environment = ENVIRONMENTS[step.environment];
        let is_up = self.applied.get(environment).is_some_and(|applied| !applied.is_empty());
        let by_hand = matches!(step.action, Action::Stop | Action::Kill | Action::Compose);
        let needs_up = by_hand
            || matches!(
                step.action,
                Action::Deploy | Action::DeployImage | Action::Restart | Action::Rollback | Action::Scale
            );
        let mut step = *step;
        if needs_up && !is_up {
            step = Step { action: Action::Up, ..step };
        }
        let is_strange_to_compose = matches!(step.action, Action::Rollback | Action::Prune | Action::Compose);
        if self.system == System::Compose && is_strange_to_compose {
            step = Step { action: Action::Up, ..step };
        }
        let resolved = resolve(&step, &self.files).or_else(|| {
            step.action = Action::Up;
            resolve(&step, &self.files)
        });
        let Some(resolved) = resolved else { return Ok(()) };
        let crash = step.crash.filter(|_| self.system == System::Mainstay);
        let mut line = format!("{environment}: {}", resolved.told);
        if let Some(ms) = crash {
            line.push_str(&format!(" (agent killed after {ms} ms)"));
        }
        self.told.push(line);
        let begin = Instant::now();
        let ended = match step.action {
            Action::Stop | Action::Kill => self.by_hand(&step, environment),
            Action::Compose => self.compose_beside(resolved)?,
            _ => self.command(&step, environment, resolved, crash)?,
        };
        *self.counts.entry((step.action, ended)).or_default() += 1;
        self.note(&format!("{ended:?} after {:.1} s", begin.elapsed().as_secs_f64()));
        if std::env::var_os("MAINSTAY_DATA_TELL").is_some() {
            eprintln!("{}: {}", self.files.name, self.told.last().map_or("", String::as_str));
        }
        self.look()
    }

    fn note(&mut self, text: &str) {
        if let Some(last) = self.told.last_mut() {
            last.push_str(&format!(" — {text}"));
        }
    }

    /// What each place may have now: all environments together, in each the most of what may be in force.
    fn allow(&mut self) {
        let mut sum = Allowed::new();
        for applied in self.applied.values() {
            let mut most = Allowed::new();
            for (key, count) in applied.iter().flatten() {
                let known = most.entry(key.clone()).or_default();
                *known = (*known).max(*count);
            }
            for (key, count) in most {
                *sum.entry(key).or_default() += count;
            }
        }
        self.timeline.from(look::now(), sum);
    }

    fn command(
        &mut self,
        step: &Step,
        environment: &'static str,
        resolved: Resolved,
        crash: Option<u64>,
    ) -> Result<Ended, Breach> {
        let before = std::mem::replace(&mut self.files, resolved.files);
        self.write();
        let (is_up, is_down) = (resolved.words[0] == "up", resolved.words[0] == "down");
        let writers = self.files.writers(environment);
        let old = self.applied.entry(environment).or_default().clone();
        let starts = !is_down && step.action != Action::Prune;
        if starts {
            self.applied.entry(environment).or_default().push(writers.clone());
        }
        if self.system == System::Compose {
            // Compose may start the one that gets a place before it stops the one that had it.
            if step.action == Action::Move {
                self.applied.insert(environment, vec![sum(&old, &writers)]);
            }
        }
        self.allow();
        let there = (self.system == System::Mainstay)
            .then(|| (look::containers(&self.files.name), look::running(&self.files.name)));
        let ran = self.execute(environment, &resolved.words, crash)?;
        let mut ended = match ran.code {
            0 => Ended::Done,
            2 | 4 => Ended::Refused,
            _ => Ended::Failed,
        };
        if ended != Ended::Done {
            self.tell(&ran);
        }
        match ended {
            Ended::Done if is_up => {
                self.applied.insert(environment, vec![writers]);
            }
            Ended::Done if is_down => {
                self.applied.insert(environment, Vec::new());
                self.forget_unnamed(environment, None);
            }
            Ended::Done | Ended::Failed => {}
            Ended::Refused => {
                self.files = before;
                self.write();
                self.applied.insert(environment, old);
            }
        }
        self.allow();
        if ended == Ended::Refused
            && crash.is_none()
            && let Some((all, running)) = there
        {
            self.unchanged(&all, &running)?;
        }
        if ran.code == 5 {
            return Err(breach(Rule::Stuck, format!("exit code 5: {}{}", ran.out, ran.err)));
        }
        // A person would bring it to what the files say.
        if (ended == Ended::Failed || (crash.is_some() && ended == Ended::Refused)) && !is_down {
            let again = self.execute(environment, &["up".to_owned()], None)?;
            match again.code {
                0 => {
                    let writers = self.files.writers(environment);
                    self.applied.insert(environment, vec![writers]);
                }
                2 | 4 => ended = Ended::Refused,
                code => {
                    return Err(breach(
                        Rule::Stuck,
                        format!("`up` after a failure ends with {code}:\n{}{}", again.out, again.err),
                    ));
                }
            }
            self.allow();
        }
        if ended == Ended::Done && is_up {
            self.shared(environment)?;
            self.present(environment)?;
            let services = self.files.services.iter().map(|service| service.name.clone()).collect();
            self.forget_unnamed(environment, Some(&services));
        }
        Ok(ended)
    }

    /// Notes how a command that was not done ended.
    fn tell(&mut self, ran: &Ran) {
        let lines = ran.err.lines().chain(ran.out.lines());
        let why = lines.map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
        self.note(&format!("exit code {}: {why}", ran.code));
    }

    /// Compose gives a service that comes back a new anonymous volume; Mainstay has to find the old one again.
    fn forget_unnamed(&mut self, environment: &str, except: Option<&BTreeSet<String>>) {
        if self.system == System::Mainstay {
            return;
        }
        let keep: BTreeSet<String> = except
            .into_iter()
            .flatten()
            .flat_map(|service| [IMAGE_VOLUME, ANONYMOUS].map(|place| self.files.key(environment, service, place)))
            .collect();
        let is_gone = |key: &String| key.contains(&format!(" volume of {environment}/")) && !keep.contains(key);
        self.logs.retain(|key, _| !is_gone(key));
        self.acks.retain(|key, _| !is_gone(key));
    }

    fn write(&mut self) {
        // Compose's own default where the file says nothing.
        let grace = |is_long: bool| Duration::from_secs(if is_long { 30 } else { 10 }).as_nanos();
        self.graces.extend(self.files.services.iter().map(|one| (one.name.clone(), grace(one.long_grace))));
        self.place.write("compose.yaml", &self.files.compose(self.place.dir()));
        self.place.write("mainstay.yaml", &self.files.mainstay());
    }

    fn execute(&mut self, environment: &str, words: &[String], crash: Option<u64>) -> Result<Ran, Breach> {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let mut command = match self.system {
            System::Compose => compose(&self.place, &format!("{}-{environment}", self.files.name), &in_compose(&words)),
            System::Mainstay => {
                let mut all = words.clone();
                // Clearing away is for the whole machine's installation.
                if words[0] != "prune" {
                    all.extend(["-e", environment]);
                }
                all.push("--yes");
                self.place.command(&all)
            }
        };
        // Files, since nobody reads a pipe while the command runs.
        let [out, err] = ["command.out", "command.err"].map(|name| self.place.state().join(name));
        let open = |path| Stdio::from(std::fs::File::create(path).unwrap());
        let mut child = command.stdin(Stdio::null()).stdout(open(&out)).stderr(open(&err)).spawn().unwrap();
        if let Some(ms) = crash {
            let begin = Instant::now();
            while begin.elapsed() < Duration::from_millis(ms) && child.try_wait().unwrap().is_none() {
                std::thread::sleep(Duration::from_millis(10));
            }
            if let Some(pid) = agent(&self.place) {
                self.crashes += usize::from(kill(pid, Signal::SIGKILL).is_ok());
            }
        }
        let code = self.wait(&mut child, &words)?;
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        let ran = Ran { code, out: read(&out), err: read(&err) };
        if crash.is_some() {
            self.settle()?;
        }
        Ok(ran)
    }

    fn wait(&self, child: &mut Child, words: &[&str]) -> Result<i32, Breach> {
        let begin = Instant::now();
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return Ok(status.code().unwrap_or(-1));
            }
            if begin.elapsed() > LIMIT {
                let _ = child.kill();
                let _ = child.wait();
                return Err(breach(Rule::Stuck, format!("{words:?} does not end within {LIMIT:?}")));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Until the next agent answers. It goes on with what the dead one left, and the next command waits for that.
    fn settle(&self) -> Result<(), Breach> {
        let begin = Instant::now();
        loop {
            let ran = self.place.run(&["status", "--json"]);
            if ran.code == 0 {
                return Ok(());
            }
            if begin.elapsed() > LIMIT {
                return Err(breach(Rule::Stuck, format!("after the crash, status says\n{}{}", ran.out, ran.err)));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn by_hand(&mut self, step: &Step, environment: &str) -> Ended {
        let all = look::running(&self.files.name);
        let own: Vec<&Running> = all.iter().filter(|one| one.environment == environment).collect();
        let Some(one) = own.get(step.choices[0] % own.len().max(1)) else { return Ended::Refused };
        let word = if step.action == Action::Kill { "kill" } else { "stop" };
        match step.action == Action::Kill {
            true => self.killed.insert(one.id.clone()),
            // What the agent is stopping just now gets this signal beside its own.
            false => self.stopped.insert(one.id.clone()),
        };
        self.note(&format!("docker {word} {}", one.name));
        match self.place.try_docker(&[word, &one.id]) {
            Ok(_) => Ended::Done,
            Err(_) => Ended::Failed,
        }
    }

    /// Compose by habit beside it: what it starts is allowed, and nothing may be lost by it.
    fn compose_beside(&mut self, resolved: Resolved) -> Result<Ended, Breach> {
        let project = format!("{}-hand", self.files.name);
        self.applied.insert("hand", vec![resolved.files.writers("hand")]);
        self.allow();
        let up = compose(&self.place, &project, &["up", "--detach", "--yes"]).output().unwrap();
        self.look()?;
        let down = compose(&self.place, &project, &["down"]).output().unwrap();
        self.applied.remove("hand");
        self.allow();
        // Compose has forgotten its anonymous volumes.
        self.logs.retain(|key, _| !key.contains(" of hand/"));
        self.acks.retain(|key, _| !key.contains(" of hand/"));
        Ok(if up.status.success() && down.status.success() { Ended::Done } else { Ended::Failed })
    }

    fn unchanged(&self, all: &BTreeSet<String>, running: &[Running]) -> Result<(), Breach> {
        let name = |one: &Running| format!("{}/{}", one.environment, one.service);
        let new: Vec<String> = look::containers(&self.files.name).difference(all).cloned().collect();
        let after: BTreeSet<String> = look::running(&self.files.name).iter().map(name).collect();
        let gone: Vec<String> = running.iter().map(name).filter(|name| !after.contains(name)).collect();
        match new.is_empty() && gone.is_empty() {
            true => Ok(()),
            false => Err(breach(Rule::Changed, format!("a refused command made {new:?} and stopped {gone:?}"))),
        }
    }

    /// Another environment that would write to the same place has to be refused.
    fn shared(&self, environment: &str) -> Result<(), Breach> {
        if self.system == System::Compose {
            return Ok(());
        }
        let own = self.files.writers(environment);
        let others = self.applied.iter().filter(|(other, _)| **other != environment);
        for (other, key) in
            others.flat_map(|(other, applied)| applied.iter().flatten().map(move |(key, _)| (other, key)))
        {
            if own.contains_key(key) {
                return Err(breach(
                    Rule::Shared,
                    format!("{key}: {environment} was accepted, and {other} writes to it"),
                ));
            }
        }
        Ok(())
    }

    fn present(&self, environment: &str) -> Result<(), Breach> {
        let running = look::running(&self.files.name);
        for service in &self.files.services {
            let runs = |one: &&Running| one.environment == environment && one.service == service.name;
            if !running.iter().any(|one| runs(&one)) {
                return Err(breach(
                    Rule::Absent,
                    format!("`up` went well, and {environment}/{} does not run", service.name),
                ));
            }
        }
        Ok(())
    }

    /// Everything that is written everywhere, new acknowledged writes, and the judge.
    fn look(&mut self) -> Result<(), Breach> {
        let running = look::running(&self.files.name);
        let ids: BTreeSet<String> = running.iter().map(|one| one.id.clone()).collect();
        self.volumes.extend(running.iter().flat_map(|one| one.volumes.clone()));
        let there = look::volumes();
        if let Some(gone) = self.volumes.iter().find(|volume| !there.contains(*volume)) {
            return Err(breach(Rule::Removed, format!("volume {gone} is gone")));
        }
        let mut seen = BTreeSet::new();
        for one in &running {
            // One that is just being stopped does not answer; what it wrote is read with the next one.
            let Ok(places) = look::ask(one, "GET", "/places") else { continue };
            let places = String::from_utf8_lossy(&places).into_owned();
            let known: Vec<(bool, String, String)> = places
                .lines()
                .filter_map(|line| line.split_once(' '))
                .filter_map(|(mode, path)| {
                    let digits: String =
                        path.trim_start_matches("/d").chars().take_while(char::is_ascii_digit).collect();
                    let key = self.files.key(&one.environment, &one.service, digits.parse().ok()?);
                    Some((mode == "w", path.to_owned(), key))
                })
                .collect();
            self.next_ack += 1;
            let number = self.next_ack;
            if known.iter().any(|(writes, ..)| *writes) && look::ask(one, "POST", &format!("/write?x={number}")).is_ok()
            {
                for (_, _, key) in known.iter().filter(|(writes, ..)| *writes) {
                    self.acks.entry(key.clone()).or_default().insert(number);
                }
            }
            for (_, path, key) in known {
                let Ok(log) = look::ask(one, "GET", &format!("/log?place={path}")) else { continue };
                let log = String::from_utf8_lossy(&log).into_owned();
                self.compare(one, &key, &log)?;
                self.logs.insert(key.clone(), log);
                seen.insert(key);
            }
        }
        let sent = self.signals.sent(&self.files.name);
        for key in seen {
            let known = Known {
                place: &key,
                timeline: &self.timeline,
                running: &ids,
                killed: &self.killed,
                stopped: &self.stopped,
                sent: &sent,
                graces: &self.graces,
            };
            let held = judge::hold(&self.logs[&key], &known)?;
            self.lives.insert(key.clone(), held.lives);
            self.slow.insert(key.clone(), held.slow);
        }
        Ok(())
    }

    fn compare(&self, one: &Running, key: &str, log: &str) -> Result<(), Breach> {
        let lost = |what: String| Err(breach(Rule::Lost, format!("{key}, as {} sees it: {what}", one.name)));
        let written = judge::acknowledged(log);
        let missing: Vec<u64> =
            self.acks.get(key).into_iter().flatten().filter(|number| !written.contains(number)).copied().collect();
        if !missing.is_empty() {
            return lost(format!("acknowledged writes {missing:?} are lost"));
        }
        match self.logs.get(key) {
            Some(before) if !log.starts_with(before.as_str()) => lost(format!(
                "{} bytes were there, and the log of {} bytes does not begin with them",
                before.len(),
                log.len()
            )),
            _ => Ok(()),
        }
    }

    pub fn writes(&self) -> usize {
        self.acks.values().map(BTreeSet::len).sum()
    }

    /// The files and the steps, for whoever reads a failure.
    pub fn story(&self) -> String {
        let files = format!(
            "--- compose.yaml\n{}--- mainstay.yaml\n{}",
            self.files.compose(self.place.dir()),
            self.files.mainstay()
        );
        let steps: Vec<String> =
            self.told.iter().enumerate().map(|(index, line)| format!("{:>3}. {line}\n", index + 1)).collect();
        format!("{files}--- steps\n{}", steps.concat())
    }
}

impl Drop for Sequence {
    fn drop(&mut self) {
        for environment in ENVIRONMENTS.iter().take(self.files.environments) {
            if self.system == System::Mainstay {
                let _ = self.place.command(&["down", "-e", environment, "--volumes", "--yes"]).output();
            }
        }
        let _ = self.place.command(&["stop"]).output();
        for environment in ["production", "staging", "hand"] {
            if self.system == System::Compose || environment == "hand" {
                let _ = compose(&self.place, &format!("{}-{environment}", self.files.name), &["down", "--volumes"])
                    .output();
            }
        }
        let sweep = |words: &[&str], names: BTreeSet<String>| {
            if !names.is_empty() {
                let _ = Command::new("docker").args(words).args(names).output();
            }
        };
        sweep(&["rm", "--force", "--volumes"], look::containers(&self.files.name));
        let mut own = look::volumes();
        own.retain(|volume| self.volumes.contains(volume) || volume.starts_with(&format!("{}-", self.files.name)));
        sweep(&["volume", "rm", "--force"], own);
    }
}

fn sum(old: &[Allowed], new: &Allowed) -> Allowed {
    let mut sum = new.clone();
    for (key, count) in old.last().into_iter().flatten() {
        *sum.entry(key.clone()).or_default() += count;
    }
    sum
}

fn compose(place: &Place, project: &str, words: &[&str]) -> Command {
    let mut command = Command::new("docker");
    command.args(["compose", "--project-name", project, "--file"]).arg(place.dir().join("compose.yaml")).args(words);
    command.stdin(Stdio::null());
    command
}

/// What a person without Mainstay would write instead.
fn in_compose<'a>(words: &[&'a str]) -> Vec<&'a str> {
    match words {
        ["deploy", service] => vec!["up", "--detach", "--no-deps", service],
        ["scale", pair] => vec!["up", "--detach", "--remove-orphans", "--scale", pair],
        ["restart", service] => vec!["restart", service],
        ["down"] => vec!["down", "--remove-orphans"],
        _ => vec!["up", "--detach", "--remove-orphans"],
    }
}

/// Who holds the agent's lock.
fn agent(place: &Place) -> Option<Pid> {
    match Root::open(place.state()).ok()?.lock("run/agent.lock").ok()? {
        Lock::Held { pid } => pid.and_then(|pid| i32::try_from(pid).ok()).map(Pid::from_raw),
        Lock::Acquired(_) => None,
    }
}
