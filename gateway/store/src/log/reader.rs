//! Readers' end: events by number, cursors, checkpoints, and whether the whole chain holds.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use protocol::{DoorId, Event, Instant, ScanId};
use redb::{ReadOnlyTable, ReadableTable};
use tokio::sync::watch;

use super::segment::{Link, Segment};
use super::store::{CHECKPOINTS, CURSORS, QUARANTINE, SEGMENTS, Store, damaged, reading};
use super::{LogError, Quarantined};
use protocol::api::{LogStatus, Problem, Severity};

/// Segments that a long walk looks at in one transaction.
pub(super) const WALK_SEGMENTS: usize = 64;

/// Newest events among which one is looked for that is encrypted: hardly any is not.
const NEWEST_EVENTS: usize = 1000;

/// A reader's end of the log. Cheap to clone; calls that touch the disk block the thread for about as long as the disk
/// takes.
#[derive(Clone)]
pub struct LogReader {
    store: Arc<Store>,
    newest: watch::Receiver<u64>,
}

/// What [`LogReader::verify`] has found to be whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Segments.
    pub segments: u64,
    /// Events in them, so also the number of the newest.
    pub events: u64,
    /// Link of the newest segment, which stands for everything before it; zeros when there is none.
    pub link: Link,
}

/// Where a walk through the log has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WalkEnd {
    /// Where it found what it looked for.
    Found,
    /// Where events are older than it looked for.
    Before,
    /// Where the log begins.
    Start,
}

impl LogReader {
    pub(super) fn new(store: Arc<Store>, newest: watch::Receiver<u64>) -> Self {
        Self { store, newest }
    }

    /// Number of the newest event; 0 when there is none. Does not touch the disk.
    pub fn last_event(&self) -> u64 {
        *self.newest.borrow()
    }

    /// Resolves as soon as there is an event with a greater number than `number`.
    ///
    /// # Errors
    /// [`LogError::Closed`] when the writer is gone.
    pub async fn wait_beyond(&self, number: u64) -> Result<(), LogError> {
        let mut newest = self.newest.clone();
        newest.wait_for(|last| *last > number).await.map(drop).map_err(|_| LogError::Closed)
    }

    /// Events with a greater number than `after`, in order: at most `events_max`, and no more than `bytes_max` as they
    /// are encoded, but at least one if there is one. An event whose keys were destroyed tells so by [`Event::encrypted`].
    ///
    /// # Errors
    /// When the log or the vault cannot be read, the log is damaged there, or is being reopened.
    pub fn read(&self, after: u64, events_max: usize, bytes_max: usize) -> Result<Vec<Event>, LogError> {
        let mut events = self.read_sealed(after, events_max, bytes_max)?;
        events.iter_mut().try_for_each(|event| self.store.vault.open_event(event))?;
        Ok(events)
    }

    /// The same as they are on disk: who they are about stays encrypted.
    ///
    /// # Errors
    /// When the log cannot be read, is damaged there, or is being reopened.
    pub fn read_sealed(&self, after: u64, events_max: usize, bytes_max: usize) -> Result<Vec<Event>, LogError> {
        let mut wanted = after.saturating_add(1);
        let (mut events, mut bytes) = (Vec::new(), 0usize);
        let segments = self.segments()?;
        let holder = segments.range(..=wanted).map_err(reading)?.next_back().transpose().map_err(reading)?;
        let start = holder.map_or(wanted, |(key, _)| key.value());
        for entry in segments.range(start..).map_err(reading)? {
            let (key, value) = entry.map_err(reading)?;
            let segment = Segment::read(key.value(), value.value()).map_err(damaged(key.value()))?;
            if segment.last() < wanted {
                continue;
            }
            if segment.first > wanted {
                return Err(LogError::Missing { number: wanted });
            }
            for event in segment.events_from(wanted) {
                let (event, event_bytes) = event.map_err(damaged(segment.first))?;
                bytes = bytes.saturating_add(event_bytes);
                if !events.is_empty() && bytes > bytes_max {
                    return Ok(events);
                }
                events.push(event);
                if events.len() >= events_max {
                    return Ok(events);
                }
                wanted = wanted.saturating_add(1);
            }
        }
        Ok(events)
    }

    /// The event with this number, if there is one.
    ///
    /// # Errors
    /// When the log cannot be read, is damaged there, or is being reopened.
    pub fn event(&self, number: u64) -> Result<Option<Event>, LogError> {
        let Some(after) = number.checked_sub(1) else { return Ok(None) };
        Ok(self.read(after, 1, 0)?.pop())
    }

