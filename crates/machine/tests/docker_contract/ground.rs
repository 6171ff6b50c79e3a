//! The two grounds that the contract is tested on.

use std::time::Duration;

use machine::docker::{
    Behaviour, ContainerDetail, ContainerSpec, Docker, FakeDocker, HealthSpec, Image, Labels, NetworkSpec, VolumeSpec,
};
use machine::process::{Command, Processes, SystemProcesses};
use testkit::{RealDocker, wait_for};

/// More than a slow engine on a busy machine needs.
pub(crate) const SOON: Duration = Duration::from_secs(60);

/// What a container of a test does, whatever it is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Program {
    /// Writes "up" and sleeps.
    Sleeps,
    SleepsThroughSignals,
    /// Writes "up", and needs twelve seconds to end after the polite signal.
    EndsSlowly,
    Exits(i64),
    /// Writes "one", "two", "three" and ends.
    Speaks,
    Healthy,
    Unhealthy,
    RunsOutOfMemory,
    /// Writes three megabytes into `/data`, and ends.
    Fills,
}

pub(crate) enum Ground {
    Fake(FakeDocker),
    Real(RealDocker),
}

impl Ground {
    pub(crate) fn fake() -> Self {
        Self::Fake(FakeDocker::default())
    }

    pub(crate) async fn real() -> Self {
        Self::Real(RealDocker::connect().await)
    }

    pub(crate) fn docker(&self) -> &dyn Docker {
        match self {
            Self::Fake(fake) => fake,
            Self::Real(real) => real.engine(),
        }
    }

    pub(crate) fn name(&self, of: &str) -> String {
        match self {
            Self::Fake(_) => of.to_owned(),
            Self::Real(real) => real.name(of),
        }
    }

    /// The label that everything of this test has.
    pub(crate) fn label(&self) -> (String, String) {
        match self {
            Self::Fake(_) => ("mainstay.test".to_owned(), "fake".to_owned()),
            Self::Real(real) => real.label(),
        }
    }

    pub(crate) fn container(&self, of: &str, program: Program) -> ContainerSpec {
        let spec = match self {
            Self::Fake(fake) => {
                let image = format!("test/{program:?}").to_lowercase().replace(['(', ')'], "-");
                fake.add_image(&image, behaviour(program));
                ContainerSpec { name: of.to_owned(), image, ..ContainerSpec::default() }
            }
            Self::Real(real) => ContainerSpec { init: init(program), ..real.container(of, &words(program)) },
        };
        ContainerSpec {
            labels: Labels::from([self.label()]),
            health: health(program),
            memory: (program == Program::RunsOutOfMemory).then_some(16 << 20),
            ..spec
        }
    }

    /// Creates and starts.
    pub(crate) async fn run(&self, spec: &ContainerSpec) -> String {
        let id = self.docker().create(spec).await.unwrap();
        self.docker().start(&id).await.unwrap();
        id
    }

    /// A running container whose program is really there: the engine calls it running a moment before that,
    /// and a signal in that moment meets the engine's own helper.
    pub(crate) async fn sleeper(&self, of: &str) -> String {
        let id = self.run(&self.container(of, Program::Sleeps)).await;
        wait_for("the program to speak", SOON, || async {
            let log = self.docker().logs(&id, 10).await.unwrap();
            if log == ["up"] { Ok(()) } else { Err(format!("{log:?}")) }
        })
        .await;
        id
    }

    /// What was given up inside a container is not left there.
    pub(crate) async fn nothing_runs(&self, id: &str, line: &str) {
        if let Self::Real(_) = self {
            let top = Command::new("docker").args(["top", id, "-o", "pid,args"]);
            let shown = SystemProcesses.run(&top).await.unwrap();
            let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
            assert!(!shown.is_empty() && !shown.contains(line), "{shown}");
        }
    }

    pub(crate) async fn detail(&self, id: &str) -> ContainerDetail {
        self.docker().inspect(id).await.unwrap().unwrap()
    }

    /// Looks until the container is as wanted.
    pub(crate) async fn until(
        &self,
        what: &str,
        id: &str,
        wanted: impl Fn(&ContainerDetail) -> bool,
    ) -> ContainerDetail {
        wait_for(what, SOON, || async {
            let detail = self.detail(id).await;
            if wanted(&detail) { Ok(detail) } else { Err(format!("{detail:?}")) }
        })
        .await
    }

    pub(crate) fn network(&self, of: &str) -> NetworkSpec {
        let (key, value) = self.label();
        NetworkSpec::bridge(self.name(of)).label(key, value)
    }

    pub(crate) fn volume(&self, of: &str) -> VolumeSpec {
        VolumeSpec { name: self.name(of), labels: Labels::from([self.label()]), ..VolumeSpec::default() }
    }

