//! The file: its tables, how it is opened, and how it is written anew without what was destroyed.
//!
//! A database keeps the bytes of a row that was removed until their page is used again. So keys are destroyed by copying what
//! stays into a new file, which then takes the place of the old one: before that moment everything is as it was.

use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use redb::backends::{FileBackend, InMemoryBackend};
use redb::{
    Database, DatabaseError, ReadTransaction, ReadableDatabase, ReadableTable, StorageError, TableDefinition,
    TableError, WriteTransaction,
};

use super::VaultError;
use super::key::Secret;

/// The format of the file that this version writes and reads.
pub const FORMAT: u64 = 1;

/// A subject's number and secret, by its name.
pub(super) const SUBJECTS: TableDefinition<'static, &str, (u64, Secret)> = TableDefinition::new("subjects");
/// A subject's name, by its number.
pub(super) const NUMBERS: TableDefinition<'static, u64, &str> = TableDefinition::new("numbers");
/// Keys by month and the subject's number.
pub(super) const KEYS: TableDefinition<'static, (u32, u64), Secret> = TableDefinition::new("keys");
/// Restrictions by the subject's number, as CBOR.
pub(super) const RESTRICTIONS: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("restrictions");
/// Keys that are nobody's, by name.
pub(super) const OWN_KEYS: TableDefinition<'static, &str, Secret> = TableDefinition::new("own_keys");
/// What is known of the whole, by name.
pub(super) const META: TableDefinition<'static, &str, u64> = TableDefinition::new("meta");

/// The name of the key of checkpoints, in [`OWN_KEYS`].
pub(super) const CHECKPOINT: &str = "checkpoint";
/// The number of the next subject, in [`META`]. None is ever given twice.
pub(super) const NEXT_NUMBER: &str = "next_number";
/// Number of the last event that may be sealed with keys of a vault that is gone, in [`META`].
pub(super) const LOST_THROUGH: &str = "lost_through";
const META_FORMAT: &str = "format";

/// Where the database is.
pub(super) enum Place {
    File {
        path: PathBuf,
        cache_bytes: usize,
    },
    Memory,
    #[cfg(any(test, feature = "testing"))]
    Made(Box<dyn Fn() -> Result<Database, DatabaseError> + Send + Sync>),
}

/// What stays when the file is written anew.
pub(super) struct Keep<'a> {
    pub subject: &'a dyn Fn(u64) -> bool,
    /// Month and number.
    pub key: &'a dyn Fn(u32, u64) -> bool,
}

impl Place {
    /// Opens the database, which is made where there is none.
    pub fn open(&self) -> Result<Database, VaultError> {
        match self {
            Self::File { path, cache_bytes } => open_file(path, *cache_bytes, false),
            Self::Memory => in_memory(),
            #[cfg(any(test, feature = "testing"))]
            Self::Made(make) => make().map_err(|error| opening(&self.shown(), error)),
        }
    }

    /// Whether there is no file yet.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::File { path, .. } if !path.exists())
    }

    /// Whether what was written is there when it is opened again.
    pub fn is_lasting(&self) -> bool {
        !matches!(self, Self::Memory)
    }

    /// A new database beside the one in force.
    pub fn open_beside(&self) -> Result<Database, VaultError> {
        let Self::File { path, cache_bytes } = self else { return in_memory() };
        check_folder(path)?;
        let beside = beside(path);
        remove_leftover(&beside)?;
        open_file(&beside, *cache_bytes, true)
    }

    /// Puts the new database in the place of the one in force: from here on nothing finds the old one.
    pub fn exchange(&self) -> Result<(), VaultError> {
        let Self::File { path, .. } = self else { return Ok(()) };
        fs::rename(beside(path), path).map_err(|source| VaultError::Exchange { path: path.clone(), source })
    }

    /// Removes a new database that did not come into force, because the work on it was interrupted.
    pub fn clear_leftover(&self) -> Result<(), VaultError> {
        let Self::File { path, .. } = self else { return Ok(()) };
        remove_leftover(&beside(path))
    }

    /// Makes the names in the folder last.
    pub fn sync_folder(&self) -> Result<(), VaultError> {
        let Self::File { path, .. } = self else { return Ok(()) };
        sync_folder(path).map_err(|source| VaultError::Exchange { path: path.clone(), source })
    }

    /// For messages.
    pub fn shown(&self) -> PathBuf {
        match self {
            Self::File { path, .. } => path.clone(),
            _ => PathBuf::from("vault.redb"),
        }
    }
}

/// Makes the tables in an empty database, else checks that it is a vault of a known format. Whether it was empty.
pub(super) fn prepare(path: &Path, database: &Database, checkpoint: &Secret) -> Result<bool, VaultError> {
    let reading = |error: redb::Error| VaultError::Read { path: path.into(), source: Box::new(error) };
    let transaction = database.begin_read().map_err(|error| reading(error.into()))?;
    if transaction.list_tables().map_err(|error| reading(error.into()))?.next().is_none() {
        let written = create_tables(database, checkpoint);
        let writing = |error| VaultError::Write { path: path.into(), source: Box::new(error) };
        return written.map_err(writing).map(|()| true);
    }
    let foreign = |error| match error {
        TableError::Storage(error) => reading(error.into()),
        _ => VaultError::NotAVault { path: path.into() },
    };
    let meta = transaction.open_table(META).map_err(foreign)?;
    match meta.get(META_FORMAT).map_err(|error| reading(error.into()))?.map(|format| format.value()) {
        Some(FORMAT) => {}
        Some(found) => return Err(VaultError::OtherFormat { path: path.into(), found, known: FORMAT }),
        None => return Err(VaultError::NotAVault { path: path.into() }),
    }
    transaction.open_table(OWN_KEYS).map_err(foreign)?;
    Ok(false)
}

