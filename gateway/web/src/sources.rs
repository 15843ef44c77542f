//! Where the answers come from.

use std::pin::Pin;
use std::sync::Arc;

use arc_swap::ArcSwap;
use prometheus_client::registry::Registry;
use protocol::api::{AssistOutcome, AssistRefusal, PolicyStatus, Problem, ShadowReport, SiteStatus};
use protocol::{Assist, DoorId, Event, Instant};

use super::ledgers::Ledgers;
use super::people::People;
use base::clock::Clock;
use base::tokens::Tokens;
use store::audit::AuditTrail;

/// Where the answers come from. The functions may block: they run on threads for that, and one that hangs holds back
/// nothing but its own request's place.
#[derive(Clone)]
pub struct Sources {
    /// The whole gateway at this moment.
    pub status: Arc<dyn Fn() -> SiteStatus + Send + Sync>,
    /// What is wrong at this moment, the worst first. Only [`Severity::Critical`](protocol::api::Severity::Critical)
    /// makes the gateway unready.
    pub ready: Arc<dyn Fn() -> Vec<Problem> + Send + Sync>,
    /// Every metric of the gateway.
    pub metrics: Arc<Registry>,
    /// At most so many (second) events that come after a number (first), in order. The error is logged, not shown.
    pub events: Arc<dyn Fn(u64, usize) -> Result<Vec<Event>, String> + Send + Sync>,
    /// Number of the newest event.
    pub last_event: Arc<dyn Fn() -> u64 + Send + Sync>,
    /// The directory's people.
    pub people: Arc<dyn People>,
    /// The ledgers.
    pub ledgers: Arc<dyn Ledgers>,
    /// Where requests for personal data are recorded.
    pub audit: AuditTrail,
    /// The policy set in force, and its candidate.
    pub policy: Arc<dyn Fn() -> PolicyStatus + Send + Sync>,
    /// What the candidate policy set would have changed since then. The error is logged, not shown.
    pub shadow: Arc<dyn Fn(Option<Instant>) -> Result<ShadowReport, String> + Send + Sync>,
    /// Decides an assist request, and passes the decision on to the door; does not block. It does its work also when nobody
    /// waits for it any more.
    pub assist: Arc<dyn Fn(AssistSubmission) -> AssistResult + Send + Sync>,
    /// Keeps that an operator knows of the scans that a door is missing, and says how many; does not block.
    pub acknowledge: Arc<dyn Fn(DoorId) -> AcknowledgeResult + Send + Sync>,
    /// The access tokens in force.
    pub tokens: Arc<ArcSwap<Tokens>>,
    /// The gateway's clock, for tokens that end.
    pub clock: Clock,
}

/// An assist request, as it came over HTTP.
#[derive(Clone, Debug)]
pub struct AssistSubmission {
    /// Where the helper stands.
    pub door: DoorId,
    /// What the helper asks for.
    pub assist: Assist,
    /// The name of the token that came with it.
    pub token: DoorId,
}

/// What becomes of an assist request.
pub type AssistResult = Pin<Box<dyn Future<Output = Result<AssistOutcome, AssistRefusal>> + Send>>;

/// How many scans were acknowledged, or why none.
pub type AcknowledgeResult = Pin<Box<dyn Future<Output = Result<u64, AcknowledgeError>> + Send>>;

/// Why missing scans were not acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcknowledgeError {
    /// There is no such door.
    UnknownDoor,
    /// The log cannot take it now.
    NotKept,
}
