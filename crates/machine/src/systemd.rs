//! The little of systemd that Mainstay needs: is it there, a unit file as text, and the words that install it.

use std::path::Path;

use crate::files::{FilesError, Root};
use crate::process::Command;

/// Where units of the machine's owner live.
pub const UNIT_FOLDER: &str = "/etc/systemd/system";

/// systemd is process 1 here: the test that systemd's own documentation gives (sd_booted).
pub fn detect() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

/// A service that is always on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unit {
    /// Without `.service`.
    pub name: String,
    pub description: String,
    /// The program, as an absolute path, and its arguments.
    pub exec: Vec<String>,
    /// `None`: root.
    pub user: Option<String>,
    pub after: Vec<String>,
    pub env: Vec<(String, String)>,
    /// `CAP_NET_BIND_SERVICE` and the like, for a user that is not root.
    pub capabilities: Vec<String>,
    /// Folders that it may write to; all others are read-only when there is at least one.
    pub writable: Vec<String>,
    /// More lines of the `[Service]` section, as they are.
    pub extra: Vec<String>,
}

impl Unit {
    /// `<name>.service`.
    pub fn file_name(&self) -> String {
        format!("{}.service", self.name)
    }

    /// The text of the unit file.
    pub fn render(&self) -> String {
        let mut lines = vec!["[Unit]".to_owned(), format!("Description={}", self.description.replace('\n', " "))];
        if !self.after.is_empty() {
            lines.push(format!("After={}", self.after.join(" ")));
            lines.push(format!("Wants={}", self.after.join(" ")));
        }
        // Restart for ever: a supervisor that gives up leaves a platform without its proxy.
        lines.push("StartLimitIntervalSec=0".to_owned());
        lines.extend([String::new(), "[Service]".to_owned()]);
        let words: Vec<String> = self.exec.iter().map(|word| quoted(&word.replace('$', "$$"))).collect();
        lines.push(format!("ExecStart={}", words.join(" ")));
        lines.extend(["Restart=always".to_owned(), "RestartSec=100ms".to_owned()]);
        lines
            .extend(self.env.iter().map(|(name, value)| format!("Environment={}", quoted(&format!("{name}={value}")))));
        lines.extend(self.user.iter().map(|user| format!("User={user}")));
        if !self.capabilities.is_empty() {
            lines.push(format!("AmbientCapabilities={}", self.capabilities.join(" ")));
            lines.push(format!("CapabilityBoundingSet={}", self.capabilities.join(" ")));
        }
        if !self.writable.is_empty() {
            lines.push("ProtectSystem=strict".to_owned());
            lines.extend(self.writable.iter().map(|folder| format!("ReadWritePaths={folder}")));
        }
        lines.extend(self.extra.iter().cloned());
        lines.extend([String::new(), "[Install]".to_owned(), "WantedBy=multi-user.target".to_owned(), String::new()]);
        lines.join("\n")
    }

    /// Writes the unit file into a folder of units; systemd reads it after `daemon_reload`.
    pub fn save(&self, units: &Root) -> Result<(), FilesError> {
        units.write_atomic(self.file_name(), self.render().as_bytes(), 0o644)
    }
}

/// Makes systemd read its unit files again.
pub fn daemon_reload() -> Command {
    Command::new("systemctl").arg("daemon-reload")
}

/// Starts a unit now and at every boot.
pub fn enable_now(unit: &str) -> Command {
    Command::new("systemctl").args(["enable", "--now", unit])
}

/// Starts a unit at every boot, and not now.
pub fn enable(unit: &str) -> Command {
    Command::new("systemctl").args(["enable", "--quiet", unit])
}

/// Status 0 when it starts at boot.
pub fn is_enabled(unit: &str) -> Command {
    Command::new("systemctl").args(["is-enabled", "--quiet", unit])
}

/// A path as part of a unit's name, as `systemd-escape --path` writes it.
pub fn escaped(path: &Path) -> String {
    let text = path.to_string_lossy();
    let trimmed = text.trim_matches('/');
    let mut out = String::new();
    for (at, byte) in trimmed.bytes().enumerate() {
        match byte {
            b'/' if out.ends_with('-') => {}
            b'/' => out.push('-'),
            b'.' if at == 0 => out.push_str(r"\x2e"),
            b':' | b'_' | b'.' => out.push(char::from(byte)),
            byte if byte.is_ascii_alphanumeric() => out.push(char::from(byte)),
            byte => out.push_str(&format!(r"\x{byte:02x}")),
        }
    }
    out
}

