use super::{Context, processes, target, up};
use crate::errors::Failure;
use spec::ServiceName;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  mainstay plan
  mainstay plan -e staging --json")]
pub struct Args {
    /// Only these services
    #[arg(value_name = "SERVICE", value_parser = target::service)]
    services: Vec<ServiceName>,
    /// As if `--build` were given
    #[arg(long)]
    build: bool,
}

pub async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let change = up::Change::default();
    let mut request = up::request(target::source(context)?, &change)?;
    request.selection.services = args.services;
    request.build = args.build;
    let client = processes::ensure(context).await?;
    let plan: deploy::plan::Plan = client.post("/v1/plan", &request).await?;
    match context.global.json {
        true => println!("{}", crate::show::json(&plan)),
        false => print!("{}", deploy::render::plan::text(&plan)),
    }
    Ok(0)
}
