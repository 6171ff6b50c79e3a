use super::consent::Consent;
use super::{Context, processes, target};
use crate::errors::Failure;
use crate::messages::{Begin, Work};
use crate::show;
use deploy::Ending;
use deploy::prune::{Item, Request};

#[derive(clap::Args)]
#[command(after_help = "Examples:
  mainstay prune --plan         what would be removed, and why
  mainstay prune                releases beyond those kept, unused images, containers and networks
  mainstay prune --keep 2 --yes

Volumes, running containers, anything a rollback needs and anything that is not Mainstay's stay.")]
pub struct Args {
    /// Show what would be removed, and remove nothing
    #[arg(long)]
    plan: bool,
    /// How many superseded releases of each service stay, instead of the platform file's number
    #[arg(long, value_name = "NUMBER")]
    keep: Option<u32>,
    #[command(flatten)]
    consent: Consent,
}

pub async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let client = processes::connect(context).await?;
    let target = target::target(context, &client).await?;
    let request = Request { scope: target.scope.clone(), keep: args.keep, by: target::who() };
    let items: Vec<Item> = client.post("/v1/prune", &request).await?;
    if args.plan && context.global.json {
        println!("{}", show::json(&items));
        return Ok(0);
    }
    let text = text(&items);
    if args.plan {
        print!("{text}");
        return Ok(0);
    }
    eprint!("{text}");
    if items.is_empty() {
        return Ok(0);
    }
    if !args.consent.get(context, &target, "Remove this?")? {
        return Ok(Ending::Refused.exit_code());
    }
    let begin = Begin { work: Work::Prune(request), wait: args.consent.waits() };
    let ended = show::follow::operation(context, &client, begin).await?;
    show::report::print(context, &client, Some(&target.scope), ended).await
}

fn text(items: &[Item]) -> String {
    if items.is_empty() {
        return "Nothing to remove.\n".into();
    }
    let mut out = String::new();
    for item in items {
        let size = match item.bytes {
            0 => String::new(),
            bytes => format!(" ({})", size(bytes)),
        };
        out.push_str(&format!("  - {} {}{size}: {}\n", deploy::prune::word(item.kind), item.name, item.why));
    }
    let bytes: u64 = items.iter().map(|item| item.bytes).sum();
    out.push_str(&format!("{} things, {} of images, shared layers counted with each.\n", items.len(), size(bytes)));
    out
}

pub fn size(bytes: u64) -> String {
    match bytes {
        0 => "0 MB".into(),
        bytes => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}
