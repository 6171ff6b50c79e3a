use super::*;

fn root() -> (tempfile::TempDir, Root) {
    let dir = tempfile::tempdir().unwrap();
    let root = Root::open(dir.path()).unwrap();
    (dir, root)
}

fn corrupt(root: &Root, name: &str, bytes: &[u8]) {
    let mut file = std::fs::File::create(root.path().join(name)).unwrap();
    std::io::Write::write_all(&mut file, bytes).unwrap();
}

#[test]
fn a_write_is_read_back_with_its_mode_and_keeps_the_content_before() {
    use std::os::unix::fs::PermissionsExt;
    let (_dir, root) = root();
    root.write_atomic("a/b.txt", b"one", 0o600).unwrap();
    root.write_atomic("a/b.txt", b"two", 0o600).unwrap();
    assert_eq!(root.read("a/b.txt").unwrap().unwrap(), b"two");
    assert_eq!(root.read("a/b.txt.prev").unwrap().unwrap(), b"one");
    let mode = std::fs::metadata(root.path().join("a/b.txt")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(root.list("a").unwrap(), ["b.txt"]);
}

#[test]
fn no_temporary_file_is_left_behind() {
    let (dir, root) = root();
    for text in ["one", "two", "three"] {
        root.write_atomic("x", text.as_bytes(), 0o644).unwrap();
    }
    let mut names: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["x", "x.prev"]);
}

#[test]
fn paths_that_leave_the_root_are_refused() {
    let (_dir, root) = root();
    for path in ["../x", "a/../../x", "/etc/passwd", ""] {
        assert!(matches!(root.join(path), Err(FilesError::Escapes { .. })), "{path:?} was let through");
    }
    assert!(root.join("./a/b").is_ok());
}

#[test]
fn a_link_that_leads_outside_is_refused_and_one_that_stays_inside_is_followed() {
    let (_dir, root) = root();
    let outside = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(outside.path(), root.path().join("out")).unwrap();
    std::os::unix::fs::symlink(outside.path().join("not-there"), root.path().join("dangling")).unwrap();
    std::fs::create_dir(root.path().join("real")).unwrap();
    std::os::unix::fs::symlink(root.path().join("real"), root.path().join("in")).unwrap();
    assert!(matches!(root.write_atomic("out/x", b"x", 0o600), Err(FilesError::Escapes { .. })));
    assert!(matches!(root.write_atomic("dangling", b"x", 0o600), Err(FilesError::Escapes { .. })));
    root.write_atomic("in/x", b"x", 0o600).unwrap();
    assert_eq!(root.read("real/x").unwrap().unwrap(), b"x");
}

#[test]
fn a_torn_file_is_replaced_by_its_previous_generation_which_says_why() {
    let (_dir, root) = root();
    root.save_json("state.json", &vec![1, 2], 0o600).unwrap();
    root.save_json("state.json", &vec![3, 4], 0o600).unwrap();
    corrupt(&root, "state.json", b"[3,");
    let Loaded::Previous(value, reason) = root.load_json::<Vec<u32>>("state.json").unwrap() else {
        panic!("the torn file was taken for sound")
    };
    assert_eq!(value, [1, 2]);
    assert!(reason.contains("EOF"), "{reason}");
}

#[test]
fn an_emptied_file_is_replaced_by_its_previous_generation() {
    let (_dir, root) = root();
    root.save_json("s", &1, 0o600).unwrap();
    root.save_json("s", &2, 0o600).unwrap();
    corrupt(&root, "s", b"");
    assert_eq!(root.load_json::<u32>("s").unwrap(), Loaded::Previous(1, "the file is empty".into()));
}

#[test]
fn saving_over_a_torn_file_keeps_the_good_previous_generation() {
    let (_dir, root) = root();
    root.save_json("s", &1, 0o600).unwrap();
    root.save_json("s", &2, 0o600).unwrap();
    corrupt(&root, "s", b"{");
    root.save_json("s", &3, 0o600).unwrap();
    assert_eq!(root.load_json::<u32>("s").unwrap(), Loaded::Current(3));
    assert_eq!(root.load_json::<u32>("s.prev").unwrap(), Loaded::Current(1));
}

#[test]
fn a_file_that_nobody_wrote_is_missing_and_two_torn_generations_are_an_error() {
    let (_dir, root) = root();
    assert_eq!(root.load_json::<u32>("s").unwrap(), Loaded::Missing);
    corrupt(&root, "s", b"{");
    corrupt(&root, "s.prev", b"");
    let error = root.load_json::<u32>("s").unwrap_err().to_string();
    assert!(error.contains("previous generation (the file is empty)"), "{error}");
}

#[test]
fn removing_takes_both_generations_and_says_whether_there_was_one() {
    let (_dir, root) = root();
    root.save_json("s", &1, 0o600).unwrap();
    root.save_json("s", &2, 0o600).unwrap();
    assert!(root.remove("s").unwrap());
    assert!(!root.remove("s").unwrap());
    assert_eq!(root.load_json::<u32>("s").unwrap(), Loaded::Missing);
}

#[test]
fn a_lock_is_held_once_and_free_again_when_dropped() {
    let (_dir, root) = root();
    let Lock::Acquired(guard) = root.lock("l").unwrap() else { panic!("a new lock was held") };
    let Lock::Held { pid } = root.lock("l").unwrap() else { panic!("the lock was given twice") };
    assert_eq!(pid, Some(std::process::id()));
    drop(guard);
    assert!(matches!(root.lock("l").unwrap(), Lock::Acquired(_)));
}

#[test]
fn free_space_of_a_temporary_folder_is_more_than_nothing() {
    let (_dir, root) = root();
    assert!(root.free_space().unwrap() > 0);
}
