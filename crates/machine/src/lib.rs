//! The only hands.

pub mod clock;
mod error;
pub mod files;
