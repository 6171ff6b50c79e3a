//! One text per JSON value: sorted keys, no spaces. What is hashed or compared is written this way.

use serde_json::Value;

/// The canonical text of a value. Two values that are equal have the same text, whatever the order of their keys.
pub(crate) fn canonical(value: &Value) -> String {
    let mut text = String::new();
    write(value, &mut text);
    text
}

/// A string as JSON, escaped as `serde_json` escapes it.
pub(crate) fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

fn write(value: &Value, out: &mut String) {
    match value {
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write(item, out);
            }
            out.push(']');
        }
        Value::Object(map) => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort();
            out.push('{');
            for (index, key) in keys.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                out.push_str(&quoted(key));
                out.push(':');
                write(map.get(key).unwrap_or(&Value::Null), out);
            }
            out.push('}');
        }
        scalar => out.push_str(&scalar.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_order_of_keys_does_not_change_the_text() {
        let one = json!({"b": [1, {"z": null, "y": "a\"b"}], "a": 1.5});
        let two = json!({"a": 1.5, "b": [1, {"y": "a\"b", "z": null}]});
        assert_eq!(canonical(&one), canonical(&two));
        assert_eq!(canonical(&one), r#"{"a":1.5,"b":[1,{"y":"a\"b","z":null}]}"#);
    }

    #[test]
    fn values_that_differ_have_different_texts() {
        assert_ne!(canonical(&json!({"a": "1"})), canonical(&json!({"a": 1})));
        assert_ne!(canonical(&json!([1, 2])), canonical(&json!([2, 1])));
        assert_ne!(canonical(&json!({})), canonical(&json!(null)));
    }
}
