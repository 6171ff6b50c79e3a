use super::{Context, processes, target};
use crate::errors::Failure;
use crate::messages::{LogLine, LogsOf};
use spec::ServiceName;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  mainstay logs api
  mainstay logs -f --tail 20 api worker")]
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
}

pub async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let client = processes::connect(context).await?;
    let scope = target::scope(context, &client).await?;
    let one = args.services.len() == 1;
    let of = LogsOf { scope, services: args.services, tail: args.tail, follow: args.follow };
    let json = context.global.json;
    client
        .lines("/v1/logs", &of, |line: LogLine| {
            match (json, one) {
                (true, _) => println!("{}", serde_json::to_string(&line).unwrap_or_default()),
                (false, true) => println!("{}", line.line),
                (false, false) => println!("{:>12} | {}", line.service, line.line),
            }
            true
        })
        .await?;
    Ok(0)
}
