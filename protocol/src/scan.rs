//! A scan: one credential shown to one reader.

use std::borrow::Cow;
use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use crate::document::{self, DocumentError, Fault};
use crate::spelling::{Whole, normal_code, tidied, whole};
use crate::{Instant, VERSION};

/// Longest credential, in bytes: what the largest QR code of byte mode holds.
pub const CREDENTIAL_BYTES_MAX: usize = 2953;

/// Largest scan, in bytes: every byte of the longest credential may be spelled as an escape of six.
pub const SCAN_BYTES_MAX: usize = 20 * 1024;

/// Largest sequence number: the largest integer that every JSON reader keeps exactly.
pub const SEQ_MAX: u64 = (1 << 53) - 1;

/// What a reader publishes on its `scan` topic.
///
/// Its `Debug` form leaves the credential out.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scan {
    #[serde(deserialize_with = "whole")]
    v: u64,
    /// Rises when the reader has lost its counter.
    #[serde(deserialize_with = "whole")]
    pub epoch: u32,
    /// Rises by one with every scan of an epoch; at most [`SEQ_MAX`].
    #[serde(deserialize_with = "whole")]
    pub seq: u64,
    /// The reader's clock when it saw the credential.
    pub scanned_at: Instant,
    /// Which way the person wants to go.
    pub direction: Direction,
    /// What was shown, as [`normal_code`] has it: 1 to [`CREDENTIAL_BYTES_MAX`] bytes, no control characters.
    pub credential: String,
}

/// What tells one scan of a door from all its others.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, minicbor::Encode, minicbor::Decode,
)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ScanId {
    /// See [`Scan::epoch`].
    #[n(0)]
    pub epoch: u32,
    /// See [`Scan::seq`].
    #[n(1)]
    pub seq: u64,
}

/// Which way a person passes a door.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, minicbor::Encode, minicbor::Decode)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
#[cbor(index_only)]
pub enum Direction {
    /// Into the door's zone.
    #[n(0)]
    In,
    /// Out of the door's zone.
    #[n(1)]
    Out,
}

/// A payload on a `scan` topic that is no scan, and what of one was readable in it.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{error}")]
pub struct ScanError {
    /// Which scan it would have been: it can be answered and recognised when resent.
    pub id: Option<ScanId>,
    /// The reader's clock, as it stands there.
    pub scanned_at: Option<Instant>,
    /// Which way the person wants to go.
    pub direction: Option<Direction>,
    /// What is wrong with it.
    pub error: DocumentError,
}

impl Scan {
    /// A scan of this version.
    ///
    /// # Errors
    /// When the credential or the sequence number is out of its limits.
    pub fn new(
        id: ScanId,
        scanned_at: Instant,
        direction: Direction,
        credential: impl Into<String>,
    ) -> Result<Self, DocumentError> {
        let ScanId { epoch, seq } = id;
        Self { v: VERSION.into(), epoch, seq, scanned_at, direction, credential: credential.into() }.checked()
    }

    /// Reads a scan from an MQTT payload.
    ///
    /// # Errors
    /// When the payload is no scan of this version; the error repeats nothing of the credential.
    pub fn from_json(payload: &[u8]) -> Result<Self, ScanError> {
        document::read(payload, SCAN_BYTES_MAX).and_then(Self::checked).map_err(|error| ScanError::of(payload, error))
    }

    /// Which scan of its door this is.
    pub fn id(&self) -> ScanId {
        ScanId { epoch: self.epoch, seq: self.seq }
    }

    /// The scan as an MQTT payload.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    fn checked(mut self) -> Result<Self, DocumentError> {
        document::check_version(self.v)?;
        self.credential = checked_credential(&self.credential)?;
        if self.seq > SEQ_MAX {
            return Err(DocumentError::field(format!("\"seq\" is larger than {SEQ_MAX}")));
        }
        Ok(self)
    }
}

impl ScanError {
    /// The error of a payload of `bytes` bytes, which are more than a scan may have.
    pub fn too_large(bytes: usize) -> Self {
        let error = document::too_large(bytes, SCAN_BYTES_MAX);
        Self { id: None, scanned_at: None, direction: None, error }
    }

