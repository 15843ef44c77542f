//! A scan: one credential shown to one reader.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::document::{self, DocumentError};
use crate::{Instant, VERSION};

/// Longest credential, in bytes: what the largest QR code of byte mode holds.
pub const CREDENTIAL_BYTES_MAX: usize = 2953;

/// Largest sequence number: the largest integer that every JSON reader keeps exactly.
pub const SEQ_MAX: u64 = (1 << 53) - 1;

/// What a reader publishes on its `scan` topic.
///
/// Its `Debug` form leaves the credential out.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scan {
    v: u64,
    /// Rises when the reader has lost its counter.
    pub epoch: u32,
    /// Rises by one with every scan of an epoch; at most [`SEQ_MAX`].
    pub seq: u64,
    /// The reader's clock when it saw the credential.
    pub scanned_at: Instant,
    /// Which way the person wants to go.
    pub direction: Direction,
    /// What was shown: 1 to [`CREDENTIAL_BYTES_MAX`] bytes, no control characters.
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

/// A payload on a `scan` topic that is no scan.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{error}")]
pub struct ScanError {
    /// Which scan it would have been, where that much was readable: it can be answered and recognised when resent.
    pub id: Option<ScanId>,
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
        document::read(payload).and_then(Self::checked).map_err(|error| ScanError { id: readable_id(payload), error })
    }

    /// Which scan of its door this is.
    pub fn id(&self) -> ScanId {
        ScanId { epoch: self.epoch, seq: self.seq }
    }

    /// The scan as an MQTT payload.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    fn checked(self) -> Result<Self, DocumentError> {
        document::check_version(self.v)?;
        if !(1..=CREDENTIAL_BYTES_MAX).contains(&self.credential.len()) {
            return Err(DocumentError::field(format!(
                "\"credential\" has {} bytes, allowed are 1 to {CREDENTIAL_BYTES_MAX}",
                self.credential.len()
            )));
        }
        if self.credential.chars().any(char::is_control) {
            return Err(DocumentError::field("\"credential\" has a control character"));
        }
        if self.seq > SEQ_MAX {
            return Err(DocumentError::field(format!("\"seq\" is larger than {SEQ_MAX}")));
        }
        Ok(self)
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

fn readable_id(payload: &[u8]) -> Option<ScanId> {
    #[derive(Deserialize)]
    struct Identity {
        epoch: u32,
        seq: u64,
    }

    let head = payload.get(..payload.len().min(crate::PAYLOAD_BYTES_MAX))?;
    let Identity { epoch, seq } = serde_json::from_slice(head).ok()?;
    (seq <= SEQ_MAX).then_some(ScanId { epoch, seq })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Fault;

    const GOOD: &str = r#"{"v":1,"epoch":3,"seq":1042,"scanned_at":"2026-11-23T07:31:04.120+08:00","direction":"in","credential":"GP1:A"}"#;

    fn fault(payload: &str) -> (Fault, Option<ScanId>) {
        let error = Scan::from_json(payload.as_bytes()).unwrap_err();
        (error.error.fault, error.id)
    }

    #[test]
    fn the_contracts_example_is_read() {
        let scan = Scan::from_json(GOOD.as_bytes()).unwrap();
        assert_eq!(scan.id(), ScanId { epoch: 3, seq: 1042 });
        assert_eq!((scan.direction, scan.credential.as_str()), (Direction::In, "GP1:A"));
    }

    #[test]
    fn unknown_fields_are_ignored() {
        assert!(Scan::from_json(GOOD.replace("\"v\":1", "\"v\":1,\"lux\":[1,{}]").as_bytes()).is_ok());
    }

    #[test]
    fn each_fault_has_its_own_reason_and_keeps_a_readable_id() {
        let id = Some(ScanId { epoch: 3, seq: 1042 });
        assert_eq!(fault(&GOOD.replace("\"v\":1", "\"v\":2")), (Fault::UnsupportedVersion, id));
        assert_eq!(fault(&GOOD.replace("\"v\":1,", "")), (Fault::UnsupportedVersion, id));
        assert_eq!(fault(&GOOD.replace("\"in\"", "\"up\"")), (Fault::BadField, id));
        assert_eq!(fault(&GOOD.replace("2026-11", "2026-13")), (Fault::BadField, id));
        assert_eq!(fault(&GOOD.replace("GP1:A", "")), (Fault::BadField, id));
        assert_eq!(fault(&GOOD.replace("GP1:A", "a\\u0000b")), (Fault::BadField, id));
        assert_eq!(fault(&GOOD.replace("1042", "9007199254740992")), (Fault::BadField, None));
        assert_eq!(fault(&GOOD.replace("1042", "-1")), (Fault::BadField, None));
        assert_eq!(fault("nonsense"), (Fault::NotJson, None));
        assert_eq!(fault(&"x".repeat(5000)), (Fault::TooLarge, None));
    }

    #[test]
    fn neither_errors_nor_debug_repeat_the_credential() {
        let wrong = Scan::from_json(GOOD.replace("\"in\"", "\"GP1:A\"").as_bytes()).unwrap_err();
        assert!(!format!("{wrong} {wrong:?}").contains("GP1"));
        assert!(!format!("{:?}", Scan::from_json(GOOD.as_bytes())).contains("GP1"));
    }

    proptest! {
        #[test]
        fn a_written_scan_reads_back(epoch: u32, seq in 0..=SEQ_MAX, ms in 0..4_000_000_000_000i64, credential in "[^\\p{Cc}]{1,200}") {
            let scan = Scan::new(ScanId { epoch, seq }, Instant::from_unix_ms(ms), Direction::Out, credential)?;
            prop_assert_eq!(Scan::from_json(&scan.to_json()).unwrap(), scan);
        }

        #[test]
        fn no_payload_makes_the_reader_panic(payload in proptest::collection::vec(any::<u8>(), 0..300)) {
            drop(Scan::from_json(&payload));
        }
    }
}
