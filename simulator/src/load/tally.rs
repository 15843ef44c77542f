//! What a run comes to: counters and latencies, spread over a few locks that a thousand readers share.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hdrhistogram::Histogram;
use protocol::Outcome;

/// Counters and latencies of some readers.
#[derive(Clone, Debug)]
pub struct Tally {
    /// Readers that have been connected.
    pub connected: u64,
    /// Connections after a reader's first.
    pub reconnects: u64,
    /// Distinct scans that were handed to the client.
    pub scans: u64,
    /// Of those, malformed ones that nobody can tell apart: they are never answered.
    pub unidentified: u64,
    /// Scans written to a connection, all repetitions included.
    pub sent: u64,
    /// Of those, because something was lost or could not be promised.
    pub resent: u64,
    /// Of those, because the mix asks for duplicates.
    pub duplicates: u64,
    /// Distinct scans that were acknowledged.
    pub acked: u64,
    /// Distinct scans that were answered for good.
    pub decisions: u64,
    /// Those, by outcome.
    pub outcomes: BTreeMap<&'static str, u64>,
    /// Scans that have all they wait for.
    pub settled: u64,
    /// Answers that promised nothing.
    pub unavailable: u64,
    /// Answers that contradict an earlier one to the same scan.
    pub conflicting: u64,
    /// What went wrong, by kind: how often, and the first in its own words.
    pub errors: BTreeMap<&'static str, (u64, String)>,
    /// When something was last settled, in microseconds since the start.
    pub last_settled_us: u64,
    /// From when a scan was due to its acknowledgement, in microseconds.
    pub ack_us: Histogram<u64>,
    /// From when a scan was due to its decision, in microseconds.
    pub decision_us: Histogram<u64>,
}

/// The tallies of a fleet.
#[derive(Debug)]
pub struct Tallies(Vec<Mutex<Tally>>);

/// Longest latency that is told apart, in microseconds.
const LATENCY_US_MAX: u64 = 600_000_000;

/// More than there are threads to contend for them.
const PARTS: usize = 16;

impl Tally {
    /// Nothing yet.
    ///
    /// # Errors
    /// Never with these bounds; the histogram's own error if so.
    pub fn new() -> Result<Self, hdrhistogram::CreationError> {
        let histogram = Histogram::new_with_bounds(1, LATENCY_US_MAX, 3)?;
        Ok(Self {
            connected: 0,
            reconnects: 0,
            scans: 0,
            unidentified: 0,
            sent: 0,
            resent: 0,
            duplicates: 0,
            acked: 0,
            decisions: 0,
            outcomes: BTreeMap::new(),
            settled: 0,
            unavailable: 0,
            conflicting: 0,
            errors: BTreeMap::new(),
            last_settled_us: 0,
            ack_us: histogram.clone(),
            decision_us: histogram,
        })
    }

    /// Counts a final answer.
    pub fn decided(&mut self, outcome: Option<Outcome>, latency_us: u64) {
        self.decisions += 1;
        *self.outcomes.entry(outcome.map_or("relayed", Outcome::as_str)).or_default() += 1;
        self.decision_us.saturating_record(latency_us);
    }

    /// Counts something that went wrong.
    pub fn failed(&mut self, kind: &'static str, words: impl FnOnce() -> String) {
        self.errors.entry(kind).or_insert_with(|| (0, words())).0 += 1;
    }

    fn add(&mut self, other: &Self) {
        for (mine, others) in [
            (&mut self.connected, other.connected),
            (&mut self.reconnects, other.reconnects),
            (&mut self.scans, other.scans),
            (&mut self.unidentified, other.unidentified),
            (&mut self.sent, other.sent),
            (&mut self.resent, other.resent),
            (&mut self.duplicates, other.duplicates),
            (&mut self.acked, other.acked),
            (&mut self.decisions, other.decisions),
            (&mut self.settled, other.settled),
            (&mut self.unavailable, other.unavailable),
            (&mut self.conflicting, other.conflicting),
        ] {
            *mine += others;
        }
        self.last_settled_us = self.last_settled_us.max(other.last_settled_us);
        for (outcome, count) in &other.outcomes {
            *self.outcomes.entry(outcome).or_default() += count;
        }
        for (kind, (count, words)) in &other.errors {
            self.errors.entry(kind).or_insert_with(|| (0, words.clone())).0 += count;
        }
        // Both have the same bounds, so that adding cannot fail.
        self.ack_us.add(&other.ack_us).unwrap_or_default();
        self.decision_us.add(&other.decision_us).unwrap_or_default();
    }
}

impl Tallies {
    /// Nothing yet.
    ///
    /// # Errors
    /// See [`Tally::new`].
    pub fn new() -> Result<Self, hdrhistogram::CreationError> {
        (0..PARTS).map(|_| Tally::new().map(Mutex::new)).collect::<Result<_, _>>().map(Self)
    }

    /// The tally that `reader` writes to. Held only to count.
    pub fn of(&self, reader: usize) -> Option<MutexGuard<'_, Tally>> {
        let part = self.0.get(reader % PARTS)?;
        Some(part.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// All of them together.
    ///
    /// # Errors
    /// See [`Tally::new`].
    pub fn sum(&self) -> Result<Tally, hdrhistogram::CreationError> {
        let mut sum = Tally::new()?;
        for part in &self.0 {
            sum.add(&part.lock().unwrap_or_else(PoisonError::into_inner));
        }
        Ok(sum)
    }

    /// Scans that are handed over, and those that are settled, for a progress bar.
    pub fn progress(&self) -> (u64, u64) {
        self.0.iter().fold((0, 0), |(scans, settled), part| {
            let part = part.lock().unwrap_or_else(PoisonError::into_inner);
            (scans + part.scans, settled + part.settled)
        })
    }
}
