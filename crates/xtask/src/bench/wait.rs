//! Waiting for a condition, for a bounded time, with the last state in the error.

use std::time::{Duration, Instant};

use crate::Outcome;
use crate::error::TaskError;

/// Asks every `pause` until there is an answer; a question says what it saw instead.
pub(crate) fn wait_for<T>(
    limit: Duration,
    pause: Duration,
    mut question: impl FnMut() -> Result<T, String>,
) -> Outcome<T> {
    let began = Instant::now();
    loop {
        match question() {
            Ok(answer) => return Ok(answer),
            Err(state) if began.elapsed() > limit => {
                return Err(TaskError::Waited { waited: limit.as_secs(), state });
            }
            Err(_) => rest(pause),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the pause between two looks at a condition")]
pub(crate) fn rest(pause: Duration) {
    std::thread::sleep(pause);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_state_is_in_the_error() {
        let mut looks = 0;
        let outcome: Outcome<()> = wait_for(Duration::ZERO, Duration::ZERO, || {
            looks += 1;
            Err(format!("look {looks}"))
        });
        assert!(matches!(outcome, Err(TaskError::Waited { state, .. }) if state.starts_with("look ")));
    }
}
