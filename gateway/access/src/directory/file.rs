//! The directory's file: who may open it when, and the tables in it.
//!
//! It is opened for one piece of work at a time, so that the gateway, an import and the API take turns. Every commit keeps what
//! redb needs to open the file at once after a crash.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant as Monotonic};

use protocol::{CredentialHash, Instant};
use redb::{
    Database, DatabaseError, Key, ReadOnlyDatabase, ReadOnlyTable, ReadableDatabase, ReadableTable, Table,
    TableDefinition, TableError, Value, WriteTransaction,
};

use super::record::Record;
use base::file_error::FileError;

/// People by id, as CBOR.
pub(crate) const PEOPLE: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("people");
/// Whose each credential is. Derived from the people; made anew in a file that was written before it existed.
pub(super) const OWNERS: TableDefinition<'_, &[u8; 16], &str> = TableDefinition::new("owners");
/// What is known of the whole, by name.
pub(super) const META: TableDefinition<'_, &str, i64> = TableDefinition::new("meta");
/// When the last import or change was made, Unix milliseconds.
pub(super) const SYNCED_AT: &str = "synced_at";
/// There where [`OWNERS`] is kept.
const OWNERS_KEPT: &str = "owners_kept";

/// A reader goes through the file once and gains nothing by a larger one.
const READ_CACHE_BYTES: usize = 1 << 20;
const WRITE_CACHE_BYTES: usize = 32 << 20;

/// Others have the file open for a moment, except for imports.
const WAIT: Duration = if cfg!(test) { Duration::from_millis(50) } else { Duration::from_secs(2) };
const RETRY_INTERVAL: Duration = Duration::from_millis(10);

/// The file, open for reading; [`None`] where there is none.
pub(crate) fn open_to_read(path: &Path) -> Result<Option<ReadOnlyDatabase>, FileError> {
    if !path.exists() {
        return Ok(None);
    }
    let read_only = || with_patience(|| redb::Builder::new().set_cache_size(READ_CACHE_BYTES).open_read_only(path));
    let database = match read_only() {
        // An import was interrupted: to open the file for writing mends it.
        Err(DatabaseError::RepairAborted) => {
            drop(open_to_write(path)?);
            read_only()
        }
        opened => opened,
    };
    database.map(Some).map_err(|error| unusable(path, &error))
}

/// A table of a file that is open for reading; [`None`] where there is none.
pub(crate) fn table<K: Key + 'static, V: Value + 'static>(
    path: &Path,
    database: &ReadOnlyDatabase,
    definition: TableDefinition<'_, K, V>,
) -> Result<Option<ReadOnlyTable<K, V>>, FileError> {
    let transaction = database.begin_read().map_err(|error| unreadable(path, &error.into()))?;
    match transaction.open_table(definition) {
        Ok(table) => Ok(Some(table)),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(unreadable(path, &error.into())),
    }
}

/// Opens or makes the file, readable by its owner only.
pub(crate) fn open_to_write(path: &Path) -> Result<Database, FileError> {
    let open = || {
        OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(|error| FileError::new(path, format!("cannot be opened ({error}); check its folder")))
    };
    open()?;
    with_patience(|| {
        let file = OpenOptions::new().read(true).write(true).open(path).map_err(redb::StorageError::from)?;
        let inode = file.metadata().map_err(redb::StorageError::from)?.ino();
        let backend = redb::backends::FileBackend::new(file)?;
        // An erasure has put another file in its place before this one was locked: what is written here would be lost.
        if fs::metadata(path).map_err(redb::StorageError::from)?.ino() != inode {
            return Err(DatabaseError::DatabaseAlreadyOpen);
        }
        redb::Builder::new().set_cache_size(WRITE_CACHE_BYTES).create_with_backend(backend)
    })
    .map_err(|error| unusable(path, &error))
}

/// An empty directory that leaves nothing at `path`.
pub(crate) fn in_memory(path: &Path) -> Result<Database, FileError> {
    let backend = redb::backends::InMemoryBackend::new();
    redb::Builder::new().create_with_backend(backend).map_err(|error| unusable(path, &error))
}

/// Begins a change: all of it or nothing, also when the process is killed.
pub(crate) fn begin(path: &Path, database: &Database) -> Result<WriteTransaction, FileError> {
    let mut transaction = database.begin_write().map_err(|error| unwritable(path, &error.into()))?;
    transaction.set_quick_repair(true);
    Ok(transaction)
}

/// The tables, open for a change.
pub(crate) struct Tables<'t> {
    path: &'t Path,
    pub people: Table<'t, &'static str, &'static [u8]>,
    owners: Table<'t, &'static [u8; 16], &'static str>,
    meta: Table<'t, &'static str, i64>,
}

