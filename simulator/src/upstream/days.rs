//! Working days that have arrived: they have no numbers, so they are counted apart from events, and in memory only.

use std::collections::{BTreeMap, BTreeSet};

use protocol::Instant;
use serde::{Deserialize, Serialize};

/// An office's working day, as far as it is counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Day {
    pub(super) id: String,
    /// The gateway.
    pub(super) source: String,
    /// Day and office.
    pub(super) subject: String,
    /// When the gateway reckoned it: the newest of a subject holds.
    pub(super) time: Instant,
    /// How many people came.
    pub(super) rows: u64,
}

/// What has arrived of one gateway's working days.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DaysSummary {
    /// Different days of offices.
    pub days: u64,
    /// People's days in them, as the newest says of each.
    pub rows: u64,
    /// Different events: more than days where some have changed.
    pub events: u64,
    /// Arrivals of an event that had arrived before.
    pub duplicates: u64,
}

/// The working days of every gateway.
#[derive(Debug, Default)]
pub(super) struct Days(BTreeMap<String, OfSource>);

#[derive(Debug, Default)]
struct OfSource {
    ids: BTreeSet<String>,
    duplicates: u64,
    /// By subject: when, and how many rows.
    newest: BTreeMap<String, (Instant, u64)>,
}

impl Days {
    pub(super) fn take(&mut self, day: Day) {
        let source = self.0.entry(day.source).or_default();
        if !source.ids.insert(day.id) {
            source.duplicates += 1;
        }
        let newest = source.newest.entry(day.subject).or_insert((day.time, day.rows));
        if day.time >= newest.0 {
            *newest = (day.time, day.rows);
        }
    }

    /// By the gateways' names.
    pub(super) fn summary(&self) -> BTreeMap<String, DaysSummary> {
        let summary = |source: &OfSource| DaysSummary {
            days: source.newest.len() as u64,
            rows: source.newest.values().map(|(_, rows)| rows).sum(),
            events: source.ids.len() as u64,
            duplicates: source.duplicates,
        };
        self.0.iter().map(|(name, source)| (name.clone(), summary(source))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_of_a_day_holds_in_whatever_order_they_arrive() {
        let day = |id: &str, subject: &str, time, rows| Day {
            id: id.into(),
            source: "urn:gapura:regency".into(),
            subject: subject.into(),
            time: Instant::from_unix_ms(time),
            rows,
        };
        let mut days = Days::default();
        for day in [
            day("a/1", "2026-11-23/dinkes", 10, 7),
            day("a/2", "2026-11-23/dinkes", 30, 9),
            day("a/3", "2026-11-23/dinkes", 20, 8),
            day("a/1", "2026-11-23/dinkes", 10, 7),
            day("b/1", "2026-11-23/setda", 10, 3),
        ] {
            days.take(day);
        }
        let expected = DaysSummary { days: 2, rows: 12, events: 4, duplicates: 1 };
        assert_eq!(days.summary()["urn:gapura:regency"], expected);
    }
}
