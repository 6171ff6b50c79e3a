//! Which holder sits where, under which names: decided purely.

use std::collections::{BTreeMap, BTreeSet};

use spec::ServiceName;

use super::{Holder, Seat};
use crate::store::InternalRecord;

/// What is to be done, in this order. A holder is named by its place in the list; those past its end are to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Move {
    Sit { holder: usize, network: String, names: Vec<String> },
    Leave { holder: usize, network: String },
    Go { holder: usize },
}

/// A service as one network sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Wanted {
    names: BTreeSet<String>,
    ports: BTreeSet<u16>,
}

type OnNetwork = BTreeMap<ServiceName, Wanted>;

/// The steps from what is there to what is wanted, and how many holders are to be made for them.
///
/// A seat that leads everybody right is left as it is, also where it has a name that nobody wants any more.
pub fn arrange(found: &[Holder], internals: &[InternalRecord]) -> (Vec<Move>, usize) {
    let wanted = by_network(internals);
    let nothing = OnNetwork::new();
    let mut sits = Vec::new();
    let mut leaves = Vec::new();
    // Which networks each holder is on, with those that are to be made.
    let mut taken: Vec<BTreeSet<String>> =
        found.iter().map(|holder| holder.seats.iter().map(|seat| seat.network.clone()).collect()).collect();
    for (index, holder) in found.iter().enumerate() {
        for seat in &holder.seats {
            if !is_right(seat, wanted.get(&seat.network).unwrap_or(&nothing)) {
                leaves.push(Move::Leave { holder: index, network: seat.network.clone() });
            }
        }
    }
    let stays =
        |index: usize, seat: &Seat| !leaves.contains(&Move::Leave { holder: index, network: seat.network.clone() });
    for (network, services) in &wanted {
        let seated = |service: &ServiceName, wanted: &Wanted| {
            found.iter().enumerate().any(|(index, holder)| {
                holder.seats.iter().any(|seat| {
                    seat.network == *network
                        && stays(index, seat)
                        && seat.has(service)
                        && wanted.names.iter().all(|name| seat.names.contains(name))
                })
            })
        };
        let missing = services.iter().filter(|(service, wanted)| !seated(service, wanted));
        for group in groups(missing) {
            let free = taken.iter().position(|networks| !networks.contains(network));
            let holder = free.unwrap_or_else(|| {
                taken.push(BTreeSet::new());
                taken.len() - 1
            });
            if let Some(networks) = taken.get_mut(holder) {
                networks.insert(network.clone());
            }
            sits.push(Move::Sit { holder, network: network.clone(), names: group });
        }
    }
    let goes = found.iter().enumerate().filter(|(index, holder)| {
        !holder.seats.iter().any(|seat| stays(*index, seat))
            && !sits.iter().any(|step| matches!(step, Move::Sit { holder, .. } if holder == index))
    });
    let goes: Vec<Move> = goes.map(|(holder, _)| Move::Go { holder }).collect();
    let is_kept = |step: &Move| match step {
        Move::Leave { holder, .. } => !goes.contains(&Move::Go { holder: *holder }),
        _ => true,
    };
    let leaves: Vec<Move> = leaves.iter().filter(|step| is_kept(step)).cloned().collect();
    let fresh = taken.len() - found.len();
    (sits.into_iter().chain(leaves).chain(goes).collect(), fresh)
}

fn by_network(internals: &[InternalRecord]) -> BTreeMap<String, OnNetwork> {
    let mut all: BTreeMap<String, OnNetwork> = BTreeMap::new();
    for internal in internals {
        for network in &internal.networks {
            let wanted = all.entry(network.clone()).or_default().entry(internal.service.clone()).or_default();
            wanted.names.insert(internal.service.to_string());
            wanted.names.extend(internal.names.iter().cloned());
            wanted.ports.insert(internal.port);
        }
    }
    all
}

/// Whether everybody who asks for one of a seat's names gets an answer of who is meant.
fn is_right(seat: &Seat, wanted: &OnNetwork) -> bool {
    let members: Vec<(&ServiceName, &Wanted)> = wanted.iter().filter(|(service, _)| seat.has(service)).collect();
    let mut ports = BTreeSet::new();
    let is_unambiguous = members.iter().flat_map(|(_, member)| &member.ports).all(|port| ports.insert(*port));
    let is_ours = |name: &String| members.iter().any(|(_, member)| member.names.contains(name));
    let is_anothers = |name: &String| wanted.values().any(|other| other.names.contains(name));
    !members.is_empty() && is_unambiguous && !seat.names.iter().any(|name| !is_ours(name) && is_anothers(name))
}