impl<'t> Tables<'t> {
    pub(crate) fn open(path: &'t Path, transaction: &'t WriteTransaction) -> Result<Self, FileError> {
        let failed = |error: TableError| unwritable(path, &error.into());
        let mut tables = Self {
            path,
            people: transaction.open_table(PEOPLE).map_err(failed)?,
            owners: transaction.open_table(OWNERS).map_err(failed)?,
            meta: transaction.open_table(META).map_err(failed)?,
        };
        let kept = tables.meta.get(OWNERS_KEPT).map_err(|error| unreadable(path, &error.into()))?.is_some();
        if !kept {
            tables.find_owners()?;
        }
        Ok(tables)
    }

    /// The person with this id, as bytes.
    pub(crate) fn record(&self, id: &str) -> Result<Option<Record>, FileError> {
        let bytes = self.people.get(id).map_err(|error| unreadable(self.path, &error.into()))?;
        bytes.map(|bytes| decode(self.path, bytes.value())).transpose()
    }

    /// Whose credential this is.
    pub(crate) fn owner(&self, credential: &CredentialHash) -> Result<Option<String>, FileError> {
        let owner = self.owners.get(&credential.0).map_err(|error| unreadable(self.path, &error.into()))?;
        Ok(owner.map(|id| id.value().to_owned()))
    }

    /// Notes that a credential is this person's.
    pub(crate) fn give(&mut self, credential: &CredentialHash, id: &str) -> Result<(), FileError> {
        let given = self.owners.insert(&credential.0, id).map(drop);
        given.map_err(|error| unwritable(self.path, &error.into()))
    }

    /// Notes that a credential is nobody's.
    pub(crate) fn take(&mut self, credential: &CredentialHash) -> Result<(), FileError> {
        let taken = self.owners.remove(&credential.0).map(drop);
        taken.map_err(|error| unwritable(self.path, &error.into()))
    }

    /// Writes one person down, in the place of whoever had this id.
    pub(crate) fn put(&mut self, id: &str, bytes: &[u8]) -> Result<(), FileError> {
        self.people.insert(id, bytes).map(drop).map_err(|error| unwritable(self.path, &error.into()))
    }

    /// Strikes one person out.
    pub(crate) fn strike(&mut self, id: &str) -> Result<(), FileError> {
        self.people.remove(id).map(drop).map_err(|error| unwritable(self.path, &error.into()))
    }

    /// Notes when the directory was last brought up to date.
    pub(crate) fn synced(&mut self, now: Instant) -> Result<(), FileError> {
        let noted = self.meta.insert(SYNCED_AT, now.unix_ms()).map(drop);
        noted.map_err(|error| unwritable(self.path, &error.into()))
    }

    fn find_owners(&mut self) -> Result<(), FileError> {
        for entry in self.people.iter().map_err(|error| unreadable(self.path, &error.into()))? {
            let (id, bytes) = entry.map_err(|error| unreadable(self.path, &error.into()))?;
            for credential in decode(self.path, bytes.value())?.all_credentials() {
                let given = self.owners.insert(&credential.0, id.value()).map(drop);
                given.map_err(|error| unwritable(self.path, &error.into()))?;
            }
        }
        let noted = self.meta.insert(OWNERS_KEPT, 1).map(drop);
        noted.map_err(|error| unwritable(self.path, &error.into()))
    }
}

/// Reads one entry of [`PEOPLE`].
pub(crate) fn decode(path: &Path, bytes: &[u8]) -> Result<Record, FileError> {
    let mut record: Record = minicbor::decode(bytes).map_err(|error| damaged(path, &error.to_string()))?;
    // Earlier versions kept them in the order of the import.
    record.credentials.sort_unstable();
    Ok(record)
}

/// Writes one entry of [`PEOPLE`].
pub(crate) fn encode(path: &Path, record: &Record) -> Result<Vec<u8>, FileError> {
    minicbor::to_vec(record).map_err(|error| FileError::new(path, format!("cannot hold an entry ({error})")))
}

/// The file cannot be read, whoever is to blame.
pub(crate) fn unreadable(path: &Path, error: &redb::Error) -> FileError {
    FileError::new(path, format!("cannot be read: {error}; import it anew"))
}

/// The file cannot be written, whoever is to blame.
pub(crate) fn unwritable(path: &Path, error: &redb::Error) -> FileError {
    FileError::new(path, format!("cannot be written: {error}; nothing was changed"))
}

/// An entry of the file is none.
pub(super) fn damaged(path: &Path, reason: &str) -> FileError {
    FileError::new(path, format!("an entry is damaged ({reason}); import it anew"))
}

fn unusable(path: &Path, error: &DatabaseError) -> FileError {
    if in_use(error) {
        FileError::new(path, "is in use by another process; try again")
    } else {
        FileError::new(path, format!("is no directory, or damaged ({error}); import it anew"))
    }
}

fn in_use(error: &DatabaseError) -> bool {
    matches!(error, DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch)
}

/// Opens again for a while, as long as somebody else has the file.
fn with_patience<T>(open: impl Fn() -> Result<T, DatabaseError>) -> Result<T, DatabaseError> {
    let until = Monotonic::now() + WAIT;
    loop {
        match open() {
            Err(error) if in_use(&error) && Monotonic::now() < until => std::thread::sleep(RETRY_INTERVAL),
            opened => return opened,
        }
    }
}
