use super::consent::Consent;
use super::{Context, processes, size, target};
use crate::errors::Failure;
use crate::messages::{Begin, Work};
use crate::show;
use deploy::removal::{Request, volumes::VolumeFate};

#[derive(clap::Args)]
#[command(after_help = "Examples:
  mainstay down                     containers and networks go, data stays
  mainstay down --volumes           the data of everything that the file has goes, too
  mainstay down --volume archive    this volume goes, also one that the file no longer has

A volume that holds a database of the environment `production` is removed only by its name, or by a person who types the environment's name.")]
pub struct Args {
    /// Remove the volumes that the file declares and the data in them
    #[arg(long)]
    volumes: bool,
    /// Remove this volume and the data in it; can be given more than once
    #[arg(long = "volume", value_name = "NAME")]
    named: Vec<String>,
    #[command(flatten)]
    consent: Consent,
}

pub async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let client = processes::connect(context).await?;
    let target = target::target(context, &client).await?;
    let scope = target.scope.clone();
    let mut request = Request { scope: scope.clone(), volumes: args.volumes, named: args.named };
    let asks_for_data = request.volumes || !request.named.is_empty();
    let fates: Vec<VolumeFate> = match asks_for_data {
        true => client.post("/v1/removal", &request).await?,
        false => Vec::new(),
    };
    tell(&fates);
    let databases = || fates.iter().filter(|fate| fate.goes && fate.database.is_some());
    let question = match fates.iter().any(|fate| fate.goes) {
        true => format!("Remove {scope} with the data in these volumes?"),
        false => format!("Take {scope} away? Its data stays."),
    };
    let is_given = show::ask::is_given(context, &target, args.consent.yes)?;
    let is_typed = match (is_given, databases().next().is_some()) {
        // Who had to give the environment's name has said what he means.
        (true, _) => target.confirm,
        (false, true) => match show::ask::typed(&target, &question)? {
            true => true,
            false => return Ok(deploy::Ending::Refused.exit_code()),
        },
        (false, false) => match show::ask::consent(&target, &question)? {
            true => false,
            false => return Ok(deploy::Ending::Refused.exit_code()),
        },
    };
    if is_typed {
        request.named.extend(databases().map(|fate| fate.name.clone()));
    }
    let work = Work::Down { scope: scope.clone(), volumes: request.volumes, named: request.named, by: target::who() };
    let begin = Begin { work, wait: args.consent.waits() };
    let ended = show::follow::operation(context, &client, begin).await?;
    show::report::print(context, &client, Some(&scope), ended).await
}

fn tell(fates: &[VolumeFate]) {
    for fate in fates {
        let services: Vec<String> = fate.services.iter().map(|service| format!("`{service}`")).collect();
        let mut about = vec![fate.bytes.map_or_else(|| "size not known".to_owned(), size)];
        if !services.is_empty() {
            about.push(format!("of {}", services.join(", ")));
        }
        about.extend(fate.database.clone());
        about.push("last backup: none known".to_owned());
        match (&fate.stays_because, fate.goes) {
            (_, true) => eprintln!("- volume {}  {}", fate.name, about.join(", ")),
            (Some(why), false) => eprintln!("kept: {} ({why}); `--volume {0}` removes it", fate.name),
            (None, false) => {}
        }
    }
}
