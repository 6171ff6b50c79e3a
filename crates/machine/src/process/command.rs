//! A program to run, as a value: separate words that can be compared, shown and tested without running.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// What to run and how. `Display` shows the words for reading; it is never parsed or handed to a shell.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Command {
    pub program: String,
    pub args: Vec<String>,
    /// Added to the inherited environment.
    pub env: Vec<(String, String)>,
    /// The names in `env` whose values are shown nowhere.
    pub secret_env: Vec<String>,
    pub dir: Option<PathBuf>,
    /// `None`: nothing to read. May be secret, so only its length is ever shown.
    pub stdin: Option<Vec<u8>>,
    /// `None`: as long as it takes.
    pub timeout: Option<Duration>,
}

impl Command {
    pub fn new(program: impl Into<String>) -> Self {
        Self { program: program.into(), ..Self::default() }
    }

    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }

    pub fn args<S: Into<String>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// An environment variable whose value appears in no message, log or process list of ours.
    pub fn secret_env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let name = name.into();
        self.secret_env.push(name.clone());
        self.env(name, value)
    }

    pub fn dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.dir = Some(dir.into());
        self
    }

    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = Some(bytes.into());
        self
    }

    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Program and arguments in one list, as tests like to compare them.
    pub fn words(&self) -> Vec<&str> {
        std::iter::once(self.program.as_str()).chain(self.args.iter().map(String::as_str)).collect()
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.env {
            if self.secret_env.contains(name) {
                write!(f, "{name}=*** ")?;
            } else {
                write!(f, "{name}={} ", quoted(value))?;
            }
        }
        let words: Vec<String> = self.words().into_iter().map(quoted).collect();
        f.write_str(&words.join(" "))
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Command");
        shown.field("words", &format_args!("{self}"));
        if let Some(dir) = &self.dir {
            shown.field("dir", dir);
        }
        if let Some(stdin) = &self.stdin {
            shown.field("stdin", &format_args!("{} bytes", stdin.len()));
        }
        if let Some(timeout) = &self.timeout {
            shown.field("timeout", timeout);
        }
        shown.finish()
    }
}

/// Quoted the way a shell would need it, so that a reader may paste it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@,+%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}
