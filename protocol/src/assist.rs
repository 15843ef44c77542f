//! A helper's word: a person is let through, or not, by hand and on the record.

use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize};

use crate::document::{self, DocumentError};
use crate::scan::SEQ_MAX;
use crate::spelling::{maybe_whole, whole};
use crate::{Direction, ScanId, VERSION};

/// Largest assist request, in bytes: every character of its texts may be spelled as two escapes of six bytes.
pub const ASSIST_BYTES_MAX: usize = 12 * 1024;

/// Longest text in an assist request, in characters.
pub const ASSIST_TEXT_CHARS_MAX: usize = 256;

/// Longest id of a helper's word, in bytes.
pub const ASSIST_ID_BYTES_MAX: usize = 64;

/// What a helper's device publishes on a door's `assist` topic.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Assist {
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 1))]
    #[serde(deserialize_with = "whole")]
    v: u64,
    /// What the helper does.
    pub action: AssistAction,
    /// The helper's own name; 1 to [`ASSIST_TEXT_CHARS_MAX`] characters.
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 256))]
    #[serde(deserialize_with = "text")]
    pub helper: String,
    /// Why; 1 to [`ASSIST_TEXT_CHARS_MAX`] characters.
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 256))]
    #[serde(deserialize_with = "text")]
    pub reason: String,
    /// The directory's id of the person; absent when unknown.
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 256))]
    #[serde(default, deserialize_with = "maybe_text", skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
    /// Epoch of the scan that waits for a helper; absent when a person is admitted without one.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u64>, maximum = 4_294_967_295_i64))]
    #[serde(default, deserialize_with = "maybe_whole", skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u32>,
    /// Sequence number of that scan; at most [`SEQ_MAX`].
    #[cfg_attr(feature = "openapi", schema(maximum = 9_007_199_254_740_991_i64))]
    #[serde(default, deserialize_with = "maybe_whole", skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// Number of the event that keeps that scan, as its decision says; absent: the newest scan that waits under these numbers.
    #[cfg_attr(feature = "openapi", schema(maximum = 9_007_199_254_740_991_i64))]
    #[serde(default, deserialize_with = "maybe_whole", skip_serializing_if = "Option::is_none")]
    pub event: Option<u64>,
    /// Which way the person goes; absent: as the scan says, and in where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    /// Tells this word from every other of the same device, 1 to [`ASSIST_ID_BYTES_MAX`] of `A-Z`, `a-z`, `0-9` and `-`: one that is
    /// sent again is answered again and makes no second event.
    #[cfg_attr(feature = "openapi", schema(pattern = "^[A-Za-z0-9-]{1,64}$"))]
    #[serde(default, deserialize_with = "maybe_id", skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

/// What a helper does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, minicbor::Encode, minicbor::Decode)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
#[cbor(index_only)]
pub enum AssistAction {
    /// Lets the person through.
    #[n(0)]
    Admit,
    /// Sends the person away.
    #[n(1)]
    Refuse,
}

impl Assist {
    /// A helper's word of this version.
    ///
    /// # Errors
    /// When a text is empty or too long.
    pub fn new(
        action: AssistAction,
        helper: impl Into<String>,
        reason: impl Into<String>,
        person: Option<String>,
        scan: Option<ScanId>,
    ) -> Result<Self, DocumentError> {
        Self {
            v: VERSION.into(),
            action,
            helper: helper.into(),
            reason: reason.into(),
            person,
            epoch: scan.map(|id| id.epoch),
            seq: scan.map(|id| id.seq),
            event: None,
            direction: None,
            id: None,
        }
        .check()
    }

    /// Reads a helper's word from an MQTT payload.
    ///
    /// # Errors
    /// When the payload is no helper's word of this version.
    pub fn from_json(payload: &[u8]) -> Result<Self, DocumentError> {
        document::read(payload, ASSIST_BYTES_MAX).and_then(Self::check)
    }

    /// The helper's word as an MQTT payload.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// The scan that it answers; `None` when a person is admitted without one.
    pub fn scan(&self) -> Option<ScanId> {
        Some(ScanId { epoch: self.epoch?, seq: self.seq? })
    }

