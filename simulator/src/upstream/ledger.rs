//! The ledger: one line of JSON for every event that arrives, and what follows from all lines.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use protocol::Instant;
use serde::{Deserialize, Serialize};

use super::days::DaysSummary;

/// One line: an event that has arrived once more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The gateway, `urn:gapura:{site}`.
    pub source: String,
    /// The event's number.
    pub id: u64,
    /// The door.
    pub door: String,
    /// Epoch of the scan; absent where the gateway could not read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u32>,
    /// Sequence number of the scan; absent where the gateway could not read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// When it arrived.
    pub received_at: Instant,
    /// The HTTP status with which it was refused for good; absent where it was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<u16>,
}

/// What has arrived, of every gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerSummary {
    /// By the gateways' names, `urn:gapura:{site}`.
    pub sources: BTreeMap<String, SourceSummary>,
    /// Working days, by the same names; those since the receiver was started.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attendance: BTreeMap<String, DaysSummary>,
}

/// What has arrived of one gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceSummary {
    /// Number of the event that arrived first: 1 where the ledger is as old as the gateway.
    pub first: u64,
    /// Every number from `first` to this one was taken or refused for good.
    pub acked_through: u64,
    /// Different events that were taken.
    pub events: u64,
    /// Arrivals of an event that had been taken before.
    pub duplicates: u64,
    /// Events that arrived when another number was next.
    pub out_of_order: u64,
    /// Numbers below the highest that have never arrived.
    pub missing: u64,
    /// Different events that were refused for good and not taken since.
    pub refused: u64,
}

/// What has arrived, in memory and, if there is a file, in it.
#[derive(Debug)]
pub struct Ledger {
    file: Option<LedgerFile>,
    sources: BTreeMap<String, Source>,
}

impl Ledger {
    /// Continues the ledger at `path`, or starts one; without a path it is in memory only. With `sync`, every batch is
    /// on disk before it is answered, not only in the hands of the operating system.
    ///
    /// # Errors
    /// When the file cannot be opened or has a line that is no entry. Half a line at the end is cut off.
    pub fn open(path: Option<&Path>, sync: bool) -> Result<Self> {
        let mut ledger = Self { file: None, sources: BTreeMap::new() };
        if let Some(path) = path {
            let file = OpenOptions::new().create(true).append(true).open(path);
            let file = file.with_context(|| format!("cannot open the ledger {}", path.display()))?;
            let mut entries = entries(path)?;
            for entry in &mut entries {
                ledger.record(&entry?);
            }
            let file = LedgerFile { file, path: path.into(), bytes: entries.bytes, sync };
            file.cut_back()?;
            ledger.file = Some(file);
        }
        Ok(ledger)
    }

    /// Writes `entries` down, then counts them.
    ///
    /// # Errors
    /// When the file cannot be written; then nothing is counted.
    pub fn append(&mut self, entries: &[Entry]) -> Result<()> {
        if let Some(file) = &mut self.file {
            file.append(entries)?;
        }
        entries.iter().for_each(|entry| self.record(entry));
        Ok(())
    }

    /// Every event of `source` up to this number has been dealt with; 0 when it is unknown.
    pub fn acked_through(&self, source: &str) -> u64 {
        self.sources.get(source).map_or(0, |source| source.through)
    }

    /// What has arrived so far.
    pub fn summary(&self) -> LedgerSummary {
        let sources = self.sources.iter().map(|(name, source)| (name.clone(), source.summary())).collect();
        LedgerSummary { sources, attendance: BTreeMap::new() }
    }

    fn record(&mut self, entry: &Entry) {
        match self.sources.get_mut(&entry.source) {
            Some(source) => source.record(entry),
            None => {
                let mut source = Source::starting_at(entry.id);
                source.record(entry);
                self.sources.insert(entry.source.clone(), source);
            }
        }
    }
}

/// The entries of the ledger at `path`, in order of arrival.
///
/// # Errors
/// When the file cannot be opened. Each entry may be an error of its own, which names the line.
pub fn entries(path: &Path) -> Result<Entries> {
    let file = File::open(path).with_context(|| format!("cannot open the ledger {}", path.display()))?;
    Ok(Entries { file: BufReader::with_capacity(1 << 16, file), path: path.into(), line: 0, bytes: 0 })
}

