//! The log's file: opening it, and the one place from which its readers borrow it.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use redb::{Database, DatabaseError, TableDefinition};

use super::LogError;

pub(super) const SEGMENTS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("segments");
pub(super) const CURSORS: TableDefinition<'_, &str, u64> = TableDefinition::new("cursors");
pub(super) const QUARANTINE: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("quarantine");
pub(super) const CHECKPOINTS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("checkpoints");

/// How long a reader may still hold the old database when the log is opened again.
const READERS_DEADLINE: Duration = Duration::from_secs(5);

/// Makes a database; called again after a failure.
pub(super) type Opener = Box<dyn Fn() -> Result<Database, LogError> + Send>;

/// Where readers borrow the database from; empty while it is being opened again.
#[derive(Debug, Default)]
pub(super) struct Slot(Mutex<Option<Arc<Database>>>);

impl Slot {
    /// Borrows the database for one short transaction.
    pub fn borrow(&self) -> Result<Arc<Database>, LogError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone().ok_or(LogError::Reopening)
    }

    /// Opens the database, after every reader has given the old one back.
    pub fn open(&self, opener: &Opener) -> Result<Arc<Database>, LogError> {
        let old = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(old) = old {
            let deadline = Instant::now() + READERS_DEADLINE;
            while Arc::strong_count(&old) > 1 {
                if Instant::now() > deadline {
                    // Put back, so that the next try waits for the same readers.
                    *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(old);
                    return Err(LogError::Reopening);
                }
                thread::sleep(Duration::from_millis(1));
            }
        }
        let database = Arc::new(opener()?);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&database));
        Ok(database)
    }
}

/// Opens or makes the file at `path`, readable by its owner only.
pub(super) fn open_file(path: &Path, cache_bytes: usize) -> Result<Database, LogError> {
    let failed = |remedy, source: redb::Error| LogError::Open { path: path.into(), remedy, source: Box::new(source) };
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(|error| failed("check that its folder exists and belongs to this user", redb::Error::Io(error)))?;
    let describe = |error: DatabaseError| {
        let remedy = match &error {
            DatabaseError::DatabaseAlreadyOpen => "another process uses it; is a gateway running on this folder?",
            DatabaseError::UpgradeRequired(_) => "it is of an older format; it must be migrated first",
            DatabaseError::Storage(redb::StorageError::Corrupted(_)) => "it is no log, or damaged; restore a backup",
            _ => "look at the cause; if it is no log, restore a backup",
        };
        failed(remedy, error.into())
    };
    let backend = redb::backends::FileBackend::new(file).map_err(describe)?;
    redb::Builder::new().set_cache_size(cache_bytes).create_with_backend(backend).map_err(describe)
}
