//! Flags of every verb that changes something.

use std::io::IsTerminal;

use super::Context;
use crate::errors::Failure;
use crate::messages::Target;
use crate::show::ask;

#[derive(clap::Args, Default)]
pub struct Consent {
    /// Do not ask
    #[arg(short = 'y', long)]
    pub yes: bool,
    /// Wait for a change that is under way; without a terminal this is what happens anyway
    #[arg(long, conflicts_with = "no_wait")]
    wait: bool,
    /// Refuse when a change is under way, also without a terminal
    #[arg(long)]
    no_wait: bool,
}

impl Consent {
    /// A person sees who holds the lock and decides; a pipeline wants its turn.
    pub fn waits(&self) -> bool {
        self.wait || (!self.no_wait && !std::io::stdin().is_terminal())
    }

    /// Asks, unless the command line has answered already.
    pub fn get(&self, context: &Context, target: &Target, question: &str) -> Result<bool, Failure> {
        Ok(ask::is_given(context, target, self.yes)? || ask::consent(target, question)?)
    }
}
