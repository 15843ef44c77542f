//! The audit trail: who has asked for whose data, why, and what they were answered.
//!
//! A record is on disk before its answer is sent: [`AuditTrail::record`] returns after the sync. Whose data somebody asked for, and why, is
//! encrypted under a key of that person's own ([`AuditKeys`]); when the key is destroyed, the record stays and says so.
//!
//! # Format
//!
//! `audit.redb` has one row per record, numbered from 1 without a gap: a BLAKE3 hash of the hash of the row before and the
//! row's CBOR, then the CBOR itself. A row that was changed or taken out shows in the next one ([`StoredRecord::broken`]). Records
//! that have expired are taken off the front; the hash of the last of them stays, and so does its number.

mod store;

#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use protocol::{DoorId, Instant};
use serde::Serialize;
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};

use self::store::Store;
use crate::file::OpenError;
use base::status::{Problem, Severity};
use base::tokens::TokenRole;

/// Longest query that is kept, in characters; what is longer is cut.
pub const QUERY_CHARS_MAX: usize = 512;

/// Longest purpose, in characters; what is longer is cut.
pub const PURPOSE_CHARS_MAX: usize = 200;

/// Longest id of a person, in characters; what is longer is cut.
pub const PERSON_CHARS_MAX: usize = 128;

/// Longest word for what was asked for, in characters.
const WHAT_CHARS_MAX: usize = 48;

/// AuditTrail that wait to be written. More are not taken.
const QUEUE_RECORDS_MAX: usize = 512;

/// Most records of one commit.
const BATCH_RECORDS_MAX: usize = 64;

/// The audit trail. Cheap to clone; the last clone closes the file.
#[derive(Clone)]
pub struct AuditTrail {
    store: Arc<Store>,
    queue: mpsc::Sender<Waiting>,
}

/// Encrypts what tells whose data a record is about, under a key of that person's own.
pub trait AuditKeys: Send + Sync {
    /// Encrypts `plain` under the subject's key of the month of `at`: the subject's number, and the bytes. `None` where
    /// there is no such subject and none is to be made: who is not in the directory, or was erased.
    ///
    /// `context` is the record's number; it must be the same to decrypt. Called on the thread that writes records, while a commit
    /// is open: it must not record or expire anything itself.
    ///
    /// # Errors
    /// When the keys cannot be used; the reason is for the log.
    fn encrypt(&self, subject: &str, at: Instant, context: u64, plain: &[u8]) -> Result<Option<(u64, Vec<u8>)>, String>;

    /// What was encrypted; `None` when the key was destroyed.
    fn decrypt(&self, of: u64, at: Instant, context: u64, bytes: &[u8]) -> Option<Vec<u8>>;
}

/// A request for personal data, or an attempt. Its `Debug` form leaves person and purpose out.
#[derive(Clone, PartialEq, Eq)]
pub struct AuditRecord {
    /// When.
    pub at: Instant,
    /// The name of the token that came with the request.
    pub token: DoorId,
    /// The token's role.
    pub role: TokenRole,
    /// What was asked for, as a stable word.
    pub what: String,
    /// With which parameters, those that tell of a person left out.
    pub query: String,
    /// What was answered: a status of HTTP. 100 stands for a change that is about to be made.
    pub status: u16,
    /// Whose data; absent where nobody was named.
    pub person: Option<String>,
    /// Why, in the asker's own words.
    pub purpose: Option<String>,
}

/// A record as it is in the file. Its `Debug` form leaves person and purpose out.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct StoredRecord {
    /// Its number: 1 for the first, rising by one.
    pub number: u64,
    /// When.
    pub at: Instant,
    /// The name of the token.
    pub token: String,
    /// The token's role.
    pub role: String,
    /// What was asked for.
    pub what: String,
    /// With which parameters.
    pub query: String,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
    /// Whose data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
    /// What was answered: a status of HTTP; 100 for a change that was about to be made.
    pub status: u16,
    /// Person and purpose cannot be told any more: the person's keys were destroyed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub erased: bool,
    /// The row, or one before it, is not what was written: somebody has changed the file.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub broken: bool,
}

/// Which records.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Those of the token of this name.
    pub token: Option<String>,
    /// Those at this person's data.
    pub person: Option<String>,
    /// Not before.
    pub from: Option<Instant>,
    /// Before.
    pub to: Option<Instant>,
}

/// Some records, in the order in which they were kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Those that the filter lets through.
    pub rows: Vec<StoredRecord>,
    /// Number of the last one that was looked at: where the next page goes on.
    pub last: u64,
    /// Whether there may be more behind it.
    pub more: bool,
}

/// What goes wrong with the audit trail.
#[derive(Clone, Debug, Error)]
pub enum AuditError {
    /// The file cannot be used.
    #[error(transparent)]
    Open(Arc<OpenError>),
    /// The thread that writes the file cannot be started.
    #[error("the thread that writes the audit trail cannot be started")]
    Thread(#[source] Arc<std::io::Error>),
    /// It cannot be read or written.
    #[error("the audit trail cannot be read or written; check the disk and its free space")]
    Database(#[source] Arc<redb::Error>),
    /// A row cannot be read.
    #[error("record {number} of the audit trail is damaged; restore audit.redb from a backup")]
    Damaged {
        /// Its number.
        number: u64,
    },
    /// The keys cannot be used.
    #[error("a record of the audit trail cannot be encrypted: {0}")]
    Encrypting(String),
    /// Too many records wait, or the thread that writes them has ended.
    #[error("{QUEUE_RECORDS_MAX} records wait to be written, or nobody writes them")]
    Busy,
}

impl From<OpenError> for AuditError {
    fn from(error: OpenError) -> Self {
        Self::Open(Arc::new(error))
    }
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
    pub fn open(path: &Path, keys: Arc<dyn AuditKeys>) -> Result<Self, AuditError> {
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
        let message = format!("nothing personal is shown over HTTP, because it cannot be recorded in the audit trail: {error}");
        Some(Problem { severity: Severity::Warning, what: "audit", message, since })
    }

    /// AuditTrail that come after the number `after`, at most `limit` of them. Blocks.
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

impl fmt::Debug for AuditRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditRecord")
            .field("at", &self.at)
            .field("token", &self.token)
            .field("role", &self.role)
            .field("what", &self.what)
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for StoredRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredRecord")
            .field("number", &self.number)
            .field("what", &self.what)
            .field("status", &self.status)
            .field("erased", &self.erased)
            .field("broken", &self.broken)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Filter").field("from", &self.from).field("to", &self.to).finish_non_exhaustive()
    }
}
