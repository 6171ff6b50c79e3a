use super::{Context, processes};
use crate::errors::Failure;
use crate::show;
use deploy::status::Status;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  mainstay status
  mainstay status --json | jq .edge")]
pub struct Args {}

pub async fn run(context: &Context, _: Args) -> Result<u8, Failure> {
    let client = processes::connect(context).await?;
    let status: Status = client.post("/v1/status", &()).await?;
    match context.global.json {
        true => println!("{}", show::json(&status)),
        false => print!("{}", show::tables::status(&status)),
    }
    Ok(0)
}
