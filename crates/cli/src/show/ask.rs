//! Asking a person.

use std::io::{IsTerminal, Write};

use deploy::Ending;

use crate::commands::Context;
use crate::errors::{Failure, failed};
use crate::messages::Target;

/// Without a terminal there is nobody to ask, and silence is not a yes.
pub fn go_on(question: &str) -> Result<bool, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::new("there is no terminal to ask on", Ending::Refused)
            .hint("add --yes to go on without being asked"));
    }
    let answer = read(&format!("{question} [y/N] "))?;
    Ok(matches!(answer.to_lowercase().as_str(), "y" | "yes"))
}

/// Whether the command line itself has said yes. Where the platform file asks for the environment's name,
/// `--yes` is not enough: the name has to be there, too.
pub fn is_given(context: &Context, target: &Target, yes: bool) -> Result<bool, Failure> {
    if !target.confirm {
        return Ok(yes);
    }
    let name = target.scope.environment.as_ref();
    match context.global.confirm.as_deref() {
        None => Ok(false),
        Some(typed) if typed == name => Ok(true),
        Some(typed) => Err(Failure::new(format!("--confirm {typed}: the environment is `{name}`"), Ending::Refused)),
    }
}

/// Asks for what [`is_given`] did not find.
pub fn consent(target: &Target, question: &str) -> Result<bool, Failure> {
    if !target.confirm {
        return go_on(question);
    }
    let name = target.scope.environment.as_ref();
    if !std::io::stdin().is_terminal() {
        let text = format!("the platform file asks for the name of the environment before `{name}` is changed");
        return Err(Failure::new(text, Ending::Refused).hint(format!("add --confirm {name}")));
    }
    Ok(read(&format!("{question} Type `{name}` to go on: "))? == name)
}

/// Asks for the environment's name, whatever the platform file says: a database cannot be brought back.
pub fn typed(target: &Target, question: &str) -> Result<bool, Failure> {
    let name = target.scope.environment.as_ref();
    if !std::io::stdin().is_terminal() {
        let flag = if target.confirm { format!("--confirm {name}") } else { "--yes".to_owned() };
        return Err(Failure::new("there is no terminal to ask on", Ending::Refused)
            .hint(format!("add {flag} to go on without being asked")));
    }
    Ok(read(&format!("{question} Type `{name}` to go on: "))? == name)
}

fn read(question: &str) -> Result<String, Failure> {
    eprint!("{question}");
    std::io::stderr().flush().map_err(failed("write to the terminal"))?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).map_err(failed("read the answer"))?;
    Ok(answer.trim().to_owned())
}
