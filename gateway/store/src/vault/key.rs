//! One key: what is encrypted with it can neither be read nor changed without it.

use std::fmt;

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

use super::VaultError;

/// 32 random bytes.
pub(super) type Secret = [u8; 32];

/// A key, ready for use.
pub(super) struct Key {
    /// The number of the subject whose key it is.
    pub of: u64,
    cipher: LessSafeKey,
    nonces: Secret,
}

impl Key {
    /// The key that is made of a secret.
    pub fn new(of: u64, secret: &Secret) -> Result<Self, VaultError> {
        let cipher = blake3::derive_key("gapura 2026-11 vault, encryption", secret);
        let cipher = UnboundKey::new(&AES_256_GCM, &cipher).map_err(|_| VaultError::Cipher)?;
        let nonces = blake3::derive_key("gapura 2026-11 vault, nonces", secret);
        Ok(Self { of, cipher: LessSafeKey::new(cipher), nonces })
    }

    /// Encrypts `bytes`: the cipher's text, its tag, the nonce. It opens with the same `context` only.
    ///
    /// An event's number is used again when its commit has failed. So the nonce is a keyed hash of all that goes in: the same
    /// nonce then means the same bytes.
    pub fn encrypt(&self, context: &[u8], bytes: &[u8]) -> Result<Vec<u8>, VaultError> {
        let mut hasher = blake3::Hasher::new_keyed(&self.nonces);
        hasher.update(&(context.len() as u64).to_be_bytes()).update(context).update(bytes);
        let mut nonce = [0; NONCE_LEN];
        hasher.finalize_xof().fill(&mut nonce);
        let mut encrypted = Vec::with_capacity(bytes.len() + AES_256_GCM.tag_len() + NONCE_LEN);
        encrypted.extend_from_slice(bytes);
        self.cipher
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(context), &mut encrypted)
            .map_err(|_| VaultError::Cipher)?;
        encrypted.extend_from_slice(&nonce);
        Ok(encrypted)
    }

    /// Decrypts what [`encrypt`](Self::encrypt) has made; [`None`] where it is anything else.
    pub fn open(&self, context: &[u8], encrypted: &[u8]) -> Option<Vec<u8>> {
        let (body, nonce) = encrypted.split_last_chunk::<NONCE_LEN>()?;
        let mut bytes = body.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let len = self.cipher.open_in_place(nonce, Aad::from(context), &mut bytes).ok()?.len();
        bytes.truncate(len);
        Some(bytes)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

/// A new secret.
pub(super) fn random() -> Result<Secret, VaultError> {
    let mut secret = Secret::default();
    getrandom::fill(&mut secret).map_err(|source| VaultError::Random { source })?;
    Ok(secret)
}
