//! A decision: what a door is answered, and what it may do.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::document::{self, DocumentError};
use crate::{Instant, PAYLOAD_BYTES_MAX, ScanId, VERSION};

/// What the gateway publishes on a door's `decision` topic, or on the response topic that the scan named.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Decision {
    pub(crate) v: u64,
    /// Epoch of the scan that is answered; absent when a helper admits somebody without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u32>,
    /// Sequence number of that scan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// What was decided.
    pub outcome: Outcome,
    /// Whether the door opens. Never true for `denied`, `assist`, `unavailable` and late scans.
    pub open: bool,
    /// The door opens although the policy would not let the person in: the display warns.
    #[serde(default, skip_serializing_if = "is_false")]
    pub warning: bool,
    /// The person's health status, where a person was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<HealthStatus>,
    /// Why, as a stable word: an annotation of the deciding policy, or a reason of the gateway's own.
    pub reason: String,
    /// Why, for the door's display.
    pub text: Text,
    /// The person's language, where it is known: which line of `text` to show first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<Language>,
    /// Number of the event that keeps this decision; absent when nothing was kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<u64>,
    /// Hash of the policy set that decided, `b3:` and hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// Ids of the policies that decided; empty when none applied.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<String>,
    /// The id of the helper's word that is answered, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assist: Option<String>,
    /// The gateway's clock when it decided.
    pub decided_at: Instant,
}

/// What was decided of a scan.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, minicbor::Encode, minicbor::Decode,
)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
#[cbor(index_only)]
pub enum Outcome {
    /// The person may pass.
    #[n(0)]
    Granted,
    /// The person may not pass.
    #[n(1)]
    Denied,
    /// A helper must confirm.
    #[n(2)]
    Assist,
    /// Kept, not judged: a late scan, an exit, or a door that only observes.
    #[n(3)]
    Recorded,
    /// Nothing durable could be promised: the reader keeps the scan and sends it again.
    #[n(4)]
    Unavailable,
}

/// The four colours of a person's health status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, minicbor::Encode, minicbor::Decode)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
#[cbor(index_only)]
pub enum HealthStatus {
    /// Fit to enter.
    #[n(0)]
    Green,
    /// To be looked at by a helper.
    #[n(1)]
    Yellow,
    /// Not to enter.
    #[n(2)]
    Red,
    /// Confirmed case or close contact: not to enter.
    #[n(3)]
    Black,
}

/// How far a door's decisions bind.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, minicbor::Encode, minicbor::Decode,
)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
#[cbor(index_only)]
pub enum Mode {
    /// Everybody passes; what would have been decided is kept.
    #[default]
    #[n(0)]
    Observe,
    /// The decision binds.
    #[n(1)]
    Enforce,
    /// Everybody passes; the display warns whom the policy would not let in.
    #[n(2)]
    Warn,
    /// Everybody passes, and no policy is asked.
    #[n(3)]
    Off,
}

/// A line for the door's display, in Indonesian and English.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, minicbor::Encode, minicbor::Decode)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Text {
    /// Indonesian.
    #[n(0)]
    pub id: String,
    /// English.
    #[n(1)]
    pub en: String,
}

/// A language of door texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, minicbor::Encode, minicbor::Decode)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
#[cbor(index_only)]
pub enum Language {
    /// Indonesian.
    #[n(0)]
    Id,
    /// English.
    #[n(1)]
    En,
}

impl Decision {
    /// The answer to a scan that could not be kept: the door stays as it is, the reader sends the scan again.
    pub fn unavailable(id: ScanId, reason: &str, now: Instant) -> Self {
        Self {
            v: VERSION.into(),
            epoch: Some(id.epoch),
            seq: Some(id.seq),
            outcome: Outcome::Unavailable,
            open: false,
            warning: false,
            status: None,
            reason: reason.into(),
            text: Text::new("Sistem sibuk, coba lagi", "System busy, please try again"),
            language: None,
            event: None,
            policy: None,
            policies: Vec::new(),
            assist: None,
            decided_at: now,
        }
    }

    /// Reads a decision from an MQTT payload.
    ///
    /// # Errors
    /// When the payload is no decision of this version.
    pub fn from_json(payload: &[u8]) -> Result<Self, DocumentError> {
        let decision: Self = document::read(payload, PAYLOAD_BYTES_MAX)?;
        document::check_version(decision.v)?;
        Ok(decision)
    }

    /// The decision as an MQTT payload.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Which scan of its door is answered; `None` when a helper admits somebody without one.
    pub fn id(&self) -> Option<ScanId> {
        Some(ScanId { epoch: self.epoch?, seq: self.seq? })
    }
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 5] = [Self::Granted, Self::Denied, Self::Assist, Self::Recorded, Self::Unavailable];

    /// The outcome as it stands in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::Denied => "denied",
            Self::Assist => "assist",
            Self::Recorded => "recorded",
            Self::Unavailable => "unavailable",
        }
    }
}

impl HealthStatus {
    /// Every colour, the healthiest first.
    pub const ALL: [Self; 4] = [Self::Green, Self::Yellow, Self::Red, Self::Black];

    /// The colour as it stands in JSON and policies.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Green => "green",
            Self::Yellow => "yellow",
            Self::Red => "red",
            Self::Black => "black",
        }
    }
}

impl Mode {
    /// Every mode, from the loosest to the strictest.
    pub const ALL: [Self; 4] = [Self::Off, Self::Observe, Self::Warn, Self::Enforce];

    /// The mode as it stands in JSON and configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Enforce => "enforce",
            Self::Warn => "warn",
            Self::Off => "off",
        }
    }
}

impl Language {
    /// Every language.
    pub const ALL: [Self; 2] = [Self::Id, Self::En];

    /// The language's ISO 639 code, as it stands in JSON and imports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::En => "en",
        }
    }
}

impl Text {
    /// A line in both languages.
    pub fn new(id: impl Into<String>, en: impl Into<String>) -> Self {
        Self { id: id.into(), en: en.into() }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for HealthStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands in a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Fault;

    #[test]
    fn the_contracts_example_is_read_and_written() {
        let json = r#"{"v":1,"epoch":3,"seq":1042,"outcome":"granted","open":true,"status":"green","reason":"staff-working-hours","text":{"id":"Silakan masuk","en":"Please come in"},"event":88121,"policy":"b3:9f2c","decided_at":"2026-11-22T23:31:04.125Z"}"#;
        let decision = Decision::from_json(json.as_bytes()).unwrap();
        assert_eq!((decision.outcome, decision.open, decision.event), (Outcome::Granted, true, Some(88121)));
        assert_eq!(String::from_utf8(decision.to_json()).unwrap(), json);
    }

    #[test]
    fn an_unknown_version_is_refused() {
        let json = serde_json::to_string(&Decision::unavailable(
            ScanId { epoch: 1, seq: 2 },
            "log-unavailable",
            Instant::from_unix_ms(0),
        ))
        .unwrap();
        assert!(!Decision::from_json(json.as_bytes()).unwrap().open);
        let error = Decision::from_json(json.replace("\"v\":1", "\"v\":9").as_bytes()).unwrap_err();
        assert_eq!(error.fault, Fault::UnsupportedVersion);
    }
}
