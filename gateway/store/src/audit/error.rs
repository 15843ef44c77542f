//! What goes wrong with the audit trail.

use std::sync::Arc;

use thiserror::Error;

use crate::file::OpenError;

/// Records that wait to be written. More are not taken.
pub(super) const QUEUE_RECORDS_MAX: usize = 512;

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
