//! The services' side: targets, their connections, and the generations that own both.

pub(crate) mod call;
pub(crate) mod choice;
pub(crate) mod condition;
pub(crate) mod gate;
pub(crate) mod generation;
pub(crate) mod latch;
pub(crate) mod link;
pub(crate) mod look;
pub(crate) mod tally;
pub(crate) mod target;
mod trunk;
pub(crate) mod trunks;
mod wire;
