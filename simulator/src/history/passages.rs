//! What goes wrong at the doors: from true movements to the scans that readers make.

use std::collections::HashSet;

use protocol::Direction;

use super::fault_rates::CLOCK_OFF_MS;
use super::movement::{Step, steps};
use super::regency::Regency;
use crate::chance::Purpose;
use crate::load::backlog::{Backlog, ReaderScans};

/// A step, and what the reader made of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passage {
    /// The true step.
    pub step: Step,
    /// The working day on which it is made.
    pub day: usize,
    /// Whether it was scanned.
    pub seen: bool,
    /// After how many milliseconds it was scanned a second time.
    pub again_ms: Option<i64>,
}

/// After how long a second scan is made at least and at most, in milliseconds: at once, so to say.
const AGAIN_MS: (i64, i64) = (700, 4_000);

/// Everything that somebody does in the month, in order.
///
/// Of two ways through one zone's doors that follow each other, only one is missed: of who leaves and comes back unseen,
/// no scan tells anything, so that nothing could be right or wrong about it.
pub fn passages(regency: &Regency, person: u32) -> Vec<Passage> {
    let slips = &regency.slips;
    let (mut passages, mut missed) = (Vec::new(), HashSet::new());
    for day in 0..regency.month.len() {
        for step in steps(regency, person, day) {
            let number = passages.len() as u64 * 4;
            let unit = |salt| regency.chance.unit(Purpose::Slip, person.into(), number + salt) * 100.0;
            let percent = match step.direction {
                Direction::In => slips.missed_entry_percent,
                Direction::Out => slips.missed_exit_percent,
            };
            let seen = missed.contains(&step.zone) || unit(0) >= percent;
            if seen {
                missed.remove(&step.zone)
            } else {
                missed.insert(step.zone)
            };
            let (from, to) = AGAIN_MS;
            let again = regency.chance.below((to - from).unsigned_abs(), Purpose::Slip, person.into(), number + 2);
            let again_ms = (seen && unit(1) < slips.double_percent).then(|| from.saturating_add_unsigned(again));
            passages.push(Passage { step, day, seen, again_ms });
        }
    }
    passages
}

/// How far each door's clock is ahead, in milliseconds; negative when it is behind.
pub fn clocks(regency: &Regency) -> Vec<i64> {
    let doors = 2 * (usize::from(regency.gates()) + usize::from(regency.zones) - 1);
    let draw = |salt, bound: u64| regency.chance.below(bound, Purpose::ReaderClock, 0, salt);
    let mut clocks = vec![0; doors];
    let mut salt = 0;
    for _ in 0..usize::try_from(regency.slips.bad_clocks).unwrap_or(doors).min(doors) {
        let (least, most) = CLOCK_OFF_MS;
        let off = least.saturating_add_unsigned(draw(salt + 1, (most - least).unsigned_abs()));
        let off = if draw(salt + 2, 2) == 0 { off } else { -off };
        let place = usize::try_from(draw(salt, doors as u64)).unwrap_or(0);
        // The next one whose clock is right.
        let next = (place..doors).chain(0..place).find(|door| clocks.get(*door) == Some(&0));
        if let Some(clock) = next.and_then(|door| clocks.get_mut(door)) {
            *clock = off;
        }
        salt += 3;
    }
    clocks
}

/// What the readers of all doors have kept.
pub fn backlog(regency: &Regency) -> Backlog {
    let directions = [Direction::In, Direction::Out].into_iter().cycle();
    let kept = |(clock_ahead_ms, direction)| ReaderScans { direction, clock_ahead_ms, scans: Vec::new() };
    let mut readers: Vec<ReaderScans> = clocks(regency).into_iter().zip(directions).map(kept).collect();
    for person in 0..regency.staff {
        for passage in passages(regency, person).into_iter().filter(|passage| passage.seen) {
            if let Some(reader) = readers.get_mut(passage.step.door) {
                let at_ms = passage.step.at_ms + reader.clock_ahead_ms;
                reader.scans.push((at_ms, person));
                reader.scans.extend(passage.again_ms.map(|again_ms| (at_ms + again_ms, person)));
            }
        }
    }
    readers.iter_mut().for_each(|reader| reader.scans.sort_unstable());
    Backlog { readers, badges: regency.badges() }
}

#[cfg(test)]
mod tests {
    use super::super::fault_rates::FaultRates;
    use super::super::testing::regency;
    use super::*;

    #[test]
    fn without_slips_the_scans_are_the_true_steps() {
        let regency = Regency { slips: FaultRates::NONE, ..regency(80, 5, 10) };
        let backlog = backlog(&regency);
        let mut scans: Vec<(i64, u32, usize)> = Vec::new();
        for (door, reader) in backlog.readers.iter().enumerate() {
            assert!(reader.scans.is_sorted() && reader.clock_ahead_ms == 0);
            scans.extend(reader.scans.iter().map(|(at_ms, person)| (*at_ms, *person, door)));
        }
        let mut truth: Vec<(i64, u32, usize)> = Vec::new();
        for person in 0..80 {
            for day in 0..10 {
                truth.extend(steps(&regency, person, day).iter().map(|step| (step.at_ms, person, step.door)));
            }
        }
        scans.sort_unstable();
        truth.sort_unstable();
        assert_eq!(scans, truth);
        assert!(truth.len() > 1_000);
    }

    #[test]
    fn slips_are_as_frequent_as_they_should_be_and_never_twice_in_a_row_at_one_zone() {
        let regency = regency(600, 9, 31);
        let (mut ways, mut missed, mut doubled, mut seen) = ([0u32; 2], [0u32; 2], 0, 0);
        for person in 0..600 {
            let mut unseen = HashSet::new();
            for passage in passages(&regency, person) {
                let way = usize::from(passage.step.direction == Direction::Out);
                ways[way] += 1;
                seen += u32::from(passage.seen);
                doubled += u32::from(passage.again_ms.is_some());
                if passage.seen {
                    unseen.remove(&passage.step.zone);
                } else {
                    missed[way] += 1;
                    assert!(unseen.insert(passage.step.zone) && passage.again_ms.is_none());
                }
            }
        }
        let percent = |part: u32, whole: u32| f64::from(part) * 100.0 / f64::from(whole);
        assert!((0.4..0.6).contains(&percent(missed[0], ways[0])), "{missed:?} of {ways:?}");
        assert!((2.7..3.3).contains(&percent(missed[1], ways[1])), "{missed:?} of {ways:?}");
        assert!((0.8..1.2).contains(&percent(doubled, seen)), "{doubled} of {seen}");
    }

    #[test]
    fn the_same_seed_makes_the_same_month_and_another_does_not() {
        let scans =
            |regency: &Regency| backlog(regency).readers.into_iter().map(|reader| reader.scans).collect::<Vec<_>>();
        let one = regency(60, 5, 5);
        assert_eq!(scans(&one), scans(&one.clone()));
        let other = Regency { chance: crate::chance::Chance::new(99), ..one.clone() };
        assert_ne!(scans(&one), scans(&other));
    }

    #[test]
    fn so_many_clocks_are_off_as_are_asked_for() {
        for bad_clocks in [0, 1, 3, 12, 1_000] {
            let mut regency = regency(60, 5, 3);
            regency.slips.bad_clocks = bad_clocks;
            let clocks = clocks(&regency);
            let off: Vec<i64> = clocks.iter().copied().filter(|off| *off != 0).collect();
            assert_eq!(off.len(), usize::try_from(bad_clocks).unwrap().min(clocks.len()));
            assert!(off.iter().all(|off| (6_000..=20_000).contains(&off.abs())));
        }
    }
}
