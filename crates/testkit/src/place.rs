//! Folders and ports that belong to one test.

use std::net::{Ipv4Addr, TcpListener};

use machine::files::Root;
use tempfile::TempDir;

/// A folder as a root. It is gone when the first half is dropped, so keep both.
pub fn temp_root() -> (TempDir, Root) {
    let dir = tempfile::tempdir().expect("could not make a temporary folder");
    let root = Root::open(dir.path()).expect("could not open the temporary folder");
    (dir, root)
}

/// A port of the loopback address that nobody listens on just now.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("no port is free");
    listener.local_addr().expect("a listener has an address").port()
}
