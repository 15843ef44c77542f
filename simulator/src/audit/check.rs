//! The comparison itself, one record at a time.

use std::collections::{HashMap, HashSet};

use protocol::{Event, EventKind, Mark, Outcome, ScanId};

use super::{Forwarded, Report};
use crate::load::ledger::AckedScan;
use crate::load::mix::Kind;

/// An audit in progress: first every event of the log, then the acknowledged scans, and last the upstream's ledger.
///
/// Keeps a few dozen bytes for every event, and nothing of a line once it is read.
#[derive(Debug, Default)]
pub struct Audit {
    report: Report,
    doors: HashMap<String, u32>,
    stored: HashMap<ScanKey, Stored>,
    /// Numbers that scans have, by door.
    used: HashSet<(u32, u32, u64)>,
    knows_badges: bool,
    last_number: u64,
    numbers: HashSet<u64>,
    /// Events of a door that nobody can tell apart: only their number can be compared.
    unidentified: HashMap<u32, u64>,
    acked_unidentified: HashMap<u32, HashSet<(u32, u64, i64)>>,
    acked: HashSet<ScanKey>,
    forwarded: Option<HashMap<String, HashSet<u64>>>,
    highest_forwarded: HashMap<String, u64>,
    quarantined: Vec<(u64, u64)>,
    refused: HashSet<u64>,
}

/// A scan of a door: epoch, number and, where the reader has written it, its time in Unix milliseconds. A number alone may be used
/// again.
type ScanKey = (u32, u32, u64, Option<i64>);

#[derive(Clone, Copy, Debug)]
struct Stored {
    number: u64,
    outcome: Outcome,
    happened_at_ms: i64,
    is_known: bool,
}

/// How far the time of an event may lie from when its scan was made, in milliseconds: one that comes in time is filed under the
/// time of its arrival.
const TIME_OFF_MS_MAX: i64 = 35_000;

/// The reason of a gateway that does not know a code.
const UNKNOWN: &str = "unknown-credential";

impl Audit {
    /// Takes the next event of the log.
    pub fn event(&mut self, event: &Event) {
        self.report.stored += 1;
        if event.number != self.last_number + 1 {
            self.report.out_of_order += 1;
            let (last, number) = (self.last_number, event.number);
            self.report.example(|| format!("event {number} follows event {last}"));
        }
        self.last_number = event.number;
        self.numbers.insert(event.number);
        let door = self.door(event.door.as_str());
        let (ScanId { epoch, seq }, at_ms) = match &event.subject {
            EventKind::Scan(scan) => (scan.id, Some(scan.scanned_at.unix_ms())),
            EventKind::Malformed(malformed) => match malformed.id {
                Some(id) => (id, None),
                None => {
                    *self.unidentified.entry(door).or_default() += 1;
                    return;
                }
            },
            EventKind::Assist(_) => return,
        };
        let is_used = !self.used.insert((door, epoch, seq));
        self.report.numbers_reused += u64::from(is_used);
        if is_used != event.is_marked(Mark::NumberReused) && !event.is_marked(Mark::ResendUnverified) {
            self.report.mismarked += 1;
            let (door, number) = (&event.door, event.number);
            let is = if is_used { "has a used number and does not say so" } else { "says that its number was used" };
            self.report.example(|| format!("event {number}, {door} {epoch}/{seq}, {is}"));
        }
        let stored = Stored {
            number: event.number,
            outcome: event.verdict.outcome,
            happened_at_ms: event.when().unix_ms(),
            is_known: at_ms.is_some() && event.verdict.reason != UNKNOWN,
        };
        let first = self.stored.entry((door, epoch, seq, at_ms)).or_insert(stored).number;
        if first != event.number {
            self.report.duplicated += 1;
            let (door, number) = (&event.door, event.number);
            self.report.example(|| format!("{door} {epoch}/{seq} is event {first} and event {number}"));
        }
    }

