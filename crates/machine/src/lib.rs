//! The only hands.

pub mod clock;
pub mod compose;
pub mod docker;
mod error;
pub mod facts;
pub mod files;
pub mod net;
pub mod process;
pub mod systemd;

pub use error::BoxError;
