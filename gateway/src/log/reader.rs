//! The readers' end of the log: for whoever follows it. Each call borrows the file for a short transaction.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use protocol::{DoorId, Event, Instant, ScanId};
use redb::{ReadableDatabase, ReadableTable};
use tokio::sync::watch;

use super::segment::{self, Hash};
use super::store::{CHECKPOINTS, CURSORS, QUARANTINE, SEGMENTS, Slot};
use super::{LogError, Quarantined};
use crate::status::LogFigures;

/// Segments that are read in one transaction when the whole log is walked.
const WALK_SEGMENTS: usize = 256;

/// A readers' end. Cheap to clone.
#[derive(Clone, Debug)]
pub struct LogReader {
    shared: Arc<Shared>,
    last_event: watch::Receiver<u64>,
}

/// What [`LogReader::verify`] has found to be whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Events in the log.
    pub events: u64,
    /// Segments in the log.
    pub segments: u64,
    /// BLAKE3 hash of the newest segment: it stands for everything before it.
    pub newest_hash: [u8; 32],
}

/// What the writer and the readers share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) slot: Slot,
    path: PathBuf,
    last_event: watch::Sender<u64>,
    commit_started_ms: AtomicI64,
    last_commit_ms: AtomicI64,
    failed_commits: AtomicU64,
}

