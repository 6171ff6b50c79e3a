use super::{Context, processes};
use crate::errors::Failure;
use crate::messages::Operation;
use crate::show;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  mainstay follow               what is under way, or the last operations when nothing is
  mainstay follow op12          this one; of one that has ended, how it ended
  mainstay follow --json

Ctrl-C stops following; the operation goes on.")]
pub struct Args {
    #[arg(value_name = "OPERATION")]
    operation: Option<String>,
}

pub async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let client = processes::connect(context).await?;
    let operations: Vec<Operation> = client.get("/v1/operations").await?;
    let id = match args.operation {
        Some(id) => id,
        None => match operations.iter().find(|operation| operation.ended_ms.is_none()) {
            Some(running) if !context.global.json => running.id.clone(),
            _ => {
                match context.global.json {
                    true => println!("{}", show::json(&operations)),
                    false => print!("{}", show::tables::operations(&operations)),
                }
                return Ok(0);
            }
        },
    };
    let scope = operations.into_iter().find(|operation| operation.id == id).and_then(|operation| operation.scope);
    let ended = show::follow::attach(context, &client, &id).await?;
    show::report::print(context, &client, scope.as_ref(), ended).await
}
