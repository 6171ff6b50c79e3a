//! Which crate may import which.

use crate::house::{Crate, House, Place};

pub(super) fn check(house: &House) -> Vec<String> {
    let mut findings = Vec::new();
    for member in &house.crates {
        if member.place == Place::Unsaid {
            findings.push(format!(
                "{} says no floor: add `[package.metadata.house]` with `floor = N` or `beside = true`",
                member.name
            ));
        }
        for import in &member.imports {
            let Some(other) = house.find(&import.name) else {
                continue;
            };
            if let Some(reason) = refusal(member, other, import.for_tests_only) {
                findings.push(format!("{} imports {}: {reason}", member.name, other.name));
            }
        }
    }
    findings
}

/// Why one crate may not import the other, if so.
fn refusal(from: &Crate, to: &Crate, for_tests_only: bool) -> Option<String> {
    match (from.place, to.place) {
        (Place::Floor(_), Place::Beside) if for_tests_only => None,
        (Place::Floor(_), Place::Beside) => Some("what stands beside the stairs is for tests only".to_owned()),
        (Place::Floor(own), Place::Floor(other)) if other >= own => {
            Some(format!("floor {other} is not below floor {own}"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::house::Import;

    fn member(name: &str, place: Place, imports: &[(&str, bool)]) -> Crate {
        let imports = imports
            .iter()
            .map(|(name, for_tests_only)| Import { name: (*name).to_owned(), for_tests_only: *for_tests_only });
        Crate {
            name: name.to_owned(),
            folder: format!("crates/{name}"),
            place,
            imports: imports.collect(),
            roots: Vec::new(),
        }
    }

    fn findings(crates: Vec<Crate>) -> Vec<String> {
        let house = House { crates, files: Default::default() };
        check(&house)
    }

    #[test]
    fn importing_from_below_is_allowed() {
        let low = member("low", Place::Floor(1), &[]);
        let high = member("high", Place::Floor(2), &[("low", false)]);
        assert!(findings(vec![low, high]).is_empty());
    }

    #[test]
    fn importing_from_the_same_floor_or_above_is_refused_even_for_tests() {
        let left = member("left", Place::Floor(2), &[("right", false)]);
        let right = member("right", Place::Floor(2), &[("above", true)]);
        let above = member("above", Place::Floor(3), &[]);
        let found = findings(vec![left, right, above]);
        assert_eq!(
            found,
            ["left imports right: floor 2 is not below floor 2", "right imports above: floor 3 is not below floor 2",]
        );
    }

    #[test]
    fn a_crate_beside_the_stairs_is_for_tests_only() {
        let kit = member("kit", Place::Beside, &[("tested", false)]);
        let tested = member("tested", Place::Floor(1), &[("kit", true)]);
        let shipped = member("shipped", Place::Floor(2), &[("kit", false)]);
        assert_eq!(
            findings(vec![kit, tested, shipped]),
            ["shipped imports kit: what stands beside the stairs is for tests only"]
        );
    }

    #[test]
    fn a_crate_without_a_floor_is_a_finding() {
        let found = findings(vec![member("lost", Place::Unsaid, &[])]);
        assert!(found[0].starts_with("lost says no floor"), "{found:?}");
    }
}
