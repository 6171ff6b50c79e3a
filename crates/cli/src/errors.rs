//! An error as a person meets it: what was being done, the chain of causes, the next command.

use std::error::Error;

use deploy::{DeployError, Ending};
use serde::{Deserialize, Serialize};

/// Crosses the socket between agent and command line, so it is text already.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Failure {
    pub message: String,
    /// Causes, outermost first.
    pub causes: Vec<String>,
    pub hint: Option<String>,
    pub ending: Ending,
}

impl Failure {
    pub fn new(message: impl Into<String>, ending: Ending) -> Failure {
        Failure { message: message.into(), causes: Vec::new(), hint: None, ending }
    }

    pub fn of(error: &(dyn Error + 'static), ending: Ending) -> Failure {
        let mut causes: Vec<String> = Vec::new();
        let mut source = error.source();
        while let Some(cause) = source {
            let text = cause.to_string();
            // Some libraries repeat their cause in their own text; say it once.
            if !causes.last().is_some_and(|last| last.contains(&text)) {
                causes.push(text);
            }
            source = cause.source();
        }
        Failure { message: error.to_string(), causes, hint: None, ending }
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Failure {
        self.hint = Some(hint.into());
        self
    }

    pub fn in_a_line(&self) -> String {
        std::iter::once(&self.message).chain(&self.causes).map(String::as_str).collect::<Vec<_>>().join(": ")
    }

    pub fn print(&self) {
        eprintln!("error: {}", self.message);
        for cause in &self.causes {
            eprintln!("  because {cause}");
        }
        if let Some(hint) = &self.hint {
            eprintln!("\nhint: {hint}");
        }
    }
}

impl From<DeployError> for Failure {
    fn from(error: DeployError) -> Failure {
        Failure { hint: error.hint(), ..Failure::of(&error, error.ending()) }
    }
}

/// For errors whose ending is plain failure.
pub fn failed<E: Error + 'static>(what: &'static str) -> impl Fn(E) -> Failure {
    move |error| {
        let inner = Failure::of(&error, Ending::Failed);
        let mut causes = vec![inner.message];
        causes.extend(inner.causes);
        Failure { message: format!("could not {what}"), causes, hint: None, ending: Ending::Failed }
    }
}
