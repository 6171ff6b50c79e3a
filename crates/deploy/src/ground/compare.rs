//! What differs between the file and a network or volume that exists, in words. Pure.
//!
//! What the file does not write is the engine's to choose, so it never differs.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use machine::docker::{AddressPool, Network, NetworkSpec, Volume, VolumeSpec};
use serde_json::Value;

/// `raw` is what the file says about the network.
pub fn network(wanted: &NetworkSpec, raw: &Value, found: &Network) -> Vec<String> {
    let is_written = |key: &str| raw.get(key).is_some_and(|value| !value.is_null());
    let mut lines = Vec::new();
    if is_written("driver") && wanted.driver != found.driver {
        lines.push(differs("driver", &found.driver, &wanted.driver));
    }
    lines.extend(pools(&wanted.pools, &found.pools));
    // No engine has another default here, and what was closed or open before is a promise of the file.
    lines.extend(flag("internal", found.internal, wanted.internal));
    if is_written("attachable") {
        lines.extend(flag("attachable", found.attachable, wanted.attachable));
    }
    if is_written("enable_ipv6") {
        lines.extend(flag("ipv6", found.ipv6, wanted.ipv6));
    }
    // An engine adds options of its own (a default MTU).
    for (key, value) in &wanted.options {
        let now = found.options.get(key);
        if now != Some(value) {
            lines.push(differs(key, now.map_or("none", String::as_str), value));
        }
    }
    lines
}

fn pools(wanted: &[AddressPool], found: &[AddressPool]) -> Vec<String> {
    let mut lines = Vec::new();
    let beside = |pool: &AddressPool| {
        let others = found.iter().filter(|other| {
            is_v6(&other.subnet) == is_v6(&pool.subnet)
                && !wanted.iter().any(|wanted| same_net(&wanted.subnet, &other.subnet))
        });
        let others: Vec<&str> = others.map(|other| other.subnet.as_str()).collect();
        if others.is_empty() { "none".to_owned() } else { others.join(", ") }
    };
    for pool in wanted {
        let Some(known) = found.iter().find(|known| same_net(&known.subnet, &pool.subnet)) else {
            lines.push(differs("subnet", &beside(pool), &pool.subnet));
            continue;
        };
        let first = || first_address(&known.subnet).map(|address| address.to_string());
        let gateway = known.gateway.clone().or_else(first).unwrap_or_default();
        if let Some(written) = pool.gateway.as_ref().filter(|written| !same_address(written, &gateway)) {
            lines.push(differs("gateway", &gateway, written));
        }
        let range = known.range.as_deref().unwrap_or("none");
        if let Some(written) = pool.range.as_ref().filter(|written| !same_net(written, range)) {
            lines.push(differs("range", range, written));
        }
        for (name, address) in &pool.reserved {
            let now = known.reserved.get(name).map_or("none", String::as_str);
            if !same_address(now, address) {
                lines.push(differs(&format!("address of {name}"), now, address));
            }
        }
    }
    // One that the file has given up, beside those that it still has.
    if lines.is_empty() {
        let is_chosen = |pool: &&AddressPool| wanted.iter().any(|one| is_v6(&one.subnet) == is_v6(&pool.subnet));
        let is_left = |pool: &&AddressPool| !wanted.iter().any(|one| same_net(&one.subnet, &pool.subnet));
        let left = found.iter().filter(is_chosen).filter(is_left);
        lines.extend(left.map(|pool| differs("subnet", &pool.subnet, "none")));
    }
    lines
}

/// What differs of a volume.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VolumeDifference {
    /// Where its data lies: driver and options.
    pub data: Vec<String>,
    pub labels: Vec<String>,
}

