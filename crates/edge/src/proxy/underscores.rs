//! Names that a service may take for others.
//!
//! WSGI, Rack, PHP and everything else that grew from CGI read hyphens and underscores alike: `X_Forwarded_For` is
//! `X-Forwarded-For` there, so that what was taken out of a request would come in again by the back door.

use http::{HeaderMap, HeaderName};

/// Removes headers that differ from one of these names only in underscores.
pub(crate) fn strip(headers: &mut HeaderMap, names: &[&str]) {
    let poses = |found: &&HeaderName| names.iter().any(|name| poses_as(found.as_str(), name));
    let posing: Vec<HeaderName> = headers.keys().filter(poses).cloned().collect();
    for name in posing {
        headers.remove(name);
    }
}

fn poses_as(found: &str, name: &str) -> bool {
    let alike = |(found, plain): (u8, u8)| found == plain || (found == b'_' && plain == b'-');
    found != name && found.len() == name.len() && found.bytes().zip(name.bytes()).all(alike)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_underscores_in_place_of_hyphens_pose() {
        assert!(poses_as("x_real-ip", "x-real-ip") && poses_as("x_real_ip", "x-real-ip"));
        assert!(!poses_as("x-real-ip", "x-real-ip") && !poses_as("x_real_id", "x-real-ip"));
        assert!(!poses_as("x_real_ip_", "x-real-ip") && !poses_as("a-b", "a_b"));
    }
}
