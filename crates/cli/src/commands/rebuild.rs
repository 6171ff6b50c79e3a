//! `mainstay rebuild`: a ledger that cannot be used is set aside, and the next agent builds another.

use std::time::Duration;

use deploy::Ending;
use ledger::Ledger;
use machine::clock::SystemClock;
use machine::files::{FileLock, Lock, Root};

use super::{Context, processes};
use crate::errors::{Failure, failed};
use crate::layout::AGENT_LOCK;
use crate::show::ask;

#[derive(clap::Args)]
#[command(after_help = "Example:
  mainstay rebuild --yes

The damaged ledger is renamed and kept. Releases, what serves, standing orders and numbers of copies come back from what
is kept beside the ledger, from Docker and from the edge; traffic goes on. History (events, audit, evidence) stays in the
file that was set aside.")]
pub struct Args {
    /// Do not ask
    #[arg(short = 'y', long)]
    yes: bool,
}

/// An agent that cannot start is tried again and again, and holds its lock while it tries.
const PATIENCE: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(5);

pub async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let layout = &context.layout;
    let root = Root::open(&layout.root).map_err(failed("open the state folder"))?;
    if !args.yes && !ask::go_on("Set the ledger aside and build another?")? {
        return Ok(Ending::Refused.exit_code());
    }
    {
        let _agents_place = lock(&root).await?;
        let aside = Ledger::set_aside(&layout.ledger(), &SystemClock::new());
        match aside {
            Ok(aside) => eprintln!("the ledger is now {}", aside.display()),
            Err(ledger::LedgerError::SetAside { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                eprintln!("there is no ledger");
            }
            Err(error) => return Err(failed("set the ledger aside")(error)),
        }
    }
    processes::ensure(context).await?;
    eprintln!("a new ledger has been built; `mainstay status` tells what it knows");
    Ok(0)
}

/// Takes the place of the agent, which has to be one that cannot start: a running one has a ledger that it can use.
async fn lock(root: &Root) -> Result<FileLock, Failure> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Lock::Acquired(lock) = root.lock(AGENT_LOCK).map_err(failed("take the agent's place"))? {
            return Ok(lock);
        }
        if tokio::time::Instant::now() > deadline {
            let text = "the agent runs, so its ledger can be used";
            let hint = "`mainstay stop` ends it, if the ledger shall be built again all the same";
            return Err(Failure::new(text, Ending::Refused).hint(hint));
        }
        tokio::time::sleep(LOOK).await;
    }
}
