//! The ports a process listens on, read from its own network namespace in `/proc`.

use std::collections::BTreeSet;

/// The state column of a listening socket.
const LISTEN: &str = "0A";

/// TCP ports that something in the process's network namespace listens on for others: loopback-only
/// ones are left out. Empty when the process is gone.
pub fn listening_ports(pid: u32) -> BTreeSet<u16> {
    ["tcp", "tcp6"]
        .iter()
        .filter_map(|table| std::fs::read_to_string(format!("/proc/{pid}/net/{table}")).ok())
        .flat_map(|text| text.lines().filter_map(listening).collect::<Vec<_>>())
        .collect()
}

/// `  0: 00000000:1F90 00000000:0000 0A …`
fn listening(line: &str) -> Option<u16> {
    let mut words = line.split_whitespace().skip(1);
    let (address, port) = words.next()?.rsplit_once(':')?;
    let loopback = address.ends_with("7F") && address.len() == 8 || address == "00000000000000000000000001000000";
    // The embedded resolver of Docker listens on 127.0.0.11 in every container.
    (words.nth(1)? == LISTEN && !loopback).then(|| u16::from_str_radix(port, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listening_sockets_that_others_can_reach_count() {
        let any = "   0: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1";
        let loopback = any.replace("00000000:1F90", "0B00007F:A1B2");
        let connected = any.replace(" 0A ", " 01 ");
        assert_eq!(listening(any), Some(8080));
        assert_eq!((listening(&loopback), listening(&connected)), (None, None));
    }

    #[test]
    fn our_own_listener_is_found() {
        let listener = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(listening_ports(std::process::id()).contains(&port));
    }
}
