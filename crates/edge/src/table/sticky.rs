//! A client that stays with one target of a pool.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue};

use super::cookie::Cookie;
use super::{Ground, way};
use crate::snapshot::{Route, Sticky as Wanted};
use crate::upstream::generation::Generation;

/// See the module's text.
pub(crate) struct Sticky {
    cookie: Cookie,
    /// The marks of each generation's targets, in their order; one generation but for splits.
    marked: Box<[Marked]>,
}

struct Marked {
    generation: Arc<Generation>,
    marks: Box<[Box<str>]>,
}

impl Sticky {
    pub(super) fn compile<'a>(
        wanted: &Wanted,
        route: &Route,
        generations: impl Iterator<Item = &'a Arc<Generation>>,
        ground: &Ground<'_>,
        whose: &str,
        problems: &mut Vec<String>,
    ) -> Option<Sticky> {
        let cookie = Cookie::compile(&wanted.cookie, &way::prefix(route), wanted.max_age_s, whose, problems)?;
        let marked = |generation: &Arc<Generation>| {
            let addresses = generation.pool.targets.iter();
            let marks = addresses.map(|address| ground.marks.mark("target", &address.to_string())).collect();
            Marked { generation: generation.clone(), marks }
        };
        Some(Sticky { cookie, marked: generations.map(marked).collect() })
    }

    fn marks(&self, generation: &Arc<Generation>) -> &[Box<str>] {
        let of = self.marked.iter().find(|marked| Arc::ptr_eq(&marked.generation, generation));
        of.map_or(&[], |marked| &marked.marks)
    }

    /// The target that the client names, if it is one of this generation's.
    pub(crate) fn target(&self, generation: &Arc<Generation>, headers: &HeaderMap) -> Option<usize> {
        let marks = self.marks(generation);
        self.cookie.values(headers).find_map(|value| marks.iter().position(|mark| **mark == *value))
    }

    /// The cookie by which the client comes back to a target.
    pub(crate) fn cookie(&self, generation: &Arc<Generation>, target: usize, is_secure: bool) -> Option<HeaderValue> {
        self.cookie.with(self.marks(generation).get(target)?, is_secure)
    }
}
