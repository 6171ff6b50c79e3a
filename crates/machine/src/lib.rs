//! The only hands.

pub mod clock;
pub mod docker;
mod error;
pub mod files;
pub mod process;
