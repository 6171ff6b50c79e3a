//! The one place that names the crypto library.
//!
//! `docs/decisions/edge-tls.md` has the figures that chose it.

use std::sync::{Arc, OnceLock};

use rustls::Error;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{Ticketer, default_provider};
use rustls::server::ProducesTickets;

/// The suites and groups that are offered: forward secret and authenticated ones only, which is all rustls has.
pub(super) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    PROVIDER.get_or_init(|| Arc::new(default_provider())).clone()
}

/// Tickets whose key is replaced every six hours and forgotten after twelve.
pub(super) fn ticketer() -> Result<Arc<dyn ProducesTickets>, Error> {
    Ticketer::new()
}
