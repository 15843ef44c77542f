//! Writing the file: what a batch of events brings, what people and time take away.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use protocol::Event;
use redb::{Durability, ReadableTable, Table, WriteTransaction};

use super::super::{Passage, Rules, Sighting};
use super::pack::{self, RowKey};
use super::read::{day_of, rows_of, sighting, stays_of};
use super::{
    EVENTS, Filed, HEADER, Header, META, NAMES, Names, Row, SIGHTINGS, STATE, STATE_PLACE, STAYS, SightingRows, State,
    TOTALS, Tables, TablesError, Total, tag,
};
use crate::calendar::day_number;

/// What some events bring, collected in memory.
#[derive(Debug, Default)]
pub struct Batch {
    rows: BTreeMap<(i32, u64), Vec<Row>>,
    /// The last event of each day.
    days: BTreeMap<i32, u64>,
    /// How many rows there are.
    pub sightings: usize,
}

/// A change to the file: all of it or nothing.
pub struct Change<'t> {
    sightings: Table<'t, (i32, u64), &'static [u8]>,
    totals: Table<'t, i32, &'static [u8]>,
    events: Table<'t, i32, &'static [u8]>,
    stays: Table<'t, (i32, u32), &'static [u8]>,
    names: Table<'t, u32, &'static [u8]>,
    meta: Table<'t, &'static str, &'static [u8]>,
}

impl Batch {
    /// Takes in an event about `person`, and what it means for the state.
    pub fn add(&mut self, event: &Event, person: Option<u64>, rules: &Rules, names: &mut Names, state: &mut State) {
        let happened_on = day_number(rules.day_of(event.when()));
        let newest = self.days.entry(happened_on).or_default();
        *newest = event.number.max(*newest);
        state.through = event.number;
        state.newest_ms = state.newest_ms.max(event.decided_at.unix_ms());
        let Some((person, Sighting { passed, passage })) = person.zip(Sighting::of(event)) else { return };
        let day = day_number(rules.day_of(passage.at));
        if state.sightings_from.is_some_and(|from| day < from) {
            return;
        }
        let Passage { door, zone, .. } = &passage;
        let row = Row::new(day, &passage, passed, names.number(door), names.number(zone));
        self.rows.entry((day, person)).or_default().push(row);
        self.sightings = self.sightings.saturating_add(1);
    }
}

impl Batch {
    /// Whose sightings it changes, some of them several times.
    pub fn people(&self) -> impl Iterator<Item = u64> {
        self.rows.keys().map(|(_, person)| *person)
    }
}

impl Tables {
    /// Makes a change. One that is not durable is undone by a crash, together with those after it.
    pub fn change(
        &self,
        durable: bool,
        work: impl FnOnce(&mut Change<'_>) -> Result<(), TablesError>,
    ) -> Result<(), TablesError> {
        let mut transaction: WriteTransaction = self.database.begin_write()?;
        if durable {
            // After a crash the file is open at once.
            transaction.set_quick_repair(true);
        } else if transaction.set_durability(Durability::None).is_err() {
            return Err(TablesError::Damaged("it has savepoints, which are not ours"));
        }
        let mut change = Change {
            sightings: transaction.open_table(SIGHTINGS)?,
            totals: transaction.open_table(TOTALS)?,
            events: transaction.open_table(EVENTS)?,
            stays: transaction.open_table(STAYS)?,
            names: transaction.open_table(NAMES)?,
            meta: transaction.open_table(META)?,
        };
        work(&mut change)?;
        drop(change);
        Ok(transaction.commit()?)
    }

    /// Tells readers of names before any row has their numbers.
    pub fn publish(&self, names: &Names) {
        if self.names.load().len() != names.list().len() {
            self.names.store(Arc::new(names.list().to_vec()));
        }
    }
}

impl SightingRows for Change<'_> {
    fn rows(&self, day: i32, person: u64) -> Result<Vec<Row>, TablesError> {
        rows_of(&self.sightings, day, person)
    }
}

