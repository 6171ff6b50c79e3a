//! So many of something in so long, such as `100/s`.

use std::time::Duration;

use super::duration::parse_duration;
use crate::error::InvalidUnit;

/// A number of requests in a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rate {
    /// How many.
    pub requests: u32,
    /// In how long; never zero.
    pub per: Duration,
}

impl Rate {
    /// Reads `100/s`, `600/m`, `1000/h` or `20/10s`.
    pub fn parse(text: &str) -> Result<Self, InvalidUnit> {
        let invalid = |nearest| InvalidUnit {
            kind: "a rate",
            found: text.to_owned(),
            allowed: "a number of requests, `/` and a time, such as `100/s`, `600/m` or `20/10s`",
            nearest,
        };
        let Some((requests, per)) = text.split_once('/') else {
            let meant = text.trim().parse::<u32>().ok().map(|requests| format!("{requests}/s"));
            return Err(invalid(meant));
        };
        let per = per.trim();
        let per = if per.starts_with(|c: char| c.is_ascii_digit()) { per.to_owned() } else { format!("1{per}") };
        let requests = requests.trim().parse::<u32>().ok().filter(|requests| *requests > 0);
        let per = parse_duration(&per).ok().filter(|per| !per.is_zero());
        match (requests, per) {
            (Some(requests), Some(per)) => Ok(Rate { requests, per }),
            _ => Err(invalid(None)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_read_as_people_write_it() {
        for (text, requests, seconds) in [
            ("100/s", 100, 1),
            ("600 / m", 600, 60),
            ("20/10s", 20, 10),
            ("5000/1h30m", 5000, 5400),
            ("9/1d", 9, 86_400),
        ] {
            let rate = Rate::parse(text).unwrap();
            assert_eq!((rate.requests, rate.per.as_secs()), (requests, seconds), "{text}");
        }
    }

    #[test]
    fn a_rate_without_a_time_or_without_requests_is_refused() {
        for bad in ["", "100", "/s", "0/s", "5/0s", "-1/s", "5/x", "1.5/s", "5//s", "99999999999/s"] {
            assert!(Rate::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(Rate::parse("100").unwrap_err().nearest.as_deref(), Some("100/s"));
    }
}
