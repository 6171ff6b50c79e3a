use super::{Context, processes, target};
use crate::client::Client;
use crate::errors::Failure;
use crate::messages::Ended;
use crate::show;
use deploy::canary::{Canary, Decision, Request};
use deploy::status::Status;
use deploy::{Ending, Scope};
use spec::ServiceName;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  mainstay canary status
  mainstay canary next api      the next share
  mainstay canary promote api   everything
  mainstay canary abort api     nothing: the release before serves all, the new container is kept stopped")]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    /// Show the canaries under way
    Status,
    /// Give the new release all requests, without the steps that are left
    Promote(Which),
    /// Give it the next share, without waiting for the pause's end
    Next(Which),
    /// Take its share away again
    Abort(Which),
}

#[derive(clap::Args)]
struct Which {
    #[arg(value_name = "SERVICE", value_parser = target::service)]
    service: ServiceName,
}

pub async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let client = processes::connect(context).await?;
    let by = target::who();
    match args.verb {
        Verb::Status => status(context, &client).await,
        Verb::Promote(which) => {
            let (scope, canary) = decide(context, &client, which, Decision::Promote { by }).await?;
            let ended = show::follow::attach(context, &client, &canary.operation).await?;
            show::report::print(context, &client, Some(&scope), ended).await
        }
        Verb::Next(which) => {
            let (_, canary) = decide(context, &client, which, Decision::Next { by }).await?;
            let next = canary.next().map(|next| next.to_string()).unwrap_or_default();
            eprintln!("{} of `{}` gets {next} next.", canary.release, canary.service);
            Ok(0)
        }
        Verb::Abort(which) => {
            let (scope, canary) = decide(context, &client, which, Decision::Abort { by }).await?;
            let ended = show::follow::attach(context, &client, &canary.operation).await?;
            let is_aborted = matches!(&ended, Ended::Report { report } if report.ending == Ending::RolledBack);
            let code = show::report::print(context, &client, Some(&scope), ended).await?;
            // That it did not go live is what was asked for.
            Ok(if is_aborted { Ending::Done.exit_code() } else { code })
        }
    }
}

async fn decide(
    context: &Context,
    client: &Client,
    which: Which,
    decision: Decision,
) -> Result<(Scope, Canary), Failure> {
    let scope = target::scope(context, client).await?;
    let request = Request { scope: scope.clone(), service: which.service, decision };
    Ok((scope, client.post("/v1/canary", &request).await?))
}

async fn status(context: &Context, client: &Client) -> Result<u8, Failure> {
    let status: Status = client.post("/v1/status", &()).await?;
    let services = status.platforms.into_iter().flat_map(|platform| platform.services);
    let canaries: Vec<Canary> = services.filter_map(|service| service.canary).collect();
    match context.global.json {
        true => println!("{}", show::json(&canaries)),
        false if canaries.is_empty() => println!("No canary is under way."),
        false => println!("{}", show::tables::canaries(&canaries)),
    }
    Ok(0)
}
