//! As much of people's histories as is needed to know what they did on some days.
//!
//! A person's sessions are read from a break that lies before the first of the days to one behind the last: see
//! [`break_between`](super::stays::break_between). Nearly always the day before and the day after are enough; where they are
//! not, the person's further days are looked up one by one.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use protocol::Instant;

use super::calendar::{day_number, day_of_number};
use super::stays::{break_between, breaks_by, without_doubles};
use super::tables::{Filed, Row, SightingRows, TablesError, View};
use super::{Passage, People, Person, Restricted, Rules, Session, sessions};

/// Reads histories out of one state of the file.
pub struct Histories<'a> {
    pub view: &'a View,
    pub rules: &'a Rules,
    pub people: &'a dyn People,
    /// Those whose data may only be kept.
    pub restricted: Restricted,
    /// What was later is left out.
    pub now: Instant,
}

/// A part of one person's history.
pub struct History {
    /// The person's number.
    pub number: u64,
    /// Who.
    pub person: Person,
    passages: Vec<Passage>,
}

impl Histories<'_> {
    /// Who hides behind the number, where they are not left out.
    pub fn person(&self, number: u64) -> Option<Person> {
        let left_out = self.restricted == Restricted::LeftOut && self.people.is_restricted(number);
        self.people.subject(number).filter(|_| !left_out).map(|subject| Person::new(&subject))
    }

    /// Everybody's histories, from which all sessions follow that began on the days.
    pub fn of_everybody(&self, days: RangeInclusive<i32>) -> Result<Vec<History>, TablesError> {
        let window = self.around(&days);
        let mut all: HashMap<u64, Option<History>> = HashMap::new();
        for day in self.view.days(window.clone())? {
            for (number, rows) in self.view.everybody(day)? {
                let history = all.entry(number).or_insert_with(|| {
                    self.person(number).map(|person| History { number, person, passages: Vec::new() })
                });
                if let Some(history) = history {
                    self.add(&mut history.passages, day, &rows)?;
                }
            }
        }
        let all = all.into_values().flatten().filter(|history| !history.passages.is_empty());
        all.map(|history| self.extend(history, &window, *days.start())).collect()
    }

    /// One person's history, from which all sessions follow that began on the days.
    pub fn of(&self, number: u64, days: RangeInclusive<i32>) -> Result<Option<History>, TablesError> {
        let Some(person) = self.person(number) else { return Ok(None) };
        let window = self.around(&days);
        let mut passages = Vec::new();
        for day in self.view.days(window.clone())? {
            self.add(&mut passages, day, &self.view.rows(day, number)?)?;
        }
        self.extend(History { number, person, passages }, &window, *days.start()).map(Some)
    }

    /// The days that are read to know what began on `days`.
    pub fn around(&self, days: &RangeInclusive<i32>) -> RangeInclusive<i32> {
        let reach = self.rules.reach_days();
        days.start().saturating_sub(reach)..=days.end().saturating_add(reach)
    }

    fn add(&self, passages: &mut Vec<Passage>, day: i32, rows: &[Row]) -> Result<(), TablesError> {
        for row in rows.iter().filter(|row| row.passed() && row.at(day) <= self.now) {
            passages.push(row.passage(day, self.view.known_names())?);
        }
        Ok(())
    }

    fn extend(&self, history: History, window: &RangeInclusive<i32>, from: i32) -> Result<History, TablesError> {
        let read = |day| {
            let mut passages = Vec::new();
            self.add(&mut passages, day, &self.view.rows(day, history.number)?)?;
            Ok(passages)
        };
        let passages = extended(read, history.passages, window, from, self.rules)?;
        Ok(History { passages, ..history })
    }
}

impl History {
    /// The person's sessions. Those that began before the days that were asked for may be wrong.
    pub fn sessions(&self, rules: &Rules, now: Instant) -> Vec<Session> {
        sessions(&self.person, &self.passages, rules, now)
    }

    /// The stays that began on the days, with their places in the order of each day.
    pub fn filed(&self, days: &RangeInclusive<i32>, rules: &Rules, now: Instant) -> Vec<Filed> {
        self.filed_of(self.sessions(rules, now), days, rules)
    }

