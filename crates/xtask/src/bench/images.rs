//! The images of the bench: one program that stands in for an application, in good and in broken releases.

use std::fs;

use super::lab::Lab;
use crate::error::TaskError;
use crate::{Outcome, run};

/// A release by its tag, and the environment that makes it what it is.
pub(crate) struct Release {
    pub(crate) tag: &'static str,
    pub(crate) env: &'static [(&'static str, &'static str)],
}

/// How long the application takes to start; every release the same.
pub(crate) const START_MS: &str = "300";
pub(crate) const PORT: u16 = 8080;

/// Releases that work, told apart by what they answer.
pub(crate) const GOOD: &[Release] = &[Release { tag: "one", env: &[] }, Release { tag: "two", env: &[] }];

/// Releases that cannot work, and how a person would call what is wrong with them.
pub(crate) const BROKEN: &[(Release, &str)] = &[
    (Release { tag: "crash", env: &[("CRASH_AFTER_MS", "0")] }, "crash at start"),
    (Release { tag: "sick", env: &[("NEVER_HEALTHY", "1")] }, "never healthy"),
    (Release { tag: "deaf", env: &[("PORT", "9999")] }, "wrong port"),
    (Release { tag: "hungry", env: &[("OOM", "1")] }, "out of memory"),
];

/// A tag that is never built.
pub(crate) const MISSING: (&str, &str) = ("missing", "image missing");

pub(crate) fn name(tag: &str) -> String {
    format!("mainstay-test/app:bench-{tag}")
}

/// The whole text that a release answers with.
pub(crate) fn body(tag: &str) -> String {
    format!("bench-{tag}")
}

pub(crate) fn build_all(lab: &Lab) -> Outcome {
    let context = lab.path("image");
    let broken = BROKEN.iter().map(|(release, _)| release);
    for release in GOOD.iter().chain(broken) {
        super::lab::write(&context.join("Dockerfile"), &dockerfile(release))?;
        let to = context.join("testapp");
        fs::copy(&lab.testapp, &to).map_err(|source| TaskError::Write { path: to, source })?;
        let mut build = run::program("docker");
        // The classic builder: it is in every engine, while BuildKit needs a plugin.
        build.env("DOCKER_BUILDKIT", "0").args(["build", "--quiet", "--tag", &name(release.tag)]);
        run::output(build.arg(&context))?;
    }
    Ok(())
}

fn dockerfile(release: &Release) -> String {
    let variables = variables(release);
    let env = variables.iter().map(|(name, value)| format!("ENV {name}={value}\n"));
    format!("FROM scratch\nCOPY testapp /testapp\n{}CMD [\"/testapp\"]\n", env.collect::<String>())
}

/// What a release's container, or the same program on the host, is started with.
pub(crate) fn variables(release: &Release) -> Vec<(&'static str, String)> {
    let mut all =
        vec![("BUILD", body(release.tag)), ("HEALTHY_AFTER_MS", START_MS.to_owned()), ("PORT", PORT.to_string())];
    for (word, value) in release.env {
        all.retain(|(other, _)| other != word);
        all.push((word, (*value).to_owned()));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_release_replaces_what_the_good_ones_have() {
        let (deaf, _) = &BROKEN[2];
        let file = dockerfile(deaf);
        assert!(file.contains("ENV PORT=9999\n") && !file.contains("ENV PORT=8080"), "{file}");
        assert!(file.contains("ENV BUILD=bench-deaf\n"), "{file}");
    }
}
