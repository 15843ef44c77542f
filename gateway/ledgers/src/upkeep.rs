//! What the follower does to the file: takes in events, files the stays of days that are over, checks, deletes.

use std::collections::{BTreeSet, HashMap};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant as Monotonic};

use protocol::{Event, Instant};

use super::calendar::{day_number, day_of_number};
use super::history::{Histories, affected};
use super::locks::lock;
use super::rules::plus_ms;
use super::shared::{Progress, Shared};
use super::tables::{Batch, Filed, Names, State, Tables, TablesError, identity, newest};
use super::trace::runs;
use super::{Person, Restricted, Rules};

/// Most events and bytes that are asked of the log at once.
const READ_EVENTS_MAX: usize = 4_096;
const READ_BYTES_MAX: usize = 4 << 20;
/// While there is much to take in, so many events are collected in memory before they are written: rows of a day are then
/// written about once.
const BATCH_EVENTS_MAX: usize = 150_000;
/// Days that are settled at a time.
const SETTLE_DAYS: usize = 4;

/// The file, and where the work on it stands.
pub(super) struct Upkeep<'s> {
    pub tables: Arc<Tables>,
    pub state: State,
    shared: &'s Shared,
    names: Names,
    rules: Arc<Rules>,
    fingerprint: u64,
    /// When something was first written that is not durable.
    unsynced_since: Option<Monotonic>,
    /// Days whose sightings have not been read since the file was opened.
    unchecked: Vec<i32>,
    /// Days that are over and whose stays are to be filed; `None`: to be found out.
    unsettled: Option<BTreeSet<i32>>,
    /// Days that were tried and are not settled; each hour they are tried again.
    tried: BTreeSet<i32>,
    tried_in: i64,
    /// Later passages change no stay that is filed.
    settled_until_ms: Option<i64>,
}

impl<'s> Upkeep<'s> {
    /// Opens the file or makes it.
    pub fn open(shared: &'s Shared) -> Result<Self, TablesError> {
        let (rules, fingerprint) = shared.rules();
        let config = &shared.parts.config;
        let tables = Arc::new(Tables::open(&shared.parts.path, config.cache_bytes, &rules.time_zone_name())?);
        let view = tables.view()?;
        let mut upkeep = Self {
            state: view.state()?,
            shared,
            names: Names::new(view.known_names()),
            rules,
            fingerprint,
            unsynced_since: None,
            unchecked: view.days(i32::MIN..=i32::MAX)?,
            unsettled: None,
            tried: BTreeSet::new(),
            tried_in: i64::MIN,
            settled_until_ms: view.settled_days(fingerprint)?.1,
            tables,
        };
        drop(view);
        if *lock(&shared.horizons) != (None, None) {
            upkeep.expire()?;
        }
        Ok(upkeep)
    }

    /// Notices that other rules are in force.
    pub fn look_at_rules(&mut self) -> Result<(), TablesError> {
        let (rules, fingerprint) = self.shared.rules();
        if rules.time_zone_name() != self.state.time_zone {
            return Err(TablesError::Damaged("its days are those of another time zone"));
        }
        self.rules = rules;
        if fingerprint != self.fingerprint {
            self.fingerprint = fingerprint;
            self.unsettle();
            self.tried.clear();
        }
        Ok(())
    }

    /// Takes in the events that come next; says whether there were any. The inner error is the log's.
    pub fn take_in(&mut self) -> Result<bool, Result<TablesError, String>> {
        let before = self.state.clone();
        let mut batch = Batch::default();
        let mut numbers = Numbers { shared: self.shared, present: HashMap::new(), plain: HashMap::new() };
        let mut taken = 0usize;
        let source = &self.shared.parts.source;
        while taken < BATCH_EVENTS_MAX && source.last_event() > self.state.through {
            let events = source.read(self.state.through, READ_EVENTS_MAX, READ_BYTES_MAX);
            let events = match events {
                Err(_) if taken > 0 => break,
                events => events.map_err(Err)?,
            };
            let Some(last) = events.last() else { break };
            self.state.identity = identity(last);
            for event in &events {
                let person = numbers.of(event);
                batch.add(event, person, &self.rules, &mut self.names, &mut self.state);
            }
            taken = taken.saturating_add(events.len());
        }
        *lock(&self.shared.trouble) = None;
        if taken == 0 {
            return Ok(false);
        }
        self.write(batch, &before).map_err(Ok)?;
        Ok(true)
    }

