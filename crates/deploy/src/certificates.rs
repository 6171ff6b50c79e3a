//! The certificates of a platform, with digests that tell when a file has been renewed.

use std::path::Path;

use edge::snapshot::Certificate;
use sha2::{Digest, Sha256};
use spec::resolve::CertificateFiles;

use crate::error::DeployError;
use crate::store::Platform;
use crate::world::World;

/// Those that the platform file names; one that cannot be read stops a deploy before it begins.
pub fn all(dir: &Path, platform: &spec::Platform) -> Result<Vec<Certificate>, DeployError> {
    platform.edge.certificates.iter().map(|files| written(dir, files)).collect()
}

fn written(dir: &Path, files: &CertificateFiles) -> Result<Certificate, DeployError> {
    let (chain, key) = (dir.join(&files.chain), dir.join(&files.key));
    Ok(Certificate {
        names: files.names.clone(),
        digest: digest(&chain, &key).map_err(DeployError::Refused)?,
        chain,
        key,
        is_default: files.default,
    })
}

/// SHA-256 over both files.
fn digest(chain: &Path, key: &Path) -> Result<String, String> {
    let mut hasher = Sha256::new();
    for (what, path) in [("certificate", chain), ("certificate's key", key)] {
        hasher.update(&contents(what, path)?);
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

fn contents(what: &str, path: &Path) -> Result<Vec<u8>, String> {
    let read = machine::files::read(path);
    let path = path.display();
    match read {
        Ok(Some(bytes)) if !bytes.is_empty() => Ok(bytes),
        Ok(Some(_)) => Err(format!("the {what} `{path}` is empty")),
        Ok(None) => Err(format!("the {what} `{path}` is missing; write its right path into `edge.certificates`")),
        Err(error) => Err(format!("the {what} `{path}` cannot be read: {error}")),
    }
}

/// Renewed files get new digests, and with them the edge reads them anew. One that cannot be read just now keeps its
/// digest: the edge goes on with what it has, and a half-written pair settles by the next turn.
pub fn refresh(world: &World) -> Result<Vec<String>, DeployError> {
    let mut renewed = Vec::new();
    for mut platform in world.platforms()? {
        let before = platform.certificates.clone();
        for certificate in &mut platform.certificates {
            if let Ok(digest) = digest(&certificate.chain, &certificate.key)
                && digest != certificate.digest
            {
                certificate.digest = digest;
                renewed.push(certificate.chain.display().to_string());
            }
        }
        if platform.certificates != before {
            world.save_platform(&platform)?;
        }
    }
    Ok(renewed)
}

/// The names that the platform answers to, for which the local authority is to issue a certificate.
pub fn local_names(domain: Option<&str>, platform: &spec::Platform) -> Vec<String> {
    let hosts = platform.services.iter().flat_map(|plan| &plan.routes).filter_map(|route| route.host.clone());
    let domains = domain.into_iter().flat_map(|domain| [domain.to_owned(), format!("*.{domain}")]);
    let local = ["localhost", "*.localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let mut names: Vec<String> = domains.chain(hosts).chain(local).collect();
    let mut seen = std::collections::BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    names
}

/// Takes over what the local authority has issued, in the place of what it issued before.
pub fn issued(platform: &mut Platform, certificate: Certificate) {
    platform.certificates.retain(|known| known.chain != certificate.chain);
    let is_default = !platform.certificates.iter().any(|known| known.is_default);
    platform.certificates.push(Certificate { is_default, ..certificate });
}
