//! `volumes_from`: a service has the mounts of another one, which are written out as its own.
//!
//! What only the other service's container would know (a volume without a name) cannot be written out, so such a line
//! stays, and is refused later.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::mounts::{Mount, MountKind};

const KEY: &str = "volumes_from";

/// The services of a project with those lines replaced that can be.
pub(super) fn written_out(services: &Map<String, Value>) -> Map<String, Value> {
    let mut all = services.clone();
    for (name, service) in &mut all {
        let Some(lines) = service.get(KEY).and_then(Value::as_array).cloned() else { continue };
        let mut left = Vec::new();
        for line in lines {
            let mounts = line.as_str().and_then(|line| taken_over(services, line, &mut BTreeSet::from([name.clone()])));
            match mounts {
                Some(mounts) => take(service, mounts),
                None => left.push(line),
            }
        }
        let Some(fields) = service.as_object_mut() else { continue };
        match left.is_empty() {
            true => drop(fields.shift_remove(KEY)),
            false => drop(fields.insert(KEY.to_owned(), Value::Array(left))),
        }
    }
    all
}

/// All mounts that a line means; `None` where one of them cannot be written out.
fn taken_over(services: &Map<String, Value>, line: &str, seen: &mut BTreeSet<String>) -> Option<Vec<Value>> {
    let (name, mode) = line.split_once(':').unwrap_or((line, "rw"));
    // Also `container:NAME`, which is nobody's here.
    let service = services.get(name).filter(|_| seen.insert(name.to_owned()))?;
    let mut mounts = Vec::new();
    for mount in service.get("volumes").and_then(Value::as_array).into_iter().flatten() {
        match Mount::read(mount)? {
            // In memory: every container has its own.
            Mount { kind: MountKind::Tmpfs, .. } => {}
            Mount { source: None, .. } => return None,
            _ => mounts.push(mount.clone()),
        }
    }
    for line in service.get(KEY).and_then(Value::as_array).into_iter().flatten() {
        for mount in taken_over(services, line.as_str()?, seen)? {
            if !mounts.iter().any(|own| target(own) == target(&mount)) {
                mounts.push(mount);
            }
        }
    }
    if mode == "ro" {
        for mount in mounts.iter_mut().filter_map(Value::as_object_mut) {
            mount.insert("read_only".to_owned(), json!(true));
        }
    }
    Some(mounts)
}

fn target(mount: &Value) -> Option<String> {
    Mount::read(mount).map(|mount| mount.target)
}

/// A mount of its own at the same path counts.
fn take(service: &mut Value, mounts: Vec<Value>) {
    let Some(fields) = service.as_object_mut() else { return };
    let own = fields.entry("volumes").or_insert_with(|| json!([]));
    let Some(own) = own.as_array_mut() else { return };
    for mount in mounts {
        if !own.iter().any(|known| target(known) == target(&mount)) {
            own.push(mount);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volume(source: &str, target: &str) -> Value {
        json!({ "type": "volume", "source": source, "target": target })
    }

    fn of(services: Value) -> Map<String, Value> {
        written_out(services.as_object().unwrap())
    }

    #[test]
    fn mounts_of_another_service_become_its_own_also_through_a_third() {
        let found = of(json!({
            "web": { "volumes_from": ["data:ro"], "volumes": [volume("own", "/own")] },
            "data": { "volumes": [volume("content", "/content"), volume("shadowed", "/own")], "volumes_from": ["base"] },
            "base": { "volumes": [volume("base", "/base"), { "type": "tmpfs", "target": "/memory" }] },
        }));
        let read_only = |source: &str, target: &str| json!({ "type": "volume", "source": source, "target": target, "read_only": true });
        let expected = json!([volume("own", "/own"), read_only("content", "/content"), read_only("base", "/base")]);
        assert_eq!(found["web"], json!({ "volumes": expected }));
        assert_eq!(found["data"]["volumes"].as_array().unwrap().len(), 3);
    }

    #[test]
    fn what_cannot_be_written_out_stays_to_be_refused() {
        let anonymous = json!({ "type": "volume", "target": "/scratch" });
        let found = of(json!({
            "web": { "volumes_from": ["data", "container:other", "gone"] },
            "data": { "volumes": [anonymous] },
            "one": { "volumes_from": ["two"] },
            "two": { "volumes_from": ["one"] },
        }));
        assert_eq!(found["web"]["volumes_from"], json!(["data", "container:other", "gone"]));
        assert_eq!(found["one"]["volumes_from"], json!(["two"]), "in a circle");
    }
}
