//! What goes wrong with the vault of keys.

use std::path::PathBuf;

use thiserror::Error;

use crate::file::OpenError;

/// What goes wrong with the vault of keys.
#[derive(Debug, Error)]
pub enum VaultError {
    /// The file cannot be used, whether at the start or when it is opened again.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A read failed.
    #[error("{} cannot be read; check the disk", path.display())]
    Read {
        /// The vault's file.
        path: PathBuf,
        /// What redb says.
        #[source]
        source: Box<redb::Error>,
    },
    /// A change failed, and may be tried again.
    #[error("{} cannot be written; check the disk and its free space", path.display())]
    Write {
        /// The vault's file.
        path: PathBuf,
        /// What redb says.
        #[source]
        source: Box<redb::Error>,
    },
    /// The new file did not take the place of the old one, or not for certain: nothing may count as destroyed.
    #[error("{} cannot be replaced by a file without the destroyed keys; check the disk and do it again", path.display())]
    Exchange {
        /// The vault's file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// The file is being opened again after a failure, or that has failed. Try again.
    #[error("{} is not open after a failure of the disk; try again", path.display())]
    NotOpen {
        /// The vault's file.
        path: PathBuf,
    },
    /// The system gives no random numbers, so there is no new key.
    #[error("no key can be made: the system gives no random numbers")]
    Random {
        /// What the system says.
        #[source]
        source: getrandom::Error,
    },
    /// A value cannot be written as CBOR.
    #[error("cannot encode what was to be kept: {0}")]
    Encode(String),
    /// A restriction in the file is none.
    #[error("{} has an entry that is damaged ({reason}); restore the file from a backup", path.display())]
    Entry {
        /// The vault's file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The cipher takes no such key or text, because it is too long.
    #[error("what was to be encrypted is too long for the cipher")]
    Cipher,
    /// Encrypted bytes are not what was encrypted.
    #[error("encrypted bytes are not what was encrypted; restore their file from a backup")]
    Tampered,
}
