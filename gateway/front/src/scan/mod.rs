//! The spine: every scan is decided, kept and answered here.
//!
//! ```text
//! sessions ──submit──▶ ScanQueue ──▶ Spine (one thread): seen before? ─▶ decide ─▶ log.commit ─▶ answer, tell monitors
//!                                       │ yes                               │ failed
//!                                       ▼                                   ▼
//!                                    Recall (one thread):                hold the batch, say `unavailable`, reopen
//!                                    read the event, answer              the log: is it there? answer, else decide again
//! ```
//!
//! An assist request goes the same way as a scan: judged from the spine's state, kept, then answered. So a door hears of it only
//! when it is on disk.
//!
//! One thread decides and commits, in turns: while a commit is under way the queue fills, and what it holds then is the
//! next batch. So batches grow with the load by themselves, and nothing is decided twice at the same time.

mod arrival;
mod assists;
mod batch;
mod complaints;
mod config;
mod fingerprint;
mod metrics;
mod pace;
mod queue;
mod recall;
mod seen;
mod spine;
mod state;
mod status;

#[cfg(test)]
mod tests;

pub use arrival::{Answer, Arrival, AssistRequest, Payload, ReplyTo};
pub use config::Config;
pub use fingerprint::Fingerprint;
pub use metrics::Metrics;
pub use queue::{Erased, ScanQueue, WeakScanQueue, WorkQueue};
pub use seen::{Lookup, Searched, Seen};
pub use spine::{Spine, SpineContext};
pub use state::State;
pub use status::{DoorScanStatus, Occurrences, SpineStatus};
