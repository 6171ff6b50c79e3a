//! W3C trace context: the edge is one span of every trace.
//!
//! A valid `traceparent` is passed on with the edge's own span as the parent; one that is missing or cannot be read
//! is made anew, not sampled, so that a service's log lines can be put beside the edge's in any case.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::proxy::answer::{random, write_hex};

const PARENT: HeaderName = HeaderName::from_static("traceparent");
const STATE: HeaderName = HeaderName::from_static("tracestate");

/// `00-` trace `-` span `-` flags.
const LENGTH: usize = 55;

/// Makes the edge the parent of whatever the target does.
pub(crate) fn carry(headers: &mut HeaderMap) {
    let mut text = *b"00-................................-................-00";
    let (one, two) = random();
    match given(headers) {
        Some((trace, flags)) => {
            text[3..35].copy_from_slice(&trace);
            text[53..].copy_from_slice(&flags);
        }
        None => {
            headers.remove(STATE);
            write_hex(one | 1, &mut text[3..19]);
            write_hex(two, &mut text[19..35]);
        }
    }
    // An odd number is never the zero that the format forbids.
    write_hex(one.rotate_left(29) ^ two | 1, &mut text[36..52]);
    if let Ok(value) = HeaderValue::from_bytes(&text) {
        headers.insert(PARENT, value);
    }
}

/// The trace id of a request that has been through [`carry`].
pub(crate) fn id(headers: &HeaderMap) -> Option<HeaderValue> {
    headers.get(PARENT).cloned()
}

/// The trace and the flags of the one valid `traceparent`.
fn given(headers: &HeaderMap) -> Option<([u8; 32], [u8; 2])> {
    let mut values = headers.get_all(PARENT).iter();
    let text = values.next()?.as_bytes();
    if values.next().is_some() || text.len() < LENGTH {
        return None;
    }
    let is_hex = |part: &[u8]| part.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let is_zero = |part: &[u8]| part.iter().all(|byte| *byte == b'0');
    let (version, trace, span, flags) = (&text[..2], &text[3..35], &text[36..52], &text[53..55]);
    let has_dashes = [2, 35, 52].iter().all(|place| text[*place] == b'-');
    let is_whole = match version {
        b"00" => text.len() == LENGTH,
        b"ff" => false,
        // A later version may say more behind a dash; what is known of it is passed on as version 00.
        _ => text.len() == LENGTH || text[LENGTH] == b'-',
    };
    let is_fine = is_whole && has_dashes && [version, trace, span, flags].into_iter().all(is_hex);
    if !is_fine || is_zero(trace) || is_zero(span) {
        return None;
    }
    Some((trace.try_into().ok()?, flags.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn carried(parents: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(STATE, HeaderValue::from_static("vendor=1"));
        for parent in parents {
            headers.append(PARENT, HeaderValue::from_str(parent).unwrap());
        }
        carry(&mut headers);
        headers
    }

    #[test]
    fn a_valid_parent_keeps_its_trace_and_flags_and_gets_a_new_span() {
        let headers = carried(&[VALID]);
        let parent = headers[PARENT].to_str().unwrap();
        assert_eq!((&parent[..36], &parent[52..]), (&VALID[..36], "-01"));
        assert_ne!(parent[36..52], VALID[36..52]);
        assert_eq!(headers[STATE], "vendor=1");
        let later = format!("cc{}-more", &VALID[2..]);
        assert_eq!(carried(&[&later])[PARENT].to_str().unwrap()[..36], VALID[..36]);
    }

    #[test]
    fn what_is_missing_or_not_valid_is_made_anew_and_its_state_forgotten() {
        let upper = VALID.to_uppercase();
        let zero = VALID.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32));
        let zero_span = VALID.replace("00f067aa0ba902b7", &"0".repeat(16));
        let long = format!("{VALID}-x");
        let forbidden = format!("ff{}", &VALID[2..]);
        let cases: [&[&str]; 8] =
            [&[], &[&upper], &[&zero], &[&zero_span], &[&long], &[&forbidden], &["00-abc"], &[VALID, VALID]];
        for case in cases {
            let headers = carried(case);
            let parent = headers[PARENT].to_str().unwrap();
            assert_eq!(parent.len(), LENGTH, "{case:?}");
            assert_eq!(headers.get_all(PARENT).iter().count(), 1, "{case:?}");
            assert!(parent.ends_with("-00") && parent[..36] != VALID[..36], "{case:?}: {parent}");
            assert!(given(&headers).is_some(), "{case:?}: {parent}");
            assert!(!headers.contains_key(STATE), "{case:?}");
        }
    }
}
