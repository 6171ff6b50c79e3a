//! Who is told what happens.

use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units::duration;

/// One way by which others are told; exactly one of `webhook`, `webhook_file` and `command` says which.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NotificationSettings {
    /// The web address that gets each notice as JSON in a POST request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<String>,
    /// The file that holds the web address, for one that is a secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook_file: Option<String>,
    /// The program and its arguments as separate words; it gets the notice as JSON on its input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// What is told; everything if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<Vec<NoticeKind>>,
    /// How long one attempt may take; 5 seconds if not given. There are three attempts.
    #[serde(default, with = "duration::optional", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration::schema")]
    pub timeout: Option<Duration>,
}

/// What there is to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NoticeKind {
    /// A change has begun.
    Started,
    /// It is done.
    Succeeded,
    /// It has failed before anything was changed.
    Failed,
    /// It has failed, and what was changed is as before.
    RolledBack,
    /// A new release was taken back while it was watched.
    FlippedBack,
    /// It can go neither forward nor back and needs a person.
    Stuck,
    /// Something was changed by hand.
    DriftFound,
    /// A container that belongs to no release writes to a service's data.
    Intruder,
    /// A kept service had ended and was started again as it was.
    StartedAgain,
}

impl NoticeKind {
    /// Every kind, with its word.
    pub const WORDS: [(&'static str, NoticeKind); 9] = [
        ("started", NoticeKind::Started),
        ("succeeded", NoticeKind::Succeeded),
        ("failed", NoticeKind::Failed),
        ("rolled-back", NoticeKind::RolledBack),
        ("flipped-back", NoticeKind::FlippedBack),
        ("stuck", NoticeKind::Stuck),
        ("drift-found", NoticeKind::DriftFound),
        ("intruder", NoticeKind::Intruder),
        ("started-again", NoticeKind::StartedAgain),
    ];
}

impl fmt::Display for NoticeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = Self::WORDS.iter().find(|(_, kind)| kind == self).map_or("", |(word, _)| word);
        f.pad(word)
    }
}
