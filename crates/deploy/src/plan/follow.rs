//! Who is restarted because somebody else is: `restart: true` of `depends_on`.

use std::collections::{BTreeMap, BTreeSet};

use spec::ServiceName;

use super::{Action, Change, Running, Selection, Wanted, change};

/// The changes, with those in their places whose dependency is replaced and that say `restart: true`, whether or not
/// they were asked for. One that changes anyway is restarted by that; one that differs and was not asked for stays.
pub fn with_restarts(
    changes: Vec<Change>,
    wanted: &[Wanted],
    running: &BTreeMap<ServiceName, Running>,
    restart_with: impl Fn(&ServiceName) -> Vec<ServiceName>,
) -> Vec<Change> {
    let mut asked: BTreeMap<ServiceName, Change> =
        changes.iter().map(|change| (change.service.clone(), change.clone())).collect();
    let mut replaced = BTreeSet::new();
    let mut all = Vec::new();
    for one in wanted {
        let cause = restart_with(&one.service).into_iter().find(|needed| replaced.contains(needed));
        let own = asked.remove(&one.service);
        let was_asked = own.is_some();
        let now = running.get(&one.service);
        let change = match (own, &cause) {
            (None, Some(_)) if now.is_some() => Some(change(one, now, &Selection::default())),
            (own, _) => own,
        };
        let Some(mut change) = change else { continue };
        match cause {
            Some(cause) if change.action == Action::Nothing => {
                change.action = Action::Update;
                change.again = true;
                change.reasons = vec![format!("`{cause}` is replaced, and `depends_on` says `restart: true`")];
            }
            _ if !was_asked => continue,
            _ => {}
        }
        if change.action == Action::Update {
            replaced.insert(change.service.clone());
        }
        all.push(change);
    }
    // What is no longer described comes last, as before.
    all.extend(changes.into_iter().filter(|change| asked.contains_key(&change.service)));
    all
}
