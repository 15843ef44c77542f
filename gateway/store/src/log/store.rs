//! The file: opening it, and the one place where its database is held while others use it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{PoisonError, RwLock};

use protocol::Instant;
use redb::{Database, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition, TableError, WriteTransaction};

use super::segment::{Link, Segment};
use super::{Config, LogError, Metrics};
use crate::file::{FileKind, OpenError, Opener};
use crate::vault::Vault;

/// The format of the file that this version writes and reads.
pub const FORMAT: u64 = 1;

pub(super) const SEGMENTS: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("segments");
pub(super) const CURSORS: TableDefinition<'static, &str, u64> = TableDefinition::new("cursors");
pub(super) const QUARANTINE: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("quarantine");
pub(super) const CHECKPOINTS: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("checkpoints");

pub(crate) const KIND: FileKind = FileKind {
    what: "a log",
    format: FORMAT,
    if_foreign: "move it away if it belongs to something else or the very first start was interrupted, else restore it \
                 from a backup",
    if_damaged: "restore the file from a backup",
};

/// Whether the file at `path` would open as a log, without changing it.
///
/// # Errors
/// When it is something else, of another format, or damaged; or the folder is missing.
pub fn probe(path: &Path) -> Result<(), OpenError> {
    KIND.probe(path)
}

/// What the writer and all readers share.
pub(super) struct Store {
    pub path: PathBuf,
    pub config: Config,
    pub metrics: Metrics,
    /// Encrypts and opens what tells who events are about.
    pub vault: Vault,
    pub commit_started: Moment,
    pub last_commit: Moment,
    pub failing_since: Moment,
    slot: RwLock<Slot>,
}

/// Where the newest segment ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tail {
    /// Number of the newest event; 0 when there is none.
    pub last_event: u64,
    /// Link of the newest segment; zeros when there is none.
    pub link: Link,
}

/// A moment that one thread sets and others read; unset is the epoch.
#[derive(Debug, Default)]
pub(super) struct Moment(AtomicI64);

/// Transactions do not borrow from the database, so nobody needs it for longer than it takes to begin one.
enum Slot {
    Open(Database),
    Reopening,
    Closed,
}

impl Store {
    pub fn new(path: &Path, config: &Config, metrics: Metrics, vault: Vault, database: Database) -> Self {
        Self {
            path: path.into(),
            config: config.clone(),
            metrics,
            vault,
            commit_started: Moment::default(),
            last_commit: Moment::default(),
            failing_since: Moment::default(),
            slot: RwLock::new(Slot::Open(database)),
        }
    }

    /// A view of what is committed now.
    pub fn begin_read(&self) -> Result<ReadTransaction, LogError> {
        match &*self.slot.read().unwrap_or_else(PoisonError::into_inner) {
            Slot::Open(database) => database.begin_read().map_err(reading),
            Slot::Reopening => Err(LogError::Reopening),
            Slot::Closed => Err(LogError::Closed),
        }
    }

    /// The one write transaction.
    pub fn begin_write(&self) -> Result<WriteTransaction, LogError> {
        match &*self.slot.read().unwrap_or_else(PoisonError::into_inner) {
            Slot::Open(database) => database.begin_write().map_err(writing),
            Slot::Reopening => Err(LogError::NeedsReopen),
            Slot::Closed => Err(LogError::Closed),
        }
    }

    /// Takes the database away and closes it. Read transactions that are still alive fail with
    /// [`LogError::Reopening`] from here on; the file and its lock are free.
    pub fn take_away(&self) {
        self.replace(Slot::Reopening);
    }

    /// Puts a database in place for everybody.
    pub fn put(&self, database: Database) {
        self.replace(Slot::Open(database));
    }

    /// Closes the database for good.
    pub fn close(&self) {
        self.replace(Slot::Closed);
    }

    fn replace(&self, slot: Slot) {
        let old = std::mem::replace(&mut *self.slot.write().unwrap_or_else(PoisonError::into_inner), slot);
        // Closing writes and syncs: not under the lock, where readers would wait for it.
        if let Slot::Open(database) = old
            && let Err(error) = database.close()
        {
            tracing::debug!(error = &error as &dyn std::error::Error, "the log was not closed cleanly");
        }
    }
}

impl Moment {
    pub fn set(&self, now: Instant) {
        self.0.store(now.unix_ms(), Ordering::Release);
    }

    /// Keeps the earlier moment when there is one.
    pub fn set_once(&self, now: Instant) {
        if self.get().is_none() {
            self.set(now);
        }
    }

    pub fn clear(&self) {
        self.0.store(0, Ordering::Release);
    }

    pub fn get(&self) -> Option<Instant> {
        Some(self.0.load(Ordering::Acquire)).filter(|ms| *ms != 0).map(Instant::from_unix_ms)
    }
}

/// Opens the database in the file at `path`, which is made when there is none.
pub(super) fn file_opener(path: &Path, cache_bytes: usize) -> Opener {
    let path = path.to_path_buf();
    Box::new(move || KIND.open(&path, cache_bytes))
}