    /// The same of the person's sessions.
    pub fn filed_of(&self, sessions: Vec<Session>, days: &RangeInclusive<i32>, rules: &Rules) -> Vec<Filed> {
        let stays = sessions.into_iter().flat_map(|session| session.stays);
        let mut filed: Vec<Filed> = Vec::new();
        for stay in stays {
            let day = day_number(rules.day_of(stay.from.earliest));
            if days.contains(&day) {
                let order = filed.last().filter(|last| last.day == day).map_or(0, |last| last.order.saturating_add(1));
                filed.push(Filed { person: self.number, day, order, stay });
            }
        }
        filed
    }

    /// Whether nothing that happens at `now` or later changes a stay that began before `end`: a new session began since, or will.
    pub fn is_settled(&self, end: Instant, rules: &Rules, now: Instant) -> bool {
        let kept = || without_doubles(&self.passages, rules);
        let broken = kept().zip(kept().skip(1)).any(|(last, next)| next.at >= end && break_between(last, next, rules));
        broken || breaks_by(&self.passages, now, rules)
    }
}

/// The days whose stays may be others because somebody was seen on `day`: `rows` has what is known of them by now.
pub fn affected(
    rows: &dyn SightingRows,
    names: &[Arc<str>],
    rules: &Rules,
    day: i32,
    person: u64,
) -> Result<RangeInclusive<i32>, TablesError> {
    let reach = rules.reach_days();
    let window = day.saturating_sub(reach)..=day.saturating_add(reach);
    let read = |day| passages_of(day, &rows.rows(day, person)?, names);
    let mut passages = Vec::new();
    for day in window.clone() {
        passages.append(&mut read(day)?);
    }
    let passages = extended(read, passages, &window, day, rules)?;
    let day_of = |passage: &Passage| day_number(rules.day_of(passage.at));
    let first = passages.first().map_or(day, day_of).min(day);
    let last = passages.last().map_or(day, day_of).max(day);
    Ok(first.saturating_sub(reach)..=last.saturating_add(reach))
}

fn passages_of(day: i32, rows: &[Row], names: &[Arc<str>]) -> Result<Vec<Passage>, TablesError> {
    rows.iter().filter(|row| row.passed()).map(|row| row.passage(day, names)).collect()
}

/// The passages of the days in `window`, and those of as many days more as it takes.
fn extended(
    read: impl Fn(i32) -> Result<Vec<Passage>, TablesError>,
    mut passages: Vec<Passage>,
    window: &RangeInclusive<i32>,
    from: i32,
    rules: &Rules,
) -> Result<Vec<Passage>, TablesError> {
    let start = |day: i32| rules.start_of(day_of_number(day));
    let (mut first, mut last) = (*window.start(), *window.end());
    // Both end: with every day without a passage the gap grows, until it is longer than anybody is believed to stay.
    while !is_whole_before(&passages, start(from), start(first), rules) {
        first = first.saturating_sub(1);
        let mut earlier = read(first)?;
        earlier.append(&mut passages);
        passages = earlier;
    }
    while !breaks_by(&passages, start(last.saturating_add(1)), rules) {
        last = last.saturating_add(1);
        passages.append(&mut read(last)?);
    }
    Ok(passages)
}

/// Whether what began at `from` or later is known from these passages, before which, before `known_from`, others may be.
fn is_whole_before(passages: &[Passage], from: Instant, known_from: Instant, rules: &Rules) -> bool {
    let Some(first) = passages.first() else { return true };
    let since_ms = first.at.ms_since(known_from);
    if since_ms >= rules.stay_ms().max(rules.gap_ms()) {
        return true;
    }
    // The very first may be one scan too many, of which the one before is not known.
    let doubtful = usize::from(since_ms <= i64::from(rules.double_scan_seconds) * 1_000);
    let kept = || without_doubles(passages, rules).skip(doubtful);
    kept()
        .zip(kept().skip(1))
        .take_while(|(last, _)| last.at < from)
        .any(|(last, next)| break_between(last, next, rules))
}
