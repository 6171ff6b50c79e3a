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
    /// As if `--recreate-volume` were given
    #[arg(long = "recreate-volume", value_name = "NAME")]
    recreate_volumes: Vec<String>,
    /// As if `--new-volume` were given
    #[arg(long = "new-volume", value_name = "NAME")]
    new_volumes: Vec<String>,
    /// As if `--move-here` were given
    #[arg(long)]
    move_here: bool,
}

pub async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let change = up::Change { move_here: args.move_here, ..up::Change::default() };
    let mut request = up::request(target::source(context)?, &change)?;
    request.selection.services = args.services;
    request.build = args.build;
    request.recreate_volumes = args.recreate_volumes;
    request.new_volumes = args.new_volumes;
    let client = processes::ensure(context).await?;
    let plan: deploy::plan::Plan = client.post("/v1/plan", &request).await?;
    match context.global.json {
        true => println!("{}", crate::show::json(&plan)),
        false => print!("{}", deploy::render::plan::text(&plan)),
    }
    Ok(0)
}
