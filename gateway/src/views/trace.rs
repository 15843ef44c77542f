//! Contacts out of the file: of everybody's stays, only those are read that can matter, and [`contacts`] judges.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::RangeInclusive;
use std::sync::Arc;

use super::calendar::day_number;
use super::history::Histories;
use super::overlap::{Interval, union};
use super::store::{Filed, StoreError};
use super::{Contact, ContactQuery, Depth, Person, Scope, Stay, contacts};

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
}

impl Trace<'_> {
    /// The contacts of the person with this number.
    pub fn contacts(&self, source: u64) -> Result<Vec<Contact>, StoreError> {
        let first = ContactQuery { depth: Depth::First, ..self.query.clone() };
        let everybody = self.stays(HashSet::from([source]))?;
        let rules = self.histories.rules;
        if self.query.depth == Depth::First || self.query.scope == Scope::Around {
            return Ok(contacts(self.query, &everybody, rules));
        }
        let found = contacts(&first, &everybody, rules);
        let mut sources: HashSet<u64> =
            found.iter().filter_map(|contact| self.histories.people.number(contact.person.as_str())).collect();
        sources.insert(source);
        Ok(contacts(self.query, &self.stays(sources)?, rules))
    }

    /// All stays of `sources` in the period, and those of others that overlap them in the same zone; for
    /// [`Scope::Around`] those of everybody.
    fn stays(&self, sources: HashSet<u64>) -> Result<Vec<(Person, Vec<Stay>)>, StoreError> {
        let days = self.days();
        let mut people: BTreeMap<u64, (Person, Vec<Filed>)> = BTreeMap::new();
        for source in &sources {
            if let Some(history) = self.histories.of(*source, days.clone())? {
                let filed = history.filed(&days, self.histories.rules, self.histories.now);
                people.insert(*source, (history.person, filed));
            }
        }
        let wanted = self.wanted(sources, people.values().flat_map(|(_, filed)| filed));
        let mut known: HashMap<u64, Option<Person>> = HashMap::new();
        self.others(&days, &wanted, |filed| {
            let person = match known.entry(filed.person) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(unknown) => unknown.insert(self.histories.person(filed.person)),
            };
            if let Some(person) = person {
                people.entry(filed.person).or_insert_with(|| (person.clone(), Vec::new())).1.push(filed);
            }
        })?;
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
        Wanted { sources, zones: (self.query.scope == Scope::Innermost).then_some(zones), period }
    }

    fn others(
        &self,
        days: &RangeInclusive<i32>,
        wanted: &Wanted,
        mut each: impl FnMut(Filed),
    ) -> Result<(), StoreError> {
        let Histories { view, rules, .. } = *self.histories;
        let mut unsettled = BTreeSet::new();
        for day in view.days_of_stays(days.clone(), rules.reach_days())? {
            let Some(stays) = view.settled(day, self.rules, self.histories.now.unix_ms())? else {
                unsettled.insert(day);
                continue;
            };
            let wanted_zone = |zone: &str| wanted.zones.as_ref().is_none_or(|zones| zones.contains_key(zone));
            stays.each_zone(wanted_zone, |zone, stay| {
                if wanted.takes(stay.person(), zone, || stay.interval()) {
                    each(stay.read(zone));
                }
            })?;
        }
        for days in runs(&unsettled) {
            for history in self.histories.of_everybody(days.clone())? {
                for filed in history.filed(&days, rules, self.histories.now) {
                    let interval = || (filed.stay.from.earliest.unix_ms(), filed.stay.to.latest.unix_ms());
                    if wanted.takes(filed.person, &filed.stay.zone, interval) {
                        each(filed);
                    }
                }
            }
        }
        Ok(())
    }
}

impl Wanted {
    fn takes(&self, person: u64, zone: &str, interval: impl FnOnce() -> Interval) -> bool {
        let Some(zones) = &self.zones else { return !self.sources.contains(&person) };
        let Some(intervals) = zones.get(zone) else { return false };
        let (from, to) = cut(interval(), self.period);
        let next = intervals.partition_point(|(_, end)| *end <= from);
        from < to && intervals.get(next).is_some_and(|(begin, _)| *begin < to) && !self.sources.contains(&person)
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