    /// An image of this test alone, with the test's label.
    pub(crate) async fn own_image(&self, of: &str) -> OwnImage {
        self.image(of, false).await
    }

    /// One that declares two volumes, a port, a signal and a command. Whoever makes a container of it removes the
    /// volumes that the engine makes for it.
    pub(crate) async fn declaring_image(&self, of: &str) -> OwnImage {
        self.image(of, true).await
    }

    async fn image(&self, of: &str, declares: bool) -> OwnImage {
        let tag = format!("mainstay-test/{}:1", self.name(of));
        let (key, value) = self.label();
        if let Self::Fake(fake) = self {
            fake.add_image(&tag, Behaviour::runs());
            let declare = |image: &mut Image| {
                image.volumes = vec!["/data".to_owned(), "/var/lib/more".to_owned()];
                image.exposed = vec!["5432/tcp".to_owned()];
                image.command = vec!["sleep".to_owned(), "600".to_owned()];
                image.stop_signal = Some("SIGINT".to_owned());
            };
            if declares {
                fake.change_image(&tag, declare).unwrap();
            }
            fake.label_image(&tag, &key, &value).unwrap();
            return OwnImage { tag, real: false };
        }
        let all = "VOLUME /var/lib/more /data\nEXPOSE 5432\nSTOPSIGNAL SIGINT\nCMD [\"sleep\", \"600\"]\n";
        let declared = if declares { all } else { "" };
        let file = format!("FROM {}\nLABEL {key}={value}\nENV ONLY={tag}\n{declared}", testkit::BASE_IMAGE);
        let build = Command::new("docker").args(["build", "--quiet", "--tag", &tag, "-"]).env("DOCKER_BUILDKIT", "0");
        let build = build.stdin(file).timeout(SOON);
        SystemProcesses.run(&build).await.unwrap().ok(&build).unwrap();
        OwnImage { tag, real: true }
    }
}

/// Gone, with all its names, when dropped.
pub(crate) struct OwnImage {
    pub(crate) tag: String,
    real: bool,
}

impl Drop for OwnImage {
    fn drop(&mut self) {
        if self.real {
            let tag = self.tag.clone();
            let cleaner = std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                let remove = Command::new("docker").args(["image", "rm", "--force", &tag]).timeout(SOON);
                let _ = runtime.block_on(SystemProcesses.run(&remove));
            });
            let _ = cleaner.join();
        }
    }
}

fn behaviour(program: Program) -> Behaviour {
    let soon = Duration::from_millis(20);
    match program {
        Program::Sleeps => Behaviour::runs().saying(&["up"]),
        Program::Healthy => Behaviour::runs(),
        Program::EndsSlowly => {
            Behaviour { ends_within: Some(Duration::from_secs(12)), ..Behaviour::runs().saying(&["up"]) }
        }
        Program::SleepsThroughSignals => Behaviour { ignores_stop: true, ..Behaviour::runs() },
        Program::Fills => Behaviour::exits(0, soon),
        Program::Exits(code) => Behaviour::exits(code, soon),
        Program::Speaks => Behaviour::exits(0, soon).saying(&["one", "two", "three"]),
        Program::Unhealthy => Behaviour::never_healthy(),
        Program::RunsOutOfMemory => Behaviour::oom_after(soon),
    }
}

fn words(program: Program) -> Vec<&'static str> {
    match program {
        Program::Sleeps => vec!["sh", "-c", "echo up; exec sleep 600"],
        Program::Healthy | Program::Unhealthy => vec!["sleep", "600"],
        Program::EndsSlowly => vec!["sh", "-c", "trap 'sleep 12; exit 143' TERM; echo up; sleep 600 & wait"],
        // Process 1 of a container gets no signal that it does not handle.
        Program::SleepsThroughSignals => vec!["sleep", "600"],
        Program::Fills => vec!["sh", "-c", "head --bytes=3000000 /dev/zero > /data/file"],
        Program::Exits(0) => vec!["sh", "-c", "exit 0"],
        Program::Exits(3) => vec!["sh", "-c", "exit 3"],
        Program::Exits(other) => panic!("no words for an exit with {other}"),
        Program::Speaks => vec!["sh", "-c", "echo one; echo two >&2; echo three"],
        Program::RunsOutOfMemory => vec!["tail", "/dev/zero"],
    }
}

fn init(program: Program) -> bool {
    !matches!(program, Program::SleepsThroughSignals | Program::RunsOutOfMemory | Program::EndsSlowly)
}

fn health(program: Program) -> Option<HealthSpec> {
    let command = match program {
        Program::Healthy => "true",
        Program::Unhealthy => "false",
        _ => return None,
    };
    Some(HealthSpec {
        command: vec![command.to_owned()],
        interval: Duration::from_millis(200),
        timeout: Duration::from_secs(20),
        retries: 1,
        start_period: Duration::ZERO,
    })
}
