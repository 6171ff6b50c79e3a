//! Putting a platform into service, one release at a time, and taking it back.
//!
//! A platform is what its Compose file and its `mainstay.yaml` say ([`load`]).
//! [`draft`] puts that beside what runs and [`plan`] says, purely, what differs and why.
//! [`up`] carries a plan out: it gets the images, lays the ground (networks, volumes) and then
//! gives every changed service a [`roll_out`]: a journalled saga that starts the new container,
//! lets it prove itself at the [`health`] gate, moves the traffic with one acknowledged
//! [`routing`] change and drains the old one, which stays warm for a [`rollback`].
//!
//! ```text
//!   load → draft → plan → fetch images → lay ground → roll-out per service
//!                                                     pin · migrate · start · healthy · canary? · switch · soak · drain · park
//! ```
//!
//! The ledger is the plan, Docker's labels and the edge's epoch are the truth: after a crash
//! [`recover`] goes on where the journal stops, and [`tick`] keeps both in step ever after.
//!
//! What it never does: print, read the environment, start a process by itself, re-tag an image
//! that a running container uses, remove a volume that was not named, or let traffic reach a
//! release that has not proved itself.

mod absent;
mod account;
mod adopt;
mod attached;
pub mod canary;
pub mod certificates;
pub mod copies;
pub mod diff;
mod doors;
mod draft;
pub mod drift;
pub mod ends;
pub mod env_access;
mod error;
mod facts;
mod graphics;
pub mod ground;
pub mod health;
pub mod holders;
pub mod hooks;
pub mod identity;
mod images;
pub mod intruders;
pub mod judge;
pub mod keeping;
mod kept;
mod learn;
mod leaving;
pub mod lent;
pub mod load;
mod logins;
pub mod maintenance;
pub mod migration;
pub mod names;
pub mod notify;
mod own;
pub mod places;
pub mod plan;
pub mod promote;
pub mod prune;
mod pulling;
mod readers;
pub mod rebuild;
pub mod recover;
pub mod release;
pub mod removal;
pub mod render;
pub mod report;
pub mod restart;
pub mod roll_out;
pub mod rollback;
pub mod routing;
pub mod scale;
mod shown;
pub mod standing;
pub mod status;
mod stopping;
pub mod store;
mod takeover;
pub mod tick;
pub mod to_compose;
pub mod together;
pub mod up;
mod variables;
pub mod world;

pub use draft::{Draft, draft};
pub use error::{DeployError, Ending};
pub use learn::learn;
pub use names::Scope;
pub use removal::{Removed, down, remove_services};
pub use report::Report;
pub use world::{Parts, Said, Talk, World};
