//! How a door is, as its reader says: published when it connects, now and then, and as its last will.

use serde::{Deserialize, Serialize};

use crate::document::{self, DocumentError};
use crate::spelling::{maybe_whole, whole};
use crate::{Instant, PAYLOAD_BYTES_MAX, VERSION};

/// Longest text in a door's status, in bytes.
pub const STATUS_TEXT_BYTES_MAX: usize = 128;

/// What a reader publishes on its `status` topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DoorStatus {
    #[serde(deserialize_with = "whole")]
    v: u64,
    /// Whether the reader works.
    pub state: DoorState,
    /// The reader's clock when it published this. A last will has none: it was written long before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Instant>,
    /// Scans that wait in the reader for an acknowledgement.
    #[serde(default, deserialize_with = "maybe_whole", skip_serializing_if = "Option::is_none")]
    pub buffered_scans: Option<u64>,
    /// The reader's software; at most [`STATUS_TEXT_BYTES_MAX`] bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub firmware: Option<String>,
    /// What is wrong, in the reader's words; at most [`STATUS_TEXT_BYTES_MAX`] bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// Whether a reader works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum DoorState {
    /// It works.
    Online,
    /// It works, with a problem.
    Degraded,
    /// It does not, or nobody knows.
    Offline,
}

impl DoorStatus {
    /// A status with nothing more to say.
    pub fn new(state: DoorState, at: Option<Instant>) -> Self {
        Self { v: VERSION.into(), state, at, buffered_scans: None, firmware: None, problem: None }
    }

    /// Reads a status from an MQTT payload.
    ///
    /// # Errors
    /// When the payload is no status of this version or has a text that is too long.
    pub fn from_json(payload: &[u8]) -> Result<Self, DocumentError> {
        let status: Self = document::read(payload, PAYLOAD_BYTES_MAX)?;
        document::check_version(status.v)?;
        for (name, text) in [("firmware", &status.firmware), ("problem", &status.problem)] {
            if text.as_ref().is_some_and(|text| text.len() > STATUS_TEXT_BYTES_MAX) {
                return Err(DocumentError::field(format!("\"{name}\" is longer than {STATUS_TEXT_BYTES_MAX} bytes")));
            }
        }
        Ok(status)
    }

    /// The status as an MQTT payload.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

impl DoorState {
    /// The state as it stands in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Degraded => "degraded",
            Self::Offline => "offline",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Fault;

    #[test]
    fn a_written_status_reads_back() {
        let mut status = DoorStatus::new(DoorState::Degraded, Some(Instant::from_unix_ms(5)));
        status.problem = Some("lens dirty".into());
        assert_eq!(DoorStatus::from_json(&status.to_json()).unwrap(), status);
    }

    #[test]
    fn a_long_text_is_refused() {
        let mut status = DoorStatus::new(DoorState::Online, None);
        status.firmware = Some("x".repeat(STATUS_TEXT_BYTES_MAX + 1));
        assert_eq!(DoorStatus::from_json(&status.to_json()).unwrap_err().fault, Fault::BadField);
    }
}
