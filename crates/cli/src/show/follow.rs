//! Following an operation: what it says, as it says it.

use std::io::IsTerminal;
use std::time::Duration;

use deploy::{Ending, Said};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::client::Client;
use crate::commands::Context;
use crate::errors::{Failure, failed};
use crate::messages::{About, Begin, Ended, Event, Started};

/// How long an agent that went away gets to come back.
const ABSENCE: Duration = Duration::from_secs(60);

/// Ways to be told to stop: Ctrl-C, a pipeline that is cancelled (SIGTERM), a terminal that is closed (SIGHUP).
struct Stop {
    interrupt: Signal,
    terminate: Signal,
    /// `None` where whoever started us wants a closed terminal to mean nothing (`nohup`).
    hangup: Option<Signal>,
}

impl Stop {
    fn new() -> Result<Stop, Failure> {
        let on = |kind| signal(kind).map_err(failed("listen for signals"));
        let hangup = match ignores_hangup() {
            true => None,
            false => Some(on(SignalKind::hangup())?),
        };
        Ok(Stop { interrupt: on(SignalKind::interrupt())?, terminate: on(SignalKind::terminate())?, hangup })
    }

    async fn asked(&mut self) {
        let hung_up = async {
            match &mut self.hangup {
                Some(signal) => drop(signal.recv().await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            () = hung_up => {}
        }
    }
}

/// The first bit of the mask of ignored signals is SIGHUP's. (man 5 proc)
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

/// Begins an operation and follows it. The first word to stop gives it up, which takes as long as undoing takes; the
/// second leaves that to the agent.
pub async fn operation(context: &Context, client: &Client, begin: Begin) -> Result<Ended, Failure> {
    let started: Started = client.post("/v1/operations", &begin).await?;
    let view = View::new(context.global.json);
    let follow = until_ended(client, &started.id, &view, Patience::UntilItWaits);
    tokio::pin!(follow);
    let mut stop = Stop::new()?;
    let mut given_up = false;
    loop {
        tokio::select! {
            ended = &mut follow => {
                view.clear();
                return ended;
            }
            () = stop.asked() => {
                if given_up {
                    return Ok(leave(&view, &started.id));
                }
                given_up = true;
                view.line("giving up: what has begun is undone first (Ctrl-C once more leaves that to the agent)");
                let _: bool = client.post(&format!("/v1/operations/{}/abort", started.id), &()).await?;
            }
        }
    }
}

/// Follows an operation that somebody else began; going away changes nothing for it.
pub async fn attach(context: &Context, client: &Client, id: &str) -> Result<Ended, Failure> {
    let view = View::new(context.global.json);
    let ended = tokio::select! {
        ended = until_ended(client, id, &view, Patience::UntilItEnds) => ended,
        _ = tokio::signal::ctrl_c() => Ok(leave(&view, id)),
    };
    view.clear();
    ended
}

fn leave(view: &View, id: &str) -> Ended {
    view.clear();
    view.line(&format!("the agent goes on; follow it with `mainstay follow {id}`"));
    Ended::Left { id: id.to_owned() }
}

/// How long an operation is followed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Patience {
    /// To its end, or until it waits for a person, who may come tomorrow.
    UntilItWaits,
    UntilItEnds,
}

/// The journal outlives the agent, so a connection that breaks is picked up again.
async fn until_ended(client: &Client, id: &str, view: &View, patience: Patience) -> Result<Ended, Failure> {
    let path = format!("/v1/operations/{id}/events");
    let mut seen = 0;
    let mut gone_since = None;
    let mut agent = None;
    loop {
        // Another agent tells from its own beginning, so nothing of it has been seen.
        let now = client.get::<About>("/v1/about").await.ok().map(|about| about.pid);
        if agent.is_some() && now.is_some() && agent != now {
            seen = 0;
        }
        agent = now.or(agent);
        let mut ended = None;
        let mut count = 0;
        let result = client
            .lines(&path, &(), |event: Event| {
                count += 1;
                match event {
                    Event::Said { ms, said } if count > seen => {
                        view.said(ms, &said);
                        if patience == Patience::UntilItWaits && matches!(said, Said::Waits { .. }) {
                            ended = Some(Ended::Waits { operation: id.to_owned() });
                        }
                    }
                    Event::Said { .. } => {}
                    Event::Ended { ended: how, .. } => ended = Some(how),
                }
                ended.is_none()
            })
            .await;
        if let Some(ended) = ended {
            return Ok(ended);
        }
        seen = if count > 0 { count } else { 0 };
        // One that is not known does not come back.
        if let Err(failure) = &result
            && failure.ending == Ending::Invalid
        {
            return Err(failure.clone());
        }
        let since = *gone_since.get_or_insert_with(tokio::time::Instant::now);
        if since.elapsed() > ABSENCE {
            let lost = Failure::new(format!("lost sight of operation {id}"), Ending::Stuck);
            return Err(result.err().unwrap_or(lost).hint("`mainstay status` tells how things stand"));
        }
        if since.elapsed() < Duration::from_millis(50) {
            view.line("the agent went away; waiting for it to come back");
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

/// Lines for the record; on a terminal also one moving line for what passes.
struct View {
    bar: Option<ProgressBar>,
    quiet: bool,
}

impl View {
    fn new(quiet: bool) -> View {
        let bar = (!quiet && std::io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed:>4} {wide_msg}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        View { bar, quiet }
    }

    fn said(&self, ms: u64, said: &Said) {
        let at = ms as f64 / 1000.0;
        let name =
            |service: &Option<spec::ServiceName>| service.as_ref().map_or(String::new(), |name| format!("{name}: "));
        match said {
            Said::Line { service, text } => self.line(&format!("{at:7.1} s  {}{text}", name(service))),
            Said::Step { service, step, ms: Some(ms) } => {
                self.line(&format!("{at:7.1} s  {service}: {step} ({:.1} s)", *ms as f64 / 1000.0));
            }
            Said::Waits { service, text } => self.line(&format!("{at:7.1} s  {service}: {text}")),
            Said::Plan { plan } => self.line(deploy::render::plan::text(plan).trim_end()),
            Said::Step { service, step, ms: None } => self.passing(format!("{service}: {step} …")),
            Said::Passing { service, text } => self.passing(format!("{}{text}", name(service))),
        }
    }

    fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
            None if self.quiet => {}
            None => eprintln!("{text}"),
        }
    }

    fn passing(&self, text: String) {
        if let Some(bar) = &self.bar {
            bar.set_message(text);
        }
    }

    fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
