//! Whether a reader may be sending what it has held back: nobody need be standing at the door then.

use std::time::Duration;

use tokio::time::Instant;

/// A reader that has held scans back begins to send them so soon after it has connected.
const AFTER_CONNECT: Duration = Duration::from_secs(5);

/// It sends the next one so soon after the answer to the last one.
const AFTER_ANSWER: Duration = Duration::from_secs(1);

/// Until when a reader's scans may be such as it has held back. What is sent later, one at a time and with a pause between them,
/// was made just then.
#[derive(Clone, Copy, Debug)]
pub(super) struct Backlog {
    until: Instant,
    /// The last scan may have been one.
    running: bool,
}

impl Backlog {
    /// Of a reader that connects now.
    pub(super) fn new(now: Instant) -> Self {
        Self { until: now + AFTER_CONNECT, running: false }
    }

    /// Whether a scan that arrives now may have been held back, behind `unanswered` others.
    pub(super) fn covers(&mut self, now: Instant, unanswered: usize) -> bool {
        self.running = unanswered > 0 || now < self.until;
        self.running
    }

    /// Takes note that the reader says that it has nothing.
    pub(super) fn is_empty(&mut self, now: Instant) {
        (self.until, self.running) = (now, false);
    }

    /// Takes note of an answer.
    pub(super) fn answered(&mut self, now: Instant) {
        if self.running {
            self.until = self.until.max(now + AFTER_ANSWER);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_a_connection_or_another_scan_at_once_may_have_been_held_back() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut backlog = Backlog::new(start);
        assert!(backlog.covers(at(4_900), 0));
        backlog.answered(at(4_950));
        // It goes on as long as each follows the last answer at once.
        assert!(backlog.covers(at(5_900), 0));
        backlog.answered(at(5_910));
        assert!(backlog.covers(at(6_900), 0));
        backlog.answered(at(6_910));
        assert!(!backlog.covers(at(8_000), 0));
        backlog.answered(at(8_010));
        assert!(!backlog.covers(at(8_500), 0));
        assert!(backlog.covers(at(8_501), 1));
        // It says itself that there is nothing.
        let mut backlog = Backlog::new(start);
        backlog.is_empty(at(100));
        assert!(!backlog.covers(at(200), 0));
    }
}