    /// Those of the events with these numbers that there are, in order. What lies together is read together.
    ///
    /// # Errors
    /// When the log cannot be read, is damaged there, or is being reopened.
    pub fn events(&self, numbers: &BTreeSet<u64>) -> Result<Vec<Event>, LogError> {
        let segments = self.segments()?;
        let mut events = Vec::with_capacity(numbers.len());
        let mut next = numbers.first().copied();
        while let Some(number) = next {
            let holder = segments.range(..=number).map_err(reading)?.next_back().transpose().map_err(reading)?;
            let Some((key, value)) = holder else {
                next = numbers.range(number.saturating_add(1)..).next().copied();
                continue;
            };
            let segment = Segment::read(key.value(), value.value()).map_err(damaged(key.value()))?;
            for event in segment.events_with(|number| numbers.contains(&number)) {
                let (mut event, _) = event.map_err(damaged(segment.first))?;
                self.store.vault.open_event(&mut event)?;
                events.push(event);
            }
            next = numbers.range(segment.last().max(number).saturating_add(1)..).next().copied();
        }
        Ok(events)
    }

    /// Shows every event of a door's scans under one number, the newest first, until `found` says that it was the one or all that
    /// were decided `since` were shown. Walks the log backwards, in the worst case through all of it: seconds for millions of
    /// events.
    ///
    /// # Errors
    /// When the log cannot be read, is damaged on the way, or is being reopened.
    pub fn find_newest_first(
        &self,
        door: &DoorId,
        id: ScanId,
        since: Instant,
        mut found: impl FnMut(Event) -> bool,
    ) -> Result<WalkEnd, LogError> {
        let mut before = u64::MAX;
        loop {
            let segments = self.segments()?;
            let walked_from = before;
            for entry in segments.range(..before).map_err(reading)?.rev().take(WALK_SEGMENTS) {
                let (key, value) = entry.map_err(reading)?;
                before = key.value();
                let segment = Segment::read(before, value.value()).map_err(damaged(before))?;
                let (mut under_it, mut is_newer) = (Vec::new(), false);
                for event in segment.events_from(0) {
                    let (event, _) = event.map_err(damaged(before))?;
                    is_newer |= event.decided_at >= since;
                    if event.door == *door && event.scan_id() == Some(id) {
                        under_it.push(event);
                    }
                }
                for mut event in under_it.into_iter().rev() {
                    self.store.vault.open_event(&mut event)?;
                    if found(event) {
                        return Ok(WalkEnd::Found);
                    }
                }
                if !is_newer {
                    return Ok(WalkEnd::Before);
                }
            }
            if before == walked_from {
                return Ok(WalkEnd::Start);
            }
        }
    }

    /// Where a follower is: the last event that it is done with.
    ///
    /// # Errors
    /// When the log cannot be read or is being reopened.
    pub fn cursor(&self, name: &str) -> Result<Option<u64>, LogError> {
        let cursors = self.store.begin_read()?.open_table(CURSORS).map_err(reading)?;
        Ok(cursors.get(name).map_err(reading)?.map(|number| number.value()))
    }

    /// Every cursor whose name begins with `prefix`, by name.
    ///
    /// # Errors
    /// When the log cannot be read or is being reopened.
    pub fn cursors(&self, prefix: &str) -> Result<Vec<(String, u64)>, LogError> {
        let cursors = self.store.begin_read()?.open_table(CURSORS).map_err(reading)?;
        let mut found = Vec::new();
        for cursor in cursors.range(prefix..).map_err(reading)? {
            let (name, number) = cursor.map_err(reading)?;
            if !name.value().starts_with(prefix) {
                break;
            }
            found.push((name.value().to_owned(), number.value()));
        }
        Ok(found)
    }

    /// The newest checkpoint: the last event that it covers, and its bytes.
    ///
    /// # Errors
    /// [`LogError::DamagedCheckpoint`] says where to look for an older one.
    pub fn newest_checkpoint(&self) -> Result<Option<(u64, Vec<u8>)>, LogError> {
        self.older_checkpoint(u64::MAX)
    }

    /// The newest checkpoint that covers fewer events than up to `covers`.
    ///
    /// # Errors
    /// [`LogError::DamagedCheckpoint`] says where to look for an older one.
    pub fn older_checkpoint(&self, covers: u64) -> Result<Option<(u64, Vec<u8>)>, LogError> {
        let checkpoints = self.store.begin_read()?.open_table(CHECKPOINTS).map_err(reading)?;
        let newest = checkpoints.range(..covers).map_err(reading)?.next_back().transpose().map_err(reading)?;
        let Some((key, value)) = newest else { return Ok(None) };
        let covers = key.value();
        let checkpoint = self.store.vault.open_checkpoint(covers, value.value());
        checkpoint.map(|bytes| Some((covers, bytes))).ok_or(LogError::DamagedCheckpoint { covers })
    }

    /// The ranges that the upstream has refused for good, in order.
    ///
    /// # Errors
    /// When the log cannot be read or is being reopened.
    pub fn quarantined(&self) -> Result<Vec<Quarantined>, LogError> {
        let quarantine = self.store.begin_read()?.open_table(QUARANTINE).map_err(reading)?;
        let mut ranges = Vec::new();
        for entry in quarantine.iter().map_err(reading)? {
            let (key, value) = entry.map_err(reading)?;
            let unreadable = |source| LogError::DamagedQuarantine { first: key.value(), source };
            ranges.push(minicbor::decode(value.value()).map_err(unreadable)?);
        }
        Ok(ranges)
    }

