use super::consent::Consent;
use super::{Context, processes, target};
use crate::errors::Failure;
use crate::messages::{Begin, Work};
use crate::show;
use deploy::to_compose::Request;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  mainstay release-to-compose          Docker Compose runs it from now on, with the same data
  mainstay release-to-compose --yes

`mainstay up` takes it back.")]
pub struct Args {
    #[command(flatten)]
    consent: Consent,
}

pub async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let source = target::source(context)?;
    deploy::load::check(&source)?;
    let client = processes::connect(context).await?;
    let target = target::target(context, &client).await?;
    let scope = target.scope.clone();
    let question = format!(
        "Give {scope} to Docker Compose? Its data stays; it is away while its programs end and start, and domains, certificates and routes of the platform file end."
    );
    if !args.consent.get(context, &target, &question)? {
        return Ok(deploy::Ending::Refused.exit_code());
    }
    let work = Work::ToCompose(Request { source, by: target::who() });
    let begin = Begin { work, wait: args.consent.waits() };
    let ended = show::follow::operation(context, &client, begin).await?;
    show::report::print(context, &client, Some(&scope), ended).await
}
