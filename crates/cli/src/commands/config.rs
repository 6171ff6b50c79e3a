use super::{Context, processes, target};
use crate::errors::Failure;
use crate::messages::Locate;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  mainstay config render
  mainstay config example > mainstay.yaml")]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// Print the platform as it is understood, with the reason for every derived value
    #[command(after_help = "Example:\n  mainstay config render -e staging")]
    Render,
    /// Print the JSON schema of mainstay.yaml, for editors
    #[command(after_help = "Example:\n  mainstay config schema > mainstay.schema.json")]
    Schema,
    /// Print a commented example of every key
    Example,
}

pub async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    match args.what {
        What::Schema => println!("{}", crate::show::json(&spec::render::schema())),
        What::Example => print!("{}", spec::EXAMPLE),
        What::Render => {
            let client = processes::ensure(context).await?;
            let locate = Locate { source: target::source(context)? };
            let platform: spec::Platform = client.post("/v1/config", &locate).await?;
            match context.global.json {
                true => println!("{}", crate::show::json(&platform)),
                false => print!("{}", spec::render::yaml(&platform)),
            }
        }
    }
    Ok(0)
}