/// The program that a unit file starts.
pub fn program_of(unit: &str) -> Option<String> {
    let line = unit.lines().find_map(|line| line.strip_prefix("ExecStart="))?;
    let word = match line.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next()?,
        None => line.split_whitespace().next()?,
    };
    Some(word.replace("%%", "%").replace("$$", "$"))
}

/// Stops a unit now and for good.
pub fn disable_now(unit: &str) -> Command {
    Command::new("systemctl").args(["disable", "--now", unit])
}

/// Starts it anew, with a changed unit file or binary.
pub fn restart(unit: &str) -> Command {
    Command::new("systemctl").args(["restart", unit])
}

/// Status 0 when it runs.
pub fn is_active(unit: &str) -> Command {
    Command::new("systemctl").args(["is-active", "--quiet", unit])
}

/// A word as systemd reads it: `%` would be expanded, blanks would split. (`$` is special in commands only.)
fn quoted(word: &str) -> String {
    let word = word.replace('\\', r"\\").replace('"', "\\\"").replace('%', "%%").replace('\n', r"\n");
    if word.is_empty() || word.contains([' ', '\t', '\'', ';']) { format!("\"{word}\"") } else { word }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_restarts_for_ever_and_writes_only_where_it_may() {
        let unit = Unit {
            name: "mainstay-edge".into(),
            description: "Mainstay edge".into(),
            exec: vec!["/usr/local/bin/mainstay".into(), "edge".into(), "--note".into(), "100% of $HOME".into()],
            user: Some("mainstay".into()),
            after: vec!["network-online.target".into()],
            env: vec![("LOG".into(), "info".into())],
            capabilities: vec!["CAP_NET_BIND_SERVICE".into()],
            writable: vec!["/var/lib/mainstay/edge".into()],
            extra: vec!["LimitNOFILE=65536".into()],
        };
        insta::assert_snapshot!(unit.render(), @r#"
        [Unit]
        Description=Mainstay edge
        After=network-online.target
        Wants=network-online.target
        StartLimitIntervalSec=0

        [Service]
        ExecStart=/usr/local/bin/mainstay edge --note "100%% of $$HOME"
        Restart=always
        RestartSec=100ms
        Environment=LOG=info
        User=mainstay
        AmbientCapabilities=CAP_NET_BIND_SERVICE
        CapabilityBoundingSet=CAP_NET_BIND_SERVICE
        ProtectSystem=strict
        ReadWritePaths=/var/lib/mainstay/edge
        LimitNOFILE=65536

        [Install]
        WantedBy=multi-user.target
        "#);
    }

    #[test]
    fn a_unit_file_is_saved_under_its_own_name() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::open(dir.path()).unwrap();
        Unit { name: "a".into(), ..Unit::default() }.save(&root).unwrap();
        assert_eq!(root.list(".").unwrap(), ["a.service"]);
    }

    #[test]
    fn a_path_becomes_part_of_a_name_as_systemd_escapes_it() {
        for (path, expected) in [
            ("/srv/state", "srv-state"),
            ("/srv/my-state/", r"srv-my\x2dstate"),
            ("/.hidden/a b", r"\x2ehidden-a\x20b"),
            ("/srv//x.y_z", "srv-x.y_z"),
        ] {
            assert_eq!(escaped(Path::new(path)), expected);
        }
    }

    #[test]
    fn the_program_of_a_unit_file_is_found_however_it_is_written() {
        let unit = |program: &str| Unit { exec: vec![program.into(), "edge".into()], ..Unit::default() }.render();
        for program in ["/usr/local/bin/mainstay", "/srv/my state/bin/100%"] {
            assert_eq!(program_of(&unit(program)).as_deref(), Some(program));
        }
        assert_eq!(program_of("[Service]\n"), None);
    }

    #[test]
    fn the_words_name_the_unit() {
        insta::assert_snapshot!(enable_now("mainstay-edge.service"), @"systemctl enable --now mainstay-edge.service");
        insta::assert_snapshot!(is_active("x"), @"systemctl is-active --quiet x");
    }
}
