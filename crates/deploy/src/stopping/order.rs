//! Services stop in the reverse order of their dependencies: whoever still has something to write finds its database.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;
use tokio::sync::watch;

use crate::error::DeployError;
use crate::release::{Release, State};

/// What each service needs, directly and through others, by pool.
#[derive(Debug, Clone, Default)]
pub struct Needs(BTreeMap<String, BTreeSet<String>>);

/// The release by which a service is known: the serving one, else the one that served last, else the newest.
pub fn deciding<'a>(releases: impl IntoIterator<Item = &'a Release>) -> Option<&'a Release> {
    releases
        .into_iter()
        .max_by_key(|release| (release.state == State::Serving, release.switched_ms, release.id.number()))
}

impl Needs {
    /// As the releases were made; a release that does not serve goes with its service.
    pub fn of<'a>(releases: impl IntoIterator<Item = &'a Release>) -> Needs {
        let mut of_pool: BTreeMap<String, Vec<&Release>> = BTreeMap::new();
        for release in releases {
            of_pool.entry(release.pool()).or_default().push(release);
        }
        let direct: BTreeMap<String, BTreeSet<String>> = of_pool
            .into_iter()
            .filter_map(|(pool, releases)| {
                let release = deciding(releases)?;
                let needed = release.plan.depends_on.iter().map(|needed| release.scope.pool(needed));
                Some((pool, needed.collect()))
            })
            .collect();
        Needs(direct.keys().map(|pool| (pool.clone(), reached(&direct, pool))).collect())
    }

    /// Whether the one has to be gone before the other is stopped. Two that need each other do not wait at all.
    fn goes_before(&self, one: &str, other: &str) -> bool {
        let needs = |one: &str, other: &str| self.0.get(one).is_some_and(|needed| needed.contains(other));
        one != other && needs(one, other) && !needs(other, one)
    }

    /// Sorts so that whatever needs something comes before it, for callers that stop one after the other.
    pub fn sort<T>(&self, items: &mut [T], pool: impl Fn(&T) -> String) {
        // Who needs another needs all that the other needs, and the other.
        items.sort_by_key(|item| std::cmp::Reverse(self.0.get(&pool(item)).map_or(0, BTreeSet::len)));
    }

    /// Stops each pool as soon as those that need it have ended; independent ones side by side.
    /// What a pool that could not be stopped needs is left alone. The first error is told when each has had its turn.
    pub async fn stop<F>(&self, pools: &[String], stop: impl Fn(String) -> F) -> Result<(), DeployError>
    where
        F: Future<Output = Result<(), DeployError>>,
    {
        let ends: BTreeMap<&String, watch::Sender<Option<bool>>> =
            pools.iter().map(|pool| (pool, watch::Sender::new(None))).collect();
        let (ends, stop) = (&ends, &stop);
        let works = pools.iter().map(|pool| async move {
            let mut is_free = true;
            for (_, end) in ends.iter().filter(|(other, _)| self.goes_before(other, pool)) {
                // The sender lives as long as this.
                is_free &= end.subscribe().wait_for(Option::is_some).await.is_ok_and(|end| *end == Some(true));
            }
            let result = match is_free {
                true => stop(pool.clone()).await,
                false => Ok(()),
            };
            if let Some(end) = ends.get(pool) {
                end.send_replace(Some(is_free && result.is_ok()));
            }
            result
        });
        join_all(works).await.into_iter().collect()
    }
}

/// Everything that can be reached from here, without the start.
fn reached(direct: &BTreeMap<String, BTreeSet<String>>, from: &String) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut next: Vec<&String> = direct.get(from).into_iter().flatten().collect();
    while let Some(pool) = next.pop() {
        if found.insert(pool.clone()) {
            next.extend(direct.get(pool).into_iter().flatten());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;

    use super::*;

    /// `web` needs `api`, which needs `db` and `cache`; `one` and `two` need each other.
    fn needs() -> Needs {
        let pairs = [("web", vec!["api"]), ("api", vec!["db", "cache"]), ("one", vec!["two"]), ("two", vec!["one"])];
        let direct: BTreeMap<String, BTreeSet<String>> = pairs
            .into_iter()
            .map(|(pool, needed)| (pool.to_owned(), needed.into_iter().map(str::to_owned).collect()))
            .collect();
        Needs(direct.keys().map(|pool| (pool.clone(), reached(&direct, pool))).collect())
    }

    fn pools(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    async fn stopped(names: &[&str], refused: &str) -> (Vec<String>, bool) {
        let log = Mutex::new(Vec::new());
        let (needs, pools) = (needs(), pools(names));
        let result = needs.stop(&pools, |pool| {
            let log = &log;
            async move {
                if pool == refused {
                    return Err(DeployError::Refused(pool));
                }
                log.lock().push(format!("{pool} stops"));
                tokio::task::yield_now().await;
                log.lock().push(format!("{pool} gone"));
                Ok(())
            }
        });
        let is_well = result.await.is_ok();
        (log.into_inner(), is_well)
    }

    #[tokio::test]
    async fn what_others_need_stops_after_they_are_gone_and_the_rest_side_by_side() {
        let (log, is_well) = stopped(&["cache", "db", "api", "web"], "").await;
        assert!(is_well);
        assert_eq!(
            log,
            ["web stops", "web gone", "api stops", "api gone", "cache stops", "db stops", "cache gone", "db gone"]
        );
    }

    #[tokio::test]
    async fn a_service_in_between_that_stays_keeps_the_order() {
        let (log, _) = stopped(&["db", "web"], "").await;
        assert_eq!(log, ["web stops", "web gone", "db stops", "db gone"]);
    }

    #[tokio::test]
    async fn two_that_need_each_other_do_not_wait_for_ever() {
        assert_eq!(stopped(&["one", "two"], "").await.0.len(), 4);
    }

    #[tokio::test]
    async fn what_a_service_needs_that_could_not_be_stopped_is_left_alone() {
        let (log, is_well) = stopped(&["db", "api", "web", "one"], "api").await;
        assert!(!is_well);
        assert_eq!(log, ["web stops", "one stops", "web gone", "one gone"]);
    }

    #[test]
    fn sorted_one_by_one_the_database_comes_last() {
        let mut names = pools(&["db", "web", "cache", "api"]);
        needs().sort(&mut names, Clone::clone);
        assert_eq!(names, ["web", "api", "db", "cache"]);
    }
}
