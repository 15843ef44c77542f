//! What can be read of a payload that is no scan: a faulty field does not hide the others.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Direction, SCAN_BYTES_MAX, SEQ_MAX, ScanId};
use crate::Instant;
use crate::spelling::{Whole, tidied};

/// What can be read of a payload that is no scan.
#[derive(Debug, Default)]
pub(super) struct Readable {
    pub(super) id: Option<ScanId>,
    pub(super) scanned_at: Option<Instant>,
    pub(super) direction: Option<Direction>,
    /// The first field that is not what it should be, and what it should be; absent where the encoding is not UTF-8.
    pub(super) fault: Option<String>,
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
    pub(super) fn of(payload: &[u8]) -> Option<Self> {
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
