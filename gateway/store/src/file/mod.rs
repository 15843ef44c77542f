//! A redb file: the one way in which log, vault, audit trail, directory and ledgers open theirs.
//!
//! # Invariants
//!
//! - The file is for its owner alone (mode 0600; for the group as well where that may change the folder), and for one process at
//!   a time; several may read one that nobody changes. Its owner is that of its folder, whoever makes it.
//! - A new file is made beside its place, and has its name when it is whole.
//! - Its name in the folder, and whatever was written to it before a crash, are durable before anybody is told of them.
//! - A file of something else, or of another format, is refused and left as it is.

mod replace;
#[cfg(test)]
mod tests;

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant as Monotonic};

use redb::backends::{FileBackend, InMemoryBackend};
use redb::{
    Database, DatabaseError, ReadOnlyDatabase, ReadTransaction, ReadableDatabase, StorageError, TableDefinition,
    TableError, WriteTransaction,
};
use thiserror::Error;

use base::owner::{self, share_like_folder, take_after_folder};

pub use base::owner::folder_of;
pub use replace::{beside, exchange, remove_if_there};
use replace::{is_made, put_in_place, remove_unfinished, unfinished};

/// Where a file says which format it has, under [`FORMAT_KEY`].
pub const META: TableDefinition<'static, &str, u64> = TableDefinition::new("meta");

/// The key of the format in [`META`].
pub const FORMAT_KEY: &str = "format";

/// Memory for an empty database.
const MAKING_CACHE_BYTES: usize = 1 << 20;

/// How long to wait between two tries to open a file that is in use.
const RETRY_INTERVAL: Duration = Duration::from_millis(10);

/// What a file holds, and what to do about one that cannot be used.
#[derive(Debug)]
pub struct FileKind {
    /// What it is, with its article: "a log".
    pub what: &'static str,
    /// The format that this version writes and reads.
    pub format: u64,
    /// What to do about a file that is something else.
    pub if_foreign: &'static str,
    /// What to do about a file that is damaged.
    pub if_damaged: &'static str,
}

/// Opens a database, again and again when need be.
pub(crate) type Opener = Box<dyn Fn() -> Result<Database, OpenError> + Send + Sync>;

/// Why a file cannot be used.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The folder is not there.
    #[error("the folder of {} does not exist; create it, or name the right data folder", path.display())]
    NoFolder {
        /// The file.
        path: PathBuf,
    },
    /// Another process has the file. It may be good.
    #[error("{} is in use by another process; is a gateway running on this data folder?", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The file is something else.
    #[error("{} is not {what} of this gateway; {remedy}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What it should be.
        what: &'static str,
        /// What to do.
        remedy: &'static str,
    },
    /// Another version of the gateway has written the file.
    #[error(
        "{} has format {found}, this version reads format {known}; use the version of the gateway that wrote it",
        path.display()
    )]
    OtherFormat {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u64,
        /// The format that this version reads.
        known: u64,
    },
    /// The system does not let the file be opened, made or removed.
    #[error("cannot open {}{}; check its owner, its permissions and the disk", path.display(), owner::whose(path, source))]
    System {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The database in the file cannot be opened or read: the disk fails, or the file is damaged.
    #[error("cannot open the database in {}; check the disk, and {remedy} if it is damaged", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What to do where it is damaged.
        remedy: &'static str,
        /// What redb says.
        #[source]
        source: Box<redb::Error>,
    },
}

impl FileKind {
    /// Opens the database in the file at `path`, which is made when there is none. `cache_bytes` of memory are for its pages.
    ///
    /// # Errors
    /// When the folder is missing, another process has the file, it is no database, or the disk fails.
    pub fn open(&self, path: &Path, cache_bytes: usize) -> Result<Database, OpenError> {
        if !folder_of(path).is_dir() {
            return Err(OpenError::NoFolder { path: path.into() });
        }
        if !is_made(path) {
            self.make_whole(path)?;
        }
        self.open_as(&mut OpenOptions::new(), path, cache_bytes)
    }

    /// Makes the file at `path`, where there must be none, with an empty database in it.
    ///
    /// # Errors
    /// Those of [`Self::open`], and when there is a file.
    pub fn create(&self, path: &Path, cache_bytes: usize) -> Result<Database, OpenError> {
        self.open_as(OpenOptions::new().create_new(true), path, cache_bytes)
    }

