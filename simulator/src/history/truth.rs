//! What is true of a month: who came and left when, and who was together with whom, for how long.

use protocol::Direction;

use super::passages::Passage;
use super::regency::COMPLEX;

/// Somebody's working day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrueDay {
    /// Coming into the complex for the first time.
    pub first_in: Moment,
    /// Leaving it for the last time.
    pub last_out: Moment,
    /// Ways out of the complex that were not scanned.
    pub missed_exits: u32,
    /// Ways into the complex that were not scanned.
    pub missed_entries: u32,
    /// Whole minutes in the complex; absent where a way in or out was not scanned, or by a clock that is off.
    pub known_minutes: Option<i64>,
    /// Whether anything was scanned at all.
    pub seen: bool,
}

/// When somebody went through a door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The true time in Unix milliseconds.
    pub at_ms: i64,
    /// Whether it was scanned.
    pub seen: bool,
    /// How far the reader's clock is ahead.
    pub clock_ahead_ms: i64,
}

/// Somebody in a zone, and in none inside it. Times are Unix milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stay {
    /// The zone.
    pub zone: u16,
    /// From when.
    pub from_ms: i64,
    /// Until when.
    pub to_ms: i64,
}

/// From when until when, in Unix milliseconds.
pub type Interval = (i64, i64);

const DAY_MS: i64 = 24 * 3_600_000;

/// The working days on which somebody came, out of [`passages`](super::passages::passages).
pub fn days(passages: &[Passage], clocks: &[i64]) -> Vec<(usize, TrueDay)> {
    let by_day = passages.chunk_by(|one, next| one.day == next.day);
    by_day.filter_map(|day| Some((day.first()?.day, true_day(day, clocks)?))).collect()
}

fn true_day(passages: &[Passage], clocks: &[i64]) -> Option<TrueDay> {
    let moment = |passage: &Passage| Moment {
        at_ms: passage.step.at_ms,
        seen: passage.seen,
        clock_ahead_ms: clocks.get(passage.step.door).copied().unwrap_or(0),
    };
    let missed = |direction| {
        let gate = |passage: &&Passage| passage.step.zone == COMPLEX && passage.step.direction == direction;
        u32::try_from(passages.iter().filter(gate).filter(|passage| !passage.seen).count()).unwrap_or(u32::MAX)
    };
    Some(TrueDay {
        first_in: moment(passages.first()?),
        last_out: moment(passages.last()?),
        missed_exits: missed(Direction::Out),
        missed_entries: missed(Direction::In),
        known_minutes: known_ms(passages, clocks).map(|ms| ms / 60_000),
        seen: passages.iter().any(|passage| passage.seen),
    })
}

/// How long somebody was in the complex, where all scans at its gates tell it.
fn known_ms(passages: &[Passage], clocks: &[i64]) -> Option<i64> {
    let mut ms = 0;
    for Passage { step, seen, .. } in passages.iter().filter(|passage| passage.step.zone == COMPLEX) {
        if !seen || clocks.get(step.door).is_some_and(|ahead| *ahead != 0) {
            return None;
        }
        ms += if step.direction == Direction::In { -step.at_ms } else { step.at_ms };
    }
    Some(ms)
}

/// Where somebody was, in order.
pub fn stays(passages: &[Passage]) -> Vec<Stay> {
    let pairs = passages.windows(2);
    pairs
        .filter_map(|pair| {
            let [before, next] = pair else { return None };
            let zone = match before.step.direction {
                Direction::In => before.step.zone,
                Direction::Out if before.step.zone == COMPLEX => return None,
                Direction::Out => COMPLEX,
            };
            Some(Stay { zone, from_ms: before.step.at_ms, to_ms: next.step.at_ms })
        })
        .collect()
}

/// When two people were in the same zone within a period, in order; both stays are in order.
pub fn shared(one: &[Stay], other: &[Stay], period: Interval) -> Vec<Interval> {
    let (mut one, mut other) = (one.iter().peekable(), other.iter().peekable());
    let mut shared = Vec::new();
    while let (Some(mine), Some(theirs)) = (one.peek(), other.peek()) {
        let from = mine.from_ms.max(theirs.from_ms).max(period.0);
        let to = mine.to_ms.min(theirs.to_ms).min(period.1);
        if mine.zone == theirs.zone && from < to {
            shared.push((from, to));
        }
        if mine.to_ms < theirs.to_ms {
            one.next()
        } else {
            other.next()
        };
    }
    shared
}

/// The most of these intervals, which follow each other, that falls into any 24 hours, in milliseconds.
pub fn most_in_24_hours(intervals: &[Interval]) -> i64 {
    // The most is held by 24 hours that end with one of them.
    let held = |end: i64| {
        let inside = |(from, to): &Interval| ((*to).min(end) - (*from).max(end - DAY_MS)).max(0);
        intervals.iter().map(inside).sum()
    };
    intervals.iter().map(|(_, end)| held(*end)).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::super::fault_rates::FaultRates;
    use super::super::passages::passages;
    use super::super::regency::Regency;
    use super::super::testing::regency;
    use super::*;

    #[test]
    fn stays_follow_each_other_from_coming_to_leaving() {
        let regency = Regency { slips: FaultRates::NONE, ..regency(60, 5, 20) };
        for person in 0..60 {
            let passages = passages(&regency, person);
            let stays = stays(&passages);
            let inside: i64 = stays.iter().map(|stay| stay.to_ms - stay.from_ms).sum();
            let mut expected = 0;
            for passage in passages.iter().filter(|passage| passage.step.zone == COMPLEX) {
                expected +=
                    if passage.step.direction == Direction::In { -passage.step.at_ms } else { passage.step.at_ms };
            }
            assert_eq!(inside, expected);
            assert!(stays.windows(2).all(|pair| pair[0].to_ms <= pair[1].from_ms));
            for (_, day) in days(&passages, &[]) {
                assert!(day.first_in.seen && day.last_out.seen && day.first_in.at_ms < day.last_out.at_ms);
                assert_eq!((day.missed_exits, day.missed_entries, day.seen), (0, 0, true));
                assert!((60..900).contains(&day.known_minutes.unwrap()));
            }
        }
    }

    #[test]
    fn shared_time_is_where_the_zone_is_the_same() {
        let stay = |zone, from_ms, to_ms| Stay { zone, from_ms, to_ms };
        let one = [stay(1, 0, 10), stay(0, 10, 20), stay(2, 20, 30)];
        let other = [stay(1, 5, 12), stay(0, 12, 15), stay(2, 25, 40)];
        assert_eq!(shared(&one, &other, (0, 100)), [(5, 10), (12, 15), (25, 30)]);
        assert_eq!(shared(&other, &one, (7, 27)), [(7, 10), (12, 15), (25, 27)]);
        assert_eq!(shared(&one, &[], (0, 100)), []);
    }

    #[test]
    fn minutes_add_up_within_24_hours_only() {
        let hour = 3_600_000;
        assert_eq!(most_in_24_hours(&[]), 0);
        assert_eq!(most_in_24_hours(&[(0, hour), (23 * hour, 26 * hour)]), 3 * hour);
        assert_eq!(most_in_24_hours(&[(0, hour), (10 * hour, 11 * hour), (30 * hour, 31 * hour)]), 2 * hour);
        assert_eq!(most_in_24_hours(&[(0, 30 * hour)]), 24 * hour);
    }
}
