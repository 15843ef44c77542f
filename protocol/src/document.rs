//! Reading a JSON document of the contract: size, UTF-8 JSON, version, then the fields.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::VERSION;
use crate::spelling::{Whole, tidied};

/// Why a payload is no document of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// Longer than a document of its kind may be.
    TooLarge,
    /// Not one JSON object in UTF-8.
    NotJson,
    /// `v` is missing or not a version that this gateway speaks.
    UnsupportedVersion,
    /// A field is missing, of the wrong type or out of its limits.
    BadField,
}

/// A payload that is no document of the contract, in words that say what to mend and repeat nothing personal.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{message}")]
pub struct DocumentError {
    /// What is wrong, for programs.
    pub fault: Fault,
    /// What is wrong and what is expected, for people.
    pub message: String,
}

impl Fault {
    /// The fault as a stable word, as it stands in decisions, events and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TooLarge => "payload-too-large",
            Self::NotJson => "not-json",
            Self::UnsupportedVersion => "unsupported-version",
            Self::BadField => "bad-field",
        }
    }
}

impl DocumentError {
    pub(crate) fn field(message: impl Into<String>) -> Self {
        Self { fault: Fault::BadField, message: message.into() }
    }
}

/// Reads `payload` as a document `T` of this version, of at most `bytes_max` bytes.
pub(crate) fn read<T: DeserializeOwned>(payload: &[u8], bytes_max: usize) -> Result<T, DocumentError> {
    if payload.len() > bytes_max {
        return Err(too_large(payload.len(), bytes_max));
    }
    // Hardly any payload needs to be tidied: it is tried as it is.
    serde_json::from_slice(payload).or_else(|_| {
        let tidy = tidied(payload);
        serde_json::from_slice(&tidy).map_err(|error| explain(&tidy, &error))
    })
}

/// The error of a payload with more bytes than are allowed.
pub(crate) fn too_large(bytes: usize, bytes_max: usize) -> DocumentError {
    let message = format!("the payload has {bytes} bytes, at most {bytes_max} are allowed");
    DocumentError { fault: Fault::TooLarge, message }
}

/// Checks the version that a document has named.
pub(crate) fn check_version(v: u64) -> Result<(), DocumentError> {
    if v == u64::from(VERSION) {
        return Ok(());
    }
    Err(DocumentError {
        fault: Fault::UnsupportedVersion,
        message: format!("\"v\" is {v}, this gateway speaks version {VERSION}"),
    })
}

/// Says why `payload` did not read, from what is readable of it. serde_json repeats offending text in its messages, and that text
/// may be a badge: only its position and category are passed on.
fn explain(payload: &[u8], error: &serde_json::Error) -> DocumentError {
    #[derive(Deserialize)]
    struct Version {
        v: Option<Whole<u64>>,
    }

    let at = format!("line {} column {}", error.line(), error.column());
    if !error.is_data() {
        return DocumentError { fault: Fault::NotJson, message: format!("not one JSON object in UTF-8, see {at}") };
    }
    match serde_json::from_slice::<Version>(payload) {
        Ok(Version { v: Some(Whole(v)) }) => match check_version(v) {
            Ok(()) => DocumentError::field(format!("a field is missing, of the wrong type or out of range, see {at}")),
            Err(unsupported) => unsupported,
        },
        _ => DocumentError {
            fault: Fault::UnsupportedVersion,
            message: format!("\"v\" must be {VERSION}, the contract's version"),
        },
    }
}
