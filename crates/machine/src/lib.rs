//! The only hands.
//!
//! Everything that Mainstay does to the world outside of its own memory goes through this crate: it asks the
//! Docker Engine, says words to Compose, starts programs, writes files, looks at ports, reads the clock and learns
//! what machine it is on. No other crate can, and a lint sees to it. So to know what the product is able to do to
//! a server, read here; to know why it does it, read the floors above.
//!
//! Three habits run through all of it.
//!
//! Words before deeds. A program to run is a [`process::Command`], a value made of separate words that can be
//! compared, shown to a person and put in a snapshot; [`compose`] and [`systemd`] only make such values, and
//! [`process::Processes`] is the one place that runs them. A shell is never involved.
//!
//! Seams only where a test needs one: [`docker::Docker`], [`process::Processes`] and [`clock::Clock`] are traits
//! with an honest fake. One contract suite runs against the fake engine and the real one, because a fake that is
//! kinder than the thing itself hides exactly the faults that matter. [`files::Root`] needs no fake: a temporary
//! folder is as real as any.
//!
//! Limits on everything. Programs end with their whole process group, on time or with their caller; output, logs
//! and answers are bounded; a question to the engine has its own patience; a file is replaced as a whole, synced,
//! and its previous generation kept, so that a crash or a full disk leaves the old content or the new.
//!
//! What it never does: decide anything, read the environment, print, follow a redirect, leave a file root, show a
//! secret, or hide that something could not be seen. Absence is an answer (`None`); not knowing is an error.

pub mod clock;
pub mod compose;
pub mod docker;
mod error;
pub mod facts;
pub mod files;
pub mod net;
pub mod places;
pub mod process;
pub mod systemd;

pub use error::BoxError;
