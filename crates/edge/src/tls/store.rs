//! The certificates that are served, replaced as a whole with each snapshot.

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::certificate::{Loaded, load};
use super::names::Names;
use crate::snapshot::Certificate;

/// See the module's text.
#[derive(Debug, Default)]
pub(crate) struct Store {
    names: ArcSwap<Names>,
    /// What the served names were read from, so that an unchanged certificate is not read again.
    kept: Mutex<Vec<Kept>>,
}

#[derive(Debug, Clone)]
struct Kept {
    wanted: Certificate,
    loaded: Arc<Loaded>,
}

/// Certificates that have been read and are not served yet.
pub(crate) struct Fresh {
    names: Names,
    kept: Vec<Kept>,
}

impl Store {
    /// Reads what is new; every fault is named with the certificate it is in, and touches no other.
    pub(crate) fn read(&self, wanted: &[Certificate], now_ms: i64) -> (Fresh, Vec<String>) {
        let before = self.kept.lock().clone();
        let (mut names, mut kept, mut problems) = (Names::default(), Vec::new(), Vec::new());
        for certificate in wanted {
            let of = |problem: &str| format!("certificate `{}`: {problem}", certificate.chain.display());
            match pick(certificate, &before) {
                Ok(loaded) => {
                    problems.extend(faults(certificate, &loaded, now_ms).iter().map(|fault| of(fault)));
                    names.add(&loaded, certificate.is_default);
                    kept.push(Kept { wanted: certificate.clone(), loaded });
                }
                Err(Failed { problem, last: Some(last) }) => {
                    problems.push(of(&format!("{problem}; the one that was read before is served on")));
                    names.add(&last.loaded, certificate.is_default);
                    // Under its own digest, so that the files are read again the next time.
                    kept.push(last);
                }
                Err(Failed { problem, last: None }) => problems.push(of(&problem)),
            }
        }
        (Fresh { names, kept }, problems)
    }

    /// Serves what was read; connections go on with what they began with.
    pub(crate) fn replace(&self, fresh: Fresh) {
        self.names.store(Arc::new(fresh.names));
        *self.kept.lock() = fresh.kept;
    }

    /// Whether a client that asks for the name, or for none, can be served.
    pub(crate) fn serves(&self, name: Option<&str>) -> bool {
        self.names.load().find(name).is_some()
    }

    /// Every name with the end of its certificate (Unix seconds).
    pub(crate) fn ends(&self) -> Vec<(String, i64)> {
        self.names.load().ends()
    }
}

impl ResolvesServerCert for Store {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.names.load().find(hello.server_name()).map(|loaded| loaded.key.clone())
    }
}

struct Failed {
    problem: String,
    /// What was served from the same files before.
    last: Option<Kept>,
}

fn pick(wanted: &Certificate, before: &[Kept]) -> Result<Arc<Loaded>, Failed> {
    let same_files = |kept: &&Kept| files(&kept.wanted) == files(wanted) && kept.wanted.names == wanted.names;
    let last = before.iter().find(same_files);
    if let Some(kept) = last
        && !wanted.digest.is_empty()
        && kept.loaded.digest == wanted.digest
    {
        return Ok(kept.loaded.clone());
    }
    load(wanted).map(Arc::new).map_err(|problem| Failed { problem: problem.to_string(), last: last.cloned() })
}

fn files(certificate: &Certificate) -> (&PathBuf, &PathBuf) {
    (&certificate.chain, &certificate.key)
}

/// What a person should know of a certificate that is served nevertheless.
fn faults(wanted: &Certificate, loaded: &Loaded, now_ms: i64) -> Vec<String> {
    let mut found = Vec::new();
    let now = now_ms / 1000;
    if loaded.not_after < now {
        found.push("it has expired; it is served nevertheless".to_owned());
    } else if loaded.not_before > now {
        found.push("it is not valid yet; it is served nevertheless".to_owned());
    }
    if !wanted.digest.is_empty() && wanted.digest != loaded.digest {
        found.push("its files are not those that the snapshot means; they are served nevertheless".to_owned());
    }
    let foreign: Vec<_> = loaded.names.iter().filter(|name| !loaded.is_good_for(name)).cloned().collect();
    if !foreign.is_empty() {
        found.push(format!("it is not good for {}; clients will refuse it there", foreign.join(", ")));
    }
    found
}
