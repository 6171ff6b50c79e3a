//! Text that is written for Docker Compose and for people; pure.

pub mod definition;
pub mod hosts;
pub mod plan;
