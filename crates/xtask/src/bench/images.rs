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
pub(crate) const GOOD: &[Release] = &[
    Release {
        tag: "one",
        env: &[],
    },
    Release {
        tag: "two",
        env: &[],
    },
];

/// Releases that cannot work, and how a person would call what is wrong with them.
pub(crate) const BROKEN: &[(Release, &str)] = &[
    (
        Release {
            tag: "crash",
            env: &[("TESTAPP_EXIT_AT_START", "3")],
        },
        "crash at start",
    ),
    (
        Release {
            tag: "sick",
            env: &[("TESTAPP_HEALTH", "503")],
        },
        "never healthy",
    ),
    (
        Release {
            tag: "deaf",
            env: &[("TESTAPP_PORT", "9999")],
        },
        "wrong port",
    ),
    (
        Release {
            tag: "hungry",
            env: &[("TESTAPP_EAT_MB", "256")],
        },
        "out of memory",
    ),
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
    super::lab::write(&context.join("Dockerfile"), DOCKERFILE)?;
    let to = context.join("testapp");
    fs::copy(&lab.testapp, &to).map_err(|source| TaskError::Write { path: to, source })?;
    for release in GOOD.iter().chain(broken) {
        let mut build = run::program("docker");
        build
            .env("DOCKER_BUILDKIT", "0")
            .args(["build", "--quiet", "--tag", &name(release.tag)]);
        for (word, value) in variables(release) {
            build.arg("--build-arg").arg(format!("{word}={value}"));
        }
        run::output(build.arg(&context))?;
    }
    Ok(())
}

/// What a release's container, or the same program on the host, is started with.
pub(crate) fn variables(release: &Release) -> Vec<(&'static str, String)> {
    let mut all = vec![
        ("TESTAPP_VERSION", body(release.tag)),
        ("TESTAPP_START_MS", START_MS.to_owned()),
        ("TESTAPP_PORT", PORT.to_string()),
    ];
    for (word, value) in release.env {
        all.retain(|(other, _)| other != word);
        all.push((word, (*value).to_owned()));
    }
    all
}

const DOCKERFILE: &str = "FROM scratch
COPY testapp /testapp
ARG TESTAPP_VERSION TESTAPP_START_MS TESTAPP_PORT TESTAPP_HEALTH=200 TESTAPP_EXIT_AT_START= TESTAPP_EAT_MB=0
ENV TESTAPP_VERSION=$TESTAPP_VERSION TESTAPP_START_MS=$TESTAPP_START_MS TESTAPP_PORT=$TESTAPP_PORT
ENV TESTAPP_HEALTH=$TESTAPP_HEALTH TESTAPP_EXIT_AT_START=$TESTAPP_EXIT_AT_START TESTAPP_EAT_MB=$TESTAPP_EAT_MB
EXPOSE 8080
CMD [\"/testapp\"]
";
