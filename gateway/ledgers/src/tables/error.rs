//! Why the ledgers' file cannot be used.

use store::file::OpenError;
use thiserror::Error;

/// Why the file cannot be used.
#[derive(Debug, Error)]
pub enum TablesError {
    /// It is not what was written, or something else.
    #[error("{0}")]
    Damaged(&'static str),
    /// The disk or the database does not do what it should.
    #[error("{0}")]
    Database(#[from] redb::Error),
    /// It cannot be opened. Where it is in use by another process it may be good.
    #[error(transparent)]
    Open(#[from] OpenError),
}

macro_rules! tables_error_from {
    ($($error:ty),*) => {
        $(impl From<$error> for TablesError {
            fn from(error: $error) -> Self {
                Self::Database(error.into())
            }
        })*
    };
}
tables_error_from!(redb::StorageError, redb::TableError, redb::TransactionError, redb::CommitError);
