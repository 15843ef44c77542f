//! Credentials are known by a keyed hash only: who has the files but not the key cannot try codes against them.

use std::fmt;
use std::path::Path;

use protocol::CredentialHash;

use super::AccessError;

/// The site's key for credential hashes.
pub struct CredentialKey([u8; 32]);

impl CredentialKey {
    /// A key of these bytes.
    pub fn new(key: [u8; 32]) -> Self {
        Self(key)
    }

    /// Reads a key from a file with 64 hexadecimal digits.
    ///
    /// # Errors
    /// When the file cannot be read or holds something else.
    pub fn read(path: &Path) -> Result<Self, AccessError> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            AccessError::new(path, format!("cannot be read ({error}); without it no badge is recognised"))
        })?;
        let hash = blake3::Hash::from_hex(text.trim())
            .map_err(|_| AccessError::new(path, "must hold 64 hexadecimal digits; restore it from a backup"))?;
        Ok(Self(*hash.as_bytes()))
    }

    /// The hash of a credential: the first 16 bytes of keyed BLAKE3.
    pub fn hash(&self, credential: &str) -> CredentialHash {
        let mut first = [0; 16];
        first
            .iter_mut()
            .zip(blake3::keyed_hash(&self.0, credential.as_bytes()).as_bytes())
            .for_each(|(to, from)| *to = *from);
        CredentialHash(first)
    }
}

impl fmt::Debug for CredentialKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CredentialKey(secret)")
    }
}