/// Copies what is to stay into an empty database, with a new key for checkpoints. Subjects and keys that did not stay.
pub(super) fn copy(
    from: &ReadTransaction,
    to: &Database,
    keep: &Keep<'_>,
    checkpoint: &Secret,
) -> Result<(u64, u64), redb::Error> {
    let (mut subjects_gone, mut keys_gone) = (0, 0);
    let mut transaction = to.begin_write()?;
    transaction.set_quick_repair(true);
    {
        let (mut subjects, mut numbers) = (transaction.open_table(SUBJECTS)?, transaction.open_table(NUMBERS)?);
        for entry in from.open_table(SUBJECTS)?.iter()? {
            let (name, subject) = entry?;
            let (number, secret) = subject.value();
            if (keep.subject)(number) {
                subjects.insert(name.value(), (number, secret))?;
                numbers.insert(number, name.value())?;
            } else {
                subjects_gone += 1;
            }
        }
        let mut keys = transaction.open_table(KEYS)?;
        for entry in from.open_table(KEYS)?.iter()? {
            let (place, secret) = entry?;
            let (month, number) = place.value();
            if (keep.subject)(number) && (keep.key)(month, number) {
                keys.insert((month, number), secret.value())?;
            } else {
                keys_gone += 1;
            }
        }
        let mut restrictions = transaction.open_table(RESTRICTIONS)?;
        for entry in from.open_table(RESTRICTIONS)?.iter()? {
            let (number, restriction) = entry?;
            if (keep.subject)(number.value()) {
                restrictions.insert(number.value(), restriction.value())?;
            }
        }
        let mut meta = transaction.open_table(META)?;
        for entry in from.open_table(META)?.iter()? {
            let (name, value) = entry?;
            meta.insert(name.value(), value.value())?;
        }
        transaction.open_table(OWN_KEYS)?.insert(CHECKPOINT, *checkpoint)?;
    }
    transaction.commit()?;
    Ok((subjects_gone, keys_gone))
}

/// Begins a change: all of it or nothing. With it a start after a crash takes milliseconds.
pub(super) fn begin(database: &Database) -> Result<WriteTransaction, redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_quick_repair(true);
    Ok(transaction)
}

fn create_tables(database: &Database, checkpoint: &Secret) -> Result<(), redb::Error> {
    let transaction = begin(database)?;
    transaction.open_table(META)?.insert(META_FORMAT, FORMAT)?;
    transaction.open_table(OWN_KEYS)?.insert(CHECKPOINT, *checkpoint)?;
    transaction.open_table(SUBJECTS)?;
    transaction.open_table(NUMBERS)?;
    transaction.open_table(KEYS)?;
    transaction.open_table(RESTRICTIONS)?;
    Ok(transaction.commit()?)
}

fn open_file(path: &Path, cache_bytes: usize, new: bool) -> Result<Database, VaultError> {
    let cannot_open = |source| VaultError::Open { path: path.into(), source };
    check_folder(path)?;
    let mut options = OpenOptions::new();
    options.read(true).write(true).truncate(false).mode(0o600);
    let file = if new { options.create_new(true) } else { options.create(true) }.open(path).map_err(cannot_open)?;
    // Without this the name of a new file may not survive a power cut, whatever is synced in the file.
    sync_folder(path).map_err(cannot_open)?;
    // After a crash or a failed commit the file may hold what was written and never synced.
    file.sync_all().map_err(cannot_open)?;
    let backend = FileBackend::new(file).map_err(|error| opening(path, error))?;
    let opened = Database::builder().set_cache_size(cache_bytes).create_with_backend(backend);
    opened.map_err(|error| opening(path, error))
}

fn in_memory() -> Result<Database, VaultError> {
    let opened = Database::builder().create_with_backend(InMemoryBackend::new());
    opened.map_err(|error| opening(Path::new("vault.redb"), error))
}

fn opening(path: &Path, error: DatabaseError) -> VaultError {
    let path = path.to_path_buf();
    match error {
        DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => VaultError::InUse { path },
        DatabaseError::Storage(StorageError::Io(error)) if error.kind() == ErrorKind::InvalidData => {
            VaultError::NotAVault { path }
        }
        error => VaultError::Database { path, source: Box::new(error.into()) },
    }
}

/// Where a new file is written.
pub(super) fn beside(path: &Path) -> PathBuf {
    path.with_extension("redb.new")
}

fn remove_leftover(path: &Path) -> Result<(), VaultError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != ErrorKind::NotFound => Err(VaultError::Open { path: path.into(), source }),
        _ => Ok(()),
    }
}

fn sync_folder(path: &Path) -> std::io::Result<()> {
    File::open(folder_of(path))?.sync_all()
}

fn check_folder(path: &Path) -> Result<(), VaultError> {
    if folder_of(path).is_dir() { Ok(()) } else { Err(VaultError::NoFolder { path: path.into() }) }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
