//! One route's traffic over several pools.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue};

use super::cookie::Cookie;
use super::{Ground, way};
use crate::snapshot::{Route, Split as Wanted};
use crate::upstream::generation::Generation;

/// See the module's text.
pub(crate) struct Split {
    shares: Box<[Share]>,
    /// Of all weights whose pool is there.
    total: u64,
    cookie: Option<Cookie>,
}

struct Share {
    /// `None` when the snapshot names no such pool: nobody is drawn into it, and who was in it is drawn anew.
    generation: Option<Arc<Generation>>,
    weight: u64,
    mark: Box<str>,
}

/// Which share a request goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Drawn {
    pub(crate) share: usize,
    /// The client did not say so itself.
    pub(crate) is_new: bool,
}

impl Split {
    pub(super) fn compile(
        wanted: &Wanted,
        route: &Route,
        ground: &Ground<'_>,
        whose: &str,
        problems: &mut Vec<String>,
    ) -> Split {
        let share = |share: &crate::snapshot::Share| {
            let generation = ground.generation(&share.pool);
            let weight = if generation.is_some() { u64::from(share.weight) } else { 0 };
            Share { generation, weight, mark: ground.marks.mark("pool", &share.pool) }
        };
        let shares: Box<[Share]> = wanted.shares.iter().map(share).collect();
        let total = shares.iter().map(|share| share.weight).sum();
        if total == 0 {
            problems.push(format!("{whose}: no share of its split takes new clients"));
        }
        let name = wanted.cookie.as_deref();
        let cookie = name.and_then(|name| Cookie::compile(name, &way::prefix(route), None, whose, problems));
        Split { shares, total, cookie }
    }

    /// The share that the client has, or else the one that chance gives it; `None` when no share takes anybody.
    pub(crate) fn draw(&self, headers: &HeaderMap, chance: impl FnOnce() -> u64) -> Option<Drawn> {
        if let Some(share) = self.cookie.as_ref().and_then(|cookie| self.held(cookie, headers)) {
            return Some(Drawn { share, is_new: false });
        }
        let mut left = chance().checked_rem(self.total)?;
        let share = self.shares.iter().position(|share| {
            let is_it = left < share.weight;
            left = left.saturating_sub(share.weight);
            is_it
        })?;
        Some(Drawn { share, is_new: true })
    }

    fn held(&self, cookie: &Cookie, headers: &HeaderMap) -> Option<usize> {
        let is_there = |share: &Share, value: &str| share.generation.is_some() && *share.mark == *value;
        cookie.values(headers).find_map(|value| self.shares.iter().position(|share| is_there(share, value)))
    }

    pub(crate) fn generation(&self, drawn: Drawn) -> Option<&Arc<Generation>> {
        self.shares.get(drawn.share)?.generation.as_ref()
    }

    pub(crate) fn generations(&self) -> impl Iterator<Item = &Arc<Generation>> {
        self.shares.iter().filter_map(|share| share.generation.as_ref())
    }

    /// The cookie that lets a new client keep its share.
    pub(crate) fn cookie(&self, drawn: Drawn, is_secure: bool) -> Option<HeaderValue> {
        let (cookie, share) = (self.cookie.as_ref()?, self.shares.get(drawn.share)?);
        if drawn.is_new { cookie.with(&share.mark, is_secure) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::{Pool, Share as WantedShare};
    use crate::table::mark::Marks;

    fn split(shares: &[(&str, u32)], pools: &[&str]) -> (Split, Vec<String>) {
        let pool = |name: &&str| Pool::new(*name, "r1", vec![]);
        let made = |name: &&str| Arc::new(Generation::new(pool(name), Arc::default(), Arc::default(), None));
        let generations: Vec<_> = pools.iter().map(made).collect();
        let marks = Marks::default();
        let ground = Ground::new(&generations, &marks);
        let shares =
            shares.iter().map(|(pool, weight)| WantedShare { pool: (*pool).into(), weight: *weight }).collect();
        let wanted = Wanted { shares, cookie: Some("share".into()) };
        let mut problems = vec![];
        (Split::compile(&wanted, &Route::new(None, "/", ""), &ground, "route", &mut problems), problems)
    }

    fn cookie(split: &Split, share: usize) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let value = format!("x=1; share={}", split.shares[share].mark);
        headers.insert(http::header::COOKIE, value.parse().unwrap());
        headers
    }

    #[test]
    fn weights_divide_the_chances_and_none_is_drawn_into_zero_or_into_a_pool_that_is_gone() {
        let (split, problems) = split(&[("a", 3), ("zero", 0), ("gone", 5), ("b", 1)], &["a", "b", "zero"]);
        assert!(problems.is_empty());
        let drawn: Vec<_> = (0..8).map(|n| split.draw(&HeaderMap::new(), || n).unwrap().share).collect();
        assert_eq!(drawn, [0, 0, 0, 3, 0, 0, 0, 3]);
    }

    #[test]
    fn who_has_a_share_keeps_it_even_at_zero_and_is_drawn_anew_when_its_pool_is_gone() {
        let (split, _) = split(&[("a", 1), ("zero", 0), ("gone", 5)], &["a", "zero"]);
        let draw = |share| split.draw(&cookie(&split, share), || 0).unwrap();
        assert_eq!(draw(1), Drawn { share: 1, is_new: false });
        assert_eq!(draw(2), Drawn { share: 0, is_new: true });
        assert!(split.cookie(draw(1), false).is_none());
        assert!(split.cookie(draw(2), false).is_some());
    }

    #[test]
    fn a_split_that_takes_nobody_is_a_problem() {
        let (split, problems) = split(&[("zero", 0), ("gone", 1)], &["zero"]);
        assert_eq!(problems.len(), 1);
        assert_eq!(split.draw(&HeaderMap::new(), || 7), None);
        assert_eq!(split.draw(&cookie(&split, 0), || 7).map(|drawn| drawn.share), Some(0));
    }
}