/// `written` are the labels of the file; `is_made_here`: Compose or Mainstay made it from this file. One that somebody
/// made by hand is as he made it, unless the file says more than its name.
pub fn volume(
    wanted: &VolumeSpec,
    written: &BTreeMap<String, String>,
    found: &Volume,
    is_made_here: bool,
) -> VolumeDifference {
    let mut difference = VolumeDifference::default();
    for (key, value) in written {
        let now = found.labels.get(key);
        if now != Some(value) {
            difference.labels.push(differs(&format!("label {key}"), now.map_or("none", String::as_str), value));
        }
    }
    let says_nothing = wanted.driver.is_none() && wanted.options.is_empty();
    if says_nothing && !is_made_here {
        return difference;
    }
    let driver = wanted.driver.as_deref().unwrap_or("local");
    if driver != found.driver {
        difference.data.push(differs("driver", &found.driver, driver));
    }
    let mut keys: Vec<&String> = found.options.keys().chain(wanted.options.keys()).collect();
    keys.sort();
    keys.dedup();
    for key in keys {
        let (now, then) = (found.options.get(key), wanted.options.get(key));
        if now != then {
            difference.data.push(option(key, now, then));
        }
    }
    difference
}

/// A share's options may hold its password, which no plan shows.
fn option(key: &str, now: Option<&String>, then: Option<&String>) -> String {
    let is_secret = |value: &String| value.to_lowercase().contains("pass");
    if now.is_some_and(is_secret) || then.is_some_and(is_secret) {
        return format!("{key} differs (its value holds a password)");
    }
    differs(key, now.map_or("none", String::as_str), then.map_or("none", String::as_str))
}

fn flag(word: &str, now: bool, then: bool) -> Option<String> {
    let told = |on: bool| if on { "yes" } else { "no" };
    (now != then).then(|| format!("{word}: {} → {}", told(now), told(then)))
}

fn differs(what: &str, now: &str, then: &str) -> String {
    format!("{what} {now} → {then}")
}

fn is_v6(subnet: &str) -> bool {
    subnet.contains(':')
}

fn same_net(one: &str, other: &str) -> bool {
    match (one.parse::<IpNet>(), other.parse::<IpNet>()) {
        (Ok(one), Ok(other)) => one.trunc() == other.trunc(),
        _ => one == other,
    }
}

fn same_address(one: &str, other: &str) -> bool {
    match (one.parse::<IpAddr>(), other.parse::<IpAddr>()) {
        (Ok(one), Ok(other)) => one == other,
        _ => one == other,
    }
}

fn first_address(subnet: &str) -> Option<IpAddr> {
    subnet.parse::<IpNet>().ok()?.hosts().next()
}

