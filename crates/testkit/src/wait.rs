//! The one way a test waits.

use std::time::{Duration, Instant};

const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// Asks until the answer is `Ok`, and panics with the last state seen when it is not within `timeout`.
///
/// `what` completes the sentence "waited for ..". The condition answers `Err` with what it sees instead.
pub async fn wait_for<T, F, A>(what: &str, timeout: Duration, mut condition: F) -> T
where
    F: FnMut() -> A,
    A: Future<Output = Result<T, String>>,
{
    let begin = Instant::now();
    let mut pause = FIRST_PAUSE;
    let mut last = "nothing yet: the first look did not end".to_owned();
    loop {
        let left = timeout.saturating_sub(begin.elapsed());
        match tokio::time::timeout(left, condition()).await {
            Ok(Ok(value)) => return value,
            Ok(Err(state)) => last = state,
            Err(_) => {}
        }
        // Asked here and not only of the timer: an answer that is ready at once never meets its time limit.
        if begin.elapsed() >= timeout {
            panic!("waited {timeout:?} for {what}, but the last state was: {last}");
        }
        tokio::time::sleep(pause.min(timeout.saturating_sub(begin.elapsed()))).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waiting_ends_with_the_first_good_answer() {
        let mut looks = 0;
        let found = wait_for("the third look", Duration::from_secs(5), || {
            looks += 1;
            let now = looks;
            async move { if now == 3 { Ok(now) } else { Err(format!("look {now}")) } }
        })
        .await;
        assert_eq!(found, 3);
    }

    #[tokio::test]
    #[should_panic(expected = "for snow, but the last state was: nothing yet")]
    async fn a_look_that_never_ends_is_cut_off() {
        wait_for("snow", Duration::from_millis(50), std::future::pending::<Result<(), String>>).await;
    }

    #[tokio::test]
    #[should_panic(expected = "for rain, but the last state was: sun")]
    async fn waiting_in_vain_reports_the_last_state() {
        wait_for("rain", Duration::from_millis(50), || async { Err::<(), _>("sun".to_owned()) }).await;
    }
}
