//! A certificate authority of our own, for names that no public one signs: development, tests, a network without
//! the internet.
//!
//! Its key lies beside its certificate with mode 0600; who trusts the certificate trusts whoever can read the key.
//! The clock is an argument, so that renewal can be tested without waiting.

use std::path::{Path, PathBuf};

use machine::files::{FilesError, Root};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use sha2::{Digest, Sha256};

use crate::snapshot::Certificate;
use crate::tls::certificate::{Facts, digest, load};

const CA_CERTIFICATE: &str = "ca.pem";
const CA_KEY: &str = "ca.key";

const DAY: i64 = 86_400;
/// An authority is trusted by hand, on every machine, so it lives long.
const CA_DAYS: i64 = 3650;
/// As the public ones have been for years; browsers refuse more than 825 even from authorities of one's own.
const LEAF_DAYS: i64 = 90;
/// A certificate with less left is made anew.
const RENEW_DAYS: i64 = 30;
/// For machines whose clock is a little behind.
const LEEWAY: i64 = 3600;

const PUBLIC: u32 = 0o644;
const SECRET: u32 = 0o600;

/// Why the authority could not do its work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LocalCaError {
    /// Its folder cannot be used.
    #[error("could not use the local authority's folder")]
    Files(#[from] FilesError),
    /// What lies in the folder is damaged; it is not replaced, since people trust it.
    #[error("the local authority in `{}` cannot be used: {reason}", folder.display())]
    Damaged { folder: PathBuf, reason: String },
    /// The names cannot be put into a certificate.
    #[error("could not make a certificate for {names}")]
    Make {
        names: String,
        #[source]
        source: rcgen::Error,
    },
    /// A certificate without a name is good for nothing.
    #[error("a certificate needs at least one name")]
    NoNames,
}

/// The authority, ready to sign.
#[derive(Debug)]
pub struct LocalCa {
    root: Root,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate on disk, as a snapshot names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    pub names: Vec<String>,
    pub chain: PathBuf,
    pub key: PathBuf,
    /// SHA-256 (hex) of both files, one after the other.
    pub digest: String,
}

impl Issued {
    /// The snapshot's entry for it.
    pub fn certificate(&self) -> Certificate {
        let Issued { names, chain, key, digest } = self.clone();
        Certificate { names, chain, key, digest, is_default: false }
    }
}

impl LocalCa {
    /// Opens the authority in the folder, or makes one when there is none or when the old one ends too soon.
    pub fn open_or_create(folder: &Path, now_ms: i64) -> Result<LocalCa, LocalCaError> {
        let root = Root::open(folder)?;
        let (certificate, key) = (root.read(CA_CERTIFICATE)?, root.read(CA_KEY)?);
        // Half an authority is what a crash leaves behind while the first one is made.
        let (Some(certificate), Some(key)) = (certificate, key) else { return LocalCa::create(root, now_ms) };
        let damaged = |reason: String| LocalCaError::Damaged { folder: folder.to_owned(), reason };
        let (certificate, key) = (String::from_utf8_lossy(&certificate), String::from_utf8_lossy(&key));
        let pair = KeyPair::from_pem(&key).map_err(|error| damaged(format!("`{CA_KEY}`: {error}")))?;
        let files = Certificate {
            names: vec![],
            chain: root.join(CA_CERTIFICATE)?,
            key: root.join(CA_KEY)?,
            digest: String::new(),
            is_default: true,
        };
        let loaded = load(&files).map_err(|problem| damaged(problem.to_string()))?;
        if loaded.not_after < now_ms / 1000 + (LEAF_DAYS + RENEW_DAYS) * DAY {
            return LocalCa::create(root, now_ms);
        }
        let issuer = Issuer::from_ca_cert_pem(&certificate, pair);
        let issuer = issuer.map_err(|error| damaged(format!("`{CA_CERTIFICATE}`: {error}")))?;
        Ok(LocalCa { root, issuer })
    }

    /// The file that people tell their browsers to trust.
    pub fn certificate(&self) -> PathBuf {
        self.root.path().join(CA_CERTIFICATE)
    }

    /// A certificate for the names: the one on disk while it is good for another 30 days, else a new one.
    ///
    /// Names are hosts (`*.` for one label) or IP addresses.
    pub fn issue(&self, names: &[String], now_ms: i64) -> Result<Issued, LocalCaError> {
        let Some(first) = names.first() else { return Err(LocalCaError::NoNames) };
        let stem = stem(first, names);
        let (chain, key) = (format!("{stem}.pem"), format!("{stem}.key"));
        let files = Certificate {
            names: vec![],
            chain: self.root.join(&chain)?,
            key: self.root.join(&key)?,
            digest: String::new(),
            is_default: true,
        };
        let digest = match self.still_good(&files, now_ms) {
            Some(digest) => digest,
            None => self.make(names, &chain, &key, now_ms)?,
        };
        Ok(Issued { names: names.to_vec(), chain: files.chain, key: files.key, digest })
    }

