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
    by_place: bool,
}

/// Clients by place are told apart this finely: a hundredth of a percent.
const PLACES: u64 = 10_000;

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
    /// The client's place, where that is what it keeps.
    place: u64,
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
            let generation = ground.generation_of(share);
            let weight = if generation.is_some() { u64::from(share.weight) } else { 0 };
            Share { generation, weight, mark: ground.marks.mark("pool", &share.full_name()) }
        };
        let shares: Box<[Share]> = wanted.shares.iter().map(share).collect();
        let total = shares.iter().map(|share| share.weight).sum();
        if total == 0 {
            problems.push(format!("{whose}: no share of its split takes new clients"));
        }
        let name = wanted.cookie.as_deref();
        let cookie = name.and_then(|name| Cookie::compile(name, &way::prefix(route), None, whose, problems));
        Split { shares, total, cookie, by_place: wanted.by_place }
    }

    /// The share that the client has, or else the one that chance gives it; `None` when no share takes anybody.
    pub(crate) fn draw(&self, headers: &HeaderMap, chance: impl FnOnce() -> u64) -> Option<Drawn> {
        if self.by_place {
            return self.draw_place(headers, chance);
        }
        if let Some(share) = self.cookie.as_ref().and_then(|cookie| self.held(cookie, headers)) {
            return Some(Drawn { share, place: 0, is_new: false });
        }
        let share = self.share_at(chance().checked_rem(self.total)?)?;
        Some(Drawn { share, place: 0, is_new: true })
    }

    /// A place never changes; which share it lies in is a matter of the weights.
    fn draw_place(&self, headers: &HeaderMap, chance: impl FnOnce() -> u64) -> Option<Drawn> {
        let known = self.cookie.as_ref().and_then(|cookie| cookie.values(headers).find_map(place));
        let place = known.unwrap_or_else(|| chance() % PLACES);
        let at = u128::from(place) * u128::from(self.total) / u128::from(PLACES);
        let share = self.share_at(u64::try_from(at).ok()?)?;
        Some(Drawn { share, place, is_new: known.is_none() })
    }

    fn share_at(&self, mut left: u64) -> Option<usize> {
        self.shares.iter().position(|share| {
            let is_it = left < share.weight;
            left = left.saturating_sub(share.weight);
            is_it
        })
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
        match (drawn.is_new, self.by_place) {
            (false, _) => None,
            (true, false) => cookie.with(&share.mark, is_secure),
            (true, true) => cookie.with(&drawn.place.to_string(), is_secure),
        }
    }
}

/// A place as a cookie says it; anything else is nobody's, and its client gets one.
fn place(value: &str) -> Option<u64> {
    value.parse().ok().filter(|place| *place < PLACES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::{Pool, Share as WantedShare};
    use crate::table::mark::Marks;

    fn split(shares: &[(&str, u32)], pools: &[&str]) -> (Split, Vec<String>) {
        split_by(false, shares, pools)
    }

    fn split_by(by_place: bool, shares: &[(&str, u32)], pools: &[&str]) -> (Split, Vec<String>) {
        let pool = |name: &&str| Pool::new(*name, "r1", vec![]);
        let made = |name: &&str| Arc::new(Generation::new(pool(name), Arc::default(), Arc::default(), None));
        let generations: Vec<_> = pools.iter().map(made).collect();
        let marks = Marks::default();
        let ground = Ground::new(&generations, &marks);
        let shares = shares
            .iter()
            .map(|(pool, weight)| WantedShare { pool: (*pool).into(), release: None, weight: *weight })
            .collect();
        let wanted = Wanted { shares, cookie: Some("share".into()), by_place };
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
        assert_eq!(draw(1), Drawn { share: 1, place: 0, is_new: false });
        assert_eq!(draw(2), Drawn { share: 0, place: 0, is_new: true });
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

    #[test]
    fn a_client_by_place_moves_only_when_the_border_passes_it() {
        let at = |weight, place: u64| {
            let (split, _) = split_by(true, &[("new", weight), ("old", 100 - weight)], &["new", "old"]);
            let mut headers = HeaderMap::new();
            headers.insert(http::header::COOKIE, format!("share={place}").parse().unwrap());
            split.draw(&headers, || 9_999).map(|drawn| (drawn.share, drawn.is_new))
        };
        let seen: Vec<_> = [5, 25, 50].map(|weight| at(weight, 400)).into_iter().collect();
        assert_eq!(seen, [Some((0, false)); 3], "who has seen the new one goes on seeing it");
        assert_eq!([5, 25, 50].map(|weight| at(weight, 2_400).unwrap().0), [1, 0, 0]);
        assert_eq!([0, 100].map(|weight| at(weight, 0).unwrap().0), [1, 0]);
        assert_eq!(at(50, 10_000), Some((1, true)), "a place that does not exist is drawn anew");
        let (split, _) = split_by(true, &[("new", 5), ("old", 95)], &["new", "old"]);
        let drawn = split.draw(&HeaderMap::new(), || 123_499).unwrap();
        assert_eq!(split.cookie(drawn, false).unwrap().to_str().unwrap().split(';').next(), Some("share=3499"));
    }
}