    /// Checks the whole log: links, chain, counts, numbers, and that every event can be read.
    ///
    /// # Errors
    /// [`LogError::Damaged`] and [`LogError::Missing`] name the first place where it does not hold.
    pub fn verify(&self) -> Result<Verified, LogError> {
        let mut verified = Verified::default();
        let mut from = 0;
        loop {
            let segments = self.segments()?;
            let walked_from = from;
            for entry in segments.range(from..).map_err(reading)?.take(WALK_SEGMENTS) {
                let (key, value) = entry.map_err(reading)?;
                verified.add(key.value(), value.value())?;
                from = key.value().saturating_add(1);
            }
            if from == walked_from {
                return Ok(verified);
            }
        }
    }

    /// Whether the vault was lost: it is new, and newest events are encrypted with keys that it does not have. That is kept in the
    /// vault and said in [`LogReader::problems`] from then on.
    ///
    /// # Errors
    /// When the log cannot be read, or the vault cannot be written.
    pub fn look_for_lost_keys(&self) -> Result<Option<u64>, LogError> {
        let (vault, last) = (&self.store.vault, self.last_event());
        if vault.is_new() && vault.lost_through().is_none() {
            let newest = self.read_sealed(last.saturating_sub(NEWEST_EVENTS as u64), NEWEST_EVENTS, usize::MAX)?;
            if newest.iter().any(|event| event.encrypted.is_some()) {
                vault.note_lost(last)?;
            }
        }
        Ok(vault.lost_through())
    }

    /// How long the current commit, or reopening, has been running; `None` when there is none.
    pub fn commit_running_for(&self, now: Instant) -> Option<Duration> {
        let started = self.store.commit_started.get()?;
        Some(Duration::from_millis(u64::try_from(now.ms_since(started)).unwrap_or(0)))
    }

    /// What IT sees of the log. A figure that the system does not give is 0.
    pub fn figures(&self) -> LogStatus {
        LogStatus {
            last_event: self.last_event(),
            file_bytes: std::fs::metadata(&self.store.path).map_or(0, |file| file.len()),
            disk_free_bytes: disk_free_bytes(&self.store.path).unwrap_or(0),
            last_commit_at: self.store.last_commit.get(),
            failed_commits: self.store.metrics.failed_commits.get(),
        }
    }

    /// With less free space on the log's disk than this, [`problems`](Self::problems) says so. In bytes.
    pub fn disk_free_bytes_min(&self) -> u64 {
        self.store.config.disk_free_bytes_min
    }

    /// What is wrong with the log, the worst first.
    pub fn problems(&self, now: Instant) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut add = |severity, what: &str, message: String, since| {
            problems.push(Problem { severity, what: what.into(), message, since });
        };
        if let Some(since) = self.store.failing_since.get() {
            let message = "commits to the log fail; check the disk and its free space";
            add(Severity::Critical, "log", message.into(), Some(since));
        }
        let running = self.commit_running_for(now).unwrap_or_default();
        if running > Duration::from_millis(self.store.config.commit_stuck_ms) {
            let message = format!("a commit to the log has been running for {} s; check the disk", running.as_secs());
            add(Severity::Critical, "log", message, self.store.commit_started.get());
        }
        if let Some(free) = disk_free_bytes(&self.store.path)
            && free < self.store.config.disk_free_bytes_min
        {
            let message = format!("only {} MiB are free on the disk of the log; make room", free >> 20);
            add(Severity::Warning, "disk", message, None);
        }
        if let Some(through) = self.store.vault.lost_through() {
            let message = format!(
                "vault.redb was missing: events up to {through} do not tell who they are about; stop the gateway and put \
                 the file back from a backup"
            );
            add(Severity::Warning, "vault", message, None);
        }
        problems
    }

    #[cfg(test)]
    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    fn segments(&self) -> Result<ReadOnlyTable<u64, &'static [u8]>, LogError> {
        self.store.begin_read()?.open_table(SEGMENTS).map_err(reading)
    }
}

impl Verified {
    fn add(&mut self, key: u64, bytes: &[u8]) -> Result<(), LogError> {
        let expected = self.events.saturating_add(1);
        let segment = Segment::read(key, bytes).map_err(damaged(key))?;
        if key > expected {
            return Err(LogError::Missing { number: expected });
        }
        if key < expected || segment.previous != self.link {
            return Err(damaged(key)(super::SegmentFault::ChainBroken));
        }
        for event in segment.events_from(0) {
            event.map_err(damaged(key))?;
        }
        *self = Self { segments: self.segments.saturating_add(1), events: segment.last(), link: segment.link };
        Ok(())
    }
}

impl fmt::Debug for LogReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogReader").field("last_event", &self.last_event()).finish_non_exhaustive()
    }
}

fn disk_free_bytes(path: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(crate::file::folder_of(path)).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}
