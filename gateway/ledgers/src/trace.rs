//! Contacts out of the file: of everybody's stays, only those are read that can matter, and [`Zones`] says who met whom.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::RangeInclusive;
use std::sync::Arc;

use super::calendar::day_number;
use super::contacts::{in_order, since_reached};
use super::history::Histories;
use super::overlap::{Interval, rolling_max, union};
use super::recent::{Key, Recent, RecentStays};
use super::spans::{Nesting, Span, Zones};
use super::tables::{PackedStay, TablesError, newest};
use super::{Contact, ContactQuery, Generations, Scope, Stay};

/// Contacts of more people are not looked for: what comes of it fits neither into memory nor on paper.
pub const FOLLOWED_MAX: usize = 200;

/// Traces contacts in one state of the file.
pub struct Trace<'a> {
    pub histories: &'a Histories<'a>,
    pub query: &'a ContactQuery,
    /// The rules' fingerprint.
    pub rules: u64,
    /// What is remembered of days that are not over.
    pub recent: &'a Recent,
}

/// Stays that overlap those of the sources in their zones, until it is known who has shared enough time.
#[derive(Default)]
struct Candidates {
    spans: Vec<(Arc<str>, Vec<Span>)>,
    /// When each person may have been where a source was.
    shared: HashMap<u64, Vec<Interval>>,
}

impl Trace<'_> {
    /// The contacts of the person with this number; where there are too many to follow theirs as well, how many.
    pub fn contacts(&self, source: u64) -> Result<Result<Vec<Contact>, usize>, TablesError> {
        let mut found = self.generation(1, &HashMap::from([(source, self.query.from.unix_ms())]), None)?;
        if self.query.generations == Generations::Second {
            if found.len() > FOLLOWED_MAX {
                return Ok(Err(found.len()));
            }
            found.extend(self.generation(2, &since_reached(&found), Some(source))?);
        }
        Ok(Ok(in_order(found)))
    }

    /// The contacts of the sources, each from a moment on, among everybody but them and who is `apart`.
    fn generation(
        &self,
        generation: u8,
        sources: &HashMap<u64, i64>,
        apart: Option<u64>,
    ) -> Result<Vec<(u64, Contact)>, TablesError> {
        let Histories { rules, now, .. } = *self.histories;
        let (days, period) = (self.days(), self.query.period());
        let mut known: Vec<(u64, i64, Vec<Stay>)> = Vec::new();
        for (source, since) in sources {
            if let Some(history) = self.histories.of(*source, days.clone())? {
                let stays = history.filed(&days, rules, now).into_iter().map(|filed| filed.stay);
                known.push((*source, *since, stays.collect()));
            }
        }
        let mut nesting = Nesting::new(self.query.scope, known.iter().flat_map(|(.., stays)| stays), rules);
        let mut zones = Zones::default();
        for (source, since, stays) in known {
            let stays = nesting.numbered(stays);
            nesting.spans(source, &stays, period).for_each(|(zone, span)| zones.add_source(zone, span, since));
        }
        let is_other = |person: u64| Some(person) != apart && !sources.contains_key(&person);
        match self.query.scope {
            Scope::Innermost => self.add_overlapping(&mut zones, &days, is_other)?,
            Scope::Around => self.add_everybody(&mut zones, &mut nesting, &days, is_other)?,
        }
        Ok(zones.contacts(self.query, generation, |number| self.histories.person(number)))
    }

    /// Adds the stays that overlap those of the sources in the same zone, of whoever may have shared enough time with them.
    fn add_overlapping(
        &self,
        zones: &mut Zones,
        days: &RangeInclusive<i32>,
        is_other: impl Fn(u64) -> bool,
    ) -> Result<(), TablesError> {
        let (period, sources) = (self.query.period(), zones.sources_by_zone());
        let mut candidates = Candidates::default();
        self.each_zone(
            days,
            |zone| sources.contains_key(zone),
            |zone, stays| {
                let sources = sources.get(zone).map_or(&[][..], Vec::as_slice);
                let mut spans = Vec::new();
                for stay in stays {
                    let mut common = common(stay.interval(), sources).peekable();
                    if common.peek().is_some() && is_other(stay.person) {
                        candidates.shared.entry(stay.person).or_default().extend(common);
                        spans.extend(Span::of_stay(stay.person, &stay.read(zone), period));
                    }
                }
                if !spans.is_empty() {
                    candidates.spans.push((Arc::clone(zone), spans));
                }
            },
        )?;
        let enough = candidates.shared_enough(self.query.threshold_ms());
        for (zone, spans) in candidates.spans {
            zones.add_targets(&zone, spans.into_iter().filter(|span| enough.contains(&span.person)));
        }
        Ok(())
    }

    /// Adds everybody's stays: whether somebody has left a zone between two of them, only all of them tell.
    fn add_everybody(
        &self,
        zones: &mut Zones,
        nesting: &mut Nesting<'_>,
        days: &RangeInclusive<i32>,
        is_other: impl Fn(u64) -> bool,
    ) -> Result<(), TablesError> {
        let mut all: Vec<(usize, PackedStay)> = Vec::new();
        self.each_zone(
            days,
            |_| true,
            |zone, stays| {
                let zone = nesting.number(zone);
                all.extend(stays.map(|stay| (zone, stay)));
            },
        )?;
        all.sort_unstable_by_key(|(_, stay)| (stay.person, stay.day, stay.order));
        for stays in all.chunk_by(|(_, one), (_, next)| one.person == next.person) {
            let Some(person) = stays.first().map(|(_, stay)| stay.person).filter(|person| is_other(*person)) else {
                continue;
            };
            let read = |(zone, stay): &(usize, PackedStay)| Some((*zone, stay.read(nesting.zone(*zone)?)));
            let stays: Vec<(usize, Stay)> = stays.iter().filter_map(read).collect();
            nesting.spans(person, &stays, self.query.period()).for_each(|(zone, span)| zones.add_targets(zone, [span]));
        }
        Ok(())
    }

    /// The days on which stays began that may reach into the period or go on behind it.
    fn days(&self) -> RangeInclusive<i32> {
        let (rules, reach) = (self.histories.rules, self.histories.rules.reach_days());
        let day = |at| day_number(rules.day_of(at));
        day(self.query.from).saturating_sub(reach)..=day(self.query.to).saturating_add(reach)
    }

    /// Hands each zone that is `wanted`, and everybody's stays that began there on these days, to `each`, bit by bit.
    fn each_zone(
        &self,
        days: &RangeInclusive<i32>,
        wanted: impl Fn(&str) -> bool,
        mut each: impl FnMut(&Arc<str>, &mut dyn Iterator<Item = PackedStay>),
    ) -> Result<(), TablesError> {
        let Histories { view, rules, now, .. } = *self.histories;
        let mut unsettled = BTreeSet::new();
        for day in view.days_of_stays(days.clone(), rules.reach_days())? {
            match view.settled(day, self.rules, now.unix_ms())? {
                Some(stays) => stays.each_zone(&wanted, &mut each)?,
                None => drop(unsettled.insert(day)),
            }
        }
        for days in runs(&unsettled) {
            self.each_unsettled(days, &wanted, &mut each)?;
        }
        Ok(())
    }

    /// The same of days whose stays are not filed: of whoever was not seen since, they are remembered.
    fn each_unsettled(
        &self,
        days: RangeInclusive<i32>,
        wanted: impl Fn(&str) -> bool,
        mut each: impl FnMut(&Arc<str>, &mut dyn Iterator<Item = PackedStay>),
    ) -> Result<(), TablesError> {
        let Histories { view, rules, now, .. } = *self.histories;
        let state = view.state()?;
        let mut tell = |stays: &RecentStays| {
            for (zone, stay) in stays.at(now).filter(|(zone, stay)| days.contains(&stay.day) && wanted(zone)) {
                each(zone, &mut std::iter::once(stay));
            }
        };
        if now < newest(&state) {
            // What was later is left out: that is not remembered.
            for history in self.histories.of_everybody(days.clone())? {
                tell(&RecentStays::new(&history, &days, rules, now, 0));
            }
            return Ok(());
        }
        // Up to the last that there are: the next question may be about a later day.
        let last = day_number(rules.day_of(newest(&state))).max(*days.end());
        let known = self.recent.known(Key { rules: self.rules, days: *days.start()..=last }, state.through);
        let mut new = Vec::new();
        for person in view.people(self.histories.around(&known.key.days))? {
            if let Some(stays) = known.of(person, now) {
                tell(stays);
            } else if let Some(history) = self.histories.of(person, known.key.days.clone())? {
                let stays = RecentStays::new(&history, &known.key.days, rules, now, state.through);
                tell(&stays);
                new.push((person, stays));
            }
        }
        self.recent.remember(known, new);
        Ok(())
    }
}

