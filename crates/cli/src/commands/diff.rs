use super::{Context, processes, target};
use crate::errors::Failure;
use crate::show;
use deploy::diff::{Difference, Request};
use spec::{ReleaseId, ServiceName};

#[derive(clap::Args)]
#[command(after_help = "Examples:
  mainstay diff                 what the files say now, beside what serves
  mainstay diff api             the serving release, beside the one before it
  mainstay diff api r12         the serving release, beside r12
  mainstay diff api r12 r15     two releases
  mainstay diff api --files     one service's files, beside what serves

Values that may be secrets are named by their version alone.")]
pub struct Args {
    #[arg(value_name = "SERVICE", value_parser = target::service)]
    service: Option<ServiceName>,
    /// The older release
    #[arg(value_name = "A", requires = "service")]
    from: Option<ReleaseId>,
    /// The newer release; the serving one when not given
    #[arg(value_name = "B", requires = "from")]
    to: Option<ReleaseId>,
    /// Compare with the files instead of with another release
    #[arg(long, conflicts_with = "from")]
    files: bool,
}

pub async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let client = processes::connect(context).await?;
    let request = match args.service {
        Some(service) if !args.files => {
            let scope = target::scope(context, &client).await?;
            Request::Releases { scope, service, from: args.from, to: args.to }
        }
        service => Request::Files { source: target::source(context)?, services: service.into_iter().collect() },
    };
    let differences: Vec<Difference> = client.post("/v1/diff", &request).await?;
    if context.global.json {
        println!("{}", show::json(&differences));
    } else {
        for difference in &differences {
            print!("{}", deploy::diff::text(difference));
        }
    }
    Ok(0)
}
