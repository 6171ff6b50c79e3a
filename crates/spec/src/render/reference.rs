//! The reference page, written from the JSON schema and so from the doc comments of the types.

use serde_json::Value;

use super::schema;

/// The reference page of `mainstay.yaml`, in Markdown.
pub fn reference() -> String {
    let schema = schema();
    let mut page = String::from("# The platform file\n\n");
    page.push_str("<!-- Written from the types of the `spec` crate; a test compares them. -->\n\n");
    page.push_str("`mainstay.yaml` stands beside the compose file.\n");
    section(&mut page, &schema);
    page.push_str(UNITS);
    if let Some(definitions) = schema.get("$defs").and_then(Value::as_object) {
        for (name, definition) in definitions {
            page.push_str(&format!("\n## {}\n\n", title(name)));
            section(&mut page, definition);
        }
    }
    page.push_str("\n## Example\n\n```yaml\n");
    page.push_str(crate::EXAMPLE);
    page.push_str("```\n");
    page
}

const UNITS: &str = "\n## Units\n\n\
    | unit | written as |\n| --- | --- |\n\
    | duration | `250ms`, `30s`, `5m`, `1h30m`, `7d`; never a number alone |\n\
    | memory | `512m`, `1.5g`, `64 MB`; 1 KB is 1,024 bytes |\n\
    | percent | `95%` |\n\
    | money | `$3`, `€0.25`, `3 USD` |\n\
    | address | `80`, `127.0.0.1:8080`, `[::]:80` |\n\
    | status | `200`, `200-299` |\n\
    | rate | `100/s`, `600/m`, `20/10s` |\n\
    | network | `10.0.0.0/8`, `2001:db8::/32`, `192.0.2.7` |\n";

fn section(page: &mut String, definition: &Value) {
    if let Some(description) = description(definition) {
        page.push_str(&format!("{description}\n"));
    }
    if let Some(choices) = definition.get("oneOf").and_then(Value::as_array) {
        page.push_str("\n| word | meaning |\n| --- | --- |\n");
        for choice in choices {
            let word = choice.get("const").and_then(Value::as_str).unwrap_or_default();
            page.push_str(&format!("| `{word}` | {} |\n", cell(choice)));
        }
    }
    let Some(properties) = definition.get("properties").and_then(Value::as_object) else { return };
    let required = definition.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
    page.push_str("\n| key | value | meaning |\n| --- | --- | --- |\n");
    for (key, property) in properties {
        let must = if required.iter().any(|name| name == key) { "Required. " } else { "" };
        page.push_str(&format!("| `{key}` | {} | {must}{} |\n", kind(property), cell(property)));
    }
}

fn description(value: &Value) -> Option<&str> {
    value.get("description").and_then(Value::as_str)
}

fn cell(value: &Value) -> String {
    description(value).unwrap_or_default().replace('\n', " ").replace('|', "\\|")
}

/// What may be written, in words.
fn kind(value: &Value) -> String {
    if let Some(name) = value.get("$ref").and_then(Value::as_str).and_then(|path| path.rsplit('/').next()) {
        return format!("[{}](#{})", title(name).to_lowercase(), title(name).to_lowercase().replace(' ', "-"));
    }
    if let Some(choices) = value.get("anyOf").and_then(Value::as_array) {
        let mut words: Vec<String> = choices.iter().map(kind).collect();
        words.dedup();
        return words.join(" or ");
    }
    if let Some(format) = value.get("format").and_then(Value::as_str).filter(|format| !format.contains("int")) {
        return word_of_format(format).to_owned();
    }
    match value.get("type").and_then(Value::as_str) {
        Some("array") => format!("list of {}", value.get("items").map(kind).unwrap_or_default()),
        Some("object") => {
            let named = first_pattern(value).or_else(|| value.get("additionalProperties"));
            format!("mapping of names to {}", named.map(kind).unwrap_or_default())
        }
        Some("integer") => "number".to_owned(),
        Some("boolean") => "`true` or `false`".to_owned(),
        Some("string") if value.get("pattern").is_some() => "name".to_owned(),
        _ => "text".to_owned(),
    }
}

fn first_pattern(value: &Value) -> Option<&Value> {
    value.get("patternProperties")?.as_object()?.values().next()
}

fn word_of_format(format: &str) -> &str {
    match format {
        "bytes" => "memory",
        "bind" => "address",
        "double" => "number",
        other => other,
    }
}

/// `ServiceSettings` is "Service settings" to a reader.
fn title(name: &str) -> String {
    let mut words = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !words.is_empty() {
            words.push(' ');
            words.push(c.to_ascii_lowercase());
        } else {
            words.push(c);
        }
    }
    words
}
