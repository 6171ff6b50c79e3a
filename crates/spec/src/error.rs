//! What can be wrong with one word: an id or a quantity.
//! Whole files are judged by [`crate::Problems`] instead, which collects everything at once.

use thiserror::Error;

/// A word that is not a legal id.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{found}` cannot be {kind}: {allowed}")]
pub struct InvalidId {
    /// What the id would have been, with its article, such as "a service name".
    pub kind: &'static str,
    /// The word as it was written.
    pub found: String,
    /// The rule for this kind of id.
    pub allowed: &'static str,
}

/// A text that is not a quantity of the wanted unit.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{found}` is not {kind}: {allowed}")]
pub struct InvalidUnit {
    /// The kind of quantity with its article, such as "a duration".
    pub kind: &'static str,
    /// The text as it was written.
    pub found: String,
    /// The forms that are understood.
    pub allowed: &'static str,
    /// What was most likely meant, when that is clear.
    pub nearest: Option<String>,
}