    /// Takes the next scan that was acknowledged.
    pub fn acked(&mut self, scan: &AckedScan<'_>) {
        let door = self.door(&scan.door);
        let (name, epoch, seq) = (&scan.door, scan.epoch, scan.seq);
        if scan.kind == Kind::Unidentified {
            self.acked_unidentified.entry(door).or_default().insert((epoch, seq, scan.scanned_at_ms));
            return;
        }
        let key = (door, epoch, seq, (scan.kind != Kind::Malformed).then_some(scan.scanned_at_ms));
        let first = self.acked.insert(key);
        let Some(stored) = self.stored.get(&key).copied() else {
            if first {
                self.report.not_stored += 1;
                self.report.example(|| format!("{name} {epoch}/{seq} was acknowledged and is not in the log"));
            }
            return;
        };
        let off_ms = stored.happened_at_ms - scan.made_at_ms;
        if scan.kind != Kind::Malformed && off_ms.abs() > TIME_OFF_MS_MAX {
            self.report.times_wrong += 1;
            let number = stored.number;
            self.report.example(|| format!("event {number}, {name} {epoch}/{seq}, is filed {off_ms} ms off"));
        }
        if self.knows_badges && scan.kind == Kind::Good && !stored.is_known {
            self.report.not_recognised += 1;
            let number = stored.number;
            self.report.example(|| format!("event {number}, {name} {epoch}/{seq}, does not recognise a known badge"));
        }
        let other_outcome = scan.outcome.is_some_and(|outcome| outcome != stored.outcome);
        let other_event = scan.event.is_some_and(|number| number != stored.number);
        if other_outcome || other_event {
            self.report.conflicting += 1;
            let seen = scan.outcome.map_or("unknown", Outcome::as_str);
            let Stored { number, outcome, .. } = stored;
            self.report.example(|| {
                let event = scan.event.unwrap_or(number);
                format!(
                    "{name} {epoch}/{seq} was answered {seen} (event {event}), the log has {outcome} (event {number})"
                )
            });
        }
    }

    /// The gateway knows the badges of all good scans: each must be recognised.
    pub fn expect_recognised(&mut self) {
        self.knows_badges = true;
    }

    /// From now on, events that are not in the ledger count as not forwarded.
    pub fn expect_forwarding(&mut self) {
        self.forwarded.get_or_insert_default();
    }

    /// Events from the first number to the second, both included, that the upstream refused for good.
    pub fn quarantine(&mut self, first: u64, last: u64) {
        self.quarantined.push((first, last));
    }

    /// Takes the next line of the ledger.
    pub fn forwarded(&mut self, forwarded: &Forwarded) {
        let id = forwarded.id;
        if forwarded.refused.is_some() {
            self.refused.insert(id);
            return;
        }
        let seen = self.forwarded.get_or_insert_default().entry(forwarded.source.clone()).or_default();
        if !seen.insert(id) {
            self.report.forwarded_again += 1;
            return;
        }
        let highest = self.highest_forwarded.entry(forwarded.source.clone()).or_default();
        if id < *highest {
            self.report.out_of_order += 1;
            let highest = *highest;
            self.report.example(|| format!("event {id} arrived upstream after event {highest}"));
        } else {
            *highest = id;
        }
    }

    /// What the audit found.
    pub fn finish(mut self) -> Report {
        for (door, acked) in &self.acked_unidentified {
            let missing = (acked.len() as u64).saturating_sub(self.unidentified.get(door).copied().unwrap_or(0));
            if missing > 0 {
                self.report.not_stored += missing;
                let name = self.doors.iter().find(|(_, index)| *index == door).map_or("", |(name, _)| name.as_str());
                self.report.example(|| {
                    format!("{missing} malformed scans of {name} were acknowledged and are not in the log")
                });
            }
        }
        let unidentified: usize = self.acked_unidentified.values().map(HashSet::len).sum();
        self.report.acked = (self.acked.len() + unidentified) as u64;
        if let Some(forwarded) = self.forwarded.take() {
            self.compare_upstream(&forwarded);
        }
        self.report.lost = self.report.not_stored + self.report.not_forwarded;
        self.report
    }

    fn compare_upstream(&mut self, forwarded: &HashMap<String, HashSet<u64>>) {
        let arrived: HashSet<u64> = forwarded.values().flatten().copied().collect();
        self.report.forwarded = Some(arrived.len() as u64);
        let mut missing: Vec<u64> = self.numbers.difference(&arrived).copied().collect();
        missing.sort_unstable();
        for number in missing {
            if self.refused.contains(&number)
                || self.quarantined.iter().any(|(first, last)| (*first..=*last).contains(&number))
            {
                self.report.quarantined += 1;
            } else {
                self.report.not_forwarded += 1;
                self.report.example(|| format!("event {number} is not upstream"));
            }
        }
        let mut foreign: Vec<u64> = arrived.difference(&self.numbers).copied().collect();
        foreign.sort_unstable();
        for number in foreign {
            self.report.only_upstream += 1;
            self.report.example(|| format!("event {number} is upstream and not in the log"));
        }
    }

    fn door(&mut self, name: &str) -> u32 {
        if let Some(index) = self.doors.get(name) {
            return *index;
        }
        let index = u32::try_from(self.doors.len()).unwrap_or(u32::MAX);
        self.doors.insert(name.to_owned(), index);
        index
    }
}

#[cfg(test)]
mod tests;
