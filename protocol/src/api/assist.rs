//! Assist requests over HTTP: a helper lets a person through, or not. The request's body is an [`Assist`](crate::Assist).

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
