//! A real PostgreSQL, in an image whose name no table of databases knows.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::process::Command;
use std::time::Duration;

use super::place::{Place, docker, wait};

/// Built once; another tag of the same image is another "version".
const IMAGE: &str = "mainstay-test/records";
const LIMIT: Duration = Duration::from_secs(60);

const DOCKERFILE: &str = "FROM debian:bookworm-slim\n\
RUN mkdir -p /etc/postgresql-common && echo 'create_main_cluster = false' > /etc/postgresql-common/createcluster.conf \\\n\
 && apt-get update && apt-get install -y --no-install-recommends postgresql-15 && rm -rf /var/lib/apt/lists/*\n\
COPY start.sh /start.sh\n\
STOPSIGNAL SIGINT\n\
ENTRYPOINT [\"sh\", \"/start.sh\"]\n";

/// What it does is what every image of PostgreSQL does: make a cluster in an empty folder, then serve it.
const START: &str = "set -e\n\
D=/var/lib/postgresql/data\n\
mkdir -p $D; chown -R postgres:postgres $D; chmod 700 $D\n\
BIN=/usr/lib/postgresql/15/bin\n\
[ -s $D/PG_VERSION ] || runuser -u postgres -- $BIN/initdb -D $D -A trust >/dev/null\n\
mkdir -p /var/run/postgresql; chown postgres /var/run/postgresql\n\
exec setpriv --reuid=postgres --regid=postgres --clear-groups $BIN/postgres -D $D -c listen_addresses='*' -c fsync=on\n";

/// The tag of this version.
pub fn image(version: &str) -> String {
    let mut hasher = DefaultHasher::new();
    (DOCKERFILE, START).hash(&mut hasher);
    let tag = format!("{IMAGE}:{version}-{:016x}", hasher.finish());
    if Command::new("docker").args(["image", "inspect", &tag]).output().unwrap().status.success() {
        return tag;
    }
    let context = tempfile::tempdir().unwrap();
    std::fs::write(context.path().join("start.sh"), START).unwrap();
    let file = format!("{DOCKERFILE}LABEL version={version}\n");
    std::fs::write(context.path().join("Dockerfile"), file).unwrap();
    let mut build = Command::new("docker");
    build.env("DOCKER_BUILDKIT", "0").args(["build", "--quiet", "--network", "host", "--tag", &tag]);
    let output = build.arg(context.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    tag
}

/// Runs a statement in a container's server, when that answers.
pub fn sql(container: &str, statement: &str) -> String {
    let words = ["exec", container, "runuser", "-u", "postgres", "--", "psql", "-qAtc", statement];
    wait(&format!("`{statement}` in {container}"), LIMIT, || {
        let output = Command::new("docker").args(words).output().unwrap();
        match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    })
}

/// Containers whose processes hold this folder or volume and run a server.
pub fn servers(place: &Place) -> Vec<String> {
    let named = format!("name={}", place.name);
    let text = docker(&["ps", "--filter", &named, "--format", "{{.Names}}"]);
    let is_server = |name: &&str| {
        let top = Command::new("docker").args(["top", name, "-o", "pid,comm"]).output().unwrap();
        String::from_utf8_lossy(&top.stdout).lines().any(|line| line.trim().ends_with("postgres"))
    };
    text.lines().filter(is_server).map(str::to_owned).collect()
}
