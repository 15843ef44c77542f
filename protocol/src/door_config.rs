//! What a door is told about itself: published to it when it subscribes, and when something of it changes.

use serde::{Deserialize, Serialize};

use crate::document::{self, DocumentError};
use crate::{Instant, Mode, PAYLOAD_BYTES_MAX, ScanId, VERSION};

/// What the gateway publishes on a door's `config` topic, retained.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DoorConfig {
    v: u64,
    /// How far decisions bind at this door.
    pub mode: Mode,
    /// The zone that the door leads into.
    pub zone: String,
    /// The gateway's clock when it published this, so that a reader can set its own.
    pub time: Instant,
    /// A scan that arrives later than this after it was made is only recorded, in milliseconds.
    pub late_after_ms: u64,
    /// The highest epoch of the scans that the gateway has kept of this door: a reader that has lost its counter goes on behind
    /// it. Absent where it has kept none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u32>,
    /// The highest sequence number of that epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
}

impl DoorConfig {
    /// What a door is told now, of which the gateway has kept scans up to `highest`.
    pub fn new(
        mode: Mode,
        zone: impl Into<String>,
        time: Instant,
        late_after_ms: u64,
        highest: Option<ScanId>,
    ) -> Self {
        let (epoch, seq) = (highest.map(|id| id.epoch), highest.map(|id| id.seq));
        Self { v: VERSION.into(), mode, zone: zone.into(), time, late_after_ms, epoch, seq }
    }

    /// Reads a door's configuration from an MQTT payload.
    ///
    /// # Errors
    /// When the payload is no configuration of this version.
    pub fn from_json(payload: &[u8]) -> Result<Self, DocumentError> {
        let config: Self = document::read(payload, PAYLOAD_BYTES_MAX)?;
        document::check_version(config.v)?;
        Ok(config)
    }

    /// The configuration as an MQTT payload.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}
