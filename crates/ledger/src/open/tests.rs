//! What is found on disk, and what a ledger makes of it.

use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use machine::clock::TestClock;

use super::*;

struct Shelf {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

fn shelf() -> Shelf {
    let folder = tempfile::tempdir().unwrap();
    Shelf { path: folder.path().join("ledger.db"), _folder: folder }
}

impl Shelf {
    fn open(&self) -> Result<Ledger> {
        Ledger::open_with_patience(&self.path, Arc::new(TestClock::default()), Duration::from_millis(50))
    }

    /// A ledger with something in it, closed.
    fn filled(self) -> Self {
        let ledger = self.open().unwrap();
        ledger
            .transaction(|tx| {
                (0..200).try_for_each(|number| tx.put_record("slot", &format!("{number:04}"), &"x".repeat(500)))
            })
            .unwrap();
        self
    }

    fn bytes(&self) -> Vec<u8> {
        std::fs::read(&self.path).unwrap()
    }

    fn overwrite(&self, at: u64, bytes: &[u8]) {
        let mut file = OpenOptions::new().write(true).create(true).truncate(false).open(&self.path).unwrap();
        file.seek(SeekFrom::Start(at)).unwrap();
        file.write_all(bytes).unwrap();
    }

    /// The message of the error, which must name the file, say what to do next, and leave the file as it was.
    fn refused(&self) -> LedgerError {
        let before = self.bytes();
        let error = self.open().unwrap_err();
        assert!(error.to_string().contains(&self.path.display().to_string()), "{error}");
        assert!(error.next_step().is_some(), "{error:?}");
        assert!(self.bytes() == before, "the file was changed");
        error
    }
}

#[test]
fn a_new_ledger_is_for_its_owner_alone_and_durable() {
    let shelf = shelf();
    let ledger = shelf.open().unwrap();
    assert_eq!(std::fs::metadata(&shelf.path).unwrap().permissions().mode() & 0o777, 0o600);
    let pragma = |name: &str| {
        ledger
            .bare(|connection| connection.pragma_query_value(None, name, |row| row.get::<_, rusqlite::types::Value>(0)))
    };
    assert_eq!(pragma("journal_mode"), rusqlite::types::Value::Text("wal".to_owned()));
    assert_eq!(pragma("synchronous"), rusqlite::types::Value::Integer(2), "2 is FULL");
    assert_eq!(pragma("foreign_keys"), rusqlite::types::Value::Integer(1));
}

#[test]
fn what_was_written_is_there_after_opening_again() {
    let shelf = shelf().filled();
    assert_eq!(shelf.open().unwrap().list_records::<String>("slot", "").unwrap().len(), 200);
}

#[test]
fn what_was_written_is_there_after_a_crash() {
    let shelf = shelf();
    let ledger = shelf.open().unwrap();
    ledger.put_record("slot", "a", &1).unwrap();
    // A copy of the files while the ledger is open is what a killed process leaves behind.
    let copy = shelf.path.with_file_name("copy.db");
    for suffix in ["", "-wal"] {
        std::fs::copy(crate::set_aside::beside(&shelf.path, suffix), crate::set_aside::beside(&copy, suffix)).unwrap();
    }
    let found = Ledger::open(&copy, Arc::new(TestClock::default())).unwrap();
    assert_eq!(found.get_record::<u32>("slot", "a").unwrap(), Some(1));
}

#[test]
fn a_file_that_is_no_database_is_reported_and_kept() {
    let shelf = shelf();
    shelf.overwrite(0, &b"this is not a database at all ".repeat(100));
    assert!(matches!(shelf.refused(), LedgerError::Damaged { .. }));
}

#[test]
fn a_damaged_page_is_found_when_the_file_is_opened() {
    let shelf = shelf().filled();
    let middle = shelf.bytes().len() as u64 / 4096 / 2 * 4096;
    shelf.overwrite(middle, &[0xA5; 4096]);
    let LedgerError::Damaged { finding, .. } = shelf.refused() else { panic!("not reported as damaged") };
    assert!(!finding.is_empty());
}

#[test]
fn a_damaged_file_with_a_log_is_left_alone_together_with_its_log() {
    let source = shelf();
    let ledger = source.open().unwrap();
    let fill = |from: u32| {
        ledger.transaction(|tx| {
            (from..from + 100).try_for_each(|key| tx.put_record("slot", &format!("{key:04}"), &"x".repeat(500)))
        })
    };
    fill(0).unwrap();
    ledger.bare(|connection| connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())));
    fill(100).unwrap();
    let shelf = shelf();
    for suffix in ["", "-wal"] {
        std::fs::copy(crate::set_aside::beside(&source.path, suffix), crate::set_aside::beside(&shelf.path, suffix))
            .unwrap();
    }
    // Neither the first page nor one that the log replaces.
    shelf.overwrite(shelf.bytes().len() as u64 / 4096 / 2 * 4096, &[0xA5; 4096]);
    let log = crate::set_aside::beside(&shelf.path, "-wal");
    let before = std::fs::read(&log).unwrap();
    assert!(matches!(shelf.refused(), LedgerError::Damaged { .. }));
    assert!(std::fs::read(&log).is_ok_and(|after| after == before), "the log was changed");
}

