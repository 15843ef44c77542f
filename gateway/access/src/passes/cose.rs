//! COSE_Sign1 (RFC 9052): who says that they signed with which algorithm, what was signed, and the bytes to verify.

use minicbor::Encoder;

use super::cbor::{self, Value};
use super::fault::{Fault, Refusal};
use super::keys::Algorithm;

/// The tag of a COSE_Sign1 structure.
const SIGN1: u64 = 18;

/// The tag of a CBOR web token (RFC 8392).
const CWT: u64 = 61;

/// Header labels.
const ALGORITHM: i64 = 1;
const CRITICAL: i64 = 2;
const KEY_ID: i64 = 4;

/// Longest key id, in bytes.
pub(super) const KEY_ID_BYTES_MAX: usize = 64;

/// A signed message whose signature nobody has looked at yet.
#[derive(Debug)]
pub(super) struct Sign1 {
    pub(super) algorithm: Algorithm,
    pub(super) key_id: Vec<u8>,
    pub(super) payload: Vec<u8>,
    pub(super) signature: Vec<u8>,
    /// The protected header as it was signed.
    protected: Vec<u8>,
}

/// The parts of a message, in their order.
struct MessageParts<'a> {
    protected: &'a [u8],
    unprotected: &'a Value<'a>,
    payload: &'a [u8],
    signature: &'a [u8],
}

impl Sign1 {
    /// Reads a message in the one form that a staff pass may have: tagged, both headers in the protected one, nothing
    /// in the unprotected one, and encoded in the shortest way, so that a signed pass has one text only.
    pub(super) fn strict(bytes: &[u8]) -> Result<Self, Refusal> {
        let value = cbor::parse(bytes)?;
        let Value::Tag(SIGN1, message) = value else {
            return Err(Refusal::malformed("the pass is no tagged COSE_Sign1 structure"));
        };
        let parts = parts(&message)?;
        let protected = header(parts.protected)?;
        let labels = protected.map().unwrap_or_default().iter().map(|(label, _)| label);
        for label in labels {
            if !matches!(label, Value::Int(ALGORITHM | KEY_ID)) {
                return Err(Refusal::malformed("the protected header holds more than algorithm and key id"));
            }
        }
        if parts.unprotected.map().is_none_or(|entries| !entries.is_empty()) {
            return Err(Refusal::malformed("the unprotected header is not empty"));
        }
        let message = Self::new(&parts, protected.at(ALGORITHM), protected.at(KEY_ID))?;
        if message.to_bytes() != bytes {
            return Err(Refusal::malformed("the pass is not encoded in the shortest way"));
        }
        Ok(message)
    }

    /// Reads a message in the forms that issuers of health certificates write: tagged once, twice or not at all, with
    /// the key id in the protected header or else in the unprotected one. The algorithm is protected (RFC 9052, 3.1).
    pub(super) fn lenient(bytes: &[u8]) -> Result<Self, Refusal> {
        let mut value = cbor::parse(bytes)?;
        if let Value::Tag(CWT, inner) = value {
            value = *inner;
        }
        if let Value::Tag(SIGN1, inner) = value {
            value = *inner;
        }
        let parts = parts(&value)?;
        let protected = header(parts.protected)?;
        if protected.at(CRITICAL).is_some() {
            return Err(Refusal::malformed("the protected header demands an extension that is unknown here"));
        }
        let key_id = protected.at(KEY_ID).or_else(|| parts.unprotected.at(KEY_ID));
        Self::new(&parts, protected.at(ALGORITHM), key_id)
    }

    fn new(
        parts: &MessageParts<'_>,
        algorithm: Option<&Value<'_>>,
        key_id: Option<&Value<'_>>,
    ) -> Result<Self, Refusal> {
        let algorithm = match algorithm {
            Some(Value::Int(label)) => Algorithm::of_label(*label),
            _ => None,
        };
        let algorithm = algorithm.ok_or_else(|| {
            Refusal::new(Fault::Algorithm, "the protected header names none of EdDSA, ES256 and PS256")
        })?;
        let key_id = key_id.and_then(Value::bytes).filter(|id| !id.is_empty() && id.len() <= KEY_ID_BYTES_MAX);
        let key_id = key_id.ok_or_else(|| {
            Refusal::new(Fault::NoKeyId, format!("the header holds no key id of 1 to {KEY_ID_BYTES_MAX} bytes"))
        })?;
        Ok(Self {
            algorithm,
            key_id: key_id.to_vec(),
            payload: parts.payload.to_vec(),
            signature: parts.signature.to_vec(),
            protected: parts.protected.to_vec(),
        })
    }

    /// A message that is still to be signed.
    pub(super) fn unsigned(algorithm: Algorithm, key_id: &[u8], payload: Vec<u8>) -> Self {
        let protected = encoded(|e| {
            e.map(2)?.i64(ALGORITHM)?.i64(algorithm.label())?.i64(KEY_ID)?.bytes(key_id)?;
            Ok(())
        });
        Self { algorithm, key_id: key_id.to_vec(), payload, signature: Vec::new(), protected }
    }

    /// What the signature is made over: RFC 9052, section 4.4.
    pub(super) fn to_be_signed(&self) -> Vec<u8> {
        // An empty map is signed as no bytes at all, in whichever of the two ways it was written.
        let protected = if self.protected == [0xa0] { &[] } else { self.protected.as_slice() };
        encoded(|e| {
            e.array(4)?.str("Signature1")?.bytes(protected)?.bytes(&[])?.bytes(&self.payload)?;
            Ok(())
        })
    }

    /// The tagged message with an empty unprotected header.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        encoded(|e| {
            e.tag(minicbor::data::Tag::new(SIGN1))?.array(4)?.bytes(&self.protected)?.map(0)?;
            e.bytes(&self.payload)?.bytes(&self.signature)?;
            Ok(())
        })
    }
}

fn parts<'a>(message: &'a Value<'a>) -> Result<MessageParts<'a>, Refusal> {
    match message.array() {
        Some([protected, unprotected @ Value::Map(_), payload, signature]) => {
            let bytes =
                |value: &'a Value<'a>| value.bytes().ok_or_else(|| Refusal::malformed("no COSE_Sign1 structure"));
            let (protected, payload, signature) = (bytes(protected)?, bytes(payload)?, bytes(signature)?);
            Ok(MessageParts { protected, unprotected, payload, signature })
        }
        _ => Err(Refusal::malformed("no COSE_Sign1 structure")),
    }
}

fn header(protected: &[u8]) -> Result<Value<'_>, Refusal> {
    if protected.is_empty() {
        return Ok(Value::Map(Vec::new()));
    }
    let header = cbor::parse(protected)?;
    if header.map().is_none() {
        return Err(Refusal::malformed("the protected header is no map"));
    }
    Ok(header)
}

/// What `write` writes. Writing to memory does not fail.
pub(super) fn encoded(
    write: impl FnOnce(&mut Encoder<&mut Vec<u8>>) -> Result<(), minicbor::encode::Error<std::convert::Infallible>>,
) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(512);
    match write(&mut Encoder::new(&mut bytes)) {
        Ok(()) => bytes,
        Err(_) => Vec::new(),
    }
}
