//! Whether a single file that a service mounts without `:ro` is data, where it is no database by its content.
//!
//! What is in such a file cannot tell: a program that keeps its state as text leaves the same bytes as an editor. So its
//! name decides, and what a file with a name that tells nothing was when it was first mounted. A name that nobody knows is
//! data: one writer too few costs a pause, one too many costs the data.

/// What a look at a file tells beside its name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FileFacts {
    /// Nothing is in it: it was made for a program to write to.
    pub is_empty: bool,
    /// It may be executed.
    pub is_program: bool,
    /// A release that is known already keeps it as data.
    pub was_data: bool,
}

/// Endings of files that programs write.
const DATA: [&str; 23] = [
    "aof", "bolt", "dat", "data", "db", "db3", "dbf", "duckdb", "jsonl", "kdbx", "ldb", "lmdb", "log", "mdb", "ndjson",
    "rdb", "rrd", "s3db", "sqlite", "sqlite2", "sqlite3", "wal", "state",
];
/// What text files are called that programs write: `acme.json`, `db.json`.
const DATA_STEMS: [&str; 14] = [
    "acme", "cache", "counter", "data", "database", "db", "history", "queue", "session", "sessions", "state", "states",
    "storage", "store",
];
/// Endings of text that people and programs write; a file that was empty first is a program's.
const TEXT: [&str; 8] = ["csv", "json", "lst", "tsv", "txt", "xml", "yaml", "yml"];
/// Endings of files that are written elsewhere: configuration, certificates, scripts, pages, archives, libraries.
const MADE_ELSEWHERE: [&str; 92] = [
    "acl",
    "asc",
    "bash",
    "bz2",
    "ca",
    "ca-bundle",
    "cert",
    "cfg",
    "cjs",
    "cnf",
    "conf",
    "config",
    "crl",
    "crt",
    "css",
    "der",
    "dist",
    "dll",
    "env",
    "eot",
    "erb",
    "example",
    "exs",
    "gif",
    "go",
    "gotmpl",
    "gpg",
    "gz",
    "hbs",
    "hcl",
    "htm",
    "html",
    "ico",
    "inc",
    "ini",
    "j2",
    "jar",
    "java",
    "jinja",
    "jinja2",
    "jks",
    "jpeg",
    "jpg",
    "js",
    "jsx",
    "key",
    "keytab",
    "less",
    "lua",
    "map",
    "md",
    "mjs",
    "mmdb",
    "mo",
    "mustache",
    "njk",
    "p12",
    "pem",
    "pfx",
    "php",
    "phar",
    "pl",
    "png",
    "po",
    "properties",
    "pub",
    "py",
    "rb",
    "repo",
    "rs",
    "rules",
    "sample",
    "scss",
    "service",
    "sh",
    "so",
    "sql",
    "svg",
    "tar",
    "template",
    "tgz",
    "tmpl",
    "toml",
    "tpl",
    "ts",
    "ttf",
    "vcl",
    "vue",
    "wasm",
    "woff",
    "woff2",
    "zip",
];
/// Files without an ending that are written elsewhere. What ends with `file` is, too: `Caddyfile`, `Procfile`.
const NAMES_MADE_ELSEWHERE: [&str; 22] = [
    "authorized_keys",
    "config",
    "crontab",
    "entrypoint",
    "group",
    "hostname",
    "hosts",
    "htaccess",
    "htpasswd",
    "id_ecdsa",
    "id_ed25519",
    "id_rsa",
    "known_hosts",
    "license",
    "localtime",
    "machine-id",
    "os-release",
    "passwd",
    "readme",
    "secret",
    "shadow",
    "timezone",
];
/// Folders of a container in which configuration and programs lie.
const CONFIGURATION: [&str; 8] =
    ["/bin", "/docker-entrypoint-initdb.d", "/etc", "/lib", "/sbin", "/usr/bin", "/usr/local/bin", "/usr/local/etc"];

/// Whether a file of the host that appears at `target` and may be written is data.
pub fn is_data(path: &str, target: &str, file: FileFacts) -> bool {
    let name = name(path);
    let (stem, ending) = name.rsplit_once('.').filter(|(stem, _)| !stem.is_empty()).unwrap_or((&name, ""));
    let is_text = TEXT.contains(&ending);
    if file.was_data || DATA.contains(&ending) || (is_text && DATA_STEMS.contains(&stem)) {
        return true;
    }
    if file.is_program || is_made_elsewhere(&name, ending) || is_configuration(target) {
        return false;
    }
    !is_text || file.is_empty
}

fn name(path: &str) -> String {
    path.rsplit('/').next().unwrap_or(path).to_lowercase()
}

fn is_made_elsewhere(name: &str, ending: &str) -> bool {
    // `.env`, `.env.local`, `.htpasswd`: what is hidden in the folder of a project is written by hand.
    let is_hidden = name.starts_with('.');
    let is_versioned_library = name.contains(".so.");
    let is_plain = ending.is_empty() && (name.ends_with("file") || NAMES_MADE_ELSEWHERE.contains(&name));
    is_hidden || is_versioned_library || is_plain || MADE_ELSEWHERE.contains(&ending)
}

fn is_configuration(target: &str) -> bool {
    CONFIGURATION.into_iter().any(|folder| target.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/')))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRITTEN: FileFacts = FileFacts { is_empty: false, is_program: false, was_data: false };

    #[test]
    fn what_programs_write_is_data_and_what_is_written_elsewhere_is_not() {
        for path in [
            "./app.db",
            "/srv/state.sqlite3",
            "./acme.json",
            "./db.json",
            "./app.log",
            "./bans.dat",
            "./letters",
            "./wallet",
            "/srv/app/.data/app.db",
            "./events.ndjson",
        ] {
            assert!(is_data(path, "/app/x", WRITTEN), "{path}");
        }
        for path in [
            "./nginx.conf",
            "./Caddyfile",
            "./.env",
            "./.env.production",
            "./config.json",
            "./prometheus.yml",
            "./users.yaml",
            "./tls/server.KEY",
            "./entrypoint.sh",
            "./index.html",
            "./settings.py",
            "./nginx.conf.template",
            "./plugin.so.2",
            "./GeoLite2-City.mmdb",
            "./hosts",
            "./seed.csv",
        ] {
            assert!(!is_data(path, "/app/x", WRITTEN), "{path}");
        }
    }

    #[test]
    fn a_text_that_was_empty_when_it_was_first_mounted_stays_data() {
        let empty = FileFacts { is_empty: true, ..WRITTEN };
        assert!(is_data("./users.json", "/app/users.json", empty));
        assert!(is_data("./users.json", "/app/users.json", FileFacts { was_data: true, ..WRITTEN }));
        assert!(!is_data("./custom.conf", "/app/custom.conf", empty), "a configuration that says nothing is one");
        assert!(!is_data("./users.json", "/etc/app/users.json", empty));
    }

    #[test]
    fn programs_and_what_lies_where_configuration_does_are_none() {
        assert!(!is_data("./bin/api", "/app/api", FileFacts { is_program: true, ..WRITTEN }));
        assert!(!is_data("./anything", "/etc/anything", WRITTEN));
        assert!(is_data("./anything", "/etcetera", WRITTEN));
        // Where everything may be executed, as on a share, the name counts first.
        assert!(is_data("./app.db", "/app/app.db", FileFacts { is_program: true, ..WRITTEN }));
        assert!(is_data("./gravity.db", "/etc/pihole/gravity.db", WRITTEN));
    }
}
