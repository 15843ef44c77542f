//! How long to wait after a failed try: exponential, with full jitter, so that many gateways do not come back at once.

use std::time::Duration;

/// The waits of a row of failed tries.
#[derive(Debug)]
pub(super) struct Backoff {
    min: Duration,
    max: Duration,
    tries: u32,
}

impl Backoff {
    /// Starts with waits of at most `min`, and never waits longer than `max`.
    pub(super) fn new(min: Duration, max: Duration) -> Self {
        Self { min, max, tries: 0 }
    }

    /// The next wait, at least `asked` where the upstream has asked for one.
    pub(super) fn next(&mut self, asked: Option<Duration>) -> Duration {
        // Without randomness the longest wait is the safe one.
        let share = getrandom::u32().unwrap_or(u32::MAX);
        let wait = self.ceiling().mul_f64(f64::from(share) / f64::from(u32::MAX));
        self.tries = self.tries.saturating_add(1);
        wait.max(asked.unwrap_or_default()).min(self.max)
    }

    /// A try has succeeded.
    pub(super) fn reset(&mut self) {
        self.tries = 0;
    }

    fn ceiling(&self) -> Duration {
        let factor = 1u32.checked_shl(self.tries).unwrap_or(u32::MAX);
        self.min.saturating_mul(factor).min(self.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn the_ceiling_doubles_up_to_its_limit_and_falls_back_after_a_success() {
        let mut backoff = Backoff::new(200 * MS, 1_000 * MS);
        let mut ceilings = Vec::new();
        for _ in 0..100 {
            ceilings.push(backoff.ceiling());
            assert!(backoff.next(None) <= *ceilings.last().unwrap());
        }
        assert_eq!(ceilings[..5], [200 * MS, 400 * MS, 800 * MS, 1_000 * MS, 1_000 * MS]);
        assert!(ceilings[5..].iter().all(|ceiling| *ceiling == 1_000 * MS));
        backoff.reset();
        assert_eq!(backoff.ceiling(), 200 * MS);
    }

    #[test]
    fn what_the_upstream_asks_for_is_honoured_up_to_the_limit() {
        let mut backoff = Backoff::new(MS, 1_000 * MS);
        assert_eq!(backoff.next(Some(500 * MS)), 500 * MS);
        assert_eq!(backoff.next(Some(Duration::MAX)), 1_000 * MS);
    }

    #[test]
    fn waits_are_spread() {
        let waits: std::collections::BTreeSet<_> =
            (0..50).map(|_| Backoff::new(1_000 * MS, 1_000 * MS).next(None)).collect();
        assert!(waits.len() > 1);
    }
}