    /// What is wrong with a payload, `error` at first sight, and what can be read of it all the same.
    fn of(payload: &[u8], error: DocumentError) -> Self {
        let readable = Readable::of(payload);
        let is_twice = readable.is_none() && error.fault == Fault::BadField;
        let twice = is_twice.then(|| "a field stands there twice".to_owned());
        let Readable { id, scanned_at, direction, fault } = readable.unwrap_or_default();
        let named = fault.or(twice).filter(|_| error.fault != Fault::UnsupportedVersion).map(DocumentError::field);
        Self { id, scanned_at, direction, error: named.unwrap_or(error) }
    }
}

/// A credential's normal form, within its limits.
fn checked_credential(credential: &str) -> Result<String, DocumentError> {
    let code = normal_code(credential);
    if code.is_empty() {
        return Err(DocumentError::field("\"credential\" is empty"));
    }
    if code.len() > CREDENTIAL_BYTES_MAX {
        let message = format!("\"credential\" has {} bytes, allowed are 1 to {CREDENTIAL_BYTES_MAX}", code.len());
        return Err(DocumentError::field(message));
    }
    match code.chars().find(|char| char.is_control()) {
        Some(char) => {
            let message = format!("\"credential\" has a control character, U+{:04X}, within", u32::from(char));
            Err(DocumentError::field(message))
        }
        None => Ok(code.to_owned()),
    }
}

impl fmt::Debug for Scan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scan")
            .field("epoch", &self.epoch)
            .field("seq", &self.seq)
            .field("scanned_at", &self.scanned_at)
            .field("direction", &self.direction)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for ScanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.epoch, self.seq)
    }
}

impl Direction {
    /// The direction as it stands in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Out => "out",
        }
    }
}

/// What can be read of a payload that is no scan.
#[derive(Debug, Default)]
struct Readable {
    id: Option<ScanId>,
    scanned_at: Option<Instant>,
    direction: Option<Direction>,
    /// The first field that is not what it should be, and what it should be; absent where the encoding is not UTF-8.
    fault: Option<String>,
}

/// The fields of a scan, whatever is in them. A field that stands there twice makes all of them unreadable: a code that was put
/// into the document as it was shown could otherwise say which way its bearer goes.
#[derive(Deserialize)]
struct Fields {
    #[serde(default)]
    epoch: Option<Value>,
    #[serde(default)]
    seq: Option<Value>,
    #[serde(default)]
    scanned_at: Option<Value>,
    #[serde(default)]
    direction: Option<Value>,
    #[serde(default)]
    credential: Option<Value>,
}

impl Readable {
    /// What can be read of `payload`; `None` where it is no JSON object, or too large to be looked at.
    fn of(payload: &[u8]) -> Option<Self> {
        let payload = payload.get(..).filter(|payload| payload.len() <= SCAN_BYTES_MAX)?;
        // A credential in another encoding does not hide the rest.
        let text = String::from_utf8_lossy(payload);
        let fields: Fields = serde_json::from_slice(&tidied(text.as_bytes())).ok()?;
        let mut fault = None;
        let epoch = field(fields.epoch, &mut fault, "\"epoch\" must be a whole number from 0 to 4294967295");
        let wanted = format!("\"seq\" must be a whole number from 0 to {SEQ_MAX}");
        let seq = field(fields.seq, &mut fault, &wanted);
        let seq = seq.and_then(|Whole(seq)| if seq <= SEQ_MAX { Some(seq) } else { wrong(&mut fault, &wanted) });
        let wanted = "\"scanned_at\" must be a time with its offset from UTC, like \"2026-11-23T07:31:04+08:00\"";
        let scanned_at = field(fields.scanned_at, &mut fault, wanted);
        let direction = field(fields.direction, &mut fault, "\"direction\" must be \"in\" or \"out\"");
        field::<String>(fields.credential, &mut fault, "\"credential\" must be a text");
        // Then the encoding is what is wrong.
        let fault = fault.filter(|_| matches!(text, Cow::Borrowed(_)));
        let id = epoch.zip(seq).map(|(Whole(epoch), seq)| ScanId { epoch, seq });
        Some(Self { id, scanned_at, direction, fault })
    }
}

/// The value of a field; the first that is `wanted` otherwise is noted as the `fault`.
fn field<T: DeserializeOwned>(value: Option<Value>, fault: &mut Option<String>, wanted: &str) -> Option<T> {
    value.and_then(|value| serde_json::from_value(value).ok()).or_else(|| wrong(fault, wanted))
}

fn wrong<T>(fault: &mut Option<String>, wanted: &str) -> Option<T> {
    fault.get_or_insert_with(|| wanted.to_owned());
    None
}

#[cfg(test)]
mod tests;
