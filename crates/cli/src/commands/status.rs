use super::{Context, processes, target};
use crate::errors::Failure;
use crate::show;
use deploy::status::Status;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  mainstay status               everything on this machine
  mainstay status --here        the platform of this folder
  mainstay status --json | jq .edge")]
pub struct Args {
    /// Only the platform and environment of this folder
    #[arg(long)]
    here: bool,
}

pub async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let client = processes::connect(context).await?;
    let only = match args.here {
        true => Some(target::scope(context, &client).await?),
        false => None,
    };
    let status: Status = client.post("/v1/status", &only).await?;
    match context.global.json {
        true => println!("{}", show::json(&status)),
        false => print!("{}", show::tables::status(&status)),
    }
    Ok(0)
}