#[test]
fn a_file_that_was_cut_off_is_found_when_it_is_opened() {
    let shelf = shelf().filled();
    let file = OpenOptions::new().write(true).open(&shelf.path).unwrap();
    file.set_len(shelf.bytes().len() as u64 / 2).unwrap();
    assert!(matches!(shelf.refused(), LedgerError::Damaged { .. }));
}

#[test]
fn a_log_whose_file_is_gone_is_reported_before_it_can_be_dropped() {
    let shelf = shelf();
    let log = crate::set_aside::beside(&shelf.path, "-wal");
    OpenOptions::new().write(true).create_new(true).open(&log).unwrap().write_all(b"changes").unwrap();
    assert!(matches!(shelf.open().unwrap_err(), LedgerError::Damaged { .. }));
    assert!(log.exists() && !shelf.path.exists());
}

#[test]
fn a_damaged_file_can_be_set_aside_and_a_new_one_built() {
    let shelf = shelf().filled();
    shelf.overwrite(0, b"damaged!");
    let damaged = shelf.bytes();
    shelf.refused();
    let clock = TestClock::default();
    let aside = Ledger::set_aside(&shelf.path, &clock).unwrap();
    assert_eq!(aside.file_name().unwrap(), "ledger.db.damaged-20260101T000000Z");
    assert_eq!(std::fs::read(&aside).unwrap(), damaged);
    shelf.open().unwrap().put_record("slot", "a", &1).unwrap();
    // A second one in the same second gets a name of its own.
    let second = Ledger::set_aside(&shelf.path, &clock).unwrap();
    assert_eq!(second.file_name().unwrap(), "ledger.db.damaged-20260101T000000Z-2");
    assert!(aside.exists() && second.exists() && !shelf.path.exists());
    assert!(matches!(Ledger::set_aside(&shelf.path, &clock), Err(LedgerError::SetAside { .. })));
}

#[test]
fn a_log_goes_aside_with_its_file() {
    let shelf = shelf();
    let log = crate::set_aside::beside(&shelf.path, "-wal");
    OpenOptions::new().write(true).create_new(true).open(&log).unwrap().write_all(b"changes").unwrap();
    let aside = Ledger::set_aside(&shelf.path, &TestClock::default()).unwrap();
    let mut moved = String::new();
    std::fs::File::open(crate::set_aside::beside(&aside, "-wal")).unwrap().read_to_string(&mut moved).unwrap();
    assert_eq!(moved, "changes");
    shelf.open().unwrap();
}

#[test]
fn a_read_only_file_is_refused_even_for_root() {
    let shelf = shelf().filled();
    std::fs::set_permissions(&shelf.path, std::fs::Permissions::from_mode(0o400)).unwrap();
    let error = shelf.refused();
    assert!(matches!(error, LedgerError::ReadOnly { .. }), "{error:?}");
    assert!(error.next_step().unwrap().contains("chmod 0600"));
}

#[test]
fn a_ledger_that_becomes_read_only_says_so_when_it_is_written() {
    let shelf = shelf();
    let ledger = shelf.open().unwrap();
    ledger.bare(|connection| connection.pragma_update(None, "query_only", true));
    assert!(matches!(ledger.put_record("slot", "a", &1), Err(LedgerError::ReadOnly { .. })));
}

#[test]
fn a_full_disk_is_told_and_loses_nothing() {
    let shelf = shelf().filled();
    let ledger = shelf.open().unwrap();
    let pages: i64 = ledger.bare(|connection| connection.pragma_query_value(None, "page_count", |row| row.get(0)));
    ledger.bare(|connection| connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(())));
    let error = ledger.put_record("slot", "large", &"x".repeat(100_000)).unwrap_err();
    assert!(matches!(error, LedgerError::Full { operation: "write a record", .. }), "{error:?}");
    assert!(error.to_string().contains("no space left") && error.next_step().unwrap().contains("nothing was lost"));
    assert_eq!(ledger.list_records::<String>("slot", "").unwrap().len(), 200);
    ledger.bare(|connection| connection.pragma_update_and_check(None, "max_page_count", pages + 1_000, |_| Ok(())));
    ledger.put_record("slot", "large", &"x".repeat(100_000)).unwrap();
}

#[test]
fn a_newer_schema_is_refused_and_left_alone() {
    let shelf = shelf().filled();
    let connection = Connection::open(&shelf.path).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    assert!(matches!(shelf.refused(), LedgerError::Newer { found: 99, known: 2, .. }));
}

#[test]
fn the_database_of_another_program_is_refused_and_left_alone() {
    let shelf = shelf();
    Connection::open(&shelf.path)
        .unwrap()
        .execute_batch("CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1)")
        .unwrap();
    assert!(matches!(shelf.refused(), LedgerError::Foreign { .. }));
}

