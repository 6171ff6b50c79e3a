//! Listeners that carry bytes instead of requests.

pub(crate) mod carry;
mod header;
pub(crate) mod lines;
pub(crate) mod meter;
