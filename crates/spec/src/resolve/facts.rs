//! What the machine tells beside the files.

use std::collections::BTreeSet;

/// What is known of the machine when a platform is resolved; nothing, where nobody has looked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// Programs outside of this stack that read the Docker socket and can reach it, by the names of [`super::reader`].
    pub readers: BTreeSet<String>,
}
