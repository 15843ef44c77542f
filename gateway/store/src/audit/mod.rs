//! The audit trail: who has asked for whose data, why, and what they were answered.
//!
//! A record is on disk before its answer is sent: [`AuditTrail::record`] returns after the sync. Whose data somebody asked for, and why, is
//! encrypted under a key of that person's own ([`AuditCipher`]); when the key is destroyed, the record stays and says so.
//!
//! # Format
//!
//! `audit.redb` has one row per record, numbered from 1 without a gap: a BLAKE3 hash of the hash of the row before and the
//! row's CBOR, then the CBOR itself. A row that was changed or taken out shows in the next one ([`StoredRecord::broken`]). Records
//! that have expired are taken off the front; the hash of the last of them stays, and so does its number.

mod cipher;
mod error;
mod record;
mod store;

#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use protocol::Instant;
use tokio::sync::{mpsc, oneshot};

pub use cipher::AuditCipher;
pub use error::AuditError;
pub use record::{AuditRecord, Filter, PERSON_CHARS_MAX, PURPOSE_CHARS_MAX, Page, QUERY_CHARS_MAX, StoredRecord};

use self::error::QUEUE_RECORDS_MAX;
use self::store::Store;
use crate::file::OpenError;
use protocol::api::{Problem, Severity};

/// Whether the file at `path` would open as an audit trail, without changing it.
///
/// # Errors
/// When it is something else, of another format, or damaged; or the folder is missing.
pub fn probe(path: &Path) -> Result<(), OpenError> {
    store::KIND.probe(path)
}

/// Most records of one commit.
const BATCH_RECORDS_MAX: usize = 64;

/// The audit trail. Cheap to clone; the last clone closes the file.
#[derive(Clone)]
pub struct AuditTrail {
    store: Arc<Store>,
    queue: mpsc::Sender<Waiting>,
}

/// A record, and who waits for it.
struct Waiting {
    record: AuditRecord,
    kept: oneshot::Sender<Result<u64, AuditError>>,
}

impl AuditTrail {
    /// Opens the record in the file at `path`, which is made when there is none, and starts the thread that writes it.
    ///
    /// A file that cannot be used is a [`Self::problem`], and tried again at every record: doors do not depend on it.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn open(path: &Path, keys: Arc<dyn AuditCipher>) -> Result<Self, AuditError> {
        Self::start(Store::new(path, store::file_opener(path), keys))
    }

    fn start(store: Store) -> Result<Self, AuditError> {
        let (queue, waiting) = mpsc::channel(QUEUE_RECORDS_MAX);
        let store = Arc::new(store);
        let writer = Arc::clone(&store);
        thread::Builder::new()
            .name("audit".into())
            .spawn(move || write(&writer, waiting))
            .map_err(|error| AuditError::Thread(Arc::new(error)))?;
        Ok(Self { store, queue })
    }

    /// Appends a record: its number, once it is on disk. Those that come at the same time share a sync.
    ///
    /// # Errors
    /// When it is not known to be on disk: then nothing personal may be shown.
    pub async fn record(&self, record: AuditRecord) -> Result<u64, AuditError> {
        let (kept, told) = oneshot::channel();
        self.queue.try_send(Waiting { record, kept }).map_err(|_| AuditError::Busy)?;
        told.await.map_err(|_| AuditError::Busy)?
    }

    /// What is wrong, while nothing can be recorded.
    pub fn problem(&self) -> Option<Problem> {
        let (since, error) = self.store.failing()?;
        let message =
            format!("nothing personal is shown over HTTP, because it cannot be recorded in the audit trail: {error}");
        Some(Problem { severity: Severity::Warning, what: "audit".into(), message, since })
    }

    /// Number of the newest record, also when it has expired since; 0 where there was none yet. Blocks.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn last(&self) -> Result<u64, AuditError> {
        self.store.last()
    }

    /// Records that come after the number `after`, at most `limit` of them. Blocks.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn list(&self, filter: &Filter, after: u64, limit: usize) -> Result<Page, AuditError> {
        self.store.list(filter, after, limit)
    }

    /// Takes out the records from the beginning up to the first that was not before `before`: how many. Blocks.
    ///
    /// # Errors
    /// When the file cannot be written; then nothing is taken out.
    pub fn expire(&self, before: Instant) -> Result<u64, AuditError> {
        self.store.expire(before)
    }
}

/// Writes records, those that wait together, until nobody can hand in any more.
fn write(store: &Store, mut waiting: mpsc::Receiver<Waiting>) {
    let mut batch = Vec::with_capacity(BATCH_RECORDS_MAX);
    while waiting.blocking_recv_many(&mut batch, BATCH_RECORDS_MAX) > 0 {
        let (records, tell): (Vec<_>, Vec<_>) = batch.drain(..).map(|Waiting { record, kept }| (record, kept)).unzip();
        match store.append(&records) {
            Ok(kept) => tell.into_iter().zip(kept).for_each(|(tell, kept)| drop(tell.send(kept))),
            Err(error) => tell.into_iter().for_each(|tell| drop(tell.send(Err(error.clone())))),
        }
    }
}

impl fmt::Debug for AuditTrail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuditTrail")
    }
}
