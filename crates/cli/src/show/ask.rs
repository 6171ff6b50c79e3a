//! Asking a person.

use std::io::{IsTerminal, Write};

use deploy::Ending;

use crate::errors::{Failure, failed};

/// Without a terminal there is nobody to ask, and silence is not a yes.
pub fn go_on(question: &str) -> Result<bool, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::new("there is no terminal to ask on", Ending::Refused)
            .hint("add --yes to go on without being asked"));
    }
    eprint!("{question} [y/N] ");
    std::io::stderr().flush().map_err(failed("write to the terminal"))?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).map_err(failed("read the answer"))?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}
