//! What the front asks about a door, and is told of it.

use std::sync::Arc;

use protocol::{DoorId, Mode, ScanId};

/// Looks up a registered door. Called for every connection and change of settings, not for every scan.
pub type DoorLookup = Arc<dyn Fn(&DoorId) -> Option<DoorSettings> + Send + Sync>;

/// What a door is told about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DoorSettings {
    /// How far decisions bind.
    pub mode: Mode,
    /// The zone that the door leads into.
    pub zone: String,
    /// A scan that arrives later than this after it was made is only recorded, in milliseconds.
    pub late_after_ms: u64,
    /// The highest epoch of its scans that are kept, and that epoch's highest sequence number.
    pub highest: Option<ScanId>,
}
