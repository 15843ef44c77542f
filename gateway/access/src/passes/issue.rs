//! Issues passes: signing keys, and the text that goes into a QR code.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use protocol::Instant;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use serde_json::json;

use super::base45;
use super::cose::{KEY_ID_BYTES_MAX, Sign1};
use super::keys::{Algorithm, derived_key_id};
use super::staff::{ID_BYTES, NewPass, TEXT_CHARS_MAX, is_short_text};
use super::{CHARS_MAX, PREFIX_PASS};

/// The X.509 structure around a bare key of each kind, up to the key's own bytes (RFC 8410, RFC 5480).
const ED25519_SPKI: &[u8] = &[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
const P256_SPKI: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// How a signing key signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SigningAlgorithm {
    /// Ed25519: the smaller codes, the usual choice.
    Ed25519,
    /// ECDSA on P-256 with SHA-256, for keys from hardware that has no Ed25519.
    Es256,
}

/// A private key that signs staff passes.
pub struct SigningKey {
    pair: Pair,
    id: Vec<u8>,
}

enum Pair {
    Ed25519(Ed25519KeyPair),
    Es256(EcdsaKeyPair, SystemRandom),
}

/// Why a pass cannot be issued. Trying again with the same input does not help.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// The key is none that signs passes.
    #[error("no PKCS#8 private key of Ed25519 or P-256; `gapura pass key` makes one")]
    Key,
    /// The key id is too long or empty.
    #[error("a key id has 1 to {KEY_ID_BYTES_MAX} bytes")]
    KeyId,
    /// A text is too long or has unprintable characters.
    #[error("the {0} must have 1 to {TEXT_CHARS_MAX} printable characters")]
    Text(&'static str),
    /// The id is too short or too long.
    #[error("a pass's id has {min} to {max} bytes", min = ID_BYTES.start(), max = ID_BYTES.end())]
    Id,
    /// The pass would never be valid.
    #[error("the pass would end ({until}) before it begins ({from})")]
    NeverValid {
        /// Its first moment.
        from: Instant,
        /// Its end.
        until: Instant,
    },
    /// The pass would be too long to be read.
    #[error("the pass would be longer than {CHARS_MAX} characters")]
    Oversize,
    /// The system's random numbers failed; trying again may help.
    #[error("the key could not be made or used: the system gave no random numbers")]
    Random,
}

impl SigningKey {
    /// A new key as PKCS#8 DER.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn generate(algorithm: SigningAlgorithm) -> Result<Vec<u8>, IssueError> {
        let random = SystemRandom::new();
        let document = match algorithm {
            SigningAlgorithm::Ed25519 => Ed25519KeyPair::generate_pkcs8(&random),
            SigningAlgorithm::Es256 => EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random),
        };
        document.map(|document| document.as_ref().to_vec()).map_err(|_| IssueError::Random)
    }

    /// The key of a PKCS#8 DER structure. Passes name it by `id`, or else by the SHA-256 of its public part.
    ///
    /// # Errors
    /// When it is of no kind that signs passes.
    pub fn from_pkcs8(der: &[u8], id: Option<&[u8]>) -> Result<Self, IssueError> {
        let random = SystemRandom::new();
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).map(Pair::Ed25519).or_else(|_| {
            let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der, &random);
            pair.map(|pair| Pair::Es256(pair, random)).map_err(|_| IssueError::Key)
        })?;
        let id = id.map_or_else(|| derived_key_id(&pair.public_der()), <[u8]>::to_vec);
        if !(1..=KEY_ID_BYTES_MAX).contains(&id.len()) {
            return Err(IssueError::KeyId);
        }
        Ok(Self { pair, id })
    }

    /// The id that passes name this key by.
    pub fn id(&self) -> &[u8] {
        &self.id
    }

    /// The public part as a JWK set for a trust folder, valid until then.
    pub fn public_jwks(&self, until: Option<Instant>) -> serde_json::Value {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let public = self.pair.public();
        let mut key = match &self.pair {
            Pair::Ed25519(_) => json!({ "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "x": encode(public) }),
            Pair::Es256(..) => {
                // A point is a mark and two numbers of the same length.
                let numbers = public.get(1..).unwrap_or_default();
                let (x, y) = numbers.split_at(numbers.len() / 2);
                json!({ "kty": "EC", "crv": "P-256", "alg": "ES256", "x": encode(x), "y": encode(y) })
            }
        };
        if let Some(fields) = key.as_object_mut() {
            fields.insert("use".into(), "sig".into());
            let is_text = self.id.iter().all(u8::is_ascii_graphic);
            let text = std::str::from_utf8(&self.id).ok().filter(|_| is_text);
            fields.insert("kid".into(), text.map_or_else(|| encode(&self.id), str::to_owned).into());
            if let Some(until) = until {
                fields.insert("exp".into(), until.unix_ms().div_euclid(1000).into());
            }
        }
        json!({ "keys": [key] })
    }

    /// The text of a signed pass.
    ///
    /// # Errors
    /// When the pass is one that no gateway would take.
    pub fn issue(&self, pass: &NewPass) -> Result<String, IssueError> {
        let optional = [("office", &pass.opd), ("host", &pass.host)];
        let optional = optional.into_iter().filter_map(|(name, text)| Some((name, text.as_ref()?)));
        for (name, text) in [("issuer", &pass.issuer), ("subject", &pass.subject)].into_iter().chain(optional) {
            if !is_short_text(text) {
                return Err(IssueError::Text(name));
            }
        }
        if !ID_BYTES.contains(&pass.id.len()) {
            return Err(IssueError::Id);
        }
        let from = pass.valid_from.unwrap_or(pass.issued).max(pass.issued);
        if pass.valid_until <= from {
            return Err(IssueError::NeverValid { from, until: pass.valid_until });
        }
        let text = self.sign(pass.payload())?;
        if text.len() > CHARS_MAX { Err(IssueError::Oversize) } else { Ok(text) }
    }

    /// The text of a pass with any payload.
    pub(super) fn sign(&self, payload: Vec<u8>) -> Result<String, IssueError> {
        let mut message = Sign1::unsigned(self.pair.algorithm(), &self.id, payload);
        message.signature = self.pair.sign(&message.to_be_signed())?;
        Ok(format!("{PREFIX_PASS}{}", base45::encode(&message.to_bytes())))
    }
}

impl Pair {
    fn algorithm(&self) -> Algorithm {
        match self {
            Self::Ed25519(_) => Algorithm::EdDsa,
            Self::Es256(..) => Algorithm::Es256,
        }
    }

    fn public(&self) -> &[u8] {
        match self {
            Self::Ed25519(pair) => pair.public_key().as_ref(),
            Self::Es256(pair, _) => pair.public_key().as_ref(),
        }
    }

    fn public_der(&self) -> Vec<u8> {
        let head = match self {
            Self::Ed25519(_) => ED25519_SPKI,
            Self::Es256(..) => P256_SPKI,
        };
        [head, self.public()].concat()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, IssueError> {
        match self {
            Self::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
            Self::Es256(pair, random) => {
                pair.sign(random, message).map(|signature| signature.as_ref().to_vec()).map_err(|_| IssueError::Random)
            }
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(secret)")
    }
}
