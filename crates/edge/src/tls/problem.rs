//! Why a certificate or an authority cannot be used, in one line for the acknowledgement.

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// No chain, key or bundle of authorities is larger.
const MOST_BYTES: u64 = 4 << 20;

/// What is wrong with a file of the snapshot.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Problem {
    #[error("could not read `{path}`: {source}")]
    Unreadable { path: String, source: std::io::Error },
    #[error("`{path}` is larger than {MOST_BYTES} bytes")]
    TooLarge { path: String },
    #[error("`{path}` is not PEM of the wanted kind: {source}")]
    NotPem { path: String, source: rustls::pki_types::pem::Error },
    #[error("`{path}` has no certificate")]
    NoCertificate { path: String },
    #[error("the certificate cannot be understood: {0}")]
    Garbled(String),
    #[error("the key does not fit the certificate, or cannot be used: {0}")]
    Key(rustls::Error),
    #[error("the certificate names no host, and the snapshot names none either")]
    NoNames,
    #[error("the authorities cannot be used: {0}")]
    Authorities(String),
}

/// Reads a file that others wrote.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, Problem> {
    let shown = || path.display().to_string();
    let unreadable = |source| Problem::Unreadable { path: shown(), source };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(Problem::TooLarge { path: shown() });
    }
    Ok(bytes)
}
