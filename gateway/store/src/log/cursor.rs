//! What followers ask to be kept beside the events, and why it was not.

use thiserror::Error;

use super::Quarantined;

/// The name under which the log keeps the upstream's cursor.
pub const UPSTREAM: &str = "upstream";

/// How far the upstream has come; kept as one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamCursor {
    /// Every event up to this number is upstream or in quarantine.
    pub acked_through: u64,
    /// What the cursor passes over with this step.
    pub quarantined: Option<Quarantined>,
}

/// What was to be kept beside the events is not; trying again does no harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CommitError {
    /// Nobody commits any more: the gateway stops.
    #[error("the log has stopped")]
    Stopped,
    /// The disk has refused it.
    #[error("the commit failed")]
    Failed,
}
