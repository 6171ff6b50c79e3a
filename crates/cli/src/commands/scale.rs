use super::consent::Consent;
use super::{Context, processes, target};
use crate::errors::Failure;
use crate::messages::{Begin, Work};
use crate::show;
use deploy::scale::{MOST, Request};
use deploy::status::Status;
use spec::ServiceName;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  mainstay scale api=3            three copies; the next deploys keep the number
  mainstay scale api=1 worker=2

The number counts until the compose file says another one than it says now.")]
pub struct Args {
    /// Service and how many copies of it shall run
    #[arg(value_name = "SERVICE=COPIES", required = true, value_parser = wanted)]
    copies: Vec<(ServiceName, u32)>,
    #[command(flatten)]
    consent: Consent,
}

pub async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let client = processes::connect(context).await?;
    let target = target::target(context, &client).await?;
    let scope = target.scope.clone();
    let status: Status = client.post("/v1/status", &Some(&scope)).await?;
    let running = status.platforms.iter().flat_map(|platform| &platform.services);
    let now =
        |name: &ServiceName| running.clone().find(|service| service.service == *name).map(|service| service.copies);
    for (service, copies) in &args.copies {
        let now = now(service).map_or("none".into(), |copies| copies.to_string());
        eprintln!("{service}: {now} → {copies}");
    }
    if !args.consent.get(context, &target, "Go on?")? {
        return Ok(deploy::Ending::Refused.exit_code());
    }
    let request = Request { scope: scope.clone(), copies: args.copies.into_iter().collect(), by: target::who() };
    let begin = Begin { work: Work::Scale(request), wait: args.consent.waits() };
    let ended = show::follow::operation(context, &client, begin).await?;
    show::report::print(context, &client, Some(&scope), ended).await
}

/// `api=3`.
fn wanted(text: &str) -> Result<(ServiceName, u32), String> {
    let (service, copies) = text.split_once('=').ok_or("write the number of copies behind the name, as in `api=3`")?;
    let copies = copies.parse().ok().filter(|copies| (1..=MOST).contains(copies));
    let copies = copies.ok_or_else(|| format!("the number of copies is a whole number from 1 to {MOST}"))?;
    Ok((target::service(service)?, copies))
}
