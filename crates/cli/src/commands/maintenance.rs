use super::{Context, processes, target};
use crate::errors::{Failure, failed};
use crate::show;
use deploy::Ending;
use deploy::maintenance::Request;
use edge::snapshot::Maintenance;
use std::path::PathBuf;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  mainstay maintenance on -m \"back at 14:00\" --allow 203.0.113.7
  mainstay maintenance on --page maintenance.html --retry-after 10m --yes
  mainstay maintenance off")]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// Every public route answers 503 with a page; other containers still reach each other
    #[command(after_help = "Examples:
  mainstay maintenance on -m \"back at 14:00\"
  mainstay maintenance on --page maintenance.html --allow 10.0.0.0/8 --yes")]
    On(On),
    /// The platform answers again
    #[command(after_help = "Example:\n  mainstay maintenance off --yes")]
    Off(Off),
}

#[derive(clap::Args)]
struct On {
    /// One sentence for visitors, on the edge's own page
    #[arg(short = 'm', long = "message", value_name = "TEXT")]
    message: Option<String>,
    /// An HTML file that is shown instead of the edge's own page
    #[arg(long, value_name = "FILE")]
    page: Option<PathBuf>,
    /// Address or network that gets through; may be given several times
    #[arg(long, value_name = "NETWORK")]
    allow: Vec<String>,
    /// When clients may come back; in a minute if not given
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    retry_after: Option<u32>,
    /// Do not ask
    #[arg(short = 'y', long)]
    yes: bool,
}

#[derive(clap::Args)]
struct Off {
    /// Do not ask
    #[arg(short = 'y', long)]
    yes: bool,
}

fn seconds(text: &str) -> Result<u32, String> {
    let time = spec::units::parse_duration(text).map_err(|error| error.to_string())?;
    u32::try_from(time.as_secs()).map_err(|_| "that is too long".to_owned())
}

pub async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let client = processes::connect(context).await?;
    let target = target::target(context, &client).await?;
    let scope = target.scope.clone();
    let (page, yes) = match args.what {
        What::On(on) => (Some(page(&on)?), on.yes),
        What::Off(off) => (None, off.yes),
    };
    match &page {
        Some(page) if page.allow.is_empty() => eprintln!("~ {scope}: every public route answers 503 with a page"),
        Some(page) => {
            eprintln!("~ {scope}: every public route answers 503 with a page, except to {}", page.allow.join(", "));
        }
        None => eprintln!("~ {scope}: its public routes answer again"),
    }
    if !show::ask::is_given(context, &target, yes)? && !show::ask::consent(&target, "Go on?")? {
        return Ok(Ending::Refused.exit_code());
    }
    let why = page.as_ref().and_then(|page| page.message.clone()).unwrap_or_default();
    let is_on: bool = client.post("/v1/maintenance", &Request { scope, page, by: target::who(), why }).await?;
    match context.global.json {
        true => println!("{}", show::json(&serde_json::json!({ "maintenance": is_on }))),
        false if is_on => eprintln!("The page is up; `mainstay maintenance off` takes it away."),
        false => eprintln!("The platform answers again."),
    }
    Ok(0)
}

fn page(on: &On) -> Result<Maintenance, Failure> {
    let page = on.page.as_ref().map(std::fs::read_to_string).transpose();
    let page = page.map_err(|error| {
        failed("read the page")(error).hint("name an HTML file that this user may read, or leave --page away")
    })?;
    Ok(Maintenance { page, message: on.message.clone(), retry_after_s: on.retry_after, allow: on.allow.clone() })
}
