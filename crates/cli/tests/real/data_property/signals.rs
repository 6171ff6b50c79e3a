//! What was done to containers from outside: every signal that the engine has sent, by its own events.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

/// One signal: when, and which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signal {
    pub at: u128,
    pub number: u32,
}

/// The signals of each container, by its short id.
pub type Sent = BTreeMap<String, Vec<Signal>>;

/// Follows the engine's events into a file until it is dropped.
pub struct Signals {
    child: Child,
    path: PathBuf,
}

impl Signals {
    pub fn follow(platform: &str, dir: &Path) -> Signals {
        let path = dir.join(format!("{platform}.events"));
        let file = std::fs::File::create(&path).unwrap();
        let words = ["events", "--filter", "type=container", "--filter", "event=kill", "--format", "{{json .}}"];
        let child = Command::new("docker").args(words).stdin(Stdio::null()).stdout(file).spawn().unwrap();
        Signals { child, path }
    }

    /// Those of containers whose name begins with the platform's.
    pub fn sent(&self, platform: &str) -> Sent {
        read(&std::fs::read_to_string(&self.path).unwrap_or_default(), &format!("{platform}-"))
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.path);
    }
}

fn read(events: &str, start: &str) -> Sent {
    let mut sent = Sent::new();
    let signal = |event: &Value| {
        let about = &event["Actor"]["Attributes"];
        about["name"].as_str().filter(|name| name.starts_with(start))?;
        let number = about["signal"].as_str()?.parse().ok()?;
        let at = event["timeNano"].as_u64()?;
        Some((event["Actor"]["ID"].as_str()?.get(..12)?.to_owned(), Signal { at: at.into(), number }))
    };
    for event in events.lines().filter_map(|line| serde_json::from_str(line).ok()) {
        if let Some((id, signal)) = signal(&event) {
            sent.entry(id).or_default().push(signal);
        }
    }
    sent
}

#[test]
fn signals_are_read_from_the_events_of_the_engine() {
    let line = r#"{"status":"kill","id":"a","Type":"container","Action":"kill","Actor":{"ID":"0123456789abcdef","Attributes":{"name":"shop-web-r1","signal":"15"}},"timeNano":1700}"#;
    let other = line.replace("shop-web-r1", "other-web-r1");
    let sent = read(&format!("{line}\n{other}\n{{\"half"), "shop-");
    assert_eq!(sent, Sent::from([("0123456789ab".to_owned(), vec![Signal { at: 1700, number: 15 }])]));
}