/// Reads a ledger from its beginning; ends before half a line at the end.
#[derive(Debug)]
pub struct Entries {
    file: BufReader<File>,
    path: PathBuf,
    line: u64,
    bytes: u64,
}

impl Iterator for Entries {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut line = Vec::new();
        let read = self.file.read_until(b'\n', &mut line);
        self.line += 1;
        let whole = match read {
            Ok(_) if !line.ends_with(b"\n") => return None,
            Ok(bytes) => serde_json::from_slice(&line).map(|entry| (entry, bytes)).map_err(anyhow::Error::from),
            Err(error) => Err(error.into()),
        };
        let entry = whole.with_context(|| format!("{}, line {}: no entry of a ledger", self.path.display(), self.line));
        Some(entry.map(|(entry, bytes)| {
            self.bytes += bytes as u64;
            entry
        }))
    }
}

#[derive(Debug)]
struct LedgerFile {
    file: File,
    path: PathBuf,
    /// Length of what is whole in it.
    bytes: u64,
    sync: bool,
}

impl LedgerFile {
    fn append(&mut self, entries: &[Entry]) -> Result<()> {
        let mut lines = Vec::with_capacity(entries.len() * 160);
        for entry in entries {
            serde_json::to_writer(&mut lines, entry)?;
            lines.push(b'\n');
        }
        let written = self.file.write_all(&lines).and_then(|()| if self.sync { self.file.sync_data() } else { Ok(()) });
        if let Err(error) = written {
            self.cut_back()?;
            return Err(error).with_context(|| format!("cannot write the ledger {}", self.path.display()));
        }
        self.bytes += lines.len() as u64;
        Ok(())
    }

    /// Removes what is not whole.
    fn cut_back(&self) -> Result<()> {
        self.file.set_len(self.bytes).with_context(|| format!("cannot mend the ledger {}", self.path.display()))
    }
}

#[derive(Debug)]
struct Source {
    first: u64,
    through: u64,
    /// Numbers that have arrived and are not in `first..=through`.
    apart: BTreeSet<u64>,
    refused: BTreeSet<u64>,
    events: u64,
    duplicates: u64,
    out_of_order: u64,
}

impl Source {
    fn starting_at(first: u64) -> Self {
        Self {
            first,
            through: first.saturating_sub(1),
            apart: BTreeSet::new(),
            refused: BTreeSet::new(),
            events: 0,
            duplicates: 0,
            out_of_order: 0,
        }
    }

    fn record(&mut self, entry: &Entry) {
        let id = entry.id;
        let known = (self.first..=self.through).contains(&id) || self.apart.contains(&id);
        match (entry.refused.is_some(), known) {
            (true, true) => return,
            (true, false) => {
                self.refused.insert(id);
            }
            (false, true) if self.refused.remove(&id) => self.events += 1,
            (false, true) => self.duplicates += 1,
            (false, false) => self.events += 1,
        }
        if known {
            return;
        }
        if self.next() == Some(id) {
            self.through = id;
            while let Some(next) = self.next().filter(|next| self.apart.contains(next)) {
                self.apart.remove(&next);
                self.through = next;
            }
        } else {
            self.out_of_order += 1;
            self.apart.insert(id);
        }
    }

    fn next(&self) -> Option<u64> {
        self.through.checked_add(1)
    }

