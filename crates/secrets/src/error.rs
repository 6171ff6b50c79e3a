//! What is wrong with a source of secrets. Nothing here ever holds a value.

use std::fmt;

pub type Result<T, E = SecretsError> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    #[error("could not read the environment file `{file}`")]
    Read {
        file: String,
        #[source]
        source: std::io::Error,
    },
    #[error("the environment file `{file}` is not a file")]
    NotAFile { file: String },
    #[error("the environment file `{file}` is larger than {limit} bytes")]
    TooLarge { file: String, limit: u64 },
    #[error("the environment file `{file}` is not UTF-8, first at line {line}")]
    NotText { file: String, line: usize },
    #[error("the environment file `{file}` has mistakes\n{faults}")]
    Mistakes { file: String, faults: Faults },
    #[error("the salt of this installation has {found} bytes, at least {needed} are needed")]
    Salt { found: usize, needed: usize },
}

/// All mistakes of a file at once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Faults(pub Vec<Fault>);

/// One mistake. It says where and what, and quotes at most the name of the variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Counted from 1.
    pub line: usize,
    pub problem: String,
}

impl SecretsError {
    /// The next thing to do, for the operator.
    pub fn next_step(&self) -> Option<String> {
        match self {
            Self::Read { file, .. } => Some(format!("check that `{file}` exists and that this user may read it")),
            _ => None,
        }
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> =
            self.0.iter().map(|fault| format!("  line {}: {}", fault.line, fault.problem)).collect();
        formatter.write_str(&lines.join("\n"))
    }
}
