//! The binary as an operator uses it, against a real Docker Engine.
//!
//! Each test brings up a platform of its own (name, port, folders) and takes it away again, also when it fails.
//! Requests run all the while: an operation that loses one, or answers with the wrong release, fails its test.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, tells its counts, starts the binary as a person would, and waits between looks"
)]

mod real {
    mod checks;
    mod copies;
    mod corpus;
    mod crash;
    mod data;
    mod data_property;
    mod ends;
    mod engines;
    mod environments;
    mod failures;
    mod folders;
    mod ground;
    mod hand;
    mod intruders;
    mod keep;
    mod kills;
    mod life;
    mod load;
    mod locks;
    mod migration;
    mod names;
    mod notices;
    mod order;
    mod orders;
    mod past;
    mod place;
    mod ports;
    mod postgres;
    mod prune;
    mod queue;
    mod readers;
    mod registries;
    mod secret;
    mod stops;
    mod strategies;
    mod takeover;
    mod told;
    mod trust;
    mod variables;
}
