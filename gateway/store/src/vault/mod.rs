//! The vault of keys: what tells who an event is about is on disk only as encrypted bytes, and the keys are here.
//!
//! # What is on disk
//!
//! One redb file, `vault.redb`, mode 0600:
//!
//! | table | key | value |
//! | --- | --- | --- |
//! | `subjects` | a subject's name | its number, and a secret for pseudonyms |
//! | `numbers` | a subject's number | its name |
//! | `keys` | month (in UTC, months since the year 0) and number | a secret, from which the key is derived |
//! | `restrictions` | number | why, when and by whom the use of the person's data was restricted, CBOR |
//! | `own_keys` | `checkpoint` | a secret, from which the key of the log's checkpoints is derived |
//! | `meta` | `format`, `next_number`, `lost_through` | [`FORMAT`], the number of the next subject, see [`Vault::note_lost`] |
//!
//! A *subject* is a person's id as in the directory, `~` and the hash of a credential that belongs to nobody, `helper:NAME`,
//! `malformed:DAY` for what the malformed scans of a day hold, or [`AUDIT`] and whom somebody has looked at.
//!
//! # Invariants
//!
//! - A key is durable before anything is encrypted with it.
//! - No number is ever given twice. For the case that the file was lost, or an older copy restored, the next number after a
//!   start is never behind the clock, in Unix milliseconds.
//! - After [`Vault::destroy`] the keys are nowhere in the file: it is written anew and takes the place of the old one.
//! - The writer of the log needs the file only for new subjects and months; nothing here waits for the log.

mod error;
mod events;
mod fields;
mod key;
mod memo;
mod month;
mod storage;
mod subjects;

#[cfg(test)]
mod tests;

use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use minicbor::{Decode, Encode};
use protocol::Instant;
use redb::{Database, ReadTransaction, ReadableDatabase, WriteTransaction};

pub use error::VaultError;
pub use month::Month;
pub use storage::FORMAT;
pub use subjects::AUDIT;

use self::key::Key;
use self::memo::Memo;
use self::storage::{CHECKPOINT, LOST_THROUGH, META, NEXT_NUMBER, OWN_KEYS, Storage};
use crate::file::OpenError;

/// The vault of keys. Cheap to clone; calls that touch the disk block the thread for about as long as the disk takes.
#[derive(Clone)]
pub struct Vault(Arc<Inner>);

/// Whether the file at `path` would open as a vault, without changing it.
///
/// # Errors
/// When it is something else, of another format, or damaged; or the folder is missing.
pub fn probe(path: &Path) -> Result<(), OpenError> {
    storage::KIND.probe(path)
}

/// Why somebody's data must not be used any more except to be kept.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct Restriction {
    /// Why.
    #[n(0)]
    pub reason: String,
    /// Since when.
    #[n(1)]
    pub at: Instant,
    /// The name of the token with which it was said.
    #[n(2)]
    pub by: String,
}

/// What was destroyed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Destroyed {
    /// Subjects, each with its number, secret and restriction.
    pub subjects: u64,
    /// Keys.
    pub keys: u64,
}

struct Inner {
    storage: Storage,
    /// Absent while it is opened again. Whoever reads holds the lock for all of it, so that it is never replaced under a read.
    database: RwLock<Option<Database>>,
    /// Held by whoever changes the file.
    writing: Mutex<Writing>,
    memo: RwLock<Memo>,
    checkpoint: RwLock<CheckpointKey>,
    /// The database has failed: it takes nothing until it is opened again.
    failed: AtomicBool,
    is_new: bool,
    lost_through: AtomicU64,
}

struct Writing {
    /// The number of the next subject.
    next_number: u64,
}

struct CheckpointKey {
    key: Arc<Key>,
    /// Something may have been encrypted with it.
    used: AtomicBool,
}

impl Vault {
    /// Opens the vault in the file at `path`, which is made when there is none. `cache_bytes` of memory are for its pages.
    ///
    /// # Errors
    /// When the folder is missing, another process has the file, or it is not a vault that this version reads.
    pub fn open(path: &Path, cache_bytes: usize) -> Result<Self, VaultError> {
        Self::at(Storage::File { path: path.into(), cache_bytes })
    }

    /// A vault that is gone when it is dropped: for tests, and to read a log without its keys.
    ///
    /// # Errors
    /// When there is no memory, or the system gives no random numbers.
    pub fn in_memory() -> Result<Self, VaultError> {
        Self::at(Storage::Memory)
    }

