//! What the upstream has refused for good, as the log keeps it.

use minicbor::{Decode, Encode};
use protocol::Instant;

/// A range of events that the upstream has refused for good.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Quarantined {
    /// Number of its first event.
    #[n(0)]
    pub first: u64,
    /// Number of its last event.
    #[n(1)]
    pub last: u64,
    /// The HTTP status with which the upstream has refused it. No personal data.
    #[n(2)]
    pub reason: String,
    /// When it was refused.
    #[n(3)]
    pub at: Instant,
}
