//! Reading the file: one state of it, as long as somebody looks.

use std::collections::BTreeSet;
use std::ops::{RangeInclusive, RangeToInclusive};
use std::sync::Arc;

use redb::{ReadOnlyTable, ReadTransaction, ReadableTable};

use super::pack::{self, RowKey};
use super::{
    EVENTS, HEADER, Header, META, NAMES, PackedStay, Row, SIGHTINGS, STATE, STATE_PLACE, STAYS, State, TOTALS,
    TablesError, Total, tag,
};

const MISSING: TablesError = TablesError::Damaged("sightings of a day are missing");

type ReadOnly<K> = ReadOnlyTable<K, &'static [u8]>;

/// The file as it was at one moment.
pub struct View {
    sightings: ReadOnly<(i32, u64)>,
    totals: ReadOnly<i32>,
    events: ReadOnly<i32>,
    stays: ReadOnly<(i32, u32)>,
    stored_names: ReadOnly<u32>,
    meta: ReadOnly<&'static str>,
    names: Arc<Vec<Arc<str>>>,
}

/// Where a person's rows of a day are found.
pub trait SightingRows {
    /// The rows in order; none where the person was not seen.
    fn rows(&self, day: i32, person: u64) -> Result<Vec<Row>, TablesError>;
}

/// The stays of a settled day.
pub struct DayStays<'v> {
    view: &'v View,
    day: i32,
    header: Header,
}

impl SightingRows for View {
    fn rows(&self, day: i32, person: u64) -> Result<Vec<Row>, TablesError> {
        rows_of(&self.sightings, day, person)
    }
}

/// The person's rows of the day in the table.
pub fn rows_of(
    sightings: &impl ReadableTable<(i32, u64), &'static [u8]>,
    day: i32,
    person: u64,
) -> Result<Vec<Row>, TablesError> {
    match sightings.get((day, person))? {
        Some(value) => pack::decode(sighting(day, person), value.value()),
        None => Ok(Vec::new()),
    }
}

pub(super) fn sighting(day: i32, person: u64) -> RowKey {
    RowKey(tag::SIGHTINGS, day.into(), person)
}

pub(super) fn day_of(table: u8, day: i32) -> RowKey {
    RowKey(table, day.into(), 0)
}

pub(super) fn stays_of(day: i32, zone: u32) -> RowKey {
    RowKey(tag::STAYS, day.into(), zone.into())
}

impl View {
    pub(super) fn new(
        transaction: &ReadTransaction,
        names: impl FnOnce() -> Arc<Vec<Arc<str>>>,
    ) -> Result<Self, TablesError> {
        Ok(Self {
            sightings: transaction.open_table(SIGHTINGS)?,
            totals: transaction.open_table(TOTALS)?,
            events: transaction.open_table(EVENTS)?,
            stays: transaction.open_table(STAYS)?,
            stored_names: transaction.open_table(NAMES)?,
            meta: transaction.open_table(META)?,
            // After the transaction has begun: every number that it has in a row has its name by then.
            names: names(),
        })
    }

    /// The person's rows of the day, in order.
    pub fn rows_of(&self, day: i32, person: u64) -> Result<Vec<Row>, TablesError> {
        rows_of(&self.sightings, day, person)
    }

    /// How far the file reflects the log.
    pub fn state(&self) -> Result<State, TablesError> {
        let value = self.meta.get(STATE)?.ok_or(TablesError::Damaged("its state is missing"))?;
        pack::decode(STATE_PLACE, value.value())
    }

    /// Names of doors and zones, by number.
    pub fn known_names(&self) -> &[Arc<str>] {
        &self.names
    }

    pub(super) fn names(&self) -> Result<Vec<Arc<str>>, TablesError> {
        let mut names = Vec::new();
        for entry in self.stored_names.iter()? {
            let (number, value) = entry?;
            if usize::try_from(number.value()) != Ok(names.len()) {
                return Err(TablesError::Damaged("a name is missing"));
            }
            let name: String = pack::decode(RowKey(tag::NAMES, number.value().into(), 0), value.value())?;
            names.push(name.into());
        }
        Ok(names)
    }

    /// The days on which anybody was seen, in order.
    pub fn days(&self, range: RangeInclusive<i32>) -> Result<Vec<i32>, TablesError> {
        self.totals.range(range)?.map(|entry| Ok(entry?.0.value())).collect()
    }

    /// Those of the days on which anybody's stay may have begun, in order: a stay may begin some days before anybody is seen.
    pub fn days_of_stays(&self, range: RangeInclusive<i32>, reach: i32) -> Result<BTreeSet<i32>, TablesError> {
        let seen = self.days(*range.start()..=range.end().saturating_add(reach))?;
        let around = seen.into_iter().flat_map(|day| day.saturating_sub(reach)..=day);
        Ok(around.filter(|day| range.contains(day)).collect())
    }

