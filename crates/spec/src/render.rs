//! The resolved platform as text, and the JSON schema and reference page of the platform file.

mod reference;
mod schema;
mod text;

use std::collections::BTreeMap;

use serde_json::Value;

use crate::resolve::{Platform, ServicePlan};

pub use reference::reference;
pub use schema::schema;
pub(crate) use text::{comment, quoted};

/// The resolved platform as YAML, with the reason of each derived value as a comment.
pub fn yaml(platform: &Platform) -> String {
    let mut value = json(platform);
    let mut reasons = BTreeMap::new();
    let services = value.get_mut("services").map(Value::take).unwrap_or_default();
    let mut named = serde_json::Map::new();
    for (plan, mut service) in platform.services.iter().zip(services.as_array().cloned().unwrap_or_default()) {
        note_reasons(plan, &mut reasons);
        if let Some(fields) = service.as_object_mut() {
            // They stand beside the values as comments, so they are not said twice.
            for key in ["name", "reason", "reasons"] {
                fields.shift_remove(key);
            }
        }
        named.insert(plan.name.to_string(), service);
    }
    if let Some(fields) = value.as_object_mut() {
        fields.insert("services".to_owned(), Value::Object(named));
    }
    let title = format!("# {} in environment {}, as it is meant.\n", platform.name, platform.environment);
    title + &text::yaml(&value, &reasons)
}

/// The resolved platform as JSON, with the reasons as fields.
pub fn json(platform: &Platform) -> Value {
    // Every key is a text and every number finite, so there is nothing that JSON could refuse.
    serde_json::to_value(platform).unwrap_or(Value::Null)
}

fn note_reasons(plan: &ServicePlan, reasons: &mut BTreeMap<String, String>) {
    let path = format!("services.{}", plan.name);
    reasons.insert(format!("{path}.strategy"), plan.reason.clone());
    for (key, reason) in &plan.reasons {
        reasons.insert(format!("{path}.{key}"), reason.clone());
    }
}