impl Change<'_> {
    /// Writes down what the events of a batch bring. Returns the days and persons whose sightings have changed, each with its first
    /// new row.
    pub fn take_in(&mut self, batch: Batch, names: &mut Names) -> Result<Vec<(i32, u64, Row)>, TablesError> {
        self.write_names(names)?;
        for (day, newest) in batch.days {
            let place = day_of(tag::EVENTS, day);
            let known = self.events.get(day)?.map(|value| pack::decode::<u64>(place, value.value())).transpose()?;
            let value = pack::encode(place, &known.unwrap_or_default().max(newest))?;
            self.events.insert(day, value.as_slice())?;
        }
        let mut totals: BTreeMap<i32, Total> = BTreeMap::new();
        let mut changed = Vec::new();
        for ((day, person), rows) in batch.rows {
            let total = match totals.get_mut(&day) {
                Some(total) => total,
                None => {
                    let total = self.total(day)?;
                    totals.entry(day).or_insert(total)
                }
            };
            changed.extend(self.add_rows(day, person, rows, total)?.map(|first| (day, person, first)));
        }
        for (day, total) in totals {
            self.set_total(day, total)?;
        }
        Ok(changed)
    }

    fn add_rows(
        &mut self,
        day: i32,
        person: u64,
        rows: Vec<Row>,
        total: &mut Total,
    ) -> Result<Option<Row>, TablesError> {
        let place = sighting(day, person);
        let known = self.sightings.get((day, person))?;
        let known = known.map(|value| pack::decode_sealed::<Vec<Row>>(place, value.value())).transpose()?;
        let (before, mut all) = known.map_or((None, Vec::new()), |(checksum, rows)| (Some(checksum), rows));
        let mut first: Option<Row> = None;
        for row in rows {
            if all.iter().all(|known| known.number != row.number) {
                all.push(row);
                first = first.filter(|first| first.order() < row.order()).or(Some(row));
            }
        }
        if first.is_none() {
            return Ok(None);
        }
        all.sort_by_key(Row::order);
        let value = pack::encode(place, &all)?;
        self.sightings.insert((day, person), value.as_slice())?;
        before.iter().for_each(|checksum| total.remove(*checksum));
        total.add(pack::checksum_of(&value));
        Ok(first)
    }

    /// Deletes everything about these persons, and stays of the days on which they were seen.
    pub fn forget(&mut self, persons: &[u64]) -> Result<u64, TablesError> {
        let days: Vec<i32> =
            self.totals.iter()?.map(|entry| Ok(entry?.0.value())).collect::<Result<_, TablesError>>()?;
        let mut rows = 0u64;
        for day in days {
            let mut total = self.total(day)?;
            let before = total;
            for person in persons {
                let place = sighting(day, *person);
                let Some(value) = self.sightings.remove((day, *person))? else { continue };
                total.remove(pack::checked(place, value.value())?.0);
                rows = rows.saturating_add(1);
            }
            if total != before {
                self.set_total(day, total)?;
            }
        }
        if rows > 0 {
            // A stay may be filed under another day than the scan by which it is known.
            self.stays.retain(|_, _| false)?;
        }
        Ok(rows)
    }

    /// Deletes what is older than the state says.
    pub fn expire(&mut self, state: &State) -> Result<(), TablesError> {
        if let Some(from) = state.sightings_from {
            self.sightings.retain_in(..(from, 0), |_, _| false)?;
            self.totals.retain_in(..from, |_, _| false)?;
        }
        if let Some(from) = state.stays_from.max(state.sightings_from) {
            self.stays.retain_in(..(from, 0), |_, _| false)?;
        }
        self.set_state(state)
    }

    /// Deletes the stays of these days.
    pub fn unsettle(&mut self, days: RangeInclusive<i32>) -> Result<(), TablesError> {
        Ok(self.stays.retain_in((*days.start(), 0)..=(*days.end(), u32::MAX), |_, _| false)?)
    }

    /// Files the stays of a day that is over, made by the rules with this fingerprint, as they are known at `at_ms`.
    /// Leaves the day alone where a stay cannot be packed.
    pub fn settle(
        &mut self,
        day: i32,
        stays: &[Filed],
        rules: u64,
        at_ms: i64,
        names: &mut Names,
    ) -> Result<(), TablesError> {
        let mut zones: BTreeMap<u32, Vec<u8>> = BTreeMap::new();
        for filed in stays {
            if filed.pack(zones.entry(names.number(&filed.stay.zone)).or_default()).is_none() {
                return Ok(());
            }
        }
        self.write_names(names)?;
        self.unsettle(day..=day)?;
        let mut header = Header { rules, at_ms, zones: Vec::new() };
        for (zone, stays) in zones {
            let value = pack::with_checksum(stays_of(day, zone), &stays);
            header.zones.push((zone, pack::checksum_of(&value)));
            self.stays.insert((day, zone), value.as_slice())?;
        }
        let value = pack::encode(stays_of(day, HEADER), &header)?;
        self.stays.insert((day, HEADER), value.as_slice())?;
        Ok(())
    }

    /// Writes down how far the file reflects the log.
    pub fn set_state(&mut self, state: &State) -> Result<(), TablesError> {
        let value = pack::encode(STATE_PLACE, state)?;
        self.meta.insert(STATE, value.as_slice())?;
        Ok(())
    }

    fn write_names(&mut self, names: &mut Names) -> Result<(), TablesError> {
        for (number, name) in names.take_new() {
            let value = pack::encode(RowKey(tag::NAMES, number.into(), 0), &&*name)?;
            self.names.insert(number, value.as_slice())?;
        }
        Ok(())
    }

    fn total(&self, day: i32) -> Result<Total, TablesError> {
        let value = self.totals.get(day)?;
        Ok(value.map(|value| pack::decode(day_of(tag::TOTALS, day), value.value())).transpose()?.unwrap_or_default())
    }

    fn set_total(&mut self, day: i32, total: Total) -> Result<(), TablesError> {
        if total.values == 0 {
            self.totals.remove(day)?;
            return Ok(());
        }
        let value = pack::encode(day_of(tag::TOTALS, day), &total)?;
        self.totals.insert(day, value.as_slice())?;
        Ok(())
    }
}
