use super::{Context, processes, target};
use crate::errors::Failure;
use crate::show;
use deploy::release::Release;
use spec::ServiceName;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  mainstay releases
  mainstay releases api --json")]
pub struct Args {
    /// Only this service's
    #[arg(value_name = "SERVICE", value_parser = target::service)]
    service: Option<ServiceName>,
}

pub async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let client = processes::connect(context).await?;
    let scope = target::scope(context, &client).await?;
    let all: Vec<Release> = client.post("/v1/releases", &scope).await?;
    let wanted =
        all.into_iter().filter(|release| args.service.as_ref().is_none_or(|service| *service == release.service));
    let releases: Vec<Release> = wanted.collect();
    match context.global.json {
        true => println!("{}", show::json(&releases)),
        false => println!("{}", show::tables::releases(&releases)),
    }
    Ok(0)
}
