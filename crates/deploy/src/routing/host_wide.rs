//! What the edge has once for all platforms of the host; where several ask for it, the careful answer counts.

use edge::Snapshot;
use edge::snapshot::{AccessLog, Shedding};

use super::millis;
use crate::store::Platform;

/// Adds what a platform asks of the whole edge.
pub fn add(snapshot: &mut Snapshot, platform: &Platform) {
    snapshot.trusted_proxies.extend(platform.edge.trusted_proxies.iter().map(ToString::to_string));
    snapshot.trusted_proxies.sort();
    snapshot.trusted_proxies.dedup();
    for certificate in &platform.certificates {
        // Two platforms may name the same files, and only one certificate can be shown to strangers.
        let mut certificate = certificate.clone();
        certificate.is_default &= !snapshot.certificates.iter().any(|other| other.is_default);
        if !snapshot
            .certificates
            .iter()
            .any(|other| other.chain == certificate.chain && other.names == certificate.names)
        {
            snapshot.certificates.push(certificate);
        }
    }
    let log = platform.edge.access_log.as_ref().map(|log| access_log(platform, log));
    snapshot.access_log = both(snapshot.access_log.take(), log, more_told);
    let shedding = platform.edge.shedding.as_ref();
    let shedding = shedding.map(|s| Shedding { in_flight: s.in_flight, target_ms: s.target.map(millis) });
    snapshot.shedding = both(snapshot.shedding.take(), shedding, |first, second| Shedding {
        in_flight: first.in_flight.min(second.in_flight),
        target_ms: both(first.target_ms, second.target_ms, u64::min),
    });
}

fn access_log(platform: &Platform, log: &spec::resolve::AccessLog) -> AccessLog {
    AccessLog {
        file: log.file.as_ref().map(|file| platform.dir.join(file)),
        sample: log.sample,
        slow_ms: millis(log.slow),
        mask: log.mask.clone(),
        mask_client: log.mask_client,
        rotate_bytes: log.rotate.0,
    }
}

/// As many requests as either wants to see, with everything hidden that either wants hidden.
fn more_told(first: AccessLog, second: AccessLog) -> AccessLog {
    let mut mask = first.mask;
    mask.extend(second.mask);
    mask.sort();
    mask.dedup();
    AccessLog {
        file: first.file.or(second.file),
        sample: first.sample.min(second.sample),
        slow_ms: first.slow_ms.min(second.slow_ms),
        mask,
        mask_client: first.mask_client || second.mask_client,
        rotate_bytes: first.rotate_bytes.max(second.rotate_bytes),
    }
}

fn both<T>(first: Option<T>, second: Option<T>, join: impl FnOnce(T, T) -> T) -> Option<T> {
    match (first, second) {
        (Some(first), Some(second)) => Some(join(first, second)),
        (first, second) => first.or(second),
    }
}