    fn write(&mut self, batch: Batch, before: &State) -> Result<(), TablesError> {
        self.shared.at_rest.store(false, Ordering::Release);
        let sightings = u64::try_from(batch.sightings).unwrap_or(u64::MAX);
        let durable = self.sync_due_in() == Some(Duration::ZERO);
        let Self { tables, names, state, rules, settled_until_ms, shared, .. } = self;
        let (mut unsettled, mut days) = (BTreeSet::new(), BTreeSet::new());
        tables.publish(names);
        shared.recent.changing(batch.people(), state.through);
        tables.change(durable, |change| {
            for (day, person, first) in change.take_in(batch, names)? {
                days.insert(day);
                if settled_until_ms.is_some_and(|until| first.at(day).unix_ms() < until) {
                    let days = affected(change, names.list(), rules, day, person)?;
                    change.unsettle(days.clone())?;
                    unsettled.extend(days);
                }
            }
            change.set_state(state)
        })?;
        lock(&self.shared.changed).append(&mut days);
        if !unsettled.is_empty() || hour(before) != hour(&self.state) {
            self.unsettle();
        }
        self.tried.retain(|day| !unsettled.contains(day));
        self.written(durable);
        let metrics = &self.shared.parts.metrics;
        metrics.batches.inc();
        metrics.sightings.inc_by(sightings);
        self.tell();
        Ok(())
    }

    /// Notes that the log's end was reached.
    pub fn reached_end(&mut self) -> Result<(), TablesError> {
        if !self.state.complete {
            self.state.complete = true;
            self.sync()?;
            self.tell();
        }
        Ok(())
    }

    /// Tells everybody how far the file reflects the log.
    pub fn tell(&self) {
        let State { through, complete, .. } = self.state;
        let Shared { parts, progress, rebuilding_since, .. } = self.shared;
        if complete {
            *lock(rebuilding_since) = None;
        }
        progress.send_replace(Progress { through, complete });
        parts.metrics.through.set(through);
        parts.metrics.behind.set(parts.source.last_event().saturating_sub(through));
    }

    /// When what was written is to be made durable; `None` where all of it is.
    pub fn sync_due_in(&self) -> Option<Duration> {
        let interval = Duration::from_millis(self.shared.parts.config.sync_interval_ms);
        self.unsynced_since.map(|since| interval.saturating_sub(since.elapsed()))
    }

    /// Makes everything durable when it is time.
    pub fn sync_if_due(&mut self) -> Result<(), TablesError> {
        if self.sync_due_in() == Some(Duration::ZERO) { self.sync() } else { Ok(()) }
    }

    /// Makes everything durable.
    pub fn sync(&mut self) -> Result<(), TablesError> {
        let state = &self.state;
        self.tables.change(true, |change| change.set_state(state))?;
        self.written(true);
        Ok(())
    }

    /// Does the next piece of what can be done when there are no events; says whether there was any.
    pub fn keep_in_order(&mut self) -> Result<bool, TablesError> {
        if let Some(day) = self.unchecked.pop() {
            self.tables.view()?.everybody(day)?;
            return Ok(true);
        }
        let mut unsettled = match self.unsettled.take() {
            Some(unsettled) => unsettled,
            None => self.days_to_settle()?,
        };
        let newest: BTreeSet<i32> = unsettled.iter().rev().take(SETTLE_DAYS).copied().collect();
        unsettled.retain(|day| !newest.contains(day));
        self.unsettled = Some(unsettled);
        for days in runs(&newest) {
            if !self.settle(&days)? {
                for day in days {
                    if !self.settle(&(day..=day))? {
                        self.tried.insert(day);
                    }
                }
            }
        }
        Ok(!newest.is_empty())
    }

    /// Deletes everything about the persons.
    pub fn forget(&mut self, persons: &[u64]) -> Result<u64, TablesError> {
        let mut rows = 0;
        let state = &self.state;
        self.tables.change(true, |change| {
            rows = change.forget(persons)?;
            change.set_state(state)
        })?;
        self.shared.recent.forget();
        self.written(true);
        self.unsettle();
        Ok(rows)
    }