    /// The digest of a pair on disk that fits together, is ours and lives long enough.
    fn still_good(&self, files: &Certificate, now_ms: i64) -> Option<String> {
        let loaded = load(files).ok()?;
        let ours = self.root.read(CA_CERTIFICATE).ok()??;
        let ours = Facts::parse_pem(&ours).ok()?;
        let leaf = Facts::parse(loaded.key.cert.first()?).ok()?;
        let lives = loaded.not_after >= now_ms / 1000 + RENEW_DAYS * DAY;
        (lives && leaf.issuer == ours.subject).then_some(loaded.digest)
    }

    fn make(&self, names: &[String], chain: &str, key: &str, now_ms: i64) -> Result<String, LocalCaError> {
        let failed = |source| LocalCaError::Make { names: names.join(", "), source };
        let pair = KeyPair::generate().map_err(failed)?;
        let mut params = CertificateParams::new(names).map_err(failed)?;
        params.distinguished_name = DistinguishedName::new();
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        lifetime(&mut params, now_ms, LEAF_DAYS);
        let certificate = params.signed_by(&pair, &self.issuer).map_err(failed)?;
        let (chain_text, key_text) = (certificate.pem(), pair.serialize_pem());
        self.root.write_atomic(key, key_text.as_bytes(), SECRET)?;
        self.root.write_atomic(chain, chain_text.as_bytes(), PUBLIC)?;
        Ok(digest(chain_text.as_bytes(), key_text.as_bytes()))
    }

    fn create(root: Root, now_ms: i64) -> Result<LocalCa, LocalCaError> {
        let failed = |source| LocalCaError::Make { names: "the local authority".to_owned(), source };
        let pair = KeyPair::generate().map_err(failed)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        // Two authorities must not share a name: a client would look for the wrong key.
        let name = format!("Mainstay local authority {}", short(pair.public_key_raw()));
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        lifetime(&mut params, now_ms, CA_DAYS);
        let certificate = params.self_signed(&pair).map_err(failed)?;
        root.write_atomic(CA_KEY, pair.serialize_pem().as_bytes(), SECRET)?;
        root.write_atomic(CA_CERTIFICATE, certificate.pem().as_bytes(), PUBLIC)?;
        Ok(LocalCa { root, issuer: Issuer::new(params, pair) })
    }
}

fn lifetime(params: &mut CertificateParams, now_ms: i64, days: i64) {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let at = |seconds: i64| epoch + std::time::Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
    params.not_before = at(now_ms / 1000 - LEEWAY);
    params.not_after = at(now_ms / 1000 + days * DAY);
}

/// A file name that tells the first name and differs for every set of names.
fn stem(first: &str, names: &[String]) -> String {
    let plain = |character: char| if character.is_ascii_alphanumeric() || character == '-' { character } else { '_' };
    let readable: String = first.chars().take(60).map(plain).collect();
    format!("{readable}-{}", short(names.join("\n").as_bytes()))
}

fn short(bytes: &[u8]) -> String {
    use std::fmt::Write;
    Sha256::digest(bytes).iter().take(6).fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const NOW: i64 = 1_800_000_000_000;
    const DAY_MS: i64 = DAY * 1000;

    fn names() -> Vec<String> {
        vec!["app.localhost".to_owned(), "*.app.localhost".to_owned(), "127.0.0.1".to_owned()]
    }

    #[test]
    fn a_certificate_is_kept_until_thirty_days_are_left_and_then_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let ca = LocalCa::open_or_create(folder.path(), NOW).unwrap();
        let first = ca.issue(&names(), NOW).unwrap();
        let reopened = LocalCa::open_or_create(folder.path(), NOW + DAY_MS).unwrap();
        assert_eq!(reopened.issue(&names(), NOW + 59 * DAY_MS).unwrap(), first);
        let renewed = reopened.issue(&names(), NOW + 61 * DAY_MS).unwrap();
        assert_eq!(renewed.chain, first.chain);
        assert_ne!(renewed.digest, first.digest);
    }

    #[test]
    fn keys_are_for_their_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let issued = LocalCa::open_or_create(folder.path(), NOW).unwrap().issue(&names(), NOW).unwrap();
        for path in [issued.key, folder.path().join(CA_KEY)] {
            assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn an_authority_that_ends_before_its_certificates_is_replaced_and_they_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let old = LocalCa::open_or_create(folder.path(), NOW).unwrap();
        let late = NOW + (CA_DAYS - 100) * DAY_MS;
        let first = old.issue(&names(), late).unwrap();
        let before = std::fs::read(old.certificate()).unwrap();
        let new = LocalCa::open_or_create(folder.path(), late).unwrap();
        assert_ne!(std::fs::read(new.certificate()).unwrap(), before);
        assert_ne!(new.issue(&names(), late).unwrap().digest, first.digest);
    }

    #[test]
    fn a_torn_pair_is_made_anew_and_a_damaged_authority_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let ca = LocalCa::open_or_create(folder.path(), NOW).unwrap();
        let issued = ca.issue(&names(), NOW).unwrap();
        let other = ca.issue(&["other.localhost".to_owned()], NOW).unwrap();
        std::fs::copy(&other.key, &issued.key).unwrap();
        assert_ne!(ca.issue(&names(), NOW).unwrap().digest, issued.digest);
        std::fs::copy(&other.key, folder.path().join(CA_KEY)).unwrap();
        let error = LocalCa::open_or_create(folder.path(), NOW).unwrap_err();
        assert!(matches!(error, LocalCaError::Damaged { .. }), "{error}");
    }
}