    /// Who was seen on these days.
    pub fn people(&self, days: RangeInclusive<i32>) -> Result<BTreeSet<u64>, TablesError> {
        let mut people = BTreeSet::new();
        for day in self.days(days)? {
            let mut count = 0u64;
            for entry in self.sightings.range((day, 0)..=(day, u64::MAX))? {
                people.insert(entry?.0.value().1);
                count = count.saturating_add(1);
            }
            if self.total(day)?.values != count {
                return Err(MISSING);
            }
        }
        Ok(people)
    }

    /// Everybody's rows of the day, by person. All of them are there, or it fails.
    pub fn everybody(&self, day: i32) -> Result<Vec<(u64, Vec<Row>)>, TablesError> {
        let (mut people, mut total) = (Vec::new(), Total::default());
        for entry in self.sightings.range((day, 0)..=(day, u64::MAX))? {
            let (key, value) = entry?;
            let (found_day, person) = key.value();
            let place = sighting(found_day, person);
            let (checksum, rows) = pack::decode_sealed(place, value.value())?;
            total.add(checksum);
            people.push((person, rows));
        }
        if self.total(day)? == total { Ok(people) } else { Err(MISSING) }
    }

    fn total(&self, day: i32) -> Result<Total, TablesError> {
        match self.totals.get(day)? {
            Some(value) => pack::decode(day_of(tag::TOTALS, day), value.value()),
            None => Ok(Total::default()),
        }
    }

    /// Number of the last event that happened on these days; 0 when there was none.
    pub fn last_event(&self, days: RangeToInclusive<i32>) -> Result<u64, TablesError> {
        let mut newest = 0;
        for entry in self.events.range(days)? {
            let (day, value) = entry?;
            newest = newest.max(pack::decode::<u64>(day_of(tag::EVENTS, day.value()), value.value())?);
        }
        Ok(newest)
    }

    /// The day's stays, where they were made by these rules and as they are known at `now_ms`.
    pub fn settled(&self, day: i32, rules: u64, now_ms: i64) -> Result<Option<DayStays<'_>>, TablesError> {
        let header = self.stays.get((day, HEADER))?;
        let header = header.map(|value| pack::decode::<Header>(stays_of(day, HEADER), value.value())).transpose()?;
        let valid = header.filter(|header| header.rules == rules && header.at_ms <= now_ms);
        Ok(valid.map(|header| DayStays { view: self, day, header }))
    }

    /// Days that have stays by these rules, and the newest moment as of which any stays were made.
    pub fn settled_days(&self, rules: u64) -> Result<(Vec<i32>, Option<i64>), TablesError> {
        let (mut days, mut newest) = (Vec::new(), None);
        let mut next = i32::MIN;
        // From header to header.
        while let Some(entry) = self.stays.range((next, 0)..)?.next() {
            let day = entry?.0.value().0;
            next = day.saturating_add(1);
            let value = self.stays.get((day, HEADER))?.ok_or(TablesError::Damaged("a header of stays is missing"))?;
            let header: Header = pack::decode(stays_of(day, HEADER), value.value())?;
            newest = newest.max(Some(header.at_ms));
            if header.rules == rules {
                days.push(day);
            }
        }
        Ok((days, newest))
    }
}

impl DayStays<'_> {
    /// Hands each zone in which anybody was on the day, and that is `wanted`, with its stays to `each`.
    pub fn each_zone(
        &self,
        wanted: impl Fn(&str) -> bool,
        mut each: impl FnMut(&Arc<str>, &mut dyn Iterator<Item = PackedStay>),
    ) -> Result<(), TablesError> {
        for (zone, checksum) in &self.header.zones {
            let name = pack::name(&self.view.names, *zone)?;
            if !wanted(&name) {
                continue;
            }
            let missing = TablesError::Damaged("stays of a zone are missing");
            let value = self.view.stays.get((self.day, *zone))?.ok_or(missing)?;
            let (found, content) = pack::checked(stays_of(self.day, *zone), value.value())?;
            if found != *checksum {
                return Err(TablesError::Damaged("stays of a zone are old"));
            }
            each(&name, &mut PackedStay::all(self.day, content)?);
        }
        Ok(())
    }
}

impl Total {
    pub(super) fn add(&mut self, checksum: u64) {
        self.values = self.values.saturating_add(1);
        self.checksums ^= checksum;
    }

    pub(super) fn remove(&mut self, checksum: u64) {
        self.values = self.values.saturating_sub(1);
        self.checksums ^= checksum;
    }
}