/// Whether an address lies in one of these pools.
pub fn lies_in(address: IpAddr, pools: &[AddressPool]) -> bool {
    pools.iter().any(|pool| pool.subnet.parse::<IpNet>().is_ok_and(|net| net.contains(&address)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pool(subnet: &str, gateway: Option<&str>) -> AddressPool {
        AddressPool { gateway: gateway.map(str::to_owned), ..AddressPool::subnet(subnet) }
    }

    /// A network as an engine tells one that it was asked nothing special for.
    fn found() -> Network {
        Network {
            id: "n".into(),
            name: "shop_back".into(),
            driver: "bridge".into(),
            internal: false,
            gateway: "10.77.1.1".parse().ok(),
            subnet: Some("10.77.1.0/24".into()),
            pools: vec![pool("10.77.1.0/24", None)],
            attachable: false,
            ipv6: false,
            options: BTreeMap::new(),
            labels: BTreeMap::new(),
            containers: Vec::new(),
        }
    }

    fn lines(change: impl FnOnce(&mut NetworkSpec), raw: Value, found: &Network) -> Vec<String> {
        let mut wanted = NetworkSpec::bridge("shop_back");
        change(&mut wanted);
        network(&wanted, &raw, found)
    }

    #[test]
    fn a_network_differs_in_what_the_file_writes_and_in_nothing_else() {
        let none: [&str; 0] = [];
        let mut theirs = found();
        theirs.attachable = true;
        theirs.ipv6 = true;
        theirs.options.insert("com.docker.network.driver.mtu".into(), "1400".into());
        theirs.pools.push(pool("fd00::/64", Some("fd00::1")));
        assert_eq!(lines(|_| {}, json!({}), &theirs), none, "what an engine chooses is no difference");
        let first = |spec: &mut NetworkSpec| spec.pools = vec![pool("10.77.1.0/24", Some("10.77.1.1"))];
        assert_eq!(lines(first, json!({}), &theirs), none, "the gateway that nobody asked for is the first address");
        let same = |spec: &mut NetworkSpec| spec.pools = vec![pool("10.77.1.9/24", None)];
        assert_eq!(lines(same, json!({}), &theirs), none, "the same network, written otherwise");
        let subnet = |spec: &mut NetworkSpec| spec.pools = vec![pool("10.77.2.0/24", None)];
        assert_eq!(lines(subnet, json!({}), &found()), ["subnet 10.77.1.0/24 → 10.77.2.0/24"]);
        let gateway = |spec: &mut NetworkSpec| spec.pools = vec![pool("10.77.1.0/24", Some("10.77.1.254"))];
        assert_eq!(lines(gateway, json!({}), &found()), ["gateway 10.77.1.1 → 10.77.1.254"]);
        assert_eq!(lines(|spec| spec.internal = true, json!({}), &found()), ["internal: no → yes"]);
        let closed = Network { internal: true, ..found() };
        assert_eq!(lines(|_| {}, json!({}), &closed), ["internal: yes → no"]);
        let written = json!({ "attachable": false, "enable_ipv6": false, "driver": "macvlan" });
        let other = lines(|spec| spec.driver = "macvlan".into(), written, &theirs);
        assert_eq!(other, ["driver bridge → macvlan", "attachable: yes → no", "ipv6: yes → no"]);
        let mtu = |spec: &mut NetworkSpec| {
            spec.options.insert("com.docker.network.driver.mtu".into(), "9000".into());
        };
        assert_eq!(lines(mtu, json!({}), &theirs), ["com.docker.network.driver.mtu 1400 → 9000"]);
        let mut two = found();
        two.pools.push(pool("10.78.0.0/24", None));
        let one = |spec: &mut NetworkSpec| spec.pools = vec![pool("10.77.1.0/24", None)];
        assert_eq!(lines(one, json!({}), &two), ["subnet 10.78.0.0/24 → none"]);
    }

    fn options(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_volume_differs_in_driver_options_and_labels() {
        let spec = |pairs| VolumeSpec { options: options(pairs), ..VolumeSpec::default() };
        let found = |pairs| Volume { driver: "local".into(), options: options(pairs), ..Volume::default() };
        let none = BTreeMap::new();
        assert_eq!(volume(&spec(&[]), &none, &found(&[]), true), VolumeDifference::default());
        let moved = volume(&spec(&[("device", "/two")]), &none, &found(&[("device", "/one")]), true);
        assert_eq!(moved.data, ["device /one → /two"]);
        let by_hand = volume(&spec(&[]), &none, &found(&[("device", "/one")]), false);
        assert_eq!(by_hand, VolumeDifference::default(), "somebody made it so, and the file only names it");
        let given_up = volume(&spec(&[]), &none, &found(&[("device", "/one")]), true);
        assert_eq!(given_up.data, ["device /one → none"]);
        let plugin = VolumeSpec { driver: Some("rclone".into()), ..VolumeSpec::default() };
        assert_eq!(volume(&plugin, &none, &found(&[]), true).data, ["driver local → rclone"]);
        let secret = volume(&spec(&[("o", "password=new")]), &none, &found(&[("o", "password=old")]), true);
        assert_eq!(secret.data, ["o differs (its value holds a password)"]);
        let labelled = volume(&spec(&[]), &options(&[("team", "shop")]), &found(&[]), true);
        assert_eq!((labelled.data.len(), labelled.labels), (0, vec!["label team none → shop".to_owned()]));
    }
}
