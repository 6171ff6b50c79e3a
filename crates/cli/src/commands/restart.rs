use super::consent::Consent;
use super::{Context, processes, target};
use crate::errors::Failure;
use crate::messages::{Begin, Work};
use crate::show;
use deploy::restart::{Request, Way};
use spec::ServiceName;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  mainstay restart api          a new container of the same image and definition
  mainstay restart worker -m \"memory leak\" --yes

A service that runs side by side serves all the while; requests to any other wait until it is back.")]
pub struct Args {
    #[arg(value_name = "SERVICE", value_parser = target::service)]
    service: ServiceName,
    /// Why, for the record
    #[arg(short = 'm', long = "message", default_value = "", value_name = "TEXT")]
    why: String,
    #[command(flatten)]
    consent: Consent,
}

pub async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let client = processes::connect(context).await?;
    let target = target::target(context, &client).await?;
    let request = Request { scope: target.scope.clone(), service: args.service, by: target::who(), why: args.why };
    let way: Way = client.post("/v1/restart", &request).await?;
    let how = match way.side_by_side {
        true => "the old container serves until the new one does",
        false => "requests wait while it is away",
    };
    eprintln!("~ {}: {} again as a new release, {}; {how}", way.service, way.from, way.strategy);
    for service in &way.then {
        eprintln!("~ {service}: restarted after it, its `depends_on` says `restart: true`");
    }
    if !args.consent.get(context, &target, "Restart it?")? {
        return Ok(deploy::Ending::Refused.exit_code());
    }
    let begin = Begin { work: Work::Restart(request), wait: args.consent.waits() };
    let ended = show::follow::operation(context, &client, begin).await?;
    show::report::print(context, &client, Some(&target.scope), ended).await
}