    fn summary(&self) -> SourceSummary {
        let highest = self.apart.last().copied().unwrap_or(0).max(self.through);
        let ahead = self.apart.range(self.through..).count() as u64;
        SourceSummary {
            first: self.first,
            acked_through: self.through,
            events: self.events,
            duplicates: self.duplicates,
            out_of_order: self.out_of_order,
            missing: highest - self.through - ahead,
            refused: self.refused.len() as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use proptest::prelude::*;

    use super::*;

    const SITE: &str = "urn:gapura:regency";

    fn entry(id: u64) -> Entry {
        Entry {
            source: SITE.into(),
            id,
            door: "main-in".into(),
            epoch: Some(1),
            seq: Some(id),
            received_at: Instant::from_unix_ms(0),
            refused: None,
        }
    }

    fn refused(id: u64) -> Entry {
        Entry { refused: Some(422), ..entry(id) }
    }

    fn summary(entries: &[Entry]) -> SourceSummary {
        let mut ledger = Ledger::open(None, false).unwrap();
        ledger.append(entries).unwrap();
        ledger.summary().sources.remove(SITE).unwrap()
    }

    #[test]
    fn gaps_duplicates_and_refusals_are_told_apart() {
        let base = SourceSummary { first: 1, ..SourceSummary::default() };
        for (entries, expected) in [
            (vec![entry(1), entry(2)], SourceSummary { acked_through: 2, events: 2, ..base.clone() }),
            (
                vec![entry(1), entry(2), entry(2), entry(1)],
                SourceSummary { acked_through: 2, events: 2, duplicates: 2, ..base.clone() },
            ),
            (
                vec![entry(1), entry(4), entry(3)],
                SourceSummary { acked_through: 1, events: 3, out_of_order: 2, missing: 1, ..base.clone() },
            ),
            (
                vec![entry(1), entry(3), entry(2), entry(3)],
                SourceSummary { acked_through: 3, events: 3, out_of_order: 1, duplicates: 1, ..base.clone() },
            ),
            (
                vec![entry(1), refused(2), refused(2), entry(3)],
                SourceSummary { acked_through: 3, events: 2, refused: 1, ..base.clone() },
            ),
            (vec![refused(1), entry(1)], SourceSummary { acked_through: 1, events: 1, ..base.clone() }),
            (
                vec![entry(7), entry(8), entry(3), entry(3)],
                SourceSummary { first: 7, acked_through: 8, events: 3, out_of_order: 1, duplicates: 1, ..base.clone() },
            ),
            (
                vec![entry(u64::MAX), entry(u64::MAX)],
                SourceSummary { first: u64::MAX, acked_through: u64::MAX, events: 1, duplicates: 1, ..base },
            ),
        ] {
            assert_eq!(summary(&entries), expected, "{entries:?}");
        }
    }

    #[test]
    fn a_ledger_is_continued_without_its_torn_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.ndjson");
        let mut ledger = Ledger::open(Some(&path), true).unwrap();
        ledger.append(&[entry(1), entry(2), refused(3)]).unwrap();
        let before = ledger.summary();
        drop(ledger);
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"source\":\"urn").unwrap();

        let mut ledger = Ledger::open(Some(&path), false).unwrap();
        assert_eq!(ledger.summary(), before);
        ledger.append(&[entry(2), entry(4)]).unwrap();
        assert_eq!((ledger.acked_through(SITE), ledger.summary().sources[SITE].duplicates), (4, 1));
        let ids: Vec<u64> = entries(&path).unwrap().map(|entry| entry.unwrap().id).collect();
        assert_eq!(ids, [1, 2, 3, 2, 4]);
    }

    #[test]
    fn a_damaged_line_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.ndjson");
        Ledger::open(Some(&path), false).unwrap().append(&[entry(1)]).unwrap();
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"nonsense\n").unwrap();
        let error = Ledger::open(Some(&path), false).unwrap_err();
        assert!(error.to_string().ends_with("line 2: no entry of a ledger"), "{error}");
        let mut text = String::new();
        File::open(&path).unwrap().read_to_string(&mut text).unwrap();
        assert!(text.ends_with("nonsense\n"), "a ledger that is not understood is left alone");
    }

    proptest! {
        #[test]
        fn any_order_ends_with_the_same_events(ids in proptest::collection::vec(1..40u64, 1..120)) {
            let distinct: BTreeSet<u64> = ids.iter().copied().collect();
            let found = summary(&ids.iter().copied().map(entry).collect::<Vec<_>>());
            prop_assert_eq!(found.events, distinct.len() as u64);
            prop_assert_eq!(found.events + found.duplicates, ids.len() as u64);
            let through = (ids[0]..).take_while(|id| distinct.contains(id)).last().unwrap();
            prop_assert_eq!(found.acked_through, through);
            let highest = distinct.last().unwrap();
            prop_assert_eq!(found.missing, (through..*highest).filter(|id| !distinct.contains(id)).count() as u64);
        }
    }
}
