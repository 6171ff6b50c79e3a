//! The health check that a service declares for Docker.

use std::time::Duration;

use serde_json::Value;

use super::value;

/// A declared health check; what is absent is the image's or Docker's default.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Healthcheck {
    /// The words of the test, the first of them `CMD`, `CMD-SHELL` or `NONE`.
    pub test: Vec<String>,
    /// Whether the image's own check is switched off.
    pub disabled: bool,
    /// The pause between two tests.
    pub interval: Option<Duration>,
    /// How long one test may take.
    pub timeout: Option<Duration>,
    /// How many failures in a row make it unhealthy.
    pub retries: Option<u32>,
    /// How long failures do not count after the start.
    pub start_period: Option<Duration>,
}

impl Healthcheck {
    pub(super) fn read(raw: Option<&Value>) -> Option<Healthcheck> {
        let fields = raw?.as_object()?;
        let test = match fields.get("test") {
            // Compose reads a plain text as a shell command.
            Some(Value::String(line)) => vec!["CMD-SHELL".to_owned(), line.clone()],
            other => value::texts(other),
        };
        let disabled = fields.get("disable").and_then(Value::as_bool).unwrap_or(false)
            || test.first().is_some_and(|word| word == "NONE");
        Some(Healthcheck {
            test,
            disabled,
            interval: fields.get("interval").and_then(value::duration),
            timeout: fields.get("timeout").and_then(value::duration),
            retries: fields.get("retries").and_then(value::whole).and_then(|count| u32::try_from(count).ok()),
            start_period: fields.get("start_period").and_then(value::duration),
        })
    }

    /// The longest that Docker may take to call the container unhealthy, with Docker's defaults filled in.
    pub fn patience(&self) -> Duration {
        let interval = self.interval.unwrap_or(Duration::from_secs(30));
        let timeout = self.timeout.unwrap_or(Duration::from_secs(30));
        let tries = self.retries.unwrap_or(3).clamp(1, 1000);
        self.start_period.unwrap_or_default().saturating_add((interval + timeout).saturating_mul(tries))
    }
}
