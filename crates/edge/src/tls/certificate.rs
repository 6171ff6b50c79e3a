//! One certificate with its key, read from two PEM files.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use sha2::{Digest, Sha256};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::problem::{Problem, read};
use super::provider::provider;
use crate::snapshot::Certificate;

/// A certificate that can be served.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) key: Arc<CertifiedKey>,
    /// The hosts it is served for, in lower case; `*.` begins those that cover one label.
    pub(crate) names: Vec<String>,
    /// The hosts it is good for.
    pub(crate) covers: Vec<String>,
    /// Unix seconds.
    pub(crate) not_before: i64,
    pub(crate) not_after: i64,
    /// Of both files as they were read.
    pub(crate) digest: String,
}

impl Loaded {
    /// Whether clients that ask for the name will accept it.
    pub(crate) fn is_good_for(&self, name: &str) -> bool {
        let wild = name.split_once('.').map(|(_, rest)| format!("*.{rest}"));
        self.covers.iter().any(|covered| covered == name || Some(covered) == wild.as_ref())
    }
}

/// Reads and checks both files.
pub(crate) fn load(wanted: &Certificate) -> Result<Loaded, Problem> {
    let (chain_text, key_text) = (read(&wanted.chain)?, read(&wanted.key)?);
    let not_pem = |path: &std::path::Path| {
        let path = path.display().to_string();
        move |source| Problem::NotPem { path, source }
    };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&chain_text).collect();
    let chain = chain.map_err(not_pem(&wanted.chain))?;
    let Some(leaf) = chain.first() else {
        return Err(Problem::NoCertificate { path: wanted.chain.display().to_string() });
    };
    let facts = Facts::parse(leaf)?;
    let key = PrivateKeyDer::from_pem_slice(&key_text).map_err(not_pem(&wanted.key))?;
    let key = CertifiedKey::from_der(chain, key, &provider()).map_err(Problem::Key)?;
    let names: Vec<String> = match wanted.names.is_empty() {
        true => facts.names.clone(),
        false => wanted.names.iter().map(|name| normal(name)).collect(),
    };
    if names.is_empty() && !wanted.is_default {
        return Err(Problem::NoNames);
    }
    Ok(Loaded {
        key: Arc::new(key),
        names,
        covers: facts.names,
        not_before: facts.not_before,
        not_after: facts.not_after,
        digest: digest(&chain_text, &key_text),
    })
}

/// SHA-256 (hex) over both files, as a snapshot names it.
pub(crate) fn digest(chain: &[u8], key: &[u8]) -> String {
    use std::fmt::Write;
    let digest = Sha256::new().chain_update(chain).chain_update(key).finalize();
    digest.iter().fold(String::with_capacity(64), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// A host name as it is compared.
pub(crate) fn normal(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

/// What is written in a certificate.
pub(crate) struct Facts {
    pub(crate) names: Vec<String>,
    pub(crate) not_before: i64,
    pub(crate) not_after: i64,
    /// Encoded, as they are compared.
    pub(crate) subject: Vec<u8>,
    pub(crate) issuer: Vec<u8>,
}

impl Facts {
    pub(crate) fn parse(der: &[u8]) -> Result<Facts, Problem> {
        let garbled = |error: &dyn std::fmt::Display| Problem::Garbled(error.to_string());
        let (_, certificate) = X509Certificate::from_der(der).map_err(|error| garbled(&error))?;
        let alternatives = certificate.subject_alternative_name().map_err(|error| garbled(&error))?;
        let names = alternatives.iter().flat_map(|names| &names.value.general_names);
        let hosts = names.filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(normal(name)),
            _ => None,
        });
        let validity = certificate.validity();
        Ok(Facts {
            names: hosts.collect(),
            not_before: validity.not_before.timestamp(),
            not_after: validity.not_after.timestamp(),
            subject: certificate.subject().as_raw().to_vec(),
            issuer: certificate.issuer().as_raw().to_vec(),
        })
    }

    pub(crate) fn parse_pem(text: &[u8]) -> Result<Facts, Problem> {
        let der = CertificateDer::from_pem_slice(text).map_err(|error| Problem::Garbled(error.to_string()))?;
        Facts::parse(&der)
    }
}
