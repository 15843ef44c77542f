//! When a scan happened, and whether somebody can still be standing at the door.
//!
//! A reader's time, corrected by what its status said of its clock, tells a scan that was just made from one that the reader has
//! held back. In time, the moment of arrival counts, which no reader's clock can spoil; late, the reader's, corrected.

use protocol::{ClockQuality, Instant};

use crate::Rules;

/// A scan cannot be made so long after it has arrived, in milliseconds: its reader's clock tells nothing.
const AHEAD_MS_MAX: i64 = 3_600_000;

/// When a scan was made and came, as far as that was told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    /// The reader's clock when it saw the credential, where that was readable.
    pub(super) scanned_at: Option<Instant>,
    /// The gateway's clock when the scan arrived.
    pub(super) received_at: Instant,
    /// The reader's clock minus the gateway's in milliseconds, where the reader has told its time.
    pub(super) clock_offset_ms: Option<i64>,
    /// Whether the reader may have held it back.
    pub(super) maybe_buffered: bool,
}

/// When a scan happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    /// The gateway's clock when it happened.
    pub(super) happened_at: Instant,
    /// Nobody can be standing at the door any more, or nobody knows.
    pub(super) late: bool,
    /// How far the reader's clock can be trusted.
    pub(super) clock: ClockQuality,
}

impl Moment {
    /// When a scan happened that is decided `now`.
    pub(super) fn of(rules: &Rules, times: Times, now: Instant) -> Self {
        let Times { received_at, maybe_buffered, .. } = times;
        // What was held while the log did not work is late as well: nobody stands at the door any more.
        let now = now.max(received_at);
        let late_after_ms = ms(rules.late_after_ms);
        let at_arrival = |clock| {
            let late = maybe_buffered || now.ms_since(received_at) > late_after_ms;
            Self { happened_at: received_at, late, clock }
        };
        let Some((made_at, clock)) = made_at(rules, times) else { return at_arrival(ClockQuality::Doubtful) };
        if clock == ClockQuality::Ahead && times.clock_offset_ms.is_none() {
            return at_arrival(clock);
        }
        let in_time = received_at.ms_since(made_at) <= late_after_ms;
        let happened_at = if in_time { received_at } else { made_at };
        Self { happened_at, late: now.ms_since(made_at) > late_after_ms, clock }
    }
}

/// When the scan was made by the gateway's clock, and how far the reader's can be trusted; `None` where its time is none that a
/// reader of this site can have.
fn made_at(rules: &Rules, times: Times) -> Option<(Instant, ClockQuality)> {
    let Times { scanned_at, received_at, clock_offset_ms, maybe_buffered } = times;
    let (scanned_at, tolerance_ms) = (scanned_at?, ms(rules.clock_tolerance_ms));
    // A clock that was put right tells it by the next scan, before the next status. One that was held back may only look so.
    let is_right = !maybe_buffered && scanned_at.ms_since(received_at).abs() <= tolerance_ms;
    let offset_ms = clock_offset_ms.map(|offset| if is_right { 0 } else { offset });
    // What was told holds how long the status travelled: within the tolerance that is all that it tells.
    let correction_ms = offset_ms.filter(|offset| offset.unsigned_abs() > tolerance_ms.unsigned_abs()).unwrap_or(0);
    let made_at = Instant::from_unix_ms(scanned_at.unix_ms().saturating_sub(correction_ms));
    let ahead_ms = made_at.ms_since(received_at);
    if made_at < rules.since || ahead_ms > AHEAD_MS_MAX {
        return None;
    }
    let clock = match offset_ms {
        Some(offset) if offset > tolerance_ms => ClockQuality::Ahead,
        Some(offset) if offset < -tolerance_ms => ClockQuality::Behind,
        Some(_) => ClockQuality::Good,
        // A scan cannot be made after it has arrived.
        None if ahead_ms > tolerance_ms => ClockQuality::Ahead,
        None => ClockQuality::Unknown,
    };
    Some((made_at, clock))
}

