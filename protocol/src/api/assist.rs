//! What is done at a door over HTTP: a helper lets a person through, or not (the request's body is an [`Assist`](crate::Assist)); an
//! operator acknowledges what is missing.

use serde::{Deserialize, Serialize};

use crate::Decision;

/// What became of an assist request that is on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AssistOutcome {
    /// What was decided.
    #[serde(flatten)]
    pub decision: Decision,
    /// Whether the door's reader was connected and has been told.
    pub door_told: bool,
}

/// What an operator has acknowledged at a door.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Acknowledgement {
    /// The door.
    pub door: String,
    /// How many of its scans were missing, and count no more.
    pub acknowledged_scans: u64,
}

/// Why an assist request was not decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AssistRefusal {
    /// There is no such door.
    UnknownDoor,
    /// Too many requests of this helper within a minute.
    TooMany {
        /// When there will be room, in seconds.
        retry_after_s: u64,
    },
    /// The log cannot take it now.
    Unavailable,
}
