//! A site of five zones, and random histories of the people who come and go there.

use jiff::civil::{Date, date};
use jiff::tz::TimeZone;
use proptest::prelude::*;
use protocol::{Direction, Instant};

use crate::rules::plus_ms;
use crate::{Passage, Person, Rules};
use base::calendar::{Group, Week};
use base::door_list::Zones;

/// `tax` and `desk` lie in `main`, `main` in `complex`; `annex` stands alone and is not listed.
pub const ZONES: [&str; 5] = ["complex", "main", "tax", "desk", "annex"];

pub const MINUTE_MS: i64 = 60_000;

/// Days of a history.
pub const DAYS: i64 = 4;

/// Rules in one of the time zones, with the first day of a history: an ordinary week, and two in which clocks change.
pub fn rules(which: usize) -> (Rules, Date) {
    let (zone, day) = [
        ("Asia/Makassar", date(2026, 11, 22)),
        ("Europe/Berlin", date(2026, 10, 23)),
        ("Europe/Berlin", date(2026, 3, 27)),
        ("Asia/Kathmandu", date(2026, 11, 26)),
    ][which % 4];
    let mut rules = Rules::new(TimeZone::get(zone).unwrap());
    rules.zones = Zones::parse(
        "[complex]\ncapacity = 900\n[main]\nparent = \"complex\"\n[tax]\nparent = \"main\"\n[desk]\nparent = \"main\"\n",
    )
    .unwrap();
    rules.entrances = ["complex", "tax", "annex"].map(String::from).into();
    rules.hours.week = Week::workdays("07:30-16:00".parse().unwrap());
    rules.hours.holidays.insert(date(2026, 11, 24));
    let mut night = Week::workdays("22:00-06:00".parse().unwrap());
    night.saturday = night.friday;
    rules.hours.groups.insert("night".into(), Group { week: night, holidays_off: false });
    rules.hours.members.insert(person(1), "night".into());
    // Histories are by the minute, so that the oracle can count minutes.
    rules.double_scan_seconds = 60;
    (rules, day)
}

pub fn person(number: usize) -> Person {
    Person::new(&format!("P-{number}"))
}

pub fn passage(number: u64, at: Instant, zone: &str, direction: Direction) -> Passage {
    Passage { number, at, zone: zone.into(), door: zone.into(), direction, late: false, clock_doubtful: false }
}

/// What happens next to a person in a random history.
#[derive(Clone, Debug)]
struct Step {
    who: usize,
    minutes: i64,
    zone: usize,
    inwards: bool,
    /// 0: anywhere; else through a door of where the person is.
    plausible: u8,
    /// 0: the scan is missed.
    seen: u8,
    second_door: bool,
    late: bool,
    doubtful: bool,
}

fn step(people: usize) -> impl Strategy<Value = Step> {
    let times = prop_oneof![3 => 1..240i64, 1 => 0..3i64, 1 => 300..1_500i64];
    (0..people, times, 0..ZONES.len(), any::<bool>(), 0..5u8, 0..6u8, any::<bool>(), any::<bool>(), any::<bool>())
        .prop_map(|(who, minutes, zone, inwards, plausible, seen, second_door, late, doubtful)| Step {
            who,
            minutes,
            zone,
            inwards,
            plausible,
            seen,
            second_door,
            late,
            doubtful,
        })
}

/// Passages of some people in `DAYS` days, sorted: with missed, doubled, misplaced and late scans; numbered in an
/// order of their own.
pub fn history(people: usize, which: usize) -> impl Strategy<Value = Vec<(Person, Passage)>> {
    let steps = prop::collection::vec(step(people), 1..60);
    (steps, any::<u64>(), 0..1_440i64)
        .prop_map(move |(steps, shuffle, first)| walk(&steps, people, which, shuffle, first))
}

fn walk(steps: &[Step], people: usize, which: usize, shuffle: u64, first: i64) -> Vec<(Person, Passage)> {
    let (rules, day) = rules(which);
    let start = rules.start_of(day);
    let mut places: Vec<Option<String>> = vec![None; people];
    let mut clocks = vec![first; people];
    let mut passages: Vec<(Person, Passage)> = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        clocks[step.who] += step.minutes;
        let place = places[step.who].clone();
        let (zone, direction) = match (&place, step.plausible, step.inwards) {
            (_, 0, inwards) => (ZONES[step.zone].to_owned(), if inwards { Direction::In } else { Direction::Out }),
            (Some(place), _, false) => (place.clone(), Direction::Out),
            (place, ..) => {
                let inner = ZONES.iter().filter(|zone| rules.around(zone) == place.as_deref()).collect::<Vec<_>>();
                match inner.get(step.zone % inner.len().max(1)) {
                    Some(zone) => ((**zone).to_owned(), Direction::In),
                    None => (place.clone().unwrap(), Direction::Out),
                }
            }
        };
        places[step.who] = match direction {
            Direction::In => Some(zone.clone()),
            Direction::Out => rules.around(&zone).map(str::to_owned),
        };
        if step.seen == 0 || clocks[step.who] >= DAYS * 1_440 {
            continue;
        }
        let number = (index as u64).wrapping_mul(shuffle | 1) % 1_000_003 + 1;
        let at = plus_ms(start, clocks[step.who] * MINUTE_MS);
        let mut passage = passage(number, at, &zone, direction);
        passage.late = step.late;
        passage.clock_doubtful = step.late && step.doubtful;
        if step.second_door {
            passage.door = format!("{zone}-2").as_str().into();
        }
        passages.push((person(step.who), passage));
    }
    passages.sort_by_key(|(_, passage)| passage.order());
    passages.dedup_by_key(|(_, passage)| passage.order());
    passages
}

/// The passages of one person.
pub fn of(who: &Person, passages: &[(Person, Passage)]) -> Vec<Passage> {
    passages.iter().filter(|(person, _)| person == who).map(|(_, passage)| passage.clone()).collect()
}
