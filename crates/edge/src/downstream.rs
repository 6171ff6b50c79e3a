//! The clients' side: listeners, their connections, and what is known of each.

pub(crate) mod arrival;
pub(crate) mod client;
pub(crate) mod connection;
pub(crate) mod cuts;
mod detect;
pub(crate) mod fault;
pub(crate) mod forwarded;
pub(crate) mod frames;
pub(crate) mod listener;
pub(crate) mod listeners;
mod opening;
mod outbox;
pub(crate) mod presence;
pub(crate) mod proxy_protocol;
mod rest;
pub(crate) mod sniff;
pub(crate) mod streams;
pub(crate) mod trust;
mod turns;
pub(crate) mod visitor;
pub(crate) mod wire;
