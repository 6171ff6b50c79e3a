//! From the name a client asks for to the certificate it gets.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use super::certificate::Loaded;

/// One state of all certificates.
#[derive(Debug, Default)]
pub(super) struct Names {
    exact: HashMap<Box<str>, Arc<Loaded>>,
    /// By what follows `*.`.
    wild: HashMap<Box<str>, Arc<Loaded>>,
    default: Option<Arc<Loaded>>,
}

impl Names {
    /// Adds a certificate; of two for one name, the one that lives longer is served.
    pub(super) fn add(&mut self, certificate: &Arc<Loaded>, is_default: bool) {
        for name in &certificate.names {
            let (map, key) = match name.strip_prefix("*.") {
                Some(rest) => (&mut self.wild, rest),
                None => (&mut self.exact, name.as_str()),
            };
            if map.get(key).is_none_or(|other| other.not_after < certificate.not_after) {
                map.insert(key.into(), certificate.clone());
            }
        }
        if is_default && self.default.as_ref().is_none_or(|other| other.not_after < certificate.not_after) {
            self.default = Some(certificate.clone());
        }
    }

    /// The exact name, else the wildcard of one label, else the default.
    pub(super) fn find(&self, name: Option<&str>) -> Option<&Arc<Loaded>> {
        name.and_then(|name| self.named(name)).or(self.default.as_ref())
    }

    fn named(&self, name: &str) -> Option<&Arc<Loaded>> {
        let name = name.strip_suffix('.').unwrap_or(name);
        let name = match name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            true => Cow::Owned(name.to_ascii_lowercase()),
            false => Cow::Borrowed(name),
        };
        self.exact.get(&*name).or_else(|| self.wild.get(name.split_once('.')?.1))
    }

    /// Every name with the end of its certificate, for the metrics.
    pub(super) fn ends(&self) -> Vec<(String, i64)> {
        let exact = self.exact.iter().map(|(name, loaded)| (name.to_string(), loaded.not_after));
        let wild = self.wild.iter().map(|(name, loaded)| (format!("*.{name}"), loaded.not_after));
        let mut all: Vec<_> = exact.chain(wild).collect();
        all.sort();
        all
    }
}
