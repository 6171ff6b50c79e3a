//! Whose data lies somewhere, by the names and first bytes that each program leaves.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// No more names than these are read of a folder: the marks lie at the top of a data folder, among few others.
const MOST_NAMES: usize = 4096;
/// No more folders than these are looked into, one level down.
const MOST_FOLDERS: usize = 64;
/// No more files than these are opened.
const MOST_FILES: usize = 64;

const SQLITE: &[u8] = b"SQLite format 3\0";
/// A bolt database's number, as a little-endian machine writes it.
const BOLT: [u8; 4] = [0xed, 0xda, 0x0c, 0xed];

/// Whose data it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Content {
    Postgres,
    /// Or MariaDB, whose folders look alike.
    MySql,
    MongoDb,
    Redis,
    Elasticsearch,
    ClickHouse,
    Etcd,
    RabbitMq,
    Prometheus,
    Minio,
    InfluxDb,
    Sqlite,
    Bolt,
    DuckDb,
    H2,
}

impl Content {
    /// The name that people know it by.
    pub fn word(self) -> &'static str {
        match self {
            Self::Postgres => "PostgreSQL",
            Self::MySql => "MySQL or MariaDB",
            Self::MongoDb => "MongoDB",
            Self::Redis => "Redis",
            Self::Elasticsearch => "Elasticsearch",
            Self::ClickHouse => "ClickHouse",
            Self::Etcd => "etcd",
            Self::RabbitMq => "RabbitMQ",
            Self::Prometheus => "Prometheus",
            Self::Minio => "MinIO",
            Self::InfluxDb => "InfluxDB",
            Self::Sqlite => "SQLite",
            Self::Bolt => "bolt",
            Self::DuckDb => "DuckDB",
            Self::H2 => "H2",
        }
    }

    /// A server keeps it, and two servers on it destroy it; the others are files that programs open by themselves.
    pub fn is_server(self) -> bool {
        !matches!(self, Self::Sqlite | Self::Bolt | Self::DuckDb | Self::H2)
    }
}

/// One file, by its first bytes, or by its name where it is still empty.
pub(super) fn of_file(path: &Path) -> Option<Content> {
    let start = start(path)?;
    let name = path.file_name()?.to_string_lossy().to_lowercase();
    if start.starts_with(SQLITE) || (start.is_empty() && is_named_sqlite(&name)) {
        return Some(Content::Sqlite);
    }
    if start.starts_with(b"REDIS0") {
        return Some(Content::Redis);
    }
    if start.get(16..20) == Some(&BOLT) {
        return Some(Content::Bolt);
    }
    if start.get(8..12) == Some(b"DUCK") {
        return Some(Content::DuckDb);
    }
    name.ends_with(".mv.db").then_some(Content::H2)
}

/// A folder, by what is in it and in the folders in it.
pub(super) fn of_folder(path: &Path) -> Option<Content> {
    let names = names(path);
    if let Some(found) = server(path, &names) {
        return Some(found);
    }
    let folders: Vec<_> =
        names.iter().map(|name| path.join(name)).filter(|at| is_folder(at)).take(MOST_FOLDERS).collect();
    let inside = |at: &std::path::PathBuf| at.join("PG_VERSION").is_file().then_some(Content::Postgres);
    folders.iter().find_map(inside).or_else(|| {
        let mut left = MOST_FILES;
        let here = has_sqlite(path, &names, &mut left);
        let below = |at: &std::path::PathBuf| has_sqlite(at, &self::names(at), &mut left);
        (here || folders.iter().any(below)).then_some(Content::Sqlite)
    })
}

fn server(path: &Path, names: &BTreeSet<String>) -> Option<Content> {
    let has = |name: &str| names.contains(name);
    let folder = |name: &str| has(name) && is_folder(&path.join(name));
    let begins = |start: &str| names.range(start.to_owned()..).next().is_some_and(|name| name.starts_with(start));
    let marks = [
        (has("PG_VERSION"), Content::Postgres),
        (has("ibdata1") || (folder("mysql") && (begins("ib_logfile") || has("aria_log_control"))), Content::MySql),
        (has("WiredTiger"), Content::MongoDb),
        (has("dump.rdb") || folder("appendonlydir") || has("appendonly.aof"), Content::Redis),
        (folder("metadata") && folder("store"), Content::ClickHouse),
        (folder("member") && is_folder(&path.join("member/wal")), Content::Etcd),
        (folder("mnesia"), Content::RabbitMq),
        (folder("chunks_head") && folder("wal"), Content::Prometheus),
        (folder(".minio.sys"), Content::Minio),
        (has("influxd.bolt") || folder("engine"), Content::InfluxDb),
        (folder("nodes") || folder("_state"), Content::Elasticsearch),
    ];
    marks.into_iter().find_map(|(is, content)| is.then_some(content))
}

fn has_sqlite(path: &Path, names: &BTreeSet<String>, left: &mut usize) -> bool {
    let is = |name: &String| {
        let beside = |end: &str| names.contains(&format!("{name}{end}"));
        if !is_named_sqlite(&name.to_lowercase()) || *left == 0 {
            return false;
        }
        *left -= 1;
        beside("-wal") || beside("-journal") || of_file(&path.join(name)) == Some(Content::Sqlite)
    };
    names.iter().any(is)
}

fn is_named_sqlite(name: &str) -> bool {
    [".db", ".sqlite", ".sqlite3"].iter().any(|end| name.ends_with(end) && !name.ends_with(".mv.db"))
}

/// Some of the names in a folder; none where it may not be read.
fn names(path: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(path).into_iter().flatten().take(MOST_NAMES);
    entries.filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned())).collect()
}

/// A link is not followed: what it leads to lies somewhere else.
fn is_folder(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|found| found.is_dir())
}

/// The first bytes of a plain file. Opening does not wait for whoever writes at the other end of a pipe.
fn start(path: &Path) -> Option<Vec<u8>> {
    let file = OpenOptions::new().read(true).custom_flags(nix::libc::O_NONBLOCK).open(path).ok()?;
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    file.take(64).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}
