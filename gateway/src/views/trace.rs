//! Contacts out of the file: of everybody's stays, only those are read that can matter, and [`contacts`] judges.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::RangeInclusive;
use std::sync::Arc;

use super::calendar::day_number;
use super::history::Histories;
use super::overlap::{Interval, rolling_max, union};
use super::store::{Filed, PackedStay, StoreError};
use super::{Contact, ContactQuery, Depth, Person, Scope, Stay, contacts};

/// Contacts of more people are not looked for: what comes of it fits neither into memory nor on paper.
pub const FOLLOWED_MAX: usize = 200;

/// Traces contacts in one state of the file.
pub struct Trace<'a> {
    pub histories: &'a Histories<'a>,
    pub query: &'a ContactQuery,
    /// The rules' fingerprint.
    pub rules: u64,
}

/// Which stays of others can matter.
struct Wanted {
    /// Whose stays are known already.
    sources: HashSet<u64>,
    /// When these were in which zone; absent: everything matters.
    zones: Option<HashMap<Arc<str>, Vec<Interval>>>,
    period: Interval,
    threshold_ms: i64,
}

/// Stays that may matter, until it is known who has shared enough time.
#[derive(Default)]
struct Candidates {
    zones: Vec<Arc<str>>,
    packed: Vec<(usize, PackedStay)>,
    filed: Vec<Filed>,
    /// When each person may have been where a source was; nothing where everybody matters.
    shared: HashMap<u64, Vec<Interval>>,
}

impl Trace<'_> {
    /// The contacts of the person with this number; where there are too many to follow theirs as well, how many.
    pub fn contacts(&self, source: u64) -> Result<Result<Vec<Contact>, usize>, StoreError> {
        let rules = self.histories.rules;
        let mut everybody = self.stays(HashSet::from([source]))?;
        let first = contacts(&ContactQuery { depth: Depth::First, ..self.query.clone() }, &everybody, rules);
        if self.query.depth == Depth::First {
            return Ok(Ok(first));
        }
        if first.len() > FOLLOWED_MAX {
            return Ok(Err(first.len()));
        }
        if self.query.scope == Scope::Innermost {
            let numbers = first.iter().filter_map(|contact| self.histories.people.number(contact.person.as_str()));
            everybody = self.stays(numbers.chain([source]).collect())?;
        }
        Ok(Ok(contacts(self.query, &everybody, rules)))
    }

    /// All stays of `sources` in the period, and those of others that overlap them in the same zone, if they come to enough
    /// time; for [`Scope::Around`] those of everybody.
    fn stays(&self, sources: HashSet<u64>) -> Result<Vec<(Person, Vec<Stay>)>, StoreError> {
        let days = self.days();
        let mut people: HashMap<u64, (Person, Vec<Filed>)> = HashMap::new();
        for source in &sources {
            if let Some(history) = self.histories.of(*source, days.clone())? {
                let filed = history.filed(&days, self.histories.rules, self.histories.now);
                people.insert(*source, (history.person, filed));
            }
        }
        let wanted = self.wanted(sources, people.values().flat_map(|(_, filed)| filed));
        let candidates = self.candidates(&days, &wanted)?;
        for number in candidates.shared_enough(&wanted) {
            people.extend(self.histories.person(number).map(|person| (number, (person, Vec::new()))));
        }
        for (zone, stay) in &candidates.packed {
            if let Some(((_, filed), zone)) = people.get_mut(&stay.person()).zip(candidates.zones.get(*zone)) {
                filed.push(stay.read(zone));
            }
        }
        for stay in candidates.filed {
            if let Some((_, filed)) = people.get_mut(&stay.person) {
                filed.push(stay);
            }
        }
        let in_order = |(person, mut filed): (Person, Vec<Filed>)| {
            filed.sort_by_key(|filed| (filed.day, filed.order));
            (person, filed.into_iter().map(|filed| filed.stay).collect())
        };
        Ok(people.into_values().map(in_order).collect())
    }

    /// The days on which stays began that may reach into the period or go on behind it.
    fn days(&self) -> RangeInclusive<i32> {
        let (rules, reach) = (self.histories.rules, self.histories.rules.reach_days());
        let day = |at| day_number(rules.day_of(at));
        day(self.query.from).saturating_sub(reach)..=day(self.query.to).saturating_add(reach)
    }

    fn wanted<'f>(&self, sources: HashSet<u64>, stays: impl Iterator<Item = &'f Filed>) -> Wanted {
        let period = (self.query.from.unix_ms(), self.query.to.unix_ms());
        let mut zones: HashMap<Arc<str>, Vec<Interval>> = HashMap::new();
        for Filed { stay, .. } in stays {
            let interval = cut((stay.from.earliest.unix_ms(), stay.to.latest.unix_ms()), period);
            zones.entry(Arc::clone(&stay.zone)).or_default().push(interval);
        }
        zones.values_mut().for_each(|intervals| *intervals = union(std::mem::take(intervals)));
        let zones = (self.query.scope == Scope::Innermost).then_some(zones);
        Wanted { sources, zones, period, threshold_ms: self.query.threshold_ms() }
    }

    fn candidates(&self, days: &RangeInclusive<i32>, wanted: &Wanted) -> Result<Candidates, StoreError> {
        let Histories { view, rules, now, .. } = *self.histories;
        let mut candidates = Candidates::default();
        let mut unsettled = BTreeSet::new();
        for day in view.days_of_stays(days.clone(), rules.reach_days())? {
            let Some(stays) = view.settled(day, self.rules, now.unix_ms())? else {
                unsettled.insert(day);
                continue;
            };
            stays.each_zone(
                |zone| wanted.in_zone(zone).is_some(),
                |zone, stays| {
                    let number = candidates.zones.len();
                    candidates.zones.push(Arc::clone(zone));
                    let intervals = wanted.in_zone(zone).unwrap_or_default();
                    for stay in stays {
                        if candidates.share(stay.person(), stay.interval(), wanted, intervals) {
                            candidates.packed.push((number, stay));
                        }
                    }
                },
            )?;
        }
        for days in runs(&unsettled) {
            for history in self.histories.of_everybody(days.clone())? {
                for filed in history.filed(&days, rules, now) {
                    let interval = (filed.stay.from.earliest.unix_ms(), filed.stay.to.latest.unix_ms());
                    let Some(intervals) = wanted.in_zone(&filed.stay.zone) else { continue };
                    if candidates.share(filed.person, interval, wanted, intervals) {
                        candidates.filed.push(filed);
                    }
                }
            }
        }
        Ok(candidates)
    }
}

