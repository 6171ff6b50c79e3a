use super::{Context, processes, target};
use crate::errors::Failure;
use crate::show;
use deploy::Ending;
use deploy::drift::Drift;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  mainstay drift                what was changed by hand, and how it is mended
  mainstay drift --check        the same, with exit code 1 when there is something
  mainstay drift --json | jq '.findings[].found'")]
pub struct Args {
    /// End with exit code 1 when something was changed
    #[arg(long)]
    check: bool,
}

pub async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let client = processes::connect(context).await?;
    let scope = target::scope(context, &client).await?;
    let drift: Drift = client.post("/v1/drift", &scope).await?;
    match context.global.json {
        true => println!("{}", show::json(&drift)),
        false => print!("{}", text(&drift)),
    }
    let bad = args.check && !drift.findings.is_empty();
    Ok(if bad { Ending::Failed.exit_code() } else { 0 })
}

fn text(drift: &Drift) -> String {
    if drift.findings.is_empty() {
        return format!("{}: nothing was changed by hand.\n", drift.scope);
    }
    let mut out = format!("{}\n", drift.scope);
    for finding in &drift.findings {
        let service = finding.service.as_ref().map_or(String::new(), |service| format!("{service}: "));
        out.push_str(&format!("  ~ {service}{}: {}\n      {}\n", finding.thing, finding.found, finding.mend));
    }
    out.push_str("`mainstay plan` shows what `mainstay up` would do about it.\n");
    out
}