    /// Checks the version, every limit, and what must fit together.
    ///
    /// # Errors
    /// Says what does not.
    pub fn check(self) -> Result<Self, DocumentError> {
        document::check_version(self.v)?;
        let person = self.person.as_deref().unwrap_or("unknown");
        for (name, text) in [("helper", self.helper.as_str()), ("reason", &self.reason), ("person", person)] {
            if !(1..=ASSIST_TEXT_CHARS_MAX).contains(&text.chars().count()) {
                return Err(DocumentError::field(format!(
                    "\"{name}\" has {} characters, allowed are 1 to {ASSIST_TEXT_CHARS_MAX}",
                    text.chars().count()
                )));
            }
        }
        for (name, number) in [("seq", self.seq), ("event", self.event)] {
            if number.is_some_and(|number| number > SEQ_MAX) {
                return Err(DocumentError::field(format!("\"{name}\" is larger than {SEQ_MAX}")));
            }
        }
        if self.epoch.is_some() != self.seq.is_some() {
            return Err(DocumentError::field("\"epoch\" and \"seq\" come together or not at all"));
        }
        if self.id.as_deref().is_some_and(|id| !is_id(id)) {
            return Err(DocumentError::field("\"id\" must be 1 to 64 of the characters A-Z, a-z, 0-9 and '-'"));
        }
        Ok(self)
    }
}

impl AssistAction {
    /// The action as it stands in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admit => "admit",
            Self::Refuse => "refuse",
        }
    }
}

fn is_id(id: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    (1..=ASSIST_ID_BYTES_MAX).contains(&id.len()) && id.bytes().all(fits)
}

// The limits are checked where the field is read as well, so that its place in the document can be named.

fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if (1..=ASSIST_TEXT_CHARS_MAX).contains(&text.chars().count()) {
        return Ok(text);
    }
    Err(de::Error::invalid_length(text.len(), &"1 to 256 characters of text"))
}

fn maybe_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    struct Text(#[serde(deserialize_with = "text")] String);
    Ok(Option::<Text>::deserialize(deserializer)?.map(|Text(text)| text))
}

fn maybe_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let id = Option::<String>::deserialize(deserializer)?;
    if id.as_deref().is_none_or(is_id) {
        return Ok(id);
    }
    Err(de::Error::invalid_value(de::Unexpected::Other("other characters"), &"1 to 64 of A-Z, a-z, 0-9 and '-'"))
}

impl std::fmt::Debug for Assist {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Assist")
            .field("action", &self.action)
            .field("epoch", &self.epoch)
            .field("seq", &self.seq)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Fault;

    #[test]
    fn a_helper_must_give_a_name_and_a_reason() {
        let admit = |helper: &str, reason: &str| Assist::new(AssistAction::Admit, helper, reason, None, None);
        let good = admit("Contoh Satgas", "forgot the badge").unwrap();
        assert_eq!(Assist::from_json(&good.to_json()).unwrap(), good);
        assert_eq!(admit("", "x").unwrap_err().fault, Fault::BadField);
        assert_eq!(admit("x", &"y".repeat(ASSIST_TEXT_CHARS_MAX + 1)).unwrap_err().fault, Fault::BadField);
    }

    const WORD: &str = r#"{"v":1,"action":"admit","helper":"Contoh Satgas","reason":"forgot","person":"P-1","epoch":1,"seq":2,"direction":"out","id":"a-1"}"#;

    #[test]
    fn every_field_is_read_and_each_limit_is_kept() {
        let word = Assist::from_json(WORD.as_bytes()).unwrap();
        assert_eq!((word.scan(), word.direction), (Some(ScanId { epoch: 1, seq: 2 }), Some(Direction::Out)));
        assert_eq!((word.id.as_deref(), word.person.as_deref()), (Some("a-1"), Some("P-1")));
        assert_eq!(Assist::from_json(&word.to_json()).unwrap(), word);
        let with_points = WORD.replace("\"v\":1", "\"v\":1.0").replace("\"seq\":2", "\"seq\":2.0");
        assert_eq!(Assist::from_json(with_points.as_bytes()).unwrap(), word);
        for (from, to) in [
            ("\"epoch\":1", "\"epoch\":1.5"),
            ("\"epoch\":1", "\"epoch\":-1"),
            ("\"epoch\":1", "\"epoch\":4294967296"),
            ("\"a-1\"", "\"\""),
            ("a-1", "a_1"),
            ("a-1", &"a".repeat(65)),
            ("P-1", ""),
            ("\"out\"", "\"up\""),
            (",\"seq\":2", ""),
            ("\"seq\":2", "\"seq\":9007199254740992"),
            ("\"seq\":2", "\"seq\":2,\"event\":9007199254740992"),
            ("admit", "allow"),
        ] {
            let error = Assist::from_json(WORD.replace(from, to).as_bytes()).unwrap_err();
            assert_eq!(error.fault, Fault::BadField, "{to}");
        }
        let error = Assist::from_json(WORD.replace("\"v\":1", "\"v\":2").as_bytes()).unwrap_err();
        assert_eq!(error.fault, Fault::UnsupportedVersion);
    }

    #[test]
    fn debug_shows_neither_the_helper_nor_the_person() {
        let word = Assist::from_json(WORD.as_bytes()).unwrap();
        for secret in ["Contoh", "forgot", "P-1"] {
            assert!(!format!("{word:?}").contains(secret));
        }
    }
}
