//! Lines in a stored definition that lead other services' names to the edge, as releases of before address holders have
//! them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde_json::{Value, json};
use spec::ServiceName;

use crate::store::InternalRecord;

/// The definition with today's addresses; `None` where it has them already.
pub fn refreshed(
    document: &Value,
    key: &str,
    service: &ServiceName,
    internals: &[InternalRecord],
    gateways: &BTreeMap<String, IpAddr>,
) -> Option<Value> {
    let part = document.get("services")?.get(key)?;
    let hosts = part.get("extra_hosts")?.as_array()?;
    let on: Vec<&str> = match part.get("networks")? {
        Value::Object(all) => all.keys().map(String::as_str).collect(),
        Value::Array(all) => all.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let real = |key: &&str| document.get("networks")?.get(*key)?.get("name")?.as_str();
    let mine: Vec<&str> = on.iter().filter_map(real).collect();
    let today = |name: &str| {
        let internal = internals.iter().find(|internal| {
            internal.service != *service
                && (internal.service.as_str() == name || internal.names.iter().any(|other| other == name))
        })?;
        let shared = internal.networks.iter().find(|network| mine.contains(&network.as_str()))?;
        gateways.get(shared)
    };
    let mut changed = false;
    let fresh = |host: &Value| {
        let (name, address) = host.as_str()?.split_once(':')?;
        let was: IpAddr = address.parse().ok()?;
        let is = today(name).filter(|is| **is != was)?;
        Some(json!(format!("{name}:{is}")))
    };
    let hosts: Vec<Value> = hosts
        .iter()
        .map(|host| {
            fresh(host).map_or_else(
                || host.clone(),
                |fresh| {
                    changed = true;
                    fresh
                },
            )
        })
        .collect();
    let mut document = document.clone();
    *document.get_mut("services")?.get_mut(key)?.get_mut("extra_hosts")? = Value::Array(hosts);
    changed.then_some(document)
}

/// The definition without such lines: names are asked for in Docker's name service.
pub fn without(mut document: Value, key: &str, service: &ServiceName, internals: &[InternalRecord]) -> Value {
    let is_named = |name: &str| {
        internals.iter().any(|internal| {
            internal.service != *service
                && (internal.service.as_str() == name || internal.names.iter().any(|other| other == name))
        })
    };
    // What the file itself says is written with an equals sign.
    let is_ours = |line: &Value| {
        let pair = line.as_str().and_then(|line| line.split_once(':'));
        pair.is_some_and(|(name, address)| is_named(name) && address.parse::<IpAddr>().is_ok())
    };
    let Some(part) = document.pointer_mut(&format!("/services/{key}")).and_then(Value::as_object_mut) else {
        return document;
    };
    if let Some(Value::Array(lines)) = part.get_mut("extra_hosts") {
        lines.retain(|line| !is_ours(line));
        if lines.is_empty() {
            part.remove("extra_hosts");
        }
    }
    document
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_services_follow_the_gateway_and_what_the_file_says_stays() {
        let document = json!({
            "services": { "web-r1": {
                "networks": { "back": {} },
                "extra_hosts": ["api:10.77.1.1", "shop:10.77.1.1", "db=10.9.9.9", "own:10.8.8.8"],
            } },
            "networks": { "back": { "external": true, "name": "shop_back" } },
        });
        let internal = InternalRecord {
            service: ServiceName::parse("api").unwrap(),
            port: 8080,
            tcp: false,
            networks: vec!["shop_back".into()],
            names: vec!["shop".into()],
        };
        let web = ServiceName::parse("web").unwrap();
        let at = |gateway: &str| [("shop_back".to_owned(), gateway.parse().unwrap())].into();
        let look = |gateway: &str| {
            refreshed(&document, "web-r1", &web, std::slice::from_ref(&internal), &at(gateway))
                .map(|fresh| fresh["services"]["web-r1"]["extra_hosts"].clone())
        };
        assert_eq!(look("10.77.1.1"), None);
        let expected = json!(["api:10.77.2.1", "shop:10.77.2.1", "db=10.9.9.9", "own:10.8.8.8"]);
        assert_eq!(look("10.77.2.1"), Some(expected));
        let left = without(document.clone(), "web-r1", &web, std::slice::from_ref(&internal));
        assert_eq!(left["services"]["web-r1"]["extra_hosts"], json!(["db=10.9.9.9", "own:10.8.8.8"]));
    }
}
