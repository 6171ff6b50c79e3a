//! The real engine.

/// A connection to a Docker Engine.
#[derive(Debug, Clone)]
pub struct Engine {}
