use super::consent::Consent;
use super::{Context, processes, target};
use crate::errors::Failure;
use crate::messages::{Begin, Work};
use crate::show;
use deploy::rollback::{Request, Way};
use spec::{ReleaseId, ServiceName};

#[derive(clap::Args)]
#[command(after_help = "Examples:
  mainstay rollback api         the previous good release
  mainstay rollback api r12     this one, superseded or not")]
pub struct Args {
    #[arg(value_name = "SERVICE", value_parser = target::service)]
    service: ServiceName,
    /// The release to go back to
    #[arg(value_name = "RELEASE")]
    to: Option<ReleaseId>,
    /// Go back although the migration of a later release has changed what this one uses
    #[arg(long)]
    past_migration: bool,
    /// Why, for the record
    #[arg(short = 'm', long = "message", default_value = "", value_name = "TEXT")]
    why: String,
    #[command(flatten)]
    consent: Consent,
}

pub async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let client = processes::connect(context).await?;
    let target = target::target(context, &client).await?;
    let scope = target.scope.clone();
    let request = Request {
        scope: scope.clone(),
        service: args.service,
        to: args.to,
        by: target::who(),
        why: args.why,
        past_migration: args.past_migration,
    };
    let way: Way = client.post("/v1/way", &request).await?;
    let from = way.from.as_ref().map_or("nothing".into(), ToString::to_string);
    eprintln!("{}: {from} → {} ({}); {}", way.service, way.to, way.image, way.why);
    for line in &way.breaks {
        eprintln!("warning: {line}");
    }
    if !args.consent.get(context, &target, "Go back?")? {
        return Ok(deploy::Ending::Refused.exit_code());
    }
    let request = Request { to: Some(way.to), ..request };
    let begin = Begin { work: Work::Rollback(request), wait: args.consent.waits() };
    let ended = show::follow::operation(context, &client, begin).await?;
    show::report::print(context, &client, Some(&scope), ended).await
}
