//! Credentials are known by a keyed hash only: who has the files but not the key cannot try codes against them.

use std::fmt;
use std::path::Path;

use protocol::CredentialHash;

use base::file_error::FileError;
use base::owner::why;

/// What an ID number is written behind, to be told from a badge's code.
pub(super) const ID_NUMBER: &str = "ID:";

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
    pub fn read(path: &Path) -> Result<Self, FileError> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            FileError::new(path, format!("cannot be read ({}); without it no badge is recognised", why(path, &error)))
        })?;
        let hash = blake3::Hash::from_hex(text.trim())
            .map_err(|_| FileError::new(path, "must hold 64 hexadecimal digits; restore it from a backup"))?;
        Ok(Self(*hash.as_bytes()))
    }

    /// The hash of a credential in its normal form: the first 16 bytes of keyed BLAKE3.
    ///
    /// An ID number, `ID:` and what a helper has typed, is hashed as it is written in no particular way: see
    /// [`normal_id_number`].
    pub fn hash(&self, credential: &str) -> CredentialHash {
        let credential = protocol::normal_code(credential);
        match id_number(credential) {
            Some(number) => self.hash_bytes(format!("{ID_NUMBER}{}", normal_id_number(number)).as_bytes()),
            None => self.hash_bytes(credential.as_bytes()),
        }
    }

    /// What tells one pass from another in the log: the first 16 bytes of keyed BLAKE3 of the pass's id.
    pub(super) fn hash_pass(&self, id: &[u8; 16]) -> CredentialHash {
        self.hash_bytes(&[b"pass:", id.as_slice()].concat())
    }

    /// What tells one payload that is no scan from another: the first 16 bytes of keyed BLAKE3 of its digest.
    pub fn hash_payload(&self, digest: &[u8; 32]) -> CredentialHash {
        self.hash_bytes(&[b"payload:", digest.as_slice()].concat())
    }

    fn hash_bytes(&self, credential: &[u8]) -> CredentialHash {
        let mut first = [0; 16];
        first.iter_mut().zip(blake3::keyed_hash(&self.0, credential).as_bytes()).for_each(|(to, from)| *to = *from);
        CredentialHash(first)
    }
}

/// Whether a credential is an ID number that somebody has typed.
pub(super) fn is_id_number(credential: &str) -> bool {
    id_number(credential).is_some()
}

/// What stands behind `ID:`.
fn id_number(credential: &str) -> Option<&str> {
    let (prefix, number) = credential.trim_start().split_at_checked(ID_NUMBER.len())?;
    prefix.eq_ignore_ascii_case(ID_NUMBER).then_some(number)
}

/// An ID number without the spaces, dots and dashes that some write and others do not, in capital letters.
pub(super) fn normal_id_number(number: &str) -> String {
    let written = number.chars().filter(|c| !c.is_whitespace() && !matches!(c, '.' | '-'));
    written.flat_map(char::to_uppercase).collect()
}

impl fmt::Debug for CredentialKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CredentialKey(secret)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_number_is_one_credential_however_it_is_written() {
        let key = CredentialKey::new([7; 32]);
        let hash = key.hash("ID:19870102X");
        for written in ["ID: 1987.01-02x", "id:19870102X", " Id:1987 01\u{a0}02 X", "ID:-1.9-8.7-0.1-0.2-X-"] {
            assert_eq!(key.hash(written), hash, "{written}");
        }
        for other in ["19870102X", "ID;19870102X", "ID:19870102Y", "I", "", "XID:19870102X"] {
            assert_ne!(key.hash(other), hash, "{other}");
        }
    }

    #[test]
    fn a_badge_is_hashed_to_the_letter() {
        let key = CredentialKey::new([7; 32]);
        for (badge, other) in [("B-1", "B1"), ("b1", "B1"), ("B 1", "B1")] {
            assert_ne!(key.hash(badge), key.hash(other));
        }
        let plain = blake3::keyed_hash(&[7; 32], b"B-1");
        assert_eq!(key.hash("B-1").0, plain.as_bytes()[..16]);
    }
}
