//! The writer's end of the log: one commit after the other.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use protocol::Event;
use redb::{Database, Durability, ReadableDatabase, ReadableTable};

use super::reader::Shared;
use super::segment::{self, Hash};
use super::store::{self, CHECKPOINTS, CURSORS, Opener, QUARANTINE, SEGMENTS};
use super::{Config, LogError, LogReader, Metrics, Quarantined};
use crate::clock::Clock;

/// Checkpoints that are kept: the newest, and one more in case it cannot be read.
const CHECKPOINTS_KEPT: u64 = 2;

/// The writer's end. There is one, and one thread uses it.
pub struct Log {
    opener: Opener,
    shared: Arc<Shared>,
    next_number: u64,
    previous: Hash,
    metrics: Metrics,
    clock: Clock,
}

/// What one commit keeps.
#[derive(Clone, Copy, Debug, Default)]
pub struct Commit<'a> {
    /// Events; their numbers follow the log's without a gap.
    pub events: &'a [Event],
    /// Who follows the log, and how far it has come.
    pub cursors: &'a [(&'a str, u64)],
    /// What the upstream has refused for good.
    pub quarantined: Option<&'a Quarantined>,
    /// What the spine remembers, these events included.
    pub checkpoint: Option<&'a [u8]>,
}

impl Log {
    /// Opens or makes the log at `path`.
    ///
    /// # Errors
    /// When the file is no log, damaged at its end, or in use by another process.
    pub fn open(path: &Path, config: &Config, metrics: Metrics, clock: Clock) -> Result<(Self, LogReader), LogError> {
        let (file, cache_bytes) = (path.to_owned(), config.cache_bytes);
        let opener: Opener = Box::new(move || store::open_file(&file, cache_bytes));
        Self::open_with(opener, path, metrics, clock)
    }

    pub(super) fn open_with(
        opener: Opener,
        path: &Path,
        metrics: Metrics,
        clock: Clock,
    ) -> Result<(Self, LogReader), LogError> {
        let shared = Arc::new(Shared::new(path));
        let reader = LogReader::new(Arc::clone(&shared));
        let mut log = Self { opener, shared, next_number: 1, previous: Hash::default(), metrics, clock };
        log.reopen()?;
        Ok((log, reader))
    }

    /// The number that the next event gets.
    pub fn next_number(&self) -> u64 {
        self.next_number
    }

    /// Keeps `commit`; returns when it is on disk.
    ///
    /// # Errors
    /// When the disk fails: the commit may be on disk or not, and only [`Log::reopen`] tells. Nothing may be promised meanwhile.
    pub fn commit(&mut self, commit: &Commit<'_>) -> Result<(), LogError> {
        let started = Instant::now();
        self.shared.commit_starts(self.clock.now());
        let result = self.write(commit);
        self.shared.commit_ends(result.is_ok(), self.clock.now());
        match result {
            Ok(hash) => {
                self.previous = hash.unwrap_or(self.previous);
                self.next_number += commit.events.len() as u64;
                self.metrics.commits.inc();
                self.metrics.events.inc_by(commit.events.len() as u64);
                self.metrics.batch_events.observe(commit.events.len() as f64);
                self.metrics.commit_seconds.observe(started.elapsed().as_secs_f64());
                self.shared.set_last_event(self.next_number - 1);
                Ok(())
            }
            Err(error) => {
                self.metrics.failed_commits.inc();
                Err(error)
            }
        }
    }

    /// Opens the file again after a failed commit and learns what is really there.
    ///
    /// # Errors
    /// When the file cannot be opened yet.
    pub fn reopen(&mut self) -> Result<(), LogError> {
        let database = self.shared.slot.open(&self.opener)?;
        create_tables(&database)?;
        let segments = database.begin_read()?.open_table(SEGMENTS)?;
        let (next_number, previous) = match segments.last()? {
            None => (1, Hash::default()),
            Some((first, bytes)) => {
                let (first, bytes) = (first.value(), bytes.value());
                let events = segment::decode(first, bytes).map_err(|what| LogError::Damaged { event: first, what })?;
                (first + events.len() as u64, segment::hash(bytes))
            }
        };
        self.next_number = next_number;
        self.previous = previous;
        self.shared.set_last_event(next_number - 1);
        self.metrics.reopens.inc();
        Ok(())
    }

    /// One durable transaction; gives the hash of the segment that it wrote.
    fn write(&self, commit: &Commit<'_>) -> Result<Option<Hash>, LogError> {
        for (expected, event) in (self.next_number..).zip(commit.events) {
            if event.number != expected {
                return Err(LogError::Numbering { expected, found: event.number });
            }
        }
        let database = self.shared.slot.borrow()?;
        let mut transaction = database.begin_write()?;
        transaction.set_durability(Durability::Immediate)?;
        transaction.set_quick_repair(true);
        let mut hash = None;
        if !commit.events.is_empty() {
            let bytes = segment::encode(commit.events, &self.previous);
            hash = Some(segment::hash(&bytes));
            transaction.open_table(SEGMENTS)?.insert(self.next_number, bytes.as_slice())?;
        }
        for (name, through) in commit.cursors {
            transaction.open_table(CURSORS)?.insert(*name, *through)?;
        }
        if let Some(quarantined) = commit.quarantined {
            let bytes = minicbor::to_vec(quarantined).unwrap_or_default();
            transaction.open_table(QUARANTINE)?.insert(quarantined.first, bytes.as_slice())?;
        }
        if let Some(checkpoint) = commit.checkpoint {
            let through = self.next_number - 1 + commit.events.len() as u64;
            let mut checkpoints = transaction.open_table(CHECKPOINTS)?;
            checkpoints.insert(through, checkpoint)?;
            while redb::ReadableTableMetadata::len(&checkpoints)? > CHECKPOINTS_KEPT {
                checkpoints.pop_first()?;
            }
        }
        transaction.commit()?;
        Ok(hash)
    }
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log").field("next_number", &self.next_number).finish_non_exhaustive()
    }
}

/// Readers expect every table to exist. An existing log is not written to: its disk may be full.
fn create_tables(database: &Database) -> Result<(), LogError> {
    if database.begin_read()?.list_tables()?.count() >= 4 {
        return Ok(());
    }
    let mut transaction = database.begin_write()?;
    transaction.set_quick_repair(true);
    transaction.open_table(SEGMENTS)?;
    transaction.open_table(CURSORS)?;
    transaction.open_table(QUARANTINE)?;
    transaction.open_table(CHECKPOINTS)?;
    transaction.commit()?;
    Ok(())
}
