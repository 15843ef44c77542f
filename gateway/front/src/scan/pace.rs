//! How long scans have waited for their answers of late: readiness follows it, and does not change with every commit.

use std::collections::VecDeque;
use std::time::Duration;

use protocol::Instant;

/// How long a wait counts, in milliseconds.
const WINDOW_MS: i64 = 30_000;

/// The most waits that are remembered; older ones give way.
const WAITS_MAX: usize = 256;

/// The waits of the last scans.
#[derive(Debug, Default)]
pub(super) struct Pace(VecDeque<(Instant, Duration)>);

impl Pace {
    /// A scan was answered at `now`.
    pub(super) fn add(&mut self, waited: Duration, now: Instant) {
        if self.0.len() == WAITS_MAX {
            self.0.pop_front();
        }
        self.0.push_back((now, waited));
    }

    /// The median of the waits that count at `now`.
    pub(super) fn median(&self, now: Instant) -> Option<Duration> {
        let recent = self.0.iter().filter(|(at, _)| (0..WINDOW_MS).contains(&now.ms_since(*at)));
        let mut waits: Vec<_> = recent.map(|(_, waited)| *waited).collect();
        waits.sort_unstable();
        waits.get(waits.len() / 2).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_slow_scan_among_quick_ones_is_none_and_what_was_slow_is_forgotten() {
        let (mut pace, at) = (Pace::default(), Instant::from_unix_ms);
        assert_eq!(pace.median(at(0)), None);
        for (second, waited_ms) in [(0, 5), (1, 6), (2, 4_000), (3, 7)] {
            pace.add(Duration::from_millis(waited_ms), at(second * 1000));
        }
        assert_eq!(pace.median(at(3_000)), Some(Duration::from_millis(7)));
        for second in 4..10 {
            pace.add(Duration::from_millis(4_100), at(second * 1000));
        }
        // Between two commits it stays what it was.
        for ms in [9_000, 12_000, 30_000, 38_999] {
            assert_eq!(pace.median(at(ms)), Some(Duration::from_millis(4_100)), "{ms}");
        }
        assert_eq!(pace.median(at(39_000)), None);
        (0..2 * WAITS_MAX as i64).for_each(|ms| pace.add(Duration::ZERO, at(40_000 + ms)));
        assert_eq!((pace.0.len(), pace.median(at(41_000))), (WAITS_MAX, Some(Duration::ZERO)));
    }
}
