use std::os::unix::net::UnixListener;

use super::*;

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn at(&self, rel: &str) -> PathBuf {
        self.0.path().canonicalize().unwrap().join(rel)
    }

    /// A name that ends with `/` is a folder.
    fn put(&self, rel: &str, bytes: &[u8]) -> PathBuf {
        use std::io::Write;
        let path = self.at(rel);
        if rel.ends_with('/') {
            std::fs::create_dir_all(&path).unwrap();
        } else {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::File::create(&path).unwrap().write_all(bytes).unwrap();
        }
        path
    }
}

#[test]
fn a_folder_of_data_is_known_by_the_names_in_it() {
    let cases: [(&[&str], Content); 23] = [
        (&["PG_VERSION", "base/"], Content::Postgres),
        (&["data/PG_VERSION"], Content::Postgres),
        (&["pgdata/PG_VERSION"], Content::Postgres),
        (&["17/PG_VERSION", "lost+found/"], Content::Postgres),
        (&["ibdata1"], Content::MySql),
        (&["mysql/", "ib_logfile0"], Content::MySql),
        (&["mysql/", "aria_log_control"], Content::MySql),
        (&["WiredTiger", "WiredTiger.wt"], Content::MongoDb),
        (&["dump.rdb"], Content::Redis),
        (&["appendonlydir/"], Content::Redis),
        (&["appendonly.aof"], Content::Redis),
        (&["nodes/"], Content::Elasticsearch),
        (&["_state/"], Content::Elasticsearch),
        (&["metadata/", "store/"], Content::ClickHouse),
        (&["member/wal/"], Content::Etcd),
        (&["mnesia/"], Content::RabbitMq),
        (&["chunks_head/", "wal/"], Content::Prometheus),
        (&[".minio.sys/"], Content::Minio),
        (&["influxd.bolt"], Content::InfluxDb),
        (&["engine/"], Content::InfluxDb),
        (&["app.db", "app.db-wal"], Content::Sqlite),
        (&["var/app.sqlite3", "var/app.sqlite3-journal"], Content::Sqlite),
        (&["new.sqlite"], Content::Sqlite),
    ];
    for (names, content) in cases {
        let place = Place::new();
        for name in names {
            place.put(name, b"");
        }
        let facts = look(&place.at(""));
        assert_eq!((facts.kind, facts.content), (PathKind::Directory, Some(content)), "{names:?}");
    }
}

#[test]
fn a_folder_without_marks_is_nobodys() {
    for names in [
        &[][..],
        &["index.html", "wal/"],
        &["mysql/"],
        &["metadata/"],
        &["store/"],
        &["member/"],
        &["a/b/PG_VERSION"],
        &["a/b/app.sqlite"],
        &["chunks_head/"],
    ] {
        let place = Place::new();
        for name in names {
            place.put(name, b"");
        }
        assert_eq!(look(&place.at("")).content, None, "{names:?}");
    }
    let place = Place::new();
    place.put("notes.db", b"just words, and no database");
    assert_eq!(look(&place.at("")).content, None);
    place.put("other.db", b"SQLite format 3\0 and pages");
    assert_eq!(look(&place.at("")).content, Some(Content::Sqlite));
}

#[test]
fn a_file_is_known_by_its_first_bytes() {
    let mut bolt = vec![0; 64];
    bolt[16..20].copy_from_slice(&0xed0c_daed_u32.to_le_bytes());
    let cases: [(&str, &[u8], Option<Content>); 9] = [
        ("app.data", b"SQLite format 3\0....", Some(Content::Sqlite)),
        ("dump", b"REDIS0011....", Some(Content::Redis)),
        ("state", &bolt, Some(Content::Bolt)),
        ("lake", b"\x01\x02\x03\x04\x05\x06\x07\x08DUCK....", Some(Content::DuckDb)),
        ("users.mv.db", b"H:2,block:1", Some(Content::H2)),
        ("empty.db", b"", Some(Content::Sqlite)),
        ("empty.SQLITE3", b"", Some(Content::Sqlite)),
        ("empty.txt", b"", None),
        ("words.db", b"words", None),
    ];
    for (name, bytes, content) in cases {
        let place = Place::new();
        let facts = look(&place.put(name, bytes));
        assert_eq!((facts.kind, facts.content), (PathKind::File, content), "{name}");
    }
}

#[test]
fn servers_are_told_from_files_that_programs_open() {
    assert!(Content::Postgres.is_server() && Content::Redis.is_server() && Content::Minio.is_server());
    assert!(!Content::Sqlite.is_server() && !Content::H2.is_server() && !Content::Bolt.is_server());
    assert_eq!((Content::Postgres.word(), Content::Etcd.word()), ("PostgreSQL", "etcd"));
}

#[test]
fn every_kind_of_thing_is_told_and_nothing_waits() {
    let place = Place::new();
    let _listener = UnixListener::bind(place.at("app.sock")).unwrap();
    nix::unistd::mkfifo(&place.at("pipe.db"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert_eq!(look(&place.at("app.sock")).kind, PathKind::Socket);
    assert_eq!(look(&place.at("pipe.db")).kind, PathKind::Fifo);
    assert_eq!(look(Path::new("/dev/null")).kind, PathKind::CharDevice);
    assert_eq!(look(&place.at("nothing")).kind, PathKind::Missing);
    assert_eq!(look(&place.at("")).content, None, "a pipe in a folder is not read");
}

#[test]
fn links_are_followed_as_far_as_the_path_exists() {
    let place = Place::new();
    let real = place.put("real/", b"");
    place.put("real/PG_VERSION", b"17");
    std::os::unix::fs::symlink(&real, place.at("link")).unwrap();
    let facts = look(&place.at("link"));
    assert_eq!((facts.canonical, facts.content), (place.at("real"), Some(Content::Postgres)));
    assert_eq!(look(&place.at("link/new/deep")).canonical, place.at("real/new/deep"));
    assert_eq!(look(&place.at("link/new/../other")).canonical, place.at("real/other"));
    // A folder is not judged by what a link in it leads to.
    let outside = Place::new();
    std::os::unix::fs::symlink(&real, outside.at("data")).unwrap();
    assert_eq!(look(&outside.at("")).content, None);
}