impl Wanted {
    /// When the sources were in the zone; `None` where the zone does not matter.
    fn in_zone(&self, zone: &str) -> Option<&[Interval]> {
        match &self.zones {
            Some(zones) => zones.get(zone).map(Vec::as_slice),
            None => Some(&[]),
        }
    }
}

impl Candidates {
    /// Notes how much of a stay the sources may have shared; says whether it matters.
    fn share(&mut self, person: u64, interval: Interval, wanted: &Wanted, intervals: &[Interval]) -> bool {
        let (from, to) = cut(interval, wanted.period);
        if wanted.sources.contains(&person) {
            return false;
        }
        if wanted.zones.is_none() {
            self.shared.entry(person).or_default();
            return true;
        }
        let next = intervals.partition_point(|(_, end)| *end <= from);
        let common = intervals.iter().skip(next).take_while(|(begin, _)| *begin < to);
        let mut common = common.map(|one| cut(*one, (from, to))).peekable();
        if from >= to || common.peek().is_none() {
            return false;
        }
        self.shared.entry(person).or_default().extend(common);
        true
    }

    /// Those who may have shared enough time with the sources within some 24 hours.
    fn shared_enough(&self, wanted: &Wanted) -> impl Iterator<Item = u64> {
        let enough = |shared: &[Interval]| {
            shared.iter().map(|(from, to)| to - from).sum::<i64>() >= wanted.threshold_ms
                && rolling_max(&union(shared.iter().copied())) >= wanted.threshold_ms
        };
        let everybody = wanted.zones.is_none();
        self.shared.iter().filter(move |(_, shared)| everybody || enough(shared)).map(|(person, _)| *person)
    }
}

fn cut(interval: Interval, period: Interval) -> Interval {
    (interval.0.max(period.0), interval.1.min(period.1))
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
