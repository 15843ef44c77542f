//! Where the vault is stored: its tables, how it is opened, and how it is rewritten without what was destroyed.

use std::path::{Path, PathBuf};

use redb::{Database, ReadTransaction, ReadableTable, TableDefinition, WriteTransaction};

use super::VaultError;
use super::key::Secret;
pub(super) use crate::file::META;
use crate::file::{self, FileKind, OpenError};

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

/// The name of the key of checkpoints, in [`OWN_KEYS`].
pub(super) const CHECKPOINT: &str = "checkpoint";
/// The number of the next subject, in [`META`]. None is ever given twice.
pub(super) const NEXT_NUMBER: &str = "next_number";
/// Number of the last event that may be encrypted with keys of a vault that is gone, in [`META`].
pub(super) const LOST_THROUGH: &str = "lost_through";

pub(super) const KIND: FileKind = FileKind {
    what: "a vault",
    format: FORMAT,
    if_foreign: "restore it from a backup. Without it the log does not tell any more who its events are about; if it is \
                 lost for good, move the file away and start again",
    if_damaged: "restore the file from a backup",
};

/// Where the database is.
pub(super) enum Storage {
    File {
        path: PathBuf,
        cache_bytes: usize,
    },
    Memory,
    #[cfg(any(test, feature = "testing"))]
    Made(file::Opener),
}

/// What stays when the file is written anew.
pub(super) struct Keep<'a> {
    pub subject: &'a dyn Fn(u64) -> bool,
    /// Month and number.
    pub key: &'a dyn Fn(u32, u64) -> bool,
}

impl Storage {
    /// Opens the database, which is made where there is none.
    pub fn open(&self) -> Result<Database, VaultError> {
        match self {
            Self::File { path, cache_bytes } => Ok(KIND.open(path, *cache_bytes)?),
            Self::Memory => self.in_memory(),
            #[cfg(any(test, feature = "testing"))]
            Self::Made(make) => Ok(make()?),
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
        let Self::File { path, cache_bytes } = self else { return self.in_memory() };
        if !file::folder_of(path).is_dir() {
            return Err(OpenError::NoFolder { path: path.clone() }.into());
        }
        remove_leftover(path)?;
        Ok(KIND.create(&file::beside(path), *cache_bytes)?)
    }

    /// Puts the new database in the place of the one in force: from here on nothing finds the old one.
    pub fn exchange(&self) -> Result<(), VaultError> {
        let Self::File { path, .. } = self else { return Ok(()) };
        file::exchange(path).map_err(|source| VaultError::Exchange { path: path.clone(), source })
    }

    /// Removes a new database that did not come into force, because the work on it was interrupted.
    pub fn clear_leftover(&self) -> Result<(), VaultError> {
        let Self::File { path, .. } = self else { return Ok(()) };
        remove_leftover(path)
    }

    /// Makes the names in the folder last.
    pub fn sync_folder(&self) -> Result<(), VaultError> {
        let Self::File { path, .. } = self else { return Ok(()) };
        file::sync_folder(path).map_err(|source| VaultError::Exchange { path: path.clone(), source })
    }

    /// For messages.
    pub fn shown(&self) -> PathBuf {
        match self {
            Self::File { path, .. } => path.clone(),
            _ => PathBuf::from("vault.redb"),
        }
    }

    fn in_memory(&self) -> Result<Database, VaultError> {
        Ok(KIND.in_memory(&self.shown())?)
    }
}

/// Makes the tables in an empty database, else checks that it is a vault of a known format. Whether it was empty.
pub(super) fn prepare(path: &Path, database: &Database, checkpoint: &Secret) -> Result<bool, VaultError> {
    let is_new = KIND.prepare(path, database, |transaction| {
        transaction.open_table(OWN_KEYS)?.insert(CHECKPOINT, *checkpoint)?;
        transaction.open_table(SUBJECTS)?;
        transaction.open_table(NUMBERS)?;
        transaction.open_table(KEYS)?;
        transaction.open_table(RESTRICTIONS)?;
        Ok(())
    })?;
    Ok(is_new)
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

/// Removes a new file that was interrupted.
fn remove_leftover(path: &Path) -> Result<(), VaultError> {
    let beside = file::beside(path);
    Ok(file::remove_if_there(&beside).map_err(|source| OpenError::System { path: beside, source })?)
}
