//! A JSON value as block YAML with comments.

use std::collections::BTreeMap;

use serde_json::Value;

/// Writes the value; a comment stands behind the key whose dotted path it has.
pub(super) fn yaml(value: &Value, comments: &BTreeMap<String, String>) -> String {
    let mut out = String::new();
    if let Value::Object(fields) = value {
        for (key, value) in fields {
            field(&mut out, 0, "", key, value, comments);
        }
    }
    out
}

fn field(out: &mut String, indent: usize, path: &str, key: &str, value: &Value, comments: &BTreeMap<String, String>) {
    let path = if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    let remark = comments.get(&path).map(|text| format!("  {}", comment(text))).unwrap_or_default();
    let margin = " ".repeat(indent);
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            out.push_str(&format!("{margin}{}:{remark}\n", quoted(key)));
            for (key, value) in fields {
                field(out, indent + 2, &path, key, value, comments);
            }
        }
        Value::Array(items) if items.iter().any(|item| item.is_object() || long(item)) => {
            out.push_str(&format!("{margin}{}:{remark}\n", quoted(key)));
            for item in items {
                out.push_str(&format!("{margin}- {}\n", flow(item)));
            }
        }
        other => out.push_str(&format!("{margin}{}: {}{remark}\n", quoted(key), flow(other))),
    }
}

fn long(item: &Value) -> bool {
    item.as_str().is_some_and(|text| text.contains(' '))
}

/// The value on one line.
fn flow(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        Value::Array(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::Object(fields) => {
            let fields: Vec<String> =
                fields.iter().map(|(key, value)| format!("{}: {}", quoted(key), flow(value))).collect();
            format!("{{{}}}", fields.join(", "))
        }
        other => other.to_string(),
    }
}

/// The text as a YAML scalar: plain where nobody could read anything else in it, in quotes otherwise.
pub(crate) fn quoted(text: &str) -> String {
    let begins = text.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '.' | '_'));
    let inside = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'.' | b'_' | b'-'));
    let word = matches!(
        text.to_ascii_lowercase().as_str(),
        "true" | "false" | "null" | "yes" | "no" | "on" | "off" | "y" | "n"
    );
    let number = text.parse::<f64>().is_ok() || text.starts_with('.') && text.len() < 5;
    // Durations and sizes begin with a digit and are still no numbers to YAML.
    let unit = text.starts_with(|c: char| c.is_ascii_digit())
        && text.ends_with(|c: char| c.is_ascii_lowercase())
        && !text.contains(['x', 'o', 'e', '.', '-', '_', '/']);
    if inside && !word && !number && (begins || unit) {
        return text.to_owned();
    }
    // A JSON text is a YAML text in double quotes.
    Value::String(text.to_owned()).to_string()
}

/// The text as a comment of one line.
pub(crate) fn comment(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!("# {line}")
}
