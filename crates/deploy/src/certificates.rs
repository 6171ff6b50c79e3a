//! The certificates of a platform, with digests that tell when a file has been renewed.

use std::collections::BTreeSet;
use std::path::Path;

use edge::local_ca::LocalCa;
use edge::snapshot::Certificate;
use sha2::{Digest, Sha256};
use spec::resolve::CertificateFiles;

use crate::error::DeployError;
use crate::world::World;

/// The local authority's folder in the state folder.
const LOCAL: &str = "local-ca";

/// Those that the platform file names, and one of the local authority where it wants that.
/// One that cannot be read stops a deploy before it begins.
pub fn all(world: &World, dir: &Path, platform: &spec::Platform) -> Result<Vec<Certificate>, DeployError> {
    let files = platform.edge.certificates.iter();
    let mut certificates = files.map(|files| written(dir, files)).collect::<Result<Vec<_>, _>>()?;
    if platform.edge.local_ca {
        let issued = issue(world, &local_names(platform))?;
        let is_default = certificates.is_empty();
        certificates.push(Certificate { is_default, ..issued });
    }
    Ok(certificates)
}

/// The one on disk while it is good, else a new one.
fn issue(world: &World, names: &[String]) -> Result<Certificate, DeployError> {
    let failed = |error| DeployError::Refused(format!("the local certificate authority has none to give: {error}"));
    let now = world.clock.now_ms();
    let authority = LocalCa::open_or_create(&world.root.path().join(LOCAL), now).map_err(failed)?;
    authority.issue(names, now).map(|issued| issued.certificate()).map_err(failed)
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
    let local = world.root.path().join(LOCAL);
    for mut platform in world.platforms()? {
        let before = renewed.len();
        for certificate in &mut platform.certificates {
            let digest = match certificate.chain.starts_with(&local) {
                true => issue(world, &certificate.names).ok().map(|issued| issued.digest),
                false => digest(&certificate.chain, &certificate.key).ok(),
            };
            if let Some(digest) = digest.filter(|digest| *digest != certificate.digest) {
                certificate.digest = digest;
                renewed.push(certificate.chain.display().to_string());
            }
        }
        if renewed.len() > before {
            world.save_platform(&platform)?;
        }
    }
    Ok(renewed)
}

/// The names that the platform answers to, for which the local authority issues a certificate.
fn local_names(platform: &spec::Platform) -> Vec<String> {
    let hosts = platform.services.iter().flat_map(|plan| &plan.routes).filter_map(|route| route.host.clone());
    let domains = platform.domain.iter().flat_map(|domain| [domain.clone(), format!("*.{domain}")]);
    let local = ["localhost", "*.localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let mut names: Vec<String> = domains.chain(hosts).chain(local).collect();
    let mut seen = BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    names
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use machine::clock::TestClock;
    use machine::docker::FakeDocker;
    use machine::process::FakeProcesses;

    use super::*;

    fn files(folder: &Path, chain: &str, key: &str) -> Result<Certificate, DeployError> {
        let files =
            CertificateFiles { chain: chain.into(), key: key.into(), names: vec!["a.example".into()], default: true };
        written(folder, &files)
    }

    #[test]
    fn a_renewed_file_has_another_digest_and_a_missing_one_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let root = machine::files::Root::open(folder.path()).unwrap();
        root.write_atomic("live/a.pem", b"one", 0o600).unwrap();
        root.write_atomic("a.key", b"key", 0o600).unwrap();
        let first = files(folder.path(), "live/a.pem", "a.key").unwrap();
        assert_eq!((first.chain.clone(), first.is_default), (folder.path().join("live/a.pem"), true));
        // SHA-256 of `onekey`: of both files, one after the other.
        assert_eq!(first.digest, format!("{:x}", Sha256::digest(b"onekey")));
        root.write_atomic("live/a.pem", b"two", 0o600).unwrap();
        assert_ne!(files(folder.path(), "live/a.pem", "a.key").unwrap().digest, first.digest);
        let refused = files(folder.path(), "b.pem", "a.key").unwrap_err().to_string();
        assert!(refused.contains("b.pem") && refused.contains("is missing"), "{refused}");
    }
    fn world(folder: &Path, clock: Arc<TestClock>) -> World {
        let parts = crate::Parts {
            docker: Arc::new(FakeDocker::new(clock.clone())),
            processes: Arc::new(FakeProcesses::new()),
            ledger: ledger::Ledger::in_memory(clock.clone()).unwrap(),
            edge: edge::Control::new(folder.join("edge.sock")),
            clock,
            root: machine::files::Root::open(folder).unwrap(),
            environment: vec![],
            salt: vec![],
            switching: tokio::sync::Mutex::new(()),
            holding: tokio::sync::Mutex::new(()),
            lent: Default::default(),
            faults: None,
        };
        World::new(Arc::new(parts), crate::Talk::silent(), saga::Abort::new())
    }

    fn shop() -> spec::Platform {
        let text =
            "version: 1\nenvironments: {production: {domain: shop.localhost, edge: {https: 8443, local_ca: true}}}";
        let file = spec::platform::parse(text, "mainstay.yaml").unwrap();
        let project = serde_json::json!({ "name": "shop", "services": { "web": { "image": "web" } } });
        let project = spec::Project::from_json(project).unwrap();
        let host = spec::HostSize { cpus: 4.0, memory: spec::Bytes::gib(8) };
        spec::resolve(&file, &project, &spec::EnvironmentName::parse("production").unwrap(), &host).unwrap()
    }

    #[test]
    fn the_local_authority_signs_for_the_domain_and_again_before_the_certificate_ends() {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(TestClock::default());
        let world = world(folder.path(), clock.clone());
        let resolved = shop();
        let certificates = all(&world, Path::new("/srv/shop"), &resolved).unwrap();
        let [first] = certificates.as_slice() else { panic!("{certificates:?}") };
        assert!(first.is_default && first.chain.starts_with(folder.path().join(LOCAL)));
        assert!(
            ["shop.localhost", "*.shop.localhost"].iter().all(|name| first.names.iter().any(|known| known == name))
        );
        let scope = crate::Scope { platform: resolved.name.clone(), environment: resolved.environment.clone() };
        let platform = crate::store::Platform {
            https: resolved.https.clone(),
            edge: resolved.edge.clone(),
            certificates: certificates.clone(),
            ..crate::store::Platform::new(scope, "/srv/shop")
        };
        world.save_platform(&platform).unwrap();
        assert!(refresh(&world).unwrap().is_empty(), "nothing has changed");
        clock.advance(Duration::from_secs(61 * 86_400));
        assert_eq!(refresh(&world).unwrap().len(), 1);
        let renewed = world.platforms().unwrap().remove(0).certificates.remove(0);
        assert_eq!((&renewed.chain, renewed.digest == first.digest), (&first.chain, false));
    }
}