impl LogReader {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let last_event = shared.last_event.subscribe();
        Self { shared, last_event }
    }

    /// Number of the newest event, 0 when there is none.
    pub fn last_event(&self) -> u64 {
        *self.last_event.borrow()
    }

    /// Resolves when the log has an event beyond `number`.
    ///
    /// # Errors
    /// When the writer is gone.
    pub async fn wait_beyond(&self, number: u64) -> Result<(), LogError> {
        let mut last_event = self.last_event.clone();
        last_event.wait_for(|last| *last > number).await.map(|_| ()).map_err(|_| LogError::Closed)
    }

    /// Events after number `after`, in order: at most `events_max`, and no more when `bytes_max` bytes on disk are
    /// reached; at least one if there is one.
    ///
    /// # Errors
    /// When the disk fails or a segment is damaged.
    pub fn read(&self, after: u64, events_max: usize, bytes_max: usize) -> Result<Vec<Event>, LogError> {
        let database = self.shared.slot.borrow()?;
        let segments = database.begin_read()?.open_table(SEGMENTS)?;
        let wanted = after.saturating_add(1);
        let start = segments.range(..=wanted)?.next_back().transpose()?.map_or(wanted, |(first, _)| first.value());
        let mut events: Vec<Event> = Vec::new();
        let mut bytes = 0;
        for entry in segments.range(start..)? {
            let (first, segment) = entry?;
            if events.len() >= events_max || (!events.is_empty() && bytes >= bytes_max) {
                break;
            }
            bytes += segment.value().len();
            let decoded = decode(first.value(), segment.value())?;
            let room = events_max - events.len();
            events.extend(decoded.into_iter().filter(|event| event.number > after).take(room));
        }
        Ok(events)
    }

    /// The event with this number.
    ///
    /// # Errors
    /// When the disk fails or its segment is damaged.
    pub fn event(&self, number: u64) -> Result<Option<Event>, LogError> {
        let Some(after) = number.checked_sub(1) else { return Ok(None) };
        Ok(self.read(after, 1, 1)?.into_iter().next().filter(|event| event.number == number))
    }

    /// The event that answers scan `id` of `door`, looked for from the newest event back.
    ///
    /// # Errors
    /// When the disk fails or a segment is damaged.
    pub fn find_newest_first(&self, door: &DoorId, id: ScanId) -> Result<Option<Event>, LogError> {
        let mut before = u64::MAX;
        loop {
            // A transaction for every piece: the log may have to be opened again meanwhile.
            let database = self.shared.slot.borrow()?;
            let segments = database.begin_read()?.open_table(SEGMENTS)?;
            let mut seen_any = false;
            for entry in segments.range(..before)?.rev().take(WALK_SEGMENTS) {
                let (first, segment) = entry?;
                (before, seen_any) = (first.value(), true);
                let mut events = decode(first.value(), segment.value())?.into_iter();
                if let Some(found) = events.find(|event| event.door == *door && event.scan_id() == Some(id)) {
                    return Ok(Some(found));
                }
            }
            if !seen_any {
                return Ok(None);
            }
        }
    }

    /// How far the follower `name` has come.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn cursor(&self, name: &str) -> Result<Option<u64>, LogError> {
        let cursors = self.shared.slot.borrow()?.begin_read()?.open_table(CURSORS)?;
        Ok(cursors.get(name)?.map(|through| through.value()))
    }

    /// Checkpoints, the newest first: the events that each covers, and what it says.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn checkpoints(&self) -> Result<Vec<(u64, Vec<u8>)>, LogError> {
        let checkpoints = self.shared.slot.borrow()?.begin_read()?.open_table(CHECKPOINTS)?;
        let newest_first = checkpoints.iter()?.rev();
        newest_first
            .map(|entry| entry.map(|(through, bytes)| (through.value(), bytes.value().to_vec())))
            .collect::<Result<_, _>>()
            .map_err(LogError::from)
    }

    /// What the upstream has refused for good.
    ///
    /// # Errors
    /// When the disk fails or an entry is damaged.
    pub fn quarantined(&self) -> Result<Vec<Quarantined>, LogError> {
        let quarantine = self.shared.slot.borrow()?.begin_read()?.open_table(QUARANTINE)?;
        let mut entries = Vec::new();
        for entry in quarantine.iter()? {
            let (event, bytes) = entry?;
            let entry = minicbor::decode(bytes.value())
                .map_err(|error| LogError::Damaged { event: event.value(), what: error.to_string() })?;
            entries.push(entry);
        }
        Ok(entries)
    }

    /// Reads the whole log: every checksum, every number, every link of the chain.
    ///
    /// # Errors
    /// Names the first segment that does not fit.
    pub fn verify(&self) -> Result<Verified, LogError> {
        let mut verified = Verified { events: 0, segments: 0, newest_hash: Hash::default() };
        loop {
            let database = self.shared.slot.borrow()?;
            let segments = database.begin_read()?.open_table(SEGMENTS)?;
            let mut seen_any = false;
            for entry in segments.range(verified.events + 1..)?.take(WALK_SEGMENTS) {
                let (first, segment) = entry?;
                seen_any = true;
                let (first, segment) = (first.value(), segment.value());
                let damaged = |what: &str| LogError::Damaged { event: first, what: what.into() };
                if first != verified.events + 1 {
                    return Err(damaged("events before it are missing"));
                }
                if segment::previous(segment) != Some(verified.newest_hash) {
                    return Err(damaged("it does not follow the segment before it"));
                }
                verified.events += decode(first, segment)?.len() as u64;
                verified.segments += 1;
                verified.newest_hash = segment::hash(segment);
            }
            if !seen_any {
                return Ok(verified);
            }
        }
    }

    /// How long the commit under way has taken at `now`, in milliseconds; `None` when there is none.
    pub fn commit_running_ms(&self, now: Instant) -> Option<i64> {
        let started = self.shared.commit_started_ms.load(Ordering::Relaxed);
        (started != 0).then(|| now.unix_ms().saturating_sub(started))
    }

    /// Size and health of the log.
    pub fn figures(&self) -> LogFigures {
        let last_commit = self.shared.last_commit_ms.load(Ordering::Relaxed);
        let folder = self.shared.path.parent().unwrap_or(Path::new("."));
        LogFigures {
            last_event: self.last_event(),
            file_bytes: std::fs::metadata(&self.shared.path).map_or(0, |file| file.len()),
            disk_free_bytes: rustix::fs::statvfs(folder).map_or(0, |disk| disk.f_bavail.saturating_mul(disk.f_frsize)),
            last_commit_at: (last_commit != 0).then(|| Instant::from_unix_ms(last_commit)),
            failed_commits: self.shared.failed_commits.load(Ordering::Relaxed),
        }
    }
}

impl Shared {
    pub(super) fn new(path: &Path) -> Self {
        Self {
            slot: Slot::default(),
            path: path.into(),
            last_event: watch::Sender::new(0),
            commit_started_ms: AtomicI64::new(0),
            last_commit_ms: AtomicI64::new(0),
            failed_commits: AtomicU64::new(0),
        }
    }

    pub(super) fn set_last_event(&self, number: u64) {
        self.last_event.send_replace(number);
    }

    pub(super) fn commit_starts(&self, now: Instant) {
        self.commit_started_ms.store(now.unix_ms(), Ordering::Relaxed);
    }

    pub(super) fn commit_ends(&self, kept: bool, now: Instant) {
        self.commit_started_ms.store(0, Ordering::Relaxed);
        if kept {
            self.last_commit_ms.store(now.unix_ms(), Ordering::Relaxed);
        } else {
            self.failed_commits.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn decode(first: u64, segment: &[u8]) -> Result<Vec<Event>, LogError> {
    segment::decode(first, segment).map_err(|what| LogError::Damaged { event: first, what })
}
