//! Which of several pools and targets a request goes to, and how its client comes back there.

use std::sync::Arc;

use http::HeaderMap;
use http::header::SET_COOKIE;

use super::chance;
use crate::table::policy::Policy;
use crate::table::{Drawn, Way};
use crate::upstream::generation::Generation;

/// What was decided for one request; empty where the route has one pool and no cookie.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Stay {
    drawn: Option<Drawn>,
    /// The target that the client was on before.
    pub(crate) target: Option<usize>,
}

impl Stay {
    /// After a wait the pool has other targets, and the old one's place means nothing among them.
    pub(crate) fn elsewhere(self) -> Stay {
        Stay { target: None, ..self }
    }
}

/// The generation a request goes to; `None` when the route has none for it.
pub(crate) fn choose<'a>(policy: &'a Policy, way: &'a Way, headers: &HeaderMap) -> (Option<&'a Arc<Generation>>, Stay) {
    let mut stay = Stay::default();
    let generation = match &policy.split {
        None => way.generation.as_ref(),
        Some(split) => {
            stay.drawn = split.draw(headers, chance::draw);
            stay.drawn.and_then(|drawn| split.generation(drawn))
        }
    };
    if let (Some(sticky), Some(generation)) = (&policy.sticky, generation) {
        stay.target = sticky.target(generation, headers);
    }
    (generation, stay)
}

/// Tells a client how to come back, unless it knows.
pub(crate) fn tell(
    policy: &Policy,
    stay: Stay,
    generation: &Arc<Generation>,
    target: usize,
    is_secure: bool,
    headers: &mut HeaderMap,
) {
    let share = policy.split.as_ref().zip(stay.drawn).and_then(|(split, drawn)| split.cookie(drawn, is_secure));
    let sticky = policy.sticky.as_ref().filter(|_| stay.target != Some(target));
    let place = sticky.and_then(|sticky| sticky.cookie(generation, target, is_secure));
    for cookie in share.into_iter().chain(place) {
        headers.append(SET_COOKIE, cookie);
    }
}