    /// Deletes what is older than anybody may keep it.
    pub fn expire(&mut self) -> Result<(), TablesError> {
        let (sightings, stays) = *lock(&self.shared.horizons);
        self.state.sightings_from = sightings.or(self.state.sightings_from);
        self.state.stays_from = stays.or(self.state.stays_from);
        let state = &self.state;
        self.tables.change(true, |change| change.expire(state))?;
        self.shared.recent.forget();
        self.written(true);
        self.unchecked.retain(|day| self.state.sightings_from.is_none_or(|from| *day >= from));
        self.unsettle();
        Ok(())
    }

    fn written(&mut self, durable: bool) {
        self.unsynced_since = if durable { None } else { self.unsynced_since.or_else(|| Some(Monotonic::now())) };
    }

    fn unsettle(&mut self) {
        self.unsettled = None;
        self.shared.at_rest.store(false, Ordering::Release);
    }

    /// Days that are over, as far as the log tells, and whose stays are not filed by these rules.
    fn days_to_settle(&mut self) -> Result<BTreeSet<i32>, TablesError> {
        let reach = self.rules.reach_days();
        let hour = hour(&self.state);
        if self.tried_in != hour {
            self.tried_in = hour;
            self.tried.clear();
        }
        let view = self.tables.view()?;
        let from = self.state.stays_from.max(self.state.sightings_from).unwrap_or(i32::MIN);
        // Whoever is seen from now on has come at most so long ago.
        let may_have_come = plus_ms(newest(&self.state), self.rules.stay_ms().saturating_neg());
        let last = day_number(self.rules.day_of(may_have_come)).saturating_sub(1);
        if from > last {
            return Ok(BTreeSet::new());
        }
        let mut days = view.days_of_stays(from..=last, reach)?;
        for day in view.settled_days(self.fingerprint)?.0 {
            days.remove(&day);
        }
        days.retain(|day| !self.tried.contains(day));
        Ok(days)
    }

    /// Files the stays of the days, unless something that is still to come may change them.
    fn settle(&mut self, days: &RangeInclusive<i32>) -> Result<bool, TablesError> {
        let now: Instant = newest(&self.state);
        let view = self.tables.view()?;
        let (rules, people) = (&*self.rules, &*self.shared.parts.people);
        let histories = Histories { view: &view, rules, people, restricted: Restricted::Included, now };
        let histories = histories.of_everybody(days.clone())?;
        let end = rules.end_of(day_of_number(*days.end()));
        if !histories.iter().all(|history| history.is_settled(end, rules, now)) {
            return Ok(false);
        }
        let mut filed: Vec<Filed> = histories.iter().flat_map(|history| history.filed(days, rules, now)).collect();
        drop(view);
        filed.sort_by_key(|filed| (filed.day, filed.stay.from.earliest));
        for filed in &filed {
            self.names.number(&filed.stay.zone);
        }
        let Self { tables, names, fingerprint, .. } = self;
        tables.publish(names);
        tables.change(false, |change| {
            for day in days.clone() {
                let from = filed.partition_point(|filed| filed.day < day);
                let to = filed.partition_point(|filed| filed.day <= day);
                let of_day = filed.get(from..to).unwrap_or_default();
                change.settle(day, of_day, *fingerprint, now.unix_ms(), names)?;
            }
            Ok(())
        })?;
        self.settled_until_ms = self.settled_until_ms.max(Some(now.unix_ms()));
        self.written(false);
        self.shared.parts.metrics.settled_days.inc_by(u64::try_from(days.clone().count()).unwrap_or(0));
        Ok(true)
    }
}

/// The hour of the newest event, since 1970.
fn hour(state: &State) -> i64 {
    newest(state).unix_ms().div_euclid(3_600_000)
}

/// The numbers of the people whom events are about, remembered for a batch.
struct Numbers<'s> {
    shared: &'s Shared,
    /// Whether a number still has a subject.
    present: HashMap<u64, bool>,
    plain: HashMap<Person, Option<u64>>,
}

impl Numbers<'_> {
    /// The number of whom the event is about; `None` where that is nobody, or somebody who was erased.
    fn of(&mut self, event: &Event) -> Option<u64> {
        let people = &self.shared.parts.people;
        match &event.encrypted {
            Some(encrypted) => {
                let number = encrypted.person.as_ref()?.of;
                let present = self.present.entry(number).or_insert_with(|| people.subject(number).is_some());
                present.then_some(number)
            }
            None => {
                let person = Person::of(event)?;
                *self.plain.entry(person).or_insert_with_key(|person| people.intern(person.as_str()))
            }
        }
    }
}
