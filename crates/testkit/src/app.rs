//! Images of the test application (`src/bin/testapp.rs`), made on demand and kept.

use std::path::{Path, PathBuf};
use std::time::Duration;

use machine::files::{Lock, Root};
use machine::process::{Command, Processes, SystemProcesses};

use crate::real_docker::BASE_IMAGE;
use crate::wait::wait_for;

const LIMIT: Duration = Duration::from_secs(300);

/// The tag of an image that serves `build` as its page and has these environment variables set.
///
/// The tag holds a hash of everything that went in, so a second call finds the image and builds nothing.
/// See `testapp.rs` for what the variables do; it listens on `PORT`, 8080 when not set.
pub async fn app_image(build: &str, env: &[(&str, &str)]) -> String {
    image_of(build, &dockerfile(build, env)).await
}

/// The tag of an image with a registry (Debian's, 2.8) that asks everybody for the login `shop` with the password
/// `s3cret-login`; it listens on port 5000.
pub async fn registry_image() -> String {
    image_of_kind("registry", "auth", REGISTRY).await
}

const REGISTRY: &str = r#"FROM debian:bookworm-slim
RUN apt-get update && apt-get install --yes --no-install-recommends docker-registry apache2-utils && rm -rf /var/lib/apt/lists/*
RUN htpasswd -Bbn shop s3cret-login >/htpasswd
ENV REGISTRY_AUTH=htpasswd REGISTRY_AUTH_HTPASSWD_REALM=shop REGISTRY_AUTH_HTPASSWD_PATH=/htpasswd
CMD ["docker-registry", "serve", "/etc/docker/registry/config.yml"]
"#;

/// The same as a keeper of data (`testapp/writer.rs`): its stop signal is handled. `volume` is a `VOLUME` of the image.
pub async fn writer_image(build: &str, volume: Option<&str>) -> String {
    let volume = volume.map(|path| format!("VOLUME {path}\n")).unwrap_or_default();
    image_of(build, &format!("{}{volume}CMD {}\n", dockerfile(build, &[]), serde_json::json!(["sh", "-c", WRITER])))
        .await
}

/// The first `wait` ends when the signal comes, the second one when the program does.
const WRITER: &str = "rm -f /stop; trap ': >/stop' TERM INT QUIT; /testapp & app=$!; wait $app; wait $app";

async fn image_of(build: &str, file: &str) -> String {
    image_of_kind("app", build, file).await
}

async fn image_of_kind(kind: &str, build: &str, file: &str) -> String {
    let root = Root::open(std::env::temp_dir().join("mainstay-testkit")).expect("could not open the image folder");
    // Tests run in many processes at once, and one build is enough.
    let guard = wait_for("the turn to build the test image", LIMIT, || async {
        match root.lock("image.lock") {
            Ok(Lock::Acquired(guard)) => Ok(guard),
            Ok(Lock::Held { pid }) => Err(format!("process {pid:?} is building")),
            Err(error) => Err(error.to_string()),
        }
    })
    .await;
    let program = std::fs::read(testapp(&root).await).expect("the test application cannot be read");
    let tag = format!("mainstay-test/{kind}:{build}-{:016x}", hash(&[&program, file.as_bytes()]));
    let known = Command::new("docker").args(["image", "inspect", "--format", "{{.Id}}", &tag]).timeout(LIMIT);
    if SystemProcesses.run(&known).await.is_ok_and(|output| output.status == 0) {
        return tag;
    }
    let context = root.sub(format!("context-{}", std::process::id())).expect("could not make the build folder");
    context.write_atomic("testapp", &program, 0o755).expect("could not write the build folder");
    context.write_atomic("Dockerfile", file.as_bytes(), 0o644).expect("could not write the build folder");
    // The classic builder: it is in every engine, while BuildKit needs a plugin.
    let words = ["build", "--quiet", "--tag", &tag, "."];
    run(Command::new("docker").args(words).env("DOCKER_BUILDKIT", "0").dir(context.path())).await;
    let _ = std::fs::remove_dir_all(context.path());
    drop(guard);
    tag
}

fn dockerfile(build: &str, env: &[(&str, &str)]) -> String {
    let mut lines = vec![format!("FROM {BASE_IMAGE}"), "COPY testapp /testapp".to_owned()];
    lines.push("LABEL mainstay.testapp=1".to_owned());
    let all = [("BUILD", build)].into_iter().chain(env.iter().copied());
    // JSON strings are what a Dockerfile takes for quoted words.
    lines.extend(all.map(|(name, value)| format!("ENV {name}={}", serde_json::Value::from(value))));
    lines.push("CMD [\"/testapp\"]".to_owned());
    lines.join("\n") + "\n"
}

/// The program, compiled when cargo has not done so for this very test run.
async fn testapp(root: &Root) -> PathBuf {
    // Test programs lie in <target>/debug/deps, the application in <target>/debug.
    let own = std::env::current_exe().expect("a test program has a path");
    let beside = own.ancestors().nth(2).map(|dir| dir.join("testapp"));
    if let Some(built) = beside.filter(|path| path.is_file()) {
        return built;
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/bin/testapp.rs");
    let texts = [source.clone(), source.with_extension("").join("writer.rs")]
        .map(|path| std::fs::read(path).expect("the source of the test application is there"));
    let target = root.join(format!("testapp-{:016x}", hash(&[&texts[0], &texts[1]]))).expect("a plain name");
    if !target.is_file() {
        let making = format!("{}.making", target.display());
        let words = ["--edition", "2024", "-C", "opt-level=1", "-o", &making];
        run(Command::new("rustc").args(words).arg(source.to_string_lossy())).await;
        std::fs::rename(making, &target).expect("could not put the test application in place");
    }
    target
}

async fn run(command: Command) {
    let command = command.timeout(LIMIT);
    let done = match SystemProcesses.run(&command).await {
        Ok(output) => output.ok(&command),
        Err(error) => Err(error),
    };
    if let Err(error) = done {
        panic!("could not prepare the test image: {error}");
    }
}

/// FNV-1a: stable between runs and compilers, which the standard hasher does not promise.
fn hash(parts: &[&[u8]]) -> u64 {
    let bytes = parts.iter().flat_map(|part| part.iter().chain(&[0xff]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
