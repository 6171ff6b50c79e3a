//! What the engine says when it says no, sorted into what a caller can act on.

use bollard::errors::Error;

use crate::error::DockerError;

pub(super) fn explain(host: &str, operation: &'static str, thing: String, error: Error) -> DockerError {
    match error {
        Error::DockerResponseServerError { status_code, message } => sort(status_code, operation, thing, message),
        Error::DockerStreamError { error } => DockerError::Refused { operation, thing, message: error },
        Error::RequestTimeoutError => DockerError::Timeout { operation, thing },
        error if is_understanding(&error) => DockerError::Answer { operation, thing, source: Box::new(error) },
        error => DockerError::NotReachable { host: host.to_owned(), source: Some(Box::new(error)) },
    }
}

fn sort(status: u16, operation: &'static str, thing: String, message: String) -> DockerError {
    let message = message.trim().to_owned();
    match status {
        404 => DockerError::NotFound(missing(&message).unwrap_or(thing)),
        409 => DockerError::Conflict { operation, thing, message },
        // The engine has no fixed status for these: 403 and 500 were both seen.
        _ if message.contains("has active endpoints") || message.contains("already exists in network") => {
            DockerError::Conflict { operation, thing, message }
        }
        _ if message.contains("is not connected to") => DockerError::Conflict { operation, thing, message },
        _ => DockerError::Refused { operation, thing, message },
    }
}

/// A call can name several things; the message tells which of them is not there.
fn missing(message: &str) -> Option<String> {
    let lower = message.to_lowercase();
    let rest = |words: &str| lower.find(words).map(|at| message[at + words.len()..].trim().to_owned());
    if let Some(name) = rest("no such image: ") {
        return Some(format!("image `{}`", name.split(" (").next().unwrap_or(&name)));
    }
    if let Some(name) = rest("no such container: ") {
        return Some(format!("container `{name}`"));
    }
    let (before, _) = lower.split_once(" not found")?;
    let at = before.rfind("network ")?;
    Some(format!("network `{}`", message[at + "network ".len()..before.len()].trim()))
}

fn is_understanding(error: &Error) -> bool {
    matches!(
        error,
        Error::JsonDataError { .. }
            | Error::JsonSerdeError { .. }
            | Error::StrParseError { .. }
            | Error::APIVersionParseError {}
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(status_code: u16, message: &str) -> DockerError {
        let error = Error::DockerResponseServerError { status_code, message: message.to_owned() };
        explain("unix:///x", "start", "container `a`".to_owned(), error)
    }

    #[test]
    fn what_is_missing_is_taken_from_the_engines_own_words() {
        for (message, thing) in [
            ("No such image: debian:none", "there is no image `debian:none`"),
            ("No such container: zz", "there is no container `zz`"),
            ("network front not found", "there is no network `front`"),
            ("something else", "there is no container `a`"),
        ] {
            assert_eq!(said(404, message).to_string(), thing);
        }
    }

    #[test]
    fn a_network_in_use_is_a_conflict_whatever_its_status() {
        let message = "error while removing network: network x id 1 has active endpoints";
        assert!(matches!(said(403, message), DockerError::Conflict { .. }));
        assert!(matches!(said(500, "driver failed"), DockerError::Refused { .. }));
    }
}
