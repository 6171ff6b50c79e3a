use super::consent::Consent;
use super::{Context, processes, target};
use crate::errors::Failure;
use crate::messages::{Begin, Work};
use crate::show;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  mainstay down                 containers and networks go, data stays
  mainstay down --volumes       the data goes, too")]
pub struct Args {
    /// Remove the volumes and the data in them
    #[arg(long)]
    volumes: bool,
    #[command(flatten)]
    consent: Consent,
}

pub async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let client = processes::connect(context).await?;
    let target = target::target(context, &client).await?;
    let scope = target.scope.clone();
    let question = match args.volumes {
        true => format!("Take {scope} away with ALL its data?"),
        false => format!("Take {scope} away? Its data stays."),
    };
    if !args.consent.get(context, &target, &question)? {
        return Ok(deploy::Ending::Refused.exit_code());
    }
    let work = Work::Down { scope: scope.clone(), volumes: args.volumes, by: target::who() };
    let begin = Begin { work, wait: args.consent.waits() };
    let ended = show::follow::operation(context, &client, begin).await?;
    show::report::print(context, &client, Some(&scope), ended).await
}
