//! What is mounted into a container.

use serde_json::Value;

use super::value;

/// Where the content of a mount comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MountKind {
    /// A folder or file of the host.
    Bind,
    /// A volume of Docker.
    Volume,
    /// Memory.
    Tmpfs,
    /// Something newer that this program does not know; its word is in the raw project.
    Other,
}

/// One mount of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Where the content comes from.
    pub kind: MountKind,
    /// The path or volume; `None` for memory and for volumes without a name.
    pub source: Option<String>,
    /// The path inside the container.
    pub target: String,
    /// Whether the container may not write to it.
    pub read_only: bool,
}

impl Mount {
    /// The name of the volume that the container may write to, if this is such a mount.
    pub fn written_volume(&self) -> Option<&str> {
        if self.kind != MountKind::Volume || self.read_only {
            return None;
        }
        self.source.as_deref()
    }

    pub(super) fn all(listed: Option<&Value>) -> Vec<Mount> {
        let Some(listed) = listed.and_then(Value::as_array) else { return Vec::new() };
        listed.iter().filter_map(Mount::read).collect()
    }

    pub(super) fn read(raw: &Value) -> Option<Mount> {
        match raw {
            Value::Object(fields) => Some(Mount {
                kind: kind(fields.get("type").and_then(Value::as_str).unwrap_or("volume")),
                source: fields.get("source").and_then(value::text),
                target: fields.get("target").and_then(value::text)?,
                read_only: fields.get("read_only").and_then(Value::as_bool).unwrap_or(false),
            }),
            short => Mount::read_short(&value::text(short)?),
        }
    }

    /// The short form, `source:target[:options]`; Compose spells it out, hand-made input may not.
    fn read_short(text: &str) -> Option<Mount> {
        let mut parts = text.split(':');
        let (first, second, options) = (parts.next()?, parts.next(), parts.next().unwrap_or_default());
        let (source, target) = match second {
            Some(target) => (Some(first.to_owned()), target.to_owned()),
            None => (None, first.to_owned()),
        };
        let is_path = source.as_deref().is_some_and(|source| source.starts_with(['/', '.', '~']));
        let kind = if is_path { MountKind::Bind } else { MountKind::Volume };
        Some(Mount { kind, source, target, read_only: options.split(',').any(|option| option == "ro") })
    }
}

fn kind(word: &str) -> MountKind {
    match word {
        "bind" => MountKind::Bind,
        "volume" => MountKind::Volume,
        "tmpfs" => MountKind::Tmpfs,
        _ => MountKind::Other,
    }
}
