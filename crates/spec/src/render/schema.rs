//! The JSON schema of the platform file, for editors and for other programs.

use serde_json::{Map, Value, json};

use crate::platform::PlatformFile;

/// The JSON schema of `mainstay.yaml`.
pub fn schema() -> Value {
    let mut schema = schemars::schema_for!(PlatformFile).to_value();
    without_null(&mut schema);
    allow_single_route(&mut schema);
    titled(schema)
}

/// The title first, as a person expects it, and in the words of the file instead of the type's.
fn titled(mut schema: Value) -> Value {
    let mut first = Map::new();
    if let Some(fields) = schema.as_object_mut() {
        first.extend(fields.shift_remove_entry("$schema"));
        first.insert("title".to_owned(), json!("mainstay.yaml"));
        fields.shift_remove("title");
        first.append(fields);
    }
    Value::Object(first)
}

/// "Not written" is an absent key in the file, so nothing needs to be allowed to be null.
fn without_null(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            drop_null_type(fields);
            fields.shift_remove("default");
            for (key, value) in fields.iter_mut() {
                match value {
                    // The names of keys stand here, and `default` is one of them.
                    Value::Object(named) if key == "properties" => named.values_mut().for_each(without_null),
                    _ => without_null(value),
                }
            }
            flatten_single_choice(fields);
        }
        Value::Array(items) => items.iter_mut().for_each(without_null),
        _ => {}
    }
}

fn drop_null_type(fields: &mut Map<String, Value>) {
    if let Some(Value::Array(types)) = fields.get_mut("type") {
        types.retain(|kind| kind != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            fields.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(choices)) = fields.get_mut("anyOf") {
        choices.retain(|choice| *choice != json!({ "type": "null" }));
    }
}

/// A choice of one is no choice.
fn flatten_single_choice(fields: &mut Map<String, Value>) {
    let Some(Value::Array(choices)) = fields.get("anyOf") else { return };
    let [Value::Object(only)] = choices.as_slice() else { return };
    let only = only.clone();
    fields.shift_remove("anyOf");
    for (key, value) in only {
        fields.entry(key).or_insert(value);
    }
}

fn allow_single_route(schema: &mut Value) {
    let Some(properties) = schema.pointer_mut("/$defs/ServiceSettings/properties").and_then(Value::as_object_mut)
    else {
        return;
    };
    if let Some(mut route) = properties.get("routes").cloned() {
        if let Some(fields) = route.as_object_mut() {
            fields.insert("description".to_owned(), json!("The same as `routes`, for a service with one."));
        }
        properties.insert("route".to_owned(), route);
    }
}
