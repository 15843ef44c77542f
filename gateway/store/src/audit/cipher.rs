//! How the audit trail is encrypted is for others to say: it knows no keys.

use protocol::Instant;

/// Encrypts what tells whose data a record is about, under a key of that person's own.
pub trait AuditCipher: Send + Sync {
    /// Encrypts `plain` under the subject's key of the month of `at`: the subject's number, and the bytes. `None` where
    /// there is no such subject and none is to be made: who is not in the directory, or was erased.
    ///
    /// `context` is the record's number; it must be the same to decrypt. Called on the thread that writes records, while a commit
    /// is open: it must not record or expire anything itself.
    ///
    /// # Errors
    /// When the keys cannot be used; the reason is for the log.
    fn encrypt(&self, subject: &str, at: Instant, context: u64, plain: &[u8])
    -> Result<Option<(u64, Vec<u8>)>, String>;

    /// What was encrypted; `None` when the key was destroyed.
    fn decrypt(&self, of: u64, at: Instant, context: u64, bytes: &[u8]) -> Option<Vec<u8>>;
}