impl Candidates {
    /// Those who may have shared enough time with the sources within some 24 hours.
    fn shared_enough(&self, threshold_ms: i64) -> HashSet<u64> {
        let enough = |shared: &[Interval]| {
            shared.iter().map(|(from, to)| to - from).sum::<i64>() >= threshold_ms
                && rolling_max(&union(shared.iter().copied())) >= threshold_ms
        };
        self.shared.iter().filter(|(_, shared)| enough(shared)).map(|(person, _)| *person).collect()
    }
}

/// What the interval has in common with each of a [`union`].
fn common((from, to): Interval, union: &[Interval]) -> impl Iterator<Item = Interval> {
    let next = union.partition_point(|(_, end)| *end <= from);
    let overlapping = union.iter().skip(next).take_while(move |(begin, _)| *begin < to);
    overlapping.map(move |(begin, end)| ((*begin).max(from), (*end).min(to)))
}

/// Days that follow each other, together.
pub fn runs(days: &BTreeSet<i32>) -> Vec<RangeInclusive<i32>> {
    let mut runs: Vec<RangeInclusive<i32>> = Vec::new();
    for day in days {
        match runs.last_mut() {
            Some(run) if run.end().saturating_add(1) == *day => *run = *run.start()..=*day,
            _ => runs.push(*day..=*day),
        }
    }
    runs
}
