//! The edge as its clients and targets meet it: one binary, since linking one for each file took most of the time.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod broken_answers;
mod calls;
mod calls_drain;
mod calls_judged;
mod calls_repeated;
mod calls_told;
mod clients;
mod control;
mod framing;
mod hold;
mod http;
mod http2;
mod lent;
mod protection_concurrency;
mod protection_h2_floods;
mod protection_h2_headers;
mod protection_rates;
mod protection_shedding;
mod protection_sizes;
mod protection_slow_bodies;
mod protection_slowness;
mod protection_smuggling;
mod resting;
mod retry;
mod routes;
mod secure;
mod seeing_access_log;
mod seeing_traces;
mod seeing_way;
mod staying;
mod streams;
mod support;
mod switch;
mod takeover;
mod takeover_connections;
mod targets;
mod tcp;
mod tls;
mod tls_sessions;
mod tls_tools;
mod tunnels;
mod tunnels_h2;
