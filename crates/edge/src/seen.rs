//! Seeing: what the edge counts, logs and shows of the traffic, at no cost where nobody asked.

pub(crate) mod histogram;
pub(crate) mod log;
pub(crate) mod mask;
pub(crate) mod record;
pub(crate) mod refusals;
pub(crate) mod route_tally;
pub(crate) mod routes;
pub(crate) mod trace;
