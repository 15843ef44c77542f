//! A scan: one credential shown to one reader.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::document::{self, DocumentError, Fault};
use crate::spelling::{normal_code, whole};
use crate::{Instant, VERSION};

mod readable;

use readable::Readable;

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
        assert_eq!(fault(&"x".repeat(SCAN_BYTES_MAX + 1)), (Fault::TooLarge, None));
    }

    /// What the error of a payload says, and the direction that was readable.
    fn told(payload: &str) -> (String, Option<Direction>) {
        let error = Scan::from_json(payload.as_bytes()).unwrap_err();
        (error.error.message, error.direction)
    }

    #[test]
    fn the_faulty_field_is_named_and_hides_no_other() {
        for (from, to, named) in [
            ("\"in\"", "\"up\"", "\"direction\" must be"),
            ("\"in\"", "7", "\"direction\" must be"),
            ("2026-11", "2026-13", "\"scanned_at\" must be a time"),
            ("+08:00", "", "\"scanned_at\" must be a time"),
            ("1042", "\"1042\"", "\"seq\" must be a whole number"),
            ("1042", "1.5", "\"seq\" must be a whole number"),
            ("\"epoch\":3,", "", "\"epoch\" must be a whole number"),
            ("GP1:A", "", "\"credential\" is empty"),
            ("GP1:A", "\\r", "\"credential\" is empty"),
            ("GP1:A", "a\\u0007b", "control character, U+0007"),
            ("\"GP1:A\"", "null", "\"credential\" must be a text"),
        ] {
            let (message, direction) = told(&GOOD.replace(from, to));
            assert!(message.contains(named), "{message}");
            assert_eq!(direction.is_some(), !named.contains("direction"), "{named}");
        }
        let latin: Vec<u8> =
            GOOD.replace("GP1:A", "caf\u{e9}").chars().map(|char| u8::try_from(u32::from(char)).unwrap()).collect();
        let error = Scan::from_json(&latin).unwrap_err();
        assert_eq!((error.error.fault, error.direction), (Fault::NotJson, Some(Direction::In)));
        assert_eq!(error.id, Some(ScanId { epoch: 3, seq: 1042 }));
    }

    #[test]
    fn a_code_that_breaks_out_of_its_text_says_nothing_of_the_way() {
        let (message, direction) = told(&GOOD.replace("GP1:A", "X\",\"direction\":\"out"));
        assert_eq!((message.as_str(), direction), ("a field stands there twice", None));
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

        /// However a scan is spelled, it is the same scan.
        #[test]
        fn every_spelling_of_a_scan_is_read_alike(
            code in "[!-~é ]{0,40}[!-~]",
            around in prop_oneof![Just(("", "")), Just(("", "\r")), Just(("\t]Q1", "\r\n")), Just(("\u{feff}", " "))],
            escaped: bool,
            pointed: bool,
            raw: bool,
            marked: bool,
            ended: bool,
        ) {
            let code = normal_code(&code).to_owned();
            prop_assume!(!code.is_empty());
            let good = Scan::new(ScanId { epoch: 3, seq: 1042 }, Instant::from_unix_ms(5), Direction::In, code.as_str())?;
            let shown = format!("{}{code}{}", around.0, around.1);
            let spelled: String = if escaped {
                shown.encode_utf16().map(|unit| format!("\\u{unit:04X}")).collect()
            } else if raw {
                shown.replace('\\', "\\\\").replace('"', "\\\"")
            } else {
                serde_json::to_string(&shown).unwrap().trim_matches('"').to_owned()
            };
            prop_assume!(escaped || raw || !shown.ends_with('"') && !shown.starts_with('"'));
            let point = if pointed { ".0" } else { "" };
            let (mark, end) = (if marked { "\u{feff}" } else { "" }, if ended { "\n\0" } else { "" });
            let payload = format!(
                r#"{mark}{{"v":1{point},"epoch":3{point},"seq":1042{point},"scanned_at":"1970-01-01T00:00:00.005Z","direction":"in","credential":"{spelled}"}}{end}"#
            );
            prop_assert_eq!(Scan::from_json(payload.as_bytes()).unwrap(), good);
        }

        /// The limits hold the longest spelling of whatever is allowed.
        #[test]
        fn the_longest_spelling_of_a_credential_fits(char in prop_oneof![Just('A'), Just('é'), Just('漢'), Just('\u{1F512}')]) {
            let code: String = std::iter::repeat_n(char, CREDENTIAL_BYTES_MAX / char.len_utf8()).collect();
            let spelled: String = code.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
            let payload = GOOD.replace("GP1:A", &spelled).replace(",", ", \n ");
            prop_assert_eq!(Scan::from_json(payload.as_bytes()).unwrap().credential, code);
        }

        #[test]
        fn no_payload_makes_the_reader_panic(payload in proptest::collection::vec(any::<u8>(), 0..300)) {
            drop(Scan::from_json(&payload));
        }
    }
}
