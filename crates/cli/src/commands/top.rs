use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use deploy::Ending;

use super::Context;
use crate::errors::Failure;
use crate::top::live::{LONGEST, SHORTEST, each, live};
use crate::top::rates::Frame;
use crate::top::view::{Kind, View};

#[derive(clap::Args)]
#[command(after_help = "Keys: q quits, tab shows services, routes or targets, < and > choose the column to sort by,
      r reverses, / filters, space pauses, + and - change the interval, ↑ and ↓ scroll

Rates are per second over the interval, P50 to P99 milliseconds to the head of the answer.

Examples:
  mainstay top
  mainstay top --interval 5s --sort p99 --filter api
  mainstay top --once --view routes
  mainstay top --json | jq '.services[] | {service, requests_per_s, p99_ms}'
  mainstay top --json --watch --interval 10s >> top.ndjson")]
pub struct Args {
    /// How long each look lasts
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = interval)]
    interval: Duration,
    /// Print one look as a table
    #[arg(long, conflicts_with_all = ["count", "watch"])]
    once: bool,
    /// Print so many looks
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Print looks until it is stopped
    #[arg(long, conflicts_with = "count")]
    watch: bool,
    /// What to begin with
    #[arg(long, value_enum, default_value_t)]
    view: Kind,
    /// Sort by this column: req, flight, p99, 5xx, service
    #[arg(long, value_name = "COLUMN")]
    sort: Option<String>,
    /// Only rows with this text in their names
    #[arg(long, value_name = "TEXT", default_value = "")]
    filter: String,
}

fn interval(text: &str) -> Result<Duration, String> {
    let time = spec::units::parse_duration(text).map_err(|error| error.to_string())?;
    if time < SHORTEST || time > LONGEST {
        return Err("an interval is between 100ms and 1h".to_owned());
    }
    Ok(time)
}

pub async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let control = edge::Control::new(context.layout.edge_socket());
    let view = view(&args)?;
    let is_live = !(args.once || args.watch || args.count.is_some() || context.global.json);
    if is_live && io::stdout().is_terminal() && io::stdin().is_terminal() {
        live(&control, view, args.interval).await?;
        return Ok(0);
    }
    let count = if args.watch { None } else { Some(args.count.unwrap_or(1)) };
    let width = io::stdout().is_terminal().then(|| crossterm::terminal::size().ok()).flatten();
    let width = width.map(|(columns, _)| usize::from(columns));
    let json = context.global.json;
    let mut is_first = true;
    each(&control, args.interval, count, |frame| {
        let text = if json { object(frame)? } else { table(&view, frame, width, std::mem::take(&mut is_first)) };
        io::stdout().lock().write_all(text.as_bytes())?;
        io::stdout().lock().flush()
    })
    .await?;
    Ok(0)
}

fn view(args: &Args) -> Result<View, Failure> {
    let view = View::new(args.view, args.filter.clone());
    let Some(name) = &args.sort else { return Ok(view) };
    view.sorted_by(name).map_err(|known| {
        let text = format!("this view has no column `{name}`");
        Failure::new(text, Ending::Invalid).hint(format!("it has: {}", known.join(", ")))
    })
}

/// One line for each look, so that a program can read them as they come.
fn object(frame: &Frame) -> io::Result<String> {
    Ok(serde_json::to_string(frame)? + "\n")
}

fn table(view: &View, frame: &Frame, width: Option<usize>, is_first: bool) -> String {
    let lines = view.table(frame, width).into_iter().map(|line| line.text + "\n");
    let gap = if is_first { "" } else { "\n" };
    gap.to_owned() + &lines.collect::<String>()
}
