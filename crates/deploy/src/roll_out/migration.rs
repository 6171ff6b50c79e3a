//! The migration of a release: once, in its own image, before anything of it starts.
//!
//! Its container has a name of its own and is removed only after its end is written down. So after a crash Docker
//! tells what became of it: a container that is not there has never run, one that runs is waited for, and one that
//! has ended has its exit code. Two runs at once cannot be, since Docker gives a name only once.

use std::time::Duration;

use machine::compose::RunOptions;
use machine::docker::{ContainerDetail, State as ContainerState};
use saga::StepError;
use serde_json::json;
use spec::{Migration, human_duration};

use super::steps::{Done, LAST_LINES, wrap};
use super::{Found, Params};
use crate::migration::Migrated;
use crate::release::Release;
use crate::stopping::{self, StopPlan};
use crate::world::World;
use crate::{copies, health, names};

const LOOK_EVERY: Duration = Duration::from_millis(200);
/// A container that was made and not started for so long is nobody's any more.
const ORPHANED: Duration = Duration::from_secs(10);

/// How a run ended.
enum End {
    Well,
    Badly { cause: String },
}

pub fn migrate<'a>(world: &'a World, params: &'a Params, _: &'a mut Found) -> Done<'a> {
    Box::pin(async move {
        let Some(migration) = params.migration() else { return Ok(()) };
        let release = &params.release;
        let known = world.migration_of(release).map_err(wrap("read what is known of the migration"))?;
        match &known {
            Some(known) if known.is_done() => return Ok(()),
            // Its end was written down, and the agent's own right after it: it is not run a second time for that.
            Some(Migrated { failed: Some(cause), .. }) => return Err(failed(cause, &[])),
            _ => {}
        }
        let name = format!("{}-migrate", release.container);
        let run = Run { world, release, migration, name: &name };
        let end = match inspect(world, &name).await? {
            Some(left) => run.pick_up(left).await?,
            None => run.begin(known).await?,
        };
        run.end(end).await
    })
}

struct Run<'a> {
    world: &'a World,
    release: &'a Release,
    migration: &'a Migration,
    name: &'a str,
}

impl Run<'_> {
    async fn begin(&self, known: Option<Migrated>) -> Result<End, StepError> {
        let (job, release) = (&self.migration.job, self.release);
        self.say(format!("migrates ({}): {}", self.migration.kind.as_str(), job.command.join(" ")));
        let started_ms = known.map_or_else(|| self.world.clock.now_ms(), |known| known.started_ms);
        self.save(started_ms, None)?;
        let options = RunOptions {
            name: Some(self.name.to_owned()),
            labels: vec![(names::ONE_OFF.into(), "migrate".into())],
            keep: true,
            ..RunOptions::default()
        };
        let compose = copies::compose_once(self.world, release)?;
        let command = compose.run(&release.definition.service, &job.command, &options);
        let output = self.world.run(command.timeout(job.timeout)).await;
        // Compose's own end says less than the container's, above all after a timeout.
        match (inspect(self.world, self.name).await?, output) {
            (Some(detail), output) => self.follow(detail, output.is_err()).await,
            (None, Ok(output)) if output.status == 0 => Ok(End::Well),
            (None, Ok(output)) => Ok(End::Badly { cause: super::steps::last_said(&output.stderr) }),
            (None, Err(error)) => Err(StepError::failed("could not run the migration", error)),
        }
    }

    /// What an agent before this one has begun.
    async fn pick_up(&self, left: ContainerDetail) -> Result<End, StepError> {
        self.say("picks up a migration that was begun before the agent ended".to_owned());
        match self.follow(left, false).await? {
            End::Badly { cause } if self.migration.idempotent => {
                self.say(format!("runs the migration again, since it may be: {cause}"));
                self.remove().await?;
                self.begin(None).await
            }
            end => Ok(end),
        }
    }

    /// Waits for the container's end; out of time, it is stopped.
    async fn follow(&self, mut detail: ContainerDetail, mut late: bool) -> Result<End, StepError> {
        let began = self.world.clock.monotonic();
        let timeout = self.migration.job.timeout;
        loop {
            let waited = self.world.clock.monotonic().saturating_sub(began);
            match detail.state {
                ContainerState::Exited | ContainerState::Dead => return Ok(self.ended(&detail, late)),
                ContainerState::Created if waited >= ORPHANED => {
                    self.world.docker.start(self.name).await.map_err(wrap("start the migration"))?;
                }
                _ if late || waited >= timeout => {
                    late = true;
                    let plan = StopPlan::of_one_off(self.release);
                    stopping::stop(self.world, self.name, &plan).await.map_err(wrap("stop the migration"))?;
                }
                _ => {}
            }
            tokio::time::sleep(LOOK_EVERY).await;
            let Some(next) = inspect(self.world, self.name).await? else {
                return Ok(End::Badly { cause: "its container was removed while it ran".into() });
            };
            detail = next;
        }
    }

    fn ended(&self, detail: &ContainerDetail, late: bool) -> End {
        match (late, detail.exit_code) {
            (true, _) => {
                End::Badly { cause: format!("it was stopped after {}", human_duration(self.migration.job.timeout)) }
            }
            (false, Some(0)) => End::Well,
            (false, Some(code)) => End::Badly { cause: format!("it ended with code {code}") },
            (false, None) => End::Badly { cause: "nobody knows how it ended".into() },
        }
    }

    /// Written down first, then cleared away: the other way round a crash could run it twice.
    async fn end(&self, end: End) -> Result<(), StepError> {
        let logs = health::last_lines(self.world, self.release, self.name, LAST_LINES).await;
        let started_ms = self.known_start()?;
        match end {
            End::Well => {
                self.save(started_ms, Some(None))?;
                self.remove().await
            }
            End::Badly { cause } => {
                self.save(started_ms, Some(Some(cause.clone())))?;
                self.remove().await?;
                Err(failed(&cause, &logs))
            }
        }
    }

    fn known_start(&self) -> Result<i64, StepError> {
        let known = self.world.migration_of(self.release).map_err(wrap("read what is known of the migration"))?;
        Ok(known.map_or_else(|| self.world.clock.now_ms(), |known| known.started_ms))
    }

    fn save(&self, started_ms: i64, ended: Option<Option<String>>) -> Result<(), StepError> {
        let migrated = Migrated {
            release: self.release.id.clone(),
            kind: self.migration.kind,
            command: self.migration.job.command.clone(),
            started_ms,
            ended_ms: ended.as_ref().map(|_| self.world.clock.now_ms()),
            failed: ended.flatten(),
        };
        self.world.save_migration(self.release, &migrated).map_err(wrap("record the migration"))
    }

    async fn remove(&self) -> Result<(), StepError> {
        let plan = StopPlan::of_one_off(self.release);
        stopping::remove(self.world, self.name, &plan).await.map_err(wrap("clear the migration's container away"))?;
        copies::forget_once(self.world, self.release)
    }

    fn say(&self, text: String) {
        self.world.talk.say(Some(&self.release.service), text);
    }
}

fn failed(cause: &str, logs: &[String]) -> StepError {
    let text = format!("the migration failed: {cause}");
    StepError::because(text.clone()).with_detail(json!({ "cause": text, "logs": logs }))
}

async fn inspect(world: &World, name: &str) -> Result<Option<ContainerDetail>, StepError> {
    health::inspect(world, name).await.map_err(wrap("look for the migration's container"))
}