    /// One whose database `make` opens.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn made(make: crate::file::Opener) -> Result<Self, VaultError> {
        Self::at(Storage::Made(make))
    }

    fn at(storage: Storage) -> Result<Self, VaultError> {
        let path = storage.shown();
        let checkpoint = key::random()?;
        let is_new = storage.is_missing();
        if is_new {
            // Beside its place first: what is there is never half made.
            storage::prepare(&path, &storage.open_beside()?, &checkpoint)?;
            storage.exchange()?;
        }
        let database = storage.open()?;
        let is_new = storage::prepare(&path, &database, &checkpoint)? || is_new;
        storage.clear_leftover()?;
        let known = StoredState::read(&database).map_err(|error| reading(&storage, error))?;
        let vault = Inner {
            database: RwLock::new(Some(database)),
            writing: Mutex::new(Writing { next_number: known.next_number.max(clock_ms()) }),
            memo: RwLock::default(),
            checkpoint: RwLock::new(CheckpointKey {
                key: Arc::new(Key::new(0, &known.checkpoint)?),
                used: AtomicBool::new(!is_new),
            }),
            failed: AtomicBool::new(false),
            is_new,
            lost_through: AtomicU64::new(known.lost_through),
            storage,
        };
        Ok(Self(Arc::new(vault)))
    }

    /// Whether it was made when it was opened.
    pub fn is_new(&self) -> bool {
        self.0.is_new
    }

    /// Keeps that events up to this number are encrypted with keys that the vault does not have, because it was lost.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn note_lost(&self, through: u64) -> Result<(), VaultError> {
        let _writing = self.writing();
        self.write(|transaction| Ok(transaction.open_table(META)?.insert(LOST_THROUGH, through).map(drop)?))?;
        self.0.lost_through.store(through, Ordering::Release);
        Ok(())
    }

    /// Number of the last event that may be encrypted with keys that were lost, if there is one.
    pub fn lost_through(&self) -> Option<u64> {
        Some(self.0.lost_through.load(Ordering::Acquire)).filter(|through| *through > 0)
    }

    /// Encrypts a checkpoint of the log that covers events up to `covers`.
    ///
    /// # Errors
    /// When it is too long for the cipher: 64 GiB.
    pub fn seal_checkpoint(&self, covers: u64, bytes: &[u8]) -> Result<Vec<u8>, VaultError> {
        let checkpoint = self.0.checkpoint.read().unwrap_or_else(PoisonError::into_inner);
        checkpoint.used.store(true, Ordering::Release);
        checkpoint.key.encrypt(&covers.to_be_bytes(), bytes)
    }

    /// Decrypts a checkpoint; [`None`] where it is something else, or the key was destroyed.
    pub fn open_checkpoint(&self, covers: u64, encrypted: &[u8]) -> Option<Vec<u8>> {
        let checkpoint = self.0.checkpoint.read().unwrap_or_else(PoisonError::into_inner);
        checkpoint.key.open(&covers.to_be_bytes(), encrypted)
    }

    /// Opens the file again after a failure of the disk; does nothing where there was none.
    ///
    /// # Errors
    /// Those of [`Vault::open`]. It may be called again, and is tried before every use of the file.
    pub fn mend(&self) -> Result<(), VaultError> {
        if !self.0.failed.load(Ordering::Acquire) {
            return Ok(());
        }
        let mut slot = self.0.database.write().unwrap_or_else(PoisonError::into_inner);
        if self.0.storage.is_lasting() {
            drop(slot.take());
            *slot = Some(self.0.storage.open()?);
        }
        self.0.failed.store(false, Ordering::Release);
        Ok(())
    }

    fn writing(&self) -> MutexGuard<'_, Writing> {
        self.0.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads from what is in the file now.
    fn read<T>(&self, read: impl FnOnce(&ReadTransaction) -> Result<T, redb::Error>) -> Result<T, VaultError> {
        self.mend()?;
        let slot = self.0.database.read().unwrap_or_else(PoisonError::into_inner);
        let database = slot.as_ref().ok_or_else(|| VaultError::NotOpen { path: self.0.storage.shown() })?;
        let read = database.begin_read().map_err(redb::Error::from).and_then(|transaction| read(&transaction));
        read.map_err(|error| {
            self.0.failed.store(true, Ordering::Release);
            reading(&self.0.storage, error)
        })
    }

    /// Changes the file, durably and as a whole. The caller holds `writing`.
    fn write<T>(&self, change: impl FnOnce(&WriteTransaction) -> Result<T, redb::Error>) -> Result<T, VaultError> {
        self.mend()?;
        let slot = self.0.database.read().unwrap_or_else(PoisonError::into_inner);
        let database = slot.as_ref().ok_or_else(|| VaultError::NotOpen { path: self.0.storage.shown() })?;
        let written = || {
            let transaction = storage::begin(database)?;
            let done = change(&transaction)?;
            transaction.commit()?;
            Ok(done)
        };
        written().map_err(|error: redb::Error| {
            self.0.failed.store(true, Ordering::Release);
            VaultError::Write { path: self.0.storage.shown(), source: Box::new(error) }
        })
    }
}

/// What is read once, when the file is opened.
struct StoredState {
    next_number: u64,
    lost_through: u64,
    checkpoint: key::Secret,
}

impl StoredState {
    fn read(database: &Database) -> Result<Self, redb::Error> {
        let transaction = database.begin_read()?;
        let (meta, own) = (transaction.open_table(META)?, transaction.open_table(OWN_KEYS)?);
        let number = |name| Ok::<_, redb::Error>(meta.get(name)?.map_or(0, |value| value.value()));
        // Where it is missing, old checkpoints cannot be read, and that is all.
        let checkpoint = own.get(CHECKPOINT)?.map(|secret| secret.value()).unwrap_or_default();
        Ok(Self { next_number: number(NEXT_NUMBER)?, lost_through: number(LOST_THROUGH)?, checkpoint })
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vault(…)")
    }
}

impl fmt::Debug for Restriction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Restriction").field("at", &self.at).finish_non_exhaustive()
    }
}

fn reading(storage: &Storage, error: redb::Error) -> VaultError {
    VaultError::Read { path: storage.shown(), source: Box::new(error) }
}

fn clock_ms() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or(0).max(1)
}
