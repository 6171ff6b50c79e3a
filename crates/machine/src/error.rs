//! Every way the hands can fail. A text names the operation and the thing; the source tells the rest.

use std::path::PathBuf;

/// A file operation under a root failed.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    #[error("refused path `{}`: it leaves the folder `{}`", path.display(), root.display())]
    Escapes { path: PathBuf, root: PathBuf },
    #[error("could not {operation} `{}`", path.display())]
    Io {
        operation: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("could not encode `{}`", path.display())]
    Encode {
        path: PathBuf,
        #[source]
        source: serde_json::Error,
    },
    /// Neither the file nor its previous generation can be used.
    #[error("could not decode `{}` ({current}), nor its previous generation ({previous})", path.display())]
    Undecodable { path: PathBuf, current: String, previous: String },
}

impl FilesError {
    /// The disk or the quota is full: the one failure an operator can cure at once.
    pub fn is_full(&self) -> bool {
        use std::io::ErrorKind::{QuotaExceeded, StorageFull};
        matches!(self, Self::Io { source, .. } if matches!(source.kind(), StorageFull | QuotaExceeded))
    }
}
