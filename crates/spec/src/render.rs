//! The resolved platform as text, its JSON schema and its reference page.

use serde_json::Value;

use crate::resolve::Platform;

/// The resolved platform as YAML, with the reason of each derived value as a comment.
pub fn yaml(_platform: &Platform) -> String {
    String::new()
}

/// The resolved platform as JSON, with the reasons as fields.
pub fn json(platform: &Platform) -> Value {
    serde_json::to_value(platform).unwrap_or(Value::Null)
}

/// The JSON schema of `mainstay.yaml`.
pub fn schema() -> Value {
    schemars::schema_for!(crate::PlatformFile).to_value()
}

/// The reference page of `mainstay.yaml`, in Markdown.
pub fn reference() -> String {
    String::new()
}
