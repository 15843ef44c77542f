//! How fast one client may send, whatever the number of its connections.

use std::time::Duration;

use tokio::time::Instant;

/// A token bucket, kept as the moment at which it would be full again (the generic cell rate algorithm).
#[derive(Debug)]
pub(super) struct Bucket {
    full_at: Instant,
}

/// The size and refill of a bucket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    interval: Duration,
    tolerance: Duration,
}

impl Rate {
    /// `per_second` tokens a second, `burst` at once; both at least 1.
    pub(super) fn new(per_second: u32, burst: u32) -> Self {
        let interval = Duration::from_secs(1) / per_second.max(1);
        Self { interval, tolerance: interval * burst.saturating_sub(1) }
    }
}

impl Bucket {
    /// A full one.
    pub(super) fn new(now: Instant) -> Self {
        Self { full_at: now }
    }

    /// Takes a token, or says when there will be one.
    pub(super) fn take(&mut self, now: Instant, rate: Rate) -> Result<(), Instant> {
        if self.full_at > now + rate.tolerance {
            return Err(self.full_at.checked_sub(rate.tolerance).unwrap_or(now));
        }
        self.full_at = self.full_at.max(now) + rate.interval;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_rate_holds() {
        let start = Instant::now();
        let rate = Rate::new(10, 5);
        let mut bucket = Bucket::new(start);
        for _ in 0..5 {
            bucket.take(start, rate).unwrap();
        }
        let next = bucket.take(start, rate).unwrap_err();
        assert_eq!(next - start, Duration::from_millis(100));
        bucket.take(next, rate).unwrap();
        assert!(bucket.take(next, rate).is_err());
        let taken = (0..10_000u64).filter(|ms| bucket.take(next + Duration::from_millis(*ms), rate).is_ok()).count();
        assert!((99..=100).contains(&taken), "{taken}");
    }
}
