use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use super::*;

fn file(folder: &tempfile::TempDir, name: &str, mode: u32, text: &str) -> PathBuf {
    use std::io::Write;
    let path = folder.path().join(name);
    let mut file = std::fs::OpenOptions::new().create_new(true).write(true).mode(mode).open(&path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
    // The mode at creation is narrowed by the umask of whoever runs the tests.
    file.set_permissions(std::fs::Permissions::from_mode(mode)).unwrap();
    path
}

#[test]
fn a_file_for_its_owner_alone_is_read() {
    let folder = tempfile::tempdir().unwrap();
    for mode in [0o600, 0o400] {
        let loaded = EnvFile::load(&file(&folder, &format!("{mode:o}"), mode, "B=2\nA=1\n")).unwrap();
        assert_eq!(loaded.names(), ["A", "B"]);
        assert_eq!(loaded.get("A").unwrap().expose(), "1");
        assert!(loaded.get("C").is_none());
    }
}

#[test]
fn who_else_may_read_it_is_told() {
    let folder = tempfile::tempdir().unwrap();
    for (mode, open, readers) in [
        (0o600, false, ""),
        (0o400, false, ""),
        (0o700, false, ""),
        (0o644, true, "readable by all users"),
        (0o640, true, "readable by its group"),
        (0o620, true, "open to others than its owner"),
    ] {
        let access = EnvFile::load(&file(&folder, &format!("{mode:o}"), mode, "A=1\n")).unwrap().access();
        assert_eq!((access.mode, access.is_open()), (mode, open));
        assert!(!open || access.readers() == readers, "{mode:o}");
        assert_eq!(access.owner, nix_uid(&folder));
    }
}

fn nix_uid(folder: &tempfile::TempDir) -> u32 {
    std::fs::metadata(folder.path()).unwrap().uid()
}

#[test]
fn what_is_no_small_text_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(EnvFile::load(folder.path()), Err(SecretsError::NotAFile { .. })));
    assert!(matches!(EnvFile::load(&folder.path().join("none")), Err(SecretsError::Read { .. })));
    let large = file(&folder, "large", 0o600, &"#".repeat(1024 * 1024 + 1));
    assert!(matches!(EnvFile::load(&large), Err(SecretsError::TooLarge { limit: 1_048_576, .. })));
    assert!(matches!(EnvFile::parse(b"A=1\nB=\xff\n", ".env"), Err(SecretsError::NotText { line: 2, .. })));
}

#[test]
fn a_file_prints_its_names_and_no_value() {
    let loaded = EnvFile::parse(b"PASSWORD=hunter2hunter2", ".env").unwrap();
    let told =
        format!("{loaded:?} {:?}", crate::Source::EnvFile(EnvFile::parse(b"PASSWORD=hunter2hunter2", ".env").unwrap()));
    assert!(told.contains("PASSWORD") && !told.contains("hunter2"), "{told}");
}

#[test]
fn the_version_depends_on_names_and_values_and_not_on_how_they_are_written() {
    let salt = Salt::try_new(b"sixteen bytes...").unwrap();
    let version = |text: &str| EnvFile::parse(text.as_bytes(), ".env").unwrap().version(&salt);
    assert_eq!(version("A=1\nB=2"), version("# note\nexport B='2'\nA=\"1\"\n"));
    assert_ne!(version("A=1\nB=2"), version("A=1\nB=3"));
    assert_ne!(version("A=1\nB=2"), version("A=1"));
    assert_eq!(version("").as_str().len(), 12);
}

#[test]
fn a_source_answers_for_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let source = crate::Source::env_file(&file(&folder, ".env", 0o600, "TOKEN=abcdef123\n")).unwrap();
    assert_eq!(source.names(), ["TOKEN"]);
    assert_eq!(source.get("TOKEN").unwrap().expose(), "abcdef123");
    assert_eq!(source.redactor().redact("got abcdef123"), "got [TOKEN redacted]");
}