/// Makes the tables in an empty database, else checks that it is a log of a known format. Then finds its end.
pub(super) fn prepare(path: &Path, database: &Database) -> Result<Tail, LogError> {
    KIND.prepare(path, database, |transaction| {
        transaction.open_table(SEGMENTS)?;
        transaction.open_table(CURSORS)?;
        transaction.open_table(QUARANTINE)?;
        transaction.open_table(CHECKPOINTS)?;
        Ok(())
    })?;
    let foreign = |error| match error {
        TableError::Storage(error) => reading(error),
        _ => LogError::Open(KIND.foreign(path)),
    };
    let transaction = database.begin_read().map_err(reading)?;
    let segments = transaction.open_table(SEGMENTS).map_err(foreign)?;
    let Some((key, bytes)) = segments.last().map_err(reading)? else { return Ok(Tail::default()) };
    let segment = Segment::read(key.value(), bytes.value()).map_err(damaged(key.value()))?;
    Ok(Tail { last_event: segment.last(), link: segment.link })
}

/// A read's failure. Where the database was taken away or has failed, it is about to be reopened.
pub(super) fn reading(error: impl Into<redb::Error>) -> LogError {
    match error.into() {
        redb::Error::DatabaseClosed | redb::Error::PreviousIo => LogError::Reopening,
        error => LogError::Read(Box::new(error)),
    }
}

pub(super) fn writing(error: impl Into<redb::Error>) -> LogError {
    LogError::Write(Box::new(error.into()))
}

pub(super) fn damaged(segment: u64) -> impl Fn(super::SegmentFault) -> LogError {
    move |fault| LogError::Damaged { segment, fault }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use prometheus_client::registry::Registry;

    use super::super::faulty_disk::{clock, event, vault};
    use super::super::{Commit, Log, LogReader};
    use super::*;
    use crate::file::{FORMAT_KEY, META, OpenError};

    fn open(path: &Path) -> Result<(Log, LogReader), LogError> {
        open_with(path, vault())
    }

    fn open_with(path: &Path, vault: Vault) -> Result<(Log, LogReader), LogError> {
        Log::open(path, &Config::default(), Metrics::new(&mut Registry::default()), clock(), vault)
    }

    fn refusal(path: &Path) -> LogError {
        open(path).err().unwrap()
    }

    #[test]
    fn a_new_log_is_empty_private_and_there_when_opened_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.redb");
        let vault = vault();
        let (mut log, reader) = open_with(&path, vault.clone()).unwrap();
        assert_eq!((log.next_number(), reader.last_event()), (1, 0));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        log.commit(&Commit { events: &[event(1)], ..Commit::default() }).unwrap();
        drop(log);
        assert!(matches!(reader.read(0, 1, 1), Err(LogError::Closed)));
        let (log, reader) = open_with(&path, vault).unwrap();
        assert_eq!((log.next_number(), reader.event(1).unwrap()), (2, Some(event(1))));
    }

    #[test]
    fn a_log_that_is_open_elsewhere_is_refused_until_it_is_closed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.redb");
        let (mut log, _reader) = open(&path).unwrap();
        let error = refusal(&path);
        assert!(matches!(error, LogError::Open(OpenError::InUse { .. })), "{error:?}");
        assert!(
            error
                .to_string()
                .ends_with("log.redb is in use by another process; is a gateway running on this data folder?")
        );
        log.reopen().unwrap();
        assert!(matches!(refusal(&path), LogError::Open(OpenError::InUse { .. })));
        drop(log);
        open(&path).unwrap();
    }

    #[test]
    fn files_of_something_else_are_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in [("text", b"not a database at all".as_slice()), ("zeros", &[0; 8192])] {
            let path = folder.path().join(name);
            std::fs::write(&path, content).unwrap();
            assert!(matches!(refusal(&path), LogError::Open(OpenError::Foreign { .. })), "{name}");
            assert_eq!(std::fs::read(&path).unwrap(), content);
        }
        for other in [TableDefinition::<&str, u64>::new("people"), META] {
            let path = folder.path().join(format!("{other}").replace(['<', '>', ' ', ','], ""));
            let database = Database::create(&path).unwrap();
            let transaction = database.begin_write().unwrap();
            transaction.open_table(other).unwrap().insert("x", 1).unwrap();
            transaction.commit().unwrap();
            drop(database);
            assert!(matches!(refusal(&path), LogError::Open(OpenError::Foreign { .. })));
        }
    }

    #[test]
    fn a_log_of_a_later_format_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.redb");
        drop(open(&path).unwrap());
        let database = Database::open(&path).unwrap();
        let transaction = database.begin_write().unwrap();
        transaction.open_table(META).unwrap().insert(FORMAT_KEY, FORMAT + 1).unwrap();
        transaction.commit().unwrap();
        drop(database);
        assert!(matches!(refusal(&path), LogError::Open(OpenError::OtherFormat { found: 2, known: 1, .. })));
    }
}
