//! The directory's file: who may open it when, and the tables in it.
//!
//! It is opened for one piece of work at a time, so that the gateway, an import and the API take turns. Every commit keeps what
//! redb needs to open the file at once after a crash.

use std::path::{Path, PathBuf};
use std::time::Duration;

use protocol::{CredentialHash, Instant};
use redb::{
    Database, Key, ReadOnlyDatabase, ReadOnlyTable, ReadableDatabase, ReadableTable, Table, TableDefinition,
    TableError, Value, WriteTransaction,
};

use super::record::Record;
use base::file_error::FileError;
use base::owner::why;
use store::file::{FileKind, OpenError, exchange, sync_folder, while_in_use};

/// People by id, as CBOR.
pub(crate) const PEOPLE: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("people");
/// Whose each credential is. Derived from the people; rebuilt in a file that was written before it existed.
pub(super) const OWNERS: TableDefinition<'_, &[u8; 16], &str> = TableDefinition::new("owners");
/// What is known of the whole, by name.
pub(super) const META: TableDefinition<'_, &str, i64> = TableDefinition::new("meta");
/// When the last import or change was made, Unix milliseconds.
pub(super) const SYNCED_AT: &str = "synced_at";
/// There where [`OWNERS`] is kept.
const OWNERS_KEPT: &str = "owners_kept";
/// The format of the file, where it is not the first.
const FORMAT: &str = "format";

const KIND: FileKind = FileKind { what: "a directory", format: 1, if_foreign: IMPORT_ANEW, if_damaged: IMPORT_ANEW };

/// What helps where the file cannot be used.
const IMPORT_ANEW: &str = "import it anew, everybody, with --replace: that sets this file aside";

/// A reader goes through the file once and gains nothing by a larger one.
const READ_CACHE_BYTES: usize = 1 << 20;
const WRITE_CACHE_BYTES: usize = 32 << 20;

/// Others have the file open for a moment, except for imports.
const WAIT: Duration = if cfg!(test) { Duration::from_millis(50) } else { Duration::from_secs(2) };

/// The file, open for reading; [`None`] where there is none.
pub(crate) fn open_to_read(path: &Path) -> Result<Option<ReadOnlyDatabase>, FileError> {
    let opened = while_in_use(WAIT, || KIND.open_to_read(path, READ_CACHE_BYTES));
    let Some(database) = opened.map_err(unusable)? else { return Ok(None) };
    check_format(path, &database)?;
    Ok(Some(database))
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
    let database = while_in_use(WAIT, || KIND.open(path, WRITE_CACHE_BYTES)).map_err(unusable)?;
    check_format(path, &database)?;
    Ok(database)
}

/// Whether the file is there and holds something else, or is damaged anywhere.
pub(crate) fn is_unusable(path: &Path) -> Result<bool, FileError> {
    if !path.exists() {
        return Ok(false);
    }
    match while_in_use(WAIT, || KIND.open(path, WRITE_CACHE_BYTES)) {
        Ok(mut database) => match database.check_integrity() {
            Ok(true) => Ok(!every_entry_is_whole(path, &database)),
            _ => {
                // To close a damaged file may end the process.
                std::mem::forget(database);
                Ok(true)
            }
        },
        Err(OpenError::Foreign { .. } | OpenError::Unusable { .. }) => Ok(true),
        Err(error) => Err(unusable(error)),
    }
}

fn every_entry_is_whole(path: &Path, database: &Database) -> bool {
    let Ok(transaction) = database.begin_read() else { return false };
    let people = match transaction.open_table(PEOPLE) {
        Ok(people) => people,
        Err(error) => return matches!(error, TableError::TableDoesNotExist(_)),
    };
    let Ok(mut entries) = people.iter() else { return false };
    entries.all(|entry| entry.is_ok_and(|(_, bytes)| decode(path, bytes.value()).is_ok()))
}

/// Puts the new file [`beside`] in the place of one that cannot be used, which is kept under another name: that name.
pub(crate) fn set_aside(path: &Path) -> Result<PathBuf, FileError> {
    let aside = path.with_extension("redb.damaged");
    let done = std::fs::rename(path, &aside).and_then(|()| exchange(path)).and_then(|()| sync_folder(path));
    done.map_err(|error| FileError::new(path, format!("cannot be replaced ({})", why(path, &error))))?;
    Ok(aside)
}

/// An empty directory that leaves nothing at `path`.
pub(crate) fn in_memory(path: &Path) -> Result<Database, FileError> {
    KIND.in_memory(path).map_err(unusable)
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
    FileError::new(path, format!("cannot be read: {error}; {IMPORT_ANEW}"))
}

/// The file cannot be written, whoever is to blame.
pub(crate) fn unwritable(path: &Path, error: &redb::Error) -> FileError {
    FileError::new(path, format!("cannot be written: {error}; nothing was changed"))
}

/// An entry of the file is none.
pub(super) fn damaged(path: &Path, reason: &str) -> FileError {
    FileError::new(path, format!("an entry is damaged ({reason}); {IMPORT_ANEW}"))
}

/// A file that does not open.
fn unusable(error: OpenError) -> FileError {
    match error {
        OpenError::InUse { path } => FileError::new(&path, "is in use by another process; try again"),
        OpenError::NoFolder { path } => {
            FileError::new(&path, "cannot be opened (there is no such folder); check its folder")
        }
        OpenError::System { path, source } => {
            FileError::new(&path, format!("cannot be opened ({}); check its folder", why(&path, &source)))
        }
        OpenError::Foreign { path, remedy, .. } => FileError::new(&path, format!("is no directory; {remedy}")),
        OpenError::OtherFormat { path, found, known } => FileError::new(
            &path,
            format!("has format {found}, this version reads format {known}; use the version that wrote it"),
        ),
        OpenError::Unusable { path, remedy, source } => {
            FileError::new(&path, format!("is no directory, or damaged ({source}); {remedy}"))
        }
    }
}

/// Refuses a file that a later version has written.
fn check_format(path: &Path, database: &impl ReadableDatabase) -> Result<(), FileError> {
    let transaction = database.begin_read().map_err(|error| unreadable(path, &error.into()))?;
    let meta = match transaction.open_table(META) {
        Ok(meta) => meta,
        Err(TableError::TableDoesNotExist(_)) => return Ok(()),
        Err(error) => return Err(unreadable(path, &error.into())),
    };
    let noted = meta.get(FORMAT).map_err(|error| unreadable(path, &error.into()))?.map(|format| format.value());
    // The first format is not noted.
    let found = noted.map_or(KIND.format, |format| u64::try_from(format).unwrap_or(u64::MAX));
    KIND.check_format(path, found).map_err(unusable)
}
