use super::{Context, processes, target};
use crate::errors::Failure;
use crate::messages::{EventsOf, Told};
use crate::show;
use spec::ServiceName;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  mainstay events                    the last 50, of this platform and environment
  mainstay events -f                 and every new one
  mainstay events --all -n 200       of everything on this machine
  mainstay events --kind notice.     only those whose kind begins like this
  mainstay events --json | jq .kind  one JSON object a line")]
pub struct Args {
    /// Go on with new ones
    #[arg(short, long)]
    follow: bool,
    /// How many old ones
    #[arg(short = 'n', long, default_value_t = 50, value_name = "NUMBER")]
    tail: usize,
    /// Of every platform on this machine
    #[arg(long)]
    all: bool,
    /// Only kinds that begin like this
    #[arg(long, value_name = "WORD")]
    kind: Option<String>,
    /// Only this service's
    #[arg(long, value_name = "SERVICE", value_parser = target::service)]
    service: Option<ServiceName>,
}

pub async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let client = processes::connect(context).await?;
    let scope = match args.all {
        true => None,
        false => Some(target::scope(context, &client).await?),
    };
    let of = EventsOf { scope, kind: args.kind, service: args.service, tail: args.tail, follow: args.follow };
    let json = context.global.json;
    client
        .lines("/v1/events", &of, |event: Told| {
            match json {
                true => println!("{}", serde_json::to_string(&event).unwrap_or_default()),
                false => println!("{}", show::tables::event(&event)),
            }
            true
        })
        .await?;
    Ok(0)
}