    /// Opens the file at `path` for reading; [`None`] where there is none. One that was left in the middle of a change is
    /// mended first, for which nobody else may have it.
    ///
    /// # Errors
    /// Those of [`Self::open`].
    pub fn open_to_read(&self, path: &Path, cache_bytes: usize) -> Result<Option<ReadOnlyDatabase>, OpenError> {
        if !path.exists() {
            return Ok(None);
        }
        let read_only = || Database::builder().set_cache_size(cache_bytes).open_read_only(path);
        let opened = match read_only() {
            Err(DatabaseError::RepairAborted) => {
                drop(self.open(path, cache_bytes)?);
                read_only()
            }
            opened => opened,
        };
        opened.map(Some).map_err(|error| self.refused(path, error))
    }

    /// Whether the file at `path` is one of this kind, without changing it. One that is not there is, and so are one that is in
    /// use and one that was left in the middle of a change: whoever opens it mends it.
    ///
    /// # Errors
    /// Those of [`Self::open`].
    pub fn probe(&self, path: &Path) -> Result<(), OpenError> {
        if !folder_of(path).is_dir() {
            return Err(OpenError::NoFolder { path: path.into() });
        }
        if !path.exists() {
            return Ok(());
        }
        let opened = Database::builder().open_read_only(path);
        let database = match opened {
            Ok(database) => database,
            Err(DatabaseError::RepairAborted) => return Ok(()),
            Err(error) => {
                return match self.refused(path, error) {
                    OpenError::InUse { .. } => Ok(()),
                    error => Err(error),
                };
            }
        };
        let transaction = database.begin_read().map_err(|error| self.unusable(path, error))?;
        let is_empty = transaction.list_tables().map_err(|error| self.unusable(path, error))?.next().is_none();
        match self.format_in(path, &transaction)? {
            Some(found) => self.check_format(path, found),
            None if is_empty => Ok(()),
            None => Err(self.foreign(path)),
        }
    }

    /// An empty database that leaves nothing on disk. `path` is for messages.
    ///
    /// # Errors
    /// When there is no memory.
    pub fn in_memory(&self, path: &Path) -> Result<Database, OpenError> {
        let opened = Database::builder().create_with_backend(InMemoryBackend::new());
        opened.map_err(|error| self.refused(path, error))
    }

    /// Notes the format in an empty database and has `make` make its tables, in one commit; else checks that the database is
    /// of this kind and of a known format. Whether it was empty.
    ///
    /// # Errors
    /// When it is something else, of another format, or cannot be read or written.
    pub fn prepare(
        &self,
        path: &Path,
        database: &Database,
        make: impl FnOnce(&WriteTransaction) -> Result<(), redb::Error>,
    ) -> Result<bool, OpenError> {
        let is_empty = || Ok::<_, redb::Error>(database.begin_read()?.list_tables()?.next().is_none());
        if is_empty().map_err(|error| self.unusable(path, error))? {
            return self.make(database, make).map(|()| true).map_err(|error| self.unusable(path, error));
        }
        match self.format_of(path, database)? {
            Some(found) => self.check_format(path, found).map(|()| false),
            None => Err(self.foreign(path)),
        }
    }

    /// Refuses a file whose format is `found`, where that is not the one that this version reads.
    ///
    /// # Errors
    /// [`OpenError::OtherFormat`].
    pub fn check_format(&self, path: &Path, found: u64) -> Result<(), OpenError> {
        let refusal = || OpenError::OtherFormat { path: path.into(), found, known: self.format };
        (found == self.format).then_some(()).ok_or_else(refusal)
    }

    /// It is something else.
    pub fn foreign(&self, path: &Path) -> OpenError {
        OpenError::Foreign { path: path.into(), what: self.what, remedy: self.if_foreign }
    }

    /// The database does not open, or cannot be read.
    pub fn unusable(&self, path: &Path, error: impl Into<redb::Error>) -> OpenError {
        OpenError::Unusable { path: path.into(), remedy: self.if_damaged, source: Box::new(error.into()) }
    }

