//! What a check found, kept so that promises are judged from records and never from hope.

use serde::{Deserialize, Serialize};

/// The three answers of a check.
/// "Could not look" is an answer of its own and never counts as a pass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "answer", content = "because")]
pub enum Verdict {
    /// It was looked at, and it is as it should be.
    Pass,
    /// It was looked at, and this was found instead.
    Fail(String),
    /// It could not be looked at, for this reason.
    Unknown(String),
}

impl Verdict {
    /// Whether this is a pass; unknown is not.
    pub fn is_pass(&self) -> bool {
        matches!(self, Verdict::Pass)
    }
}

impl Default for Verdict {
    /// What nobody has looked at is unknown.
    fn default() -> Self {
        Verdict::Unknown("not looked at yet".to_owned())
    }
}

/// One recorded finding about one subject.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// What was judged, such as `deploy` or `rollback-time`.
    pub kind: String,
    /// About what, such as `ytempire/production/api`.
    pub subject: String,
    /// What was found.
    pub verdict: Verdict,
    /// When, in Unix milliseconds.
    pub at_ms: i64,
    /// The numbers and texts behind the verdict.
    pub detail: serde_json::Value,
}
