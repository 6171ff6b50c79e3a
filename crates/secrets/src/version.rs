//! The name of a content that says nothing about the content.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{Result, SecretsError};

/// Bytes in SHA-256's block, for the construction of HMAC.
const BLOCK: usize = 64;
/// A shorter salt could be guessed together with a short password.
const SHORTEST_SALT: usize = 16;
/// 48 bits: enough to tell versions apart, few enough to read aloud.
const SHOWN: usize = 6;

/// Random bytes of this installation. Without them nobody can try out passwords against a recorded version.
#[derive(Clone)]
pub struct Salt(Vec<u8>);

/// A short keyed hash of all names and values. Equal versions mean equal content; nothing else can be learned from it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Version(String);

impl Salt {
    /// Takes at least 16 random bytes. They are kept with the installation and are not shared between installations.
    pub fn try_new(bytes: &[u8]) -> Result<Self> {
        if bytes.len() < SHORTEST_SALT {
            return Err(SecretsError::Salt { found: bytes.len(), needed: SHORTEST_SALT });
        }
        Ok(Self(bytes.to_vec()))
    }
}

impl fmt::Debug for Salt {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Salt([redacted])")
    }
}

impl Version {
    /// The version of a list of names and values. Lengths are hashed, too: `a=bc` and `ab=c` differ.
    pub(crate) fn of<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>, salt: &Salt) -> Self {
        let mut message = Vec::new();
        for part in pairs.into_iter().flat_map(|(name, value)| [name, value]) {
            message.extend_from_slice(&(part.len() as u64).to_be_bytes());
            message.extend_from_slice(part.as_bytes());
        }
        let shown = hmac(&salt.0, &message).into_iter().take(SHOWN);
        Self(shown.map(|byte| format!("{byte:02x}")).collect())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

/// HMAC-SHA-256 (RFC 2104). Ten lines here instead of one more crate among those that see plaintext.
fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut block = [0_u8; BLOCK];
    let hashed = Sha256::digest(key);
    let key = if key.len() > BLOCK { hashed.as_slice() } else { key };
    block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
    let inner = Sha256::new().chain_update(block.map(|byte| byte ^ 0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(block.map(|byte| byte ^ 0x5c)).chain_update(inner).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn the_hash_is_the_hmac_of_rfc_4231() {
        let short = hmac(&[0x0b; 20], b"Hi There");
        assert_eq!(hex(&short), "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
        let long = hmac(&[0xaa; 131], b"Test Using Larger Than Block-Size Key - Hash Key First");
        assert_eq!(hex(&long), "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    }

    #[test]
    fn a_version_changes_with_every_name_value_and_installation_and_with_nothing_else() {
        let (here, there) = (Salt::try_new(&[1; 16]).unwrap(), Salt::try_new(&[2; 16]).unwrap());
        let version = Version::of([("A", "bc")], &here);
        assert_eq!(version, Version::of([("A", "bc")], &here));
        assert_eq!(version.as_str().len(), 12);
        for other in
            [Version::of([("A", "bd")], &here), Version::of([("Ab", "c")], &here), Version::of([("A", "bc")], &there)]
        {
            assert_ne!(version, other);
        }
    }

    #[test]
    fn a_short_salt_is_refused_and_a_salt_is_not_printed() {
        assert!(matches!(Salt::try_new(&[1; 15]), Err(SecretsError::Salt { found: 15, needed: 16 })));
        assert_eq!(format!("{:?}", Salt::try_new(&[7; 16]).unwrap()), "Salt([redacted])");
    }
}