#[test]
fn a_file_that_another_process_has_locked_is_told() {
    let shelf = shelf().filled();
    let ledger = shelf.open().unwrap();
    let other = Connection::open(&shelf.path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = ledger.put_record("slot", "a", &1).unwrap_err();
    assert!(matches!(error, LedgerError::Locked { .. }), "{error:?}");
    assert!(error.next_step().unwrap().contains("fuser"));
    // Reading goes on, and writing does once the other is done.
    assert_eq!(ledger.list_records::<String>("slot", "").unwrap().len(), 200);
    other.execute_batch("ROLLBACK").unwrap();
    ledger.put_record("slot", "a", &1).unwrap();
}

#[test]
fn a_file_that_another_process_has_to_itself_cannot_be_opened() {
    let shelf = shelf().filled();
    let other = Connection::open(&shelf.path).unwrap();
    other
        .execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN IMMEDIATE; UPDATE counter SET value = value; COMMIT")
        .unwrap();
    assert!(matches!(shelf.refused(), LedgerError::Locked { .. }));
}

#[test]
fn a_folder_that_is_not_there_is_told() {
    let shelf = shelf();
    let error = Ledger::open(&shelf.path.join("no/ledger.db"), Arc::new(TestClock::default())).unwrap_err();
    assert!(matches!(&error, LedgerError::Open { .. }) && error.next_step().unwrap().contains("folder"));
}

#[test]
fn many_can_open_a_new_ledger_at_once() {
    let shelf = shelf();
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                Ledger::open(&shelf.path, Arc::new(TestClock::default())).unwrap().next_number("opened").unwrap()
            });
        }
    });
    assert_eq!(shelf.open().unwrap().next_number("opened").unwrap(), 7);
}

#[test]
fn a_byte_that_has_changed_inside_a_value_is_found_although_it_reads_well() {
    let shelf = shelf().filled();
    let bytes = shelf.bytes();
    // Pages keep pieces of what was moved elsewhere, so the first value found may be nobody's any more.
    let mut at = 0;
    while let Some(next) = bytes[at..].windows(500).position(|window| window.iter().all(|byte| *byte == b'x')) {
        shelf.overwrite((at + next + 250) as u64, b"y");
        at += next + 500;
    }
    assert!(at > 0);
    let error = shelf.refused();
    assert!(matches!(&error, LedgerError::Damaged { .. }), "{error:?}");
    assert!(error.to_string().contains("a row of `record` (slot "), "{error}");
}

#[test]
fn every_kind_of_row_is_covered_and_what_changes_by_itself_is_not() {
    use serde_json::json;
    let changes = [
        ("UPDATE record SET body = '2'", true),
        ("UPDATE event SET service = 'web'", true),
        ("UPDATE evidence SET verdict = '\"fail\"'", true),
        ("UPDATE saga SET params = '{\"to\": 2}'", true),
        ("UPDATE saga_event SET at_ms = at_ms + 1", true),
        ("UPDATE saga SET outcome = 'done', finished_ms = 1", false),
    ];
    for (change, is_damage) in changes {
        let shelf = shelf();
        let ledger = shelf.open().unwrap();
        let id = spec::SagaId::parse("op1.web.r1").unwrap();
        let saga = crate::SagaRow::new(id.clone(), "move", json!({"to": 1}), json!([]), 7);
        ledger.put_record("slot", "a", &1).unwrap();
        ledger.create_saga(&saga).unwrap();
        ledger.append_saga_event(&id, 0, &json!({"step": "start"})).unwrap();
        ledger
            .append_event(crate::NewEvent {
                kind: "deploy.switched".into(),
                platform: spec::PlatformName::parse("shop").unwrap(),
                environment: spec::EnvironmentName::parse("production").unwrap(),
                service: None,
                saga: None,
                data: json!({}),
            })
            .unwrap();
        ledger
            .record_evidence(&spec::Evidence {
                kind: "soak".into(),
                subject: "web".into(),
                verdict: spec::Verdict::Pass,
                at_ms: 5,
                detail: json!({}),
            })
            .unwrap();
        drop(ledger);
        shelf.open().unwrap();
        rusqlite::Connection::open(&shelf.path).unwrap().execute_batch(change).unwrap();
        let opened = shelf.open();
        assert_eq!(matches!(opened, Err(LedgerError::Damaged { .. })), is_damage, "{change}: {opened:?}");
    }
}

#[test]
fn rows_of_an_earlier_version_have_no_sum_and_are_read_all_the_same() {
    let shelf = shelf().filled();
    let connection = rusqlite::Connection::open(&shelf.path).unwrap();
    connection.execute_batch("UPDATE record SET sum = NULL").unwrap();
    drop(connection);
    assert_eq!(shelf.open().unwrap().list_records::<String>("slot", "").unwrap().len(), 200);
}