fn ms(setting: u64) -> i64 {
    i64::try_from(setting).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAY_MS: i64 = 86_400_000;
    /// 2026-11-23T07:31:04Z.
    const NOW_MS: i64 = 1_795_419_064_000;

    fn at(ms: i64) -> Instant {
        Instant::from_unix_ms(NOW_MS + ms)
    }

    /// Late after 30 s, tolerance 5 s, since 30 days ago.
    fn rules() -> Rules {
        let access = crate::Config::default();
        Rules::new(jiff::tz::TimeZone::UTC, &access, 30_000, 5_000, at(-30 * DAY_MS))
    }

    /// A scan that arrives now.
    fn arriving(scanned_at: i64, clock_offset_ms: Option<i64>, maybe_buffered: bool) -> Moment {
        let times = Times { scanned_at: Some(at(scanned_at)), received_at: at(0), clock_offset_ms, maybe_buffered };
        Moment::of(&rules(), times, at(3))
    }

    #[test]
    fn a_clock_that_was_put_right_outweighs_what_an_older_status_said() {
        let right = arriving(-40, Some(60_000), false);
        assert_eq!(right, Moment { happened_at: at(0), late: false, clock: ClockQuality::Good });
        let held_back = arriving(-40, Some(60_000), true);
        assert_eq!(held_back, Moment { happened_at: at(-60_040), late: true, clock: ClockQuality::Ahead });
        let still_ahead = arriving(60_000 - 40, Some(60_000), false);
        assert_eq!(still_ahead, Moment { happened_at: at(0), late: false, clock: ClockQuality::Ahead });
    }

    #[test]
    fn a_clock_that_is_right_is_not_corrected_by_how_long_its_status_travelled() {
        for travelled_ms in [0, 3, 40, 4_900] {
            let moment = arriving(-2 * DAY_MS, Some(-travelled_ms), true);
            assert_eq!(moment, Moment { happened_at: at(-2 * DAY_MS), late: true, clock: ClockQuality::Good });
        }
    }

    #[test]
    fn a_time_that_no_reader_can_have_becomes_the_time_of_arrival() {
        for wrong in [-NOW_MS, -31 * DAY_MS, 8 * 3_600_000, 40 * 365 * DAY_MS] {
            for (maybe_buffered, late) in [(false, false), (true, true)] {
                let moment = arriving(wrong, None, maybe_buffered);
                assert_eq!(moment, Moment { happened_at: at(0), late, clock: ClockQuality::Doubtful }, "{wrong}");
            }
        }
        let unreadable =
            Times { scanned_at: None, received_at: at(0), clock_offset_ms: Some(7), maybe_buffered: false };
        assert_eq!(Moment::of(&rules(), unreadable, at(0)).clock, ClockQuality::Doubtful);
    }

    #[test]
    fn a_reader_without_a_clock_that_says_so_is_dated_by_it() {
        // Its clock began at 1970 when it was switched on, and it held the scan back for two days.
        let moment = arriving(-NOW_MS, Some(-NOW_MS + 2 * DAY_MS), true);
        assert_eq!(moment, Moment { happened_at: at(-2 * DAY_MS), late: true, clock: ClockQuality::Behind });
    }

    #[test]
    fn what_waited_in_the_gateway_happened_when_it_arrived_and_is_late() {
        let times =
            Times { scanned_at: Some(at(-1_000)), received_at: at(0), clock_offset_ms: Some(0), maybe_buffered: false };
        let moment = Moment::of(&rules(), times, at(60_000));
        assert_eq!((moment.happened_at, moment.late), (at(0), true));
    }

    proptest! {
        /// Whatever a reader says: nothing happens after it arrived or before the site was there, and what is in time happened
        /// when it arrived.
        #[test]
        fn no_clock_files_a_scan_where_it_cannot_have_been(
            scanned_at in prop::option::of(prop_oneof![-NOW_MS..NOW_MS, -100_000..100_000i64]),
            offset in prop::option::of(prop_oneof![-NOW_MS..NOW_MS, -100_000..100_000i64]),
            maybe_buffered: bool,
            waited in 0..100_000i64,
        ) {
            let times = Times { scanned_at: scanned_at.map(at), received_at: at(0), clock_offset_ms: offset, maybe_buffered };
            let moment = Moment::of(&rules(), times, at(waited));
            prop_assert!(moment.happened_at <= at(0) && moment.happened_at >= at(-30 * DAY_MS));
            prop_assert!(moment.late || moment.happened_at == at(0));
            prop_assert!(moment.late || waited <= 30_000 + 3_600_000);
        }

        /// However far a clock is off: where the reader has said so, a scan is judged as if it were right.
        #[test]
        fn an_offset_that_was_told_changes_nothing(
            age in 0..20 * DAY_MS,
            offset in prop_oneof![-NOW_MS..-5_000, 5_001..NOW_MS],
        ) {
            let right = arriving(-age, Some(0), true);
            let off = arriving(offset - age, Some(offset), true);
            prop_assert_eq!((off.happened_at, off.late), (right.happened_at, right.late));
        }
    }
}
