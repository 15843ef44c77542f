//! What is said of a log that does not work: with its cause, and once a minute at most while that stays the same.

use std::error::Error;
use std::time::{Duration, Instant as Monotonic};

/// How long the same is not said again.
const PAUSE: Duration = Duration::from_secs(60);

/// What was said last.
#[derive(Debug, Default)]
pub(super) struct Complaints {
    last: Option<(String, Monotonic)>,
    unsaid: u64,
}

impl Complaints {
    /// What to say of an error at `now`, and how often it was not said since; [`None`] where it was said not long ago.
    pub(super) fn of(&mut self, error: &dyn Error, now: Monotonic) -> Option<(String, u64)> {
        let words = with_causes(error);
        if self.last.as_ref().is_some_and(|(last, at)| *last == words && now.duration_since(*at) < PAUSE) {
            self.unsaid += 1;
            return None;
        }
        self.last = Some((words.clone(), now));
        Some((words, std::mem::take(&mut self.unsaid)))
    }
}

/// An error with what it comes from.
fn with_causes(error: &dyn Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words.push_str(&format!(": {error}"));
        cause = error.source();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("a commit failed")]
    struct Failed(#[source] std::io::Error);

    #[test]
    fn the_same_is_said_once_a_minute_and_with_its_cause() {
        let (mut complaints, start) = (Complaints::default(), Monotonic::now());
        let full = || Failed(std::io::Error::from_raw_os_error(28));
        let (words, _) = complaints.of(&full(), start).unwrap();
        assert!(words.starts_with("a commit failed: No space left on device"), "{words}");
        for ms in [500, 1_000, 59_999] {
            assert_eq!(complaints.of(&full(), start + Duration::from_millis(ms)), None);
        }
        assert_eq!(complaints.of(&full(), start + PAUSE), Some((words, 3)));
        // Another cause is news.
        let broken = Failed(std::io::Error::from_raw_os_error(5));
        assert!(complaints.of(&broken, start + PAUSE).is_some());
    }
}
