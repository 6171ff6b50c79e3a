//! Following an operation: what it says, as it says it.

use std::io::IsTerminal;
use std::time::Duration;

use deploy::{Ending, Said};
use indicatif::{ProgressBar, ProgressStyle};

use crate::client::Client;
use crate::commands::Context;
use crate::errors::Failure;
use crate::messages::{Ended, Event, Started, Work};

/// How long an agent that went away gets to come back.
const PATIENCE: Duration = Duration::from_secs(60);

pub async fn operation(context: &Context, client: &Client, work: Work) -> Result<Ended, Failure> {
    let started: Started = client.post("/v1/operations", &work).await?;
    let view = View::new(context.global.json);
    let follow = until_ended(client, &started.id, &view);
    tokio::pin!(follow);
    let ended = tokio::select! {
        ended = &mut follow => ended,
        _ = tokio::signal::ctrl_c() => {
            view.line("giving up: what has begun is undone first");
            let _: bool = client.post(&format!("/v1/operations/{}/abort", started.id), &()).await?;
            follow.await
        }
    };
    view.clear();
    ended
}

/// The journal outlives the agent, so a connection that breaks is picked up again.
async fn until_ended(client: &Client, id: &str, view: &View) -> Result<Ended, Failure> {
    let path = format!("/v1/operations/{id}/events");
    let mut seen = 0;
    let mut gone_since = None;
    loop {
        let mut ended = None;
        let mut count = 0;
        let result = client
            .lines(&path, &(), |event: Event| {
                count += 1;
                match event {
                    Event::Said { ms, said } if count > seen => view.said(ms, &said),
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
        let since = *gone_since.get_or_insert_with(tokio::time::Instant::now);
        if since.elapsed() > PATIENCE {
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
