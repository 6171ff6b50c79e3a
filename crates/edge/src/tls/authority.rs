//! The authorities that client certificates must come from.

use std::path::Path;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;

use super::certificate::digest;
use super::problem::{Problem, read};
use super::provider::provider;

/// Verifies what clients show; a client that shows nothing gets through, and the route decides.
#[derive(Debug)]
pub(super) struct Authority {
    pub(super) verifier: Arc<dyn ClientCertVerifier>,
    /// Of the file: sessions made under one set of authorities are worth nothing under another.
    pub(super) digest: String,
}

pub(super) fn load(path: &Path) -> Result<Authority, Problem> {
    let text = read(path)?;
    let shown = path.display().to_string();
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&text) {
        let certificate = certificate.map_err(|source| Problem::NotPem { path: shown.clone(), source })?;
        roots.add(certificate).map_err(|error| Problem::Authorities(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(Problem::NoCertificate { path: shown });
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider()).allow_unauthenticated();
    let verifier = builder.build().map_err(|error| Problem::Authorities(error.to_string()))?;
    Ok(Authority { verifier, digest: digest(&text, &[]) })
}