    fn open_as(&self, how: &mut OpenOptions, path: &Path, cache_bytes: usize) -> Result<Database, OpenError> {
        let failed = |source| OpenError::System { path: path.into(), source };
        if !folder_of(path).is_dir() {
            return Err(OpenError::NoFolder { path: path.into() });
        }
        let file = how.read(true).write(true).truncate(false).mode(0o600).open(path).map_err(failed)?;
        let found = file.metadata().map_err(failed)?;
        if found.len() == 0 {
            take_after_folder(&file, path).and_then(|()| share_like_folder(&file, path)).map_err(failed)?;
        }
        let inode = found.ino();
        // Without this the name of a new file may not survive a power cut, whatever is synced in the file.
        sync_folder(path).map_err(failed)?;
        // After a crash or a failed commit the file may hold what was written and never synced. Nobody may be told of it
        // while a power cut could still take it away.
        file.sync_all().map_err(failed)?;
        let backend = FileBackend::new(file).map_err(|error| self.refused(path, error))?;
        // Another file has taken its place before this one was locked: what is written here would be lost.
        if fs::metadata(path).map_err(failed)?.ino() != inode {
            return Err(OpenError::InUse { path: path.into() });
        }
        let opened = Database::builder().set_cache_size(cache_bytes).create_with_backend(backend);
        opened.map_err(|error| self.refused(path, error))
    }

    /// Makes the file at `path` with an empty database in it. A crash leaves no half of one behind that name.
    fn make_whole(&self, path: &Path) -> Result<(), OpenError> {
        let failed = |source| OpenError::System { path: path.into(), source };
        remove_unfinished(path).map_err(failed)?;
        let unfinished = unfinished(path);
        let made = match self.create(&unfinished, MAKING_CACHE_BYTES) {
            Err(OpenError::System { source, .. }) => Err(source),
            Err(other) => return Err(other),
            Ok(database) => {
                drop(database);
                Ok(())
            }
        };
        let synced = made.and_then(|()| File::open(&unfinished)?.sync_all());
        let placed = synced.and_then(|()| put_in_place(&unfinished, path));
        match placed {
            Ok(()) => sync_folder(path).map_err(failed),
            // Another process was at the same.
            Err(error) if error.kind() == ErrorKind::NotFound => Err(OpenError::InUse { path: path.into() }),
            Err(error) => Err(failed(error)),
        }
    }

    fn make(
        &self,
        database: &Database,
        make: impl FnOnce(&WriteTransaction) -> Result<(), redb::Error>,
    ) -> Result<(), redb::Error> {
        let mut transaction = database.begin_write()?;
        transaction.set_quick_repair(true);
        transaction.open_table(META)?.insert(FORMAT_KEY, self.format)?;
        make(&transaction)?;
        Ok(transaction.commit()?)
    }

    fn format_of(&self, path: &Path, database: &Database) -> Result<Option<u64>, OpenError> {
        let transaction = database.begin_read().map_err(|error| self.unusable(path, error))?;
        self.format_in(path, &transaction)
    }

    fn format_in(&self, path: &Path, transaction: &ReadTransaction) -> Result<Option<u64>, OpenError> {
        let meta = match transaction.open_table(META) {
            Ok(meta) => meta,
            Err(TableError::Storage(error)) => return Err(self.unusable(path, error)),
            Err(_) => return Ok(None),
        };
        Ok(meta.get(FORMAT_KEY).map_err(|error| self.unusable(path, error))?.map(|format| format.value()))
    }

    /// Why redb does not open it.
    pub(crate) fn refused(&self, path: &Path, error: DatabaseError) -> OpenError {
        match error {
            DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => {
                OpenError::InUse { path: path.into() }
            }
            DatabaseError::Storage(StorageError::Io(error)) => match error.kind() {
                ErrorKind::InvalidData => self.foreign(path),
                ErrorKind::WouldBlock => OpenError::InUse { path: path.into() },
                ErrorKind::PermissionDenied => OpenError::System { path: path.into(), source: error },
                _ => self.unusable(path, StorageError::Io(error)),
            },
            error => self.unusable(path, error),
        }
    }
}

/// Tries to open a file again, for as long as `wait`, while another process has it.
///
/// # Errors
/// Those of `open`.
pub fn while_in_use<T>(wait: Duration, open: impl Fn() -> Result<T, OpenError>) -> Result<T, OpenError> {
    let until = Monotonic::now() + wait;
    loop {
        match open() {
            Err(OpenError::InUse { .. }) if Monotonic::now() < until => std::thread::sleep(RETRY_INTERVAL),
            opened => return opened,
        }
    }
}

/// Makes the names in the folder of `path` durable.
///
/// # Errors
/// What the system says.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(folder_of(path))?.sync_all()
}