/// The names of services that can share a seat, as few seats as it takes one after the other.
fn groups<'a>(services: impl Iterator<Item = (&'a ServiceName, &'a Wanted)>) -> Vec<Vec<String>> {
    let mut groups: Vec<Wanted> = Vec::new();
    for (_, service) in services {
        let shared = groups.iter_mut().find(|group| group.ports.is_disjoint(&service.ports));
        match shared {
            Some(group) => {
                group.names.extend(service.names.iter().cloned());
                group.ports.extend(&service.ports);
            }
            None => groups.push(service.clone()),
        }
    }
    groups.into_iter().map(|group| group.names.into_iter().collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn internal(service: &str, port: u16, networks: &[&str], names: &[&str]) -> InternalRecord {
        InternalRecord {
            service: ServiceName::parse(service).unwrap(),
            port,
            tcp: false,
            networks: networks.iter().map(|network| (*network).to_owned()).collect(),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    fn sit(holder: usize, network: &str, names: &[&str]) -> Move {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        Move::Sit { holder, network: network.to_owned(), names }
    }

    fn leave(holder: usize, network: &str) -> Move {
        Move::Leave { holder, network: network.to_owned() }
    }

    fn holder(seats: &[(&str, &[&str])]) -> Holder {
        let seat = |(network, names): &(&str, &[&str])| Seat {
            network: (*network).to_owned(),
            addresses: vec![[10, 0, 0, 9].into()],
            names: names.iter().map(|name| (*name).to_owned()).collect(),
        };
        Holder { container: "names".into(), namespace: "/ns".into(), seats: seats.iter().map(seat).collect() }
    }

    #[test]
    fn one_holder_does_where_no_port_is_wanted_twice_and_a_second_comes_where_one_is() {
        let all = [
            internal("api", 8000, &["back"], &["backend"]),
            internal("web", 3000, &["back", "front"], &[]),
            internal("other", 8000, &["back"], &[]),
        ];
        let expected =
            vec![sit(0, "back", &["api", "backend", "web"]), sit(1, "back", &["other"]), sit(0, "front", &["web"])];
        assert_eq!(arrange(&[], &all), (expected, 2));
    }

    #[test]
    fn names_in_use_are_left_where_they_are_and_a_new_one_gets_a_seat_of_its_own() {
        let there = [holder(&[("back", &["api", "old"])])];
        let api = internal("api", 8000, &["back"], &[]);
        assert_eq!(arrange(&there, std::slice::from_ref(&api)), (vec![], 0), "a name too many does no harm");
        let all = [api, internal("web", 3000, &["back"], &[])];
        assert_eq!(arrange(&there, &all), (vec![sit(1, "back", &["web"])], 1));
        let both = [there[0].clone(), holder(&[("back", &["web"])])];
        assert_eq!(arrange(&both, &all), (vec![], 0));
        let elsewhere = [internal("api", 8000, &["back"], &[]), internal("web", 3000, &["front"], &[])];
        assert_eq!(arrange(&there, &elsewhere), (vec![sit(0, "front", &["web"])], 0), "a network it is not on yet");
    }

    #[test]
    fn a_name_too_few_gets_a_seat_beside_the_one_there_is() {
        let there = [holder(&[("back", &["api"])])];
        let all = [internal("api", 8000, &["back"], &["backend"])];
        assert_eq!(arrange(&there, &all), (vec![sit(1, "back", &["api", "backend"])], 1));
    }

    #[test]
    fn a_seat_that_would_lead_somebody_wrong_is_given_up() {
        let there = [holder(&[("back", &["api", "web"])])];
        let collide = [internal("api", 8000, &["back"], &[]), internal("web", 8000, &["back"], &[])];
        let (moves, fresh) = arrange(&there, &collide);
        assert_eq!(moves, [sit(1, "back", &["api"]), sit(2, "back", &["web"]), Move::Go { holder: 0 }]);
        assert_eq!(fresh, 2);
        let there = [holder(&[("back", &["api", "shop"])]), holder(&[("back", &["web", "shop"])])];
        let moved = [internal("api", 8000, &["back"], &[]), internal("web", 8000, &["back"], &["shop"])];
        let (moves, _) = arrange(&there, &moved);
        assert_eq!(moves, [sit(2, "back", &["api"]), Move::Go { holder: 0 }], "`shop` is web's now");
    }

    #[test]
    fn what_no_service_needs_any_more_goes() {
        let there = [holder(&[("back", &["api"]), ("front", &["web"])])];
        let all = [internal("web", 3000, &["front"], &[])];
        assert_eq!(arrange(&there, &all), (vec![leave(0, "back")], 0));
        assert_eq!(arrange(&there, &[]), (vec![Move::Go { holder: 0 }], 0));
    }
}
