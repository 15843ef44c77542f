//! The audit: compares what readers had acknowledged, what the gateway's log holds, and what arrived upstream.

mod check;
pub mod command;
mod sources;

use std::fmt;

use protocol::Event;
use serde::{Deserialize, Serialize};

pub use check::Audit;
pub use sources::{events_of_gateway, lines};

use crate::load::ledger::AckedScan;

/// A line of the upstream's ledger.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Forwarded {
    /// The gateway that sent it.
    #[serde(default)]
    pub source: String,
    /// The event's number.
    #[serde(deserialize_with = "number")]
    pub id: u64,
    /// The HTTP status with which it was refused for good; absent where it was taken.
    #[serde(default)]
    pub refused: Option<u16>,
}

/// What the audit found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Distinct scans that readers had acknowledged.
    pub acked: u64,
    /// Events in the log.
    pub stored: u64,
    /// Distinct events that arrived upstream; absent when there was no ledger to compare with.
    pub forwarded: Option<u64>,
    /// Repetitions upstream, which at-least-once delivery allows.
    pub forwarded_again: u64,
    /// Events that the upstream refused for good.
    pub quarantined: u64,
    /// What is lost: the next two together.
    pub lost: u64,
    /// Acknowledged scans that are not in the log.
    pub not_stored: u64,
    /// Events of the log that are neither upstream nor in quarantine.
    pub not_forwarded: u64,
    /// Scans that are in the log more than once.
    pub duplicated: u64,
    /// Places where the log's numbers do not rise by one, or first arrivals upstream do not rise.
    pub out_of_order: u64,
    /// Scans whose decision, as their reader saw it, is not the one in the log.
    pub conflicting: u64,
    /// Events upstream that are not in the log.
    pub only_upstream: u64,
    /// Scans under numbers that other scans of the door had, which readers do that have lost their counter.
    pub numbers_reused: u64,
    /// Events that are marked as such and are none, or the other way round.
    pub mismarked: u64,
    /// Scans whose event says that they happened at another time than they did.
    pub times_wrong: u64,
    /// Scans of known badges that the gateway has not recognised.
    pub not_recognised: u64,
    /// The first of what is wrong.
    pub examples: Vec<String>,
}

/// Examples that a report names.
const EXAMPLES_MAX: usize = 20;

/// Compares the three records. Without a ledger, nothing is said of the way upstream.
pub fn audit<'a>(
    acked: impl IntoIterator<Item = AckedScan<'a>>,
    events: impl IntoIterator<Item = Event>,
    ledger: Option<impl IntoIterator<Item = Forwarded>>,
) -> Report {
    let mut audit = Audit::default();
    events.into_iter().for_each(|event| audit.event(&event));
    acked.into_iter().for_each(|scan| audit.acked(&scan));
    if let Some(ledger) = ledger {
        audit.expect_forwarding();
        ledger.into_iter().for_each(|forwarded| audit.forwarded(&forwarded));
    }
    audit.finish()
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.problems().is_empty()
    }

    /// What is wrong, in words for people.
    pub fn problems(&self) -> Vec<String> {
        [
            (self.not_stored, "acknowledged scans are not in the log"),
            (self.not_forwarded, "events of the log are not upstream"),
            (self.duplicated, "scans are in the log more than once"),
            (self.out_of_order, "places are out of order"),
            (self.conflicting, "decisions differ between reader and log"),
            (self.only_upstream, "events upstream are not in the log"),
            (self.mismarked, "events are wrongly marked as having a used number, or not marked"),
            (self.times_wrong, "scans are filed under another time than they were made"),
            (self.not_recognised, "scans of known badges were not recognised"),
        ]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, words)| format!("{count} {words}"))
        .collect()
    }

    pub(crate) fn example(&mut self, words: impl FnOnce() -> String) {
        if self.examples.len() < EXAMPLES_MAX {
            self.examples.push(words());
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let forwarded = self.forwarded.map_or("not compared".to_owned(), |forwarded| {
            format!("{forwarded} ({} repetitions, {} in quarantine)", self.forwarded_again, self.quarantined)
        });
        writeln!(f, "{:<22}{}", "acknowledged", self.acked)?;
        writeln!(f, "{:<22}{}", "in the log", self.stored)?;
        writeln!(f, "{:<22}{forwarded}", "upstream")?;
        for problem in self.problems() {
            writeln!(f, "{problem}")?;
        }
        for example in &self.examples {
            writeln!(f, "  {example}")?;
        }
        writeln!(
            f,
            "{}",
            if self.is_clean() { "nothing lost, nothing twice, all in order" } else { "SOMETHING IS WRONG" }
        )
    }
}

/// CloudEvents ids are texts; a ledger may keep the number.
fn number<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Id {
        Number(u64),
        Text(String),
    }
    match Id::deserialize(deserializer)? {
        Id::Number(number) => Ok(number),
        Id::Text(text) => text.parse().map_err(|_| serde::de::Error::custom("\"id\" is no event number")),
    }
}
