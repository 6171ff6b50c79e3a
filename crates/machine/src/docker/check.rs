//! The health check of a container: what Docker runs inside it, and what came of it.

use std::fmt;
use std::time::Duration;

/// Docker's own values for whatever neither the image nor the container says.
const INTERVAL: Duration = Duration::from_secs(30);
const TIMEOUT: Duration = Duration::from_secs(30);
const RETRIES: u32 = 3;
/// The shell of an image that names none.
const SHELL: [&str; 2] = ["/bin/sh", "-c"];

/// The image's health check and the container's settings for it, as the engine has merged them. The words may be
/// secrets: printed, it shows the kind of the test only, and it is never serialised.
#[derive(Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// `CMD` and words, or `CMD-SHELL` and one text.
    pub test: Vec<String>,
    /// The image's `SHELL`; empty for the usual one.
    pub shell: Vec<String>,
    pub interval: Duration,
    pub timeout: Duration,
    pub retries: u32,
}

/// How one run of a command inside a container went.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Probe {
    /// `None`: it took too long and was given up. Negative: the engine could not begin it.
    pub exit_code: Option<i64>,
    /// Both outputs, cut after the first 4 KiB as Docker does.
    pub output: String,
}

impl HealthCheck {
    /// `None` where there is no test or it is switched off. A time of zero stands for Docker's own.
    pub fn new(test: Vec<String>) -> Option<Self> {
        let is_one = test.len() > 1 && matches!(test[0].as_str(), "CMD" | "CMD-SHELL");
        is_one.then_some(Self { test, shell: Vec::new(), interval: INTERVAL, timeout: TIMEOUT, retries: RETRIES })
    }

    /// The words that Docker runs.
    pub fn words(&self) -> Vec<String> {
        let (kind, rest) = self.test.split_first().map_or(("", [].as_slice()), |(kind, rest)| (kind.as_str(), rest));
        let shell: Vec<String> = match (kind, self.shell.is_empty()) {
            ("CMD-SHELL", true) => SHELL.map(str::to_owned).to_vec(),
            ("CMD-SHELL", false) => self.shell.clone(),
            _ => Vec::new(),
        };
        shell.into_iter().chain(rest.iter().cloned()).collect()
    }
}

impl fmt::Debug for HealthCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.test.first().map_or("", String::as_str);
        f.debug_struct("HealthCheck").field("kind", &kind).field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(test: &[&str]) -> Option<HealthCheck> {
        HealthCheck::new(test.iter().map(|word| (*word).to_owned()).collect())
    }

    #[test]
    fn a_test_runs_in_the_images_shell_or_as_it_is() {
        assert_eq!(check(&["CMD", "pg_isready", "-U", "a b"]).unwrap().words(), ["pg_isready", "-U", "a b"]);
        let mut shell = check(&["CMD-SHELL", "curl -f x || exit 1"]).unwrap();
        assert_eq!(shell.words(), ["/bin/sh", "-c", "curl -f x || exit 1"]);
        shell.shell = vec!["/bin/bash".to_owned(), "-euc".to_owned()];
        assert_eq!(shell.words(), ["/bin/bash", "-euc", "curl -f x || exit 1"]);
    }

    #[test]
    fn no_test_and_one_that_is_switched_off_are_no_check() {
        for test in [&[] as &[&str], &["NONE"], &["CMD"], &["CMD-SHELL"]] {
            assert_eq!(check(test), None, "{test:?}");
        }
    }

    #[test]
    fn a_check_does_not_print_its_words() {
        assert!(!format!("{:?}", check(&["CMD", "redis-cli", "-a", "hunter2"])).contains("hunter2"));
    }
}
