use super::{Context, processes, target};
use crate::errors::Failure;
use crate::messages::{LogLine, LogsOf};
use jiff::Timestamp;
use spec::{ReleaseId, ServiceName};

#[derive(clap::Args)]
#[command(after_help = "Examples:
  mainstay logs api                    its releases' lines, in the order of their times
  mainstay logs api --release r12      one release's alone, also one that failed
  mainstay logs --since 10m
  mainstay logs -f --tail 20 api worker

A release that starts while you follow is followed, too.")]
pub struct Args {
    /// Services; all when none is named
    #[arg(value_name = "SERVICE", value_parser = target::service)]
    services: Vec<ServiceName>,
    /// Go on with new lines
    #[arg(short = 'f', long)]
    follow: bool,
    /// How many lines of each to begin with
    #[arg(long, default_value_t = 100, value_name = "N")]
    tail: usize,
    /// Only this release
    #[arg(long, value_name = "RELEASE")]
    release: Option<ReleaseId>,
    /// Only what was written since then: `10m` ago, or `2026-01-02T03:04:05Z`
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<Since>,
    /// Show when each line was written
    #[arg(short = 't', long)]
    timestamps: bool,
}

/// Ago, or at a moment.
#[derive(Debug, Clone, Copy)]
enum Since {
    Ago(std::time::Duration),
    At(i64),
}

fn moment(text: &str) -> Result<Since, String> {
    if let Ok(ago) = spec::units::parse_duration(text) {
        return Ok(Since::Ago(ago));
    }
    let at = text.parse::<Timestamp>().map_err(|_| "write `10m`, or `2026-01-02T03:04:05Z`".to_owned())?;
    Ok(Since::At(at.as_millisecond()))
}

pub async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let client = processes::connect(context).await?;
    let scope = target::scope(context, &client).await?;
    let since_ms = args.since.map(|since| match since {
        Since::At(at) => at,
        Since::Ago(ago) => Timestamp::now().as_millisecond() - i64::try_from(ago.as_millis()).unwrap_or(i64::MAX),
    });
    let (services, release, timestamps) = (args.services, args.release, args.timestamps);
    let of = LogsOf { scope, services, release, since_ms, tail: args.tail, follow: args.follow };
    let json = context.global.json;
    client
        .lines("/v1/logs", &of, |line: LogLine| {
            match json {
                true => println!("{}", serde_json::to_string(&line).unwrap_or_default()),
                false => println!("{}", shown(&line, timestamps)),
            }
            true
        })
        .await?;
    Ok(0)
}

fn shown(line: &LogLine, timestamps: bool) -> String {
    let time = match timestamps {
        true => Timestamp::from_millisecond(line.at_ms).map_or(String::new(), |at| format!("{at} ")),
        false => String::new(),
    };
    let copy = if line.copy > 1 { format!("-{}", line.copy) } else { String::new() };
    let name = format!("{} {}{copy}", line.service, line.release);
    format!("{time}{name:>14} | {}", line.line)
}
