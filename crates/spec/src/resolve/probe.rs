//! The URL inside a declared health check, such as `curl -f http://localhost:8000/health || exit 1`.
//!
//! It tells which port a service listens on, and what the edge may ask all the time. It never takes the place of the
//! check itself: headers, pipes, `!` and exit codes of a command are more than its URL.

use crate::compose::Service;

/// A URL of the container itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Url {
    pub(super) port: u16,
    pub(super) path: String,
}

/// The plain HTTP URL that is somewhere in the health check, if it asks one of its own container.
pub(super) fn url(service: &Service) -> Option<Url> {
    let check = service.healthcheck.as_ref().filter(|check| !check.disabled)?;
    check.test.iter().find_map(|word| find(word))
}

/// The URL of a health check that is nothing but the question whether this URL answers well.
pub(super) fn plain(service: &Service) -> Option<Url> {
    let check = service.healthcheck.as_ref().filter(|check| !check.disabled)?;
    let words: Vec<&str> = match check.test.split_first()? {
        (kind, words) if kind == "CMD" => words.iter().map(String::as_str).collect(),
        (kind, [line]) if kind == "CMD-SHELL" => shell_words(line)?,
        _ => return None,
    };
    let (program, words) = words.split_first()?;
    let (mut url, mut fails) = (None, false);
    let is_curl = match program.rsplit('/').next()? {
        "curl" => true,
        "wget" => false,
        _ => return None,
    };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match option(word, is_curl) {
            Some(Means::Nothing) => {}
            Some(Means::Fails) => fails = true,
            Some(Means::TakesAWord) => drop(words.next()?),
            None if word.starts_with('-') || url.is_some() => return None,
            None => url = Some(word),
        }
    }
    // Without it, curl is content with any answer.
    let url = url.filter(|url| url.starts_with("http://") && (fails || !is_curl))?;
    find(url).filter(|url| !url.path.contains(['?', '#']))
}

enum Means {
    Nothing,
    /// Bad answers are failures.
    Fails,
    TakesAWord,
}

/// Options that change nothing about what is asked.
fn option(word: &str, is_curl: bool) -> Option<Means> {
    let short = word.strip_prefix('-').filter(|letters| !letters.is_empty() && !letters.starts_with('-'));
    match (is_curl, word) {
        (true, "--fail") => Some(Means::Fails),
        (true, "--silent" | "--show-error") | (false, "--spider" | "--quiet" | "--no-verbose" | "-nv" | "-O-") => {
            Some(Means::Nothing)
        }
        (true, "-o" | "--output" | "-m" | "--max-time" | "--connect-timeout") | (false, "-O" | "-T" | "-t") => {
            Some(Means::TakesAWord)
        }
        (false, _) if word.starts_with("--timeout=") || word.starts_with("--tries=") => Some(Means::Nothing),
        (false, "-q" | "-qO-") => Some(Means::Nothing),
        (false, "-qO") => Some(Means::TakesAWord),
        (true, _) if short.is_some_and(|letters| letters.chars().all(|letter| "fsS".contains(letter))) => {
            Some(if word.contains('f') { Means::Fails } else { Means::Nothing })
        }
        _ => None,
    }
}

/// The words of a line that no shell would read in another way.
fn shell_words(line: &str) -> Option<Vec<&str>> {
    let line = line.trim();
    let fallback = ["|| exit 1", "||exit 1", "|| false"].iter().find_map(|end| line.strip_suffix(end));
    fallback.unwrap_or(line).split_whitespace().map(unquoted).collect()
}

fn unquoted(word: &str) -> Option<&str> {
    let quoted = ['"', '\''].into_iter().find_map(|quote| word.strip_prefix(quote)?.strip_suffix(quote));
    let bare = quoted.unwrap_or(word);
    bare.chars().all(|c| c.is_ascii_alphanumeric() || "-_./:=,+@%[]".contains(c)).then_some(bare)
}

fn find(word: &str) -> Option<Url> {
    let (_, after) = word.split_once("http://")?;
    let end = after.find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '|' | ';' | '&' | ')' | '`'));
    let address = &after[..end.unwrap_or(after.len())];
    let (authority, path) = address.split_once('/').unwrap_or((address, ""));
    let (host, port) = match authority.strip_prefix("[::1]") {
        Some(rest) => ("localhost", rest.strip_prefix(':')),
        None => authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port))),
    };
    if !matches!(host, "localhost" | "127.0.0.1" | "0.0.0.0") {
        return None;
    }
    let port = match port {
        Some(digits) => digits.parse().ok().filter(|port| *port > 0)?,
        None => 80,
    };
    // A variable in the path is known inside the container only.
    (!path.contains('$')).then(|| Url { port, path: format!("/{path}") })
}

#[cfg(test)]
mod tests;
