//! The durable log: the only truth. One writer appends segments; readers follow.
//!
//! On disk it is one redb file with four tables:
//!
//! | table | key | value |
//! | --- | --- | --- |
//! | `segments` | number of the first event | a [segment](segment): the events of one commit |
//! | `cursors` | who follows the log | number of the last event that it has dealt with |
//! | `quarantine` | number of the first event | what the upstream has refused for good |
//! | `checkpoints` | events that it covers | what the spine remembers, to start from |
//!
//! Invariants: event numbers rise by one from 1 without a gap; a segment carries the hash of the one before it; a commit
//! that returned `Ok` is on disk; a commit that failed is on disk whole or not at all, and only [`Log::reopen`] tells which.

mod reader;
mod segment;
mod store;
mod writer;

use std::path::PathBuf;

use minicbor::{Decode, Encode};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use protocol::Instant;
use serde::Deserialize;
use thiserror::Error;

pub use reader::{LogReader, Verified};
pub use writer::{Commit, Log};

/// The name of the upstream's cursor.
pub const UPSTREAM: &str = "upstream";

/// Settings of the log, section `[log]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Memory for pages of the log's file, in bytes.
    pub cache_bytes: usize,
    /// Free space on the log's disk below which the status warns, in bytes.
    pub disk_free_bytes_min: u64,
}

/// The log's metrics.
#[derive(Clone, Debug)]
pub struct Metrics {
    commits: Counter,
    failed_commits: Counter,
    events: Counter,
    reopens: Counter,
    commit_seconds: Histogram,
    batch_events: Histogram,
}

/// A range of events that the upstream has refused for good.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Quarantined {
    /// Number of its first event.
    #[n(0)]
    pub first: u64,
    /// Number of its last event.
    #[n(1)]
    pub last: u64,
    /// What the upstream said.
    #[n(2)]
    pub reason: String,
    /// When it said so.
    #[n(3)]
    pub at: Instant,
}

/// Why the log could not do what it was asked.
#[derive(Debug, Error)]
pub enum LogError {
    /// The file cannot be opened.
    #[error("the log {path} cannot be opened: {remedy}")]
    Open {
        /// The file.
        path: PathBuf,
        /// What to do.
        remedy: &'static str,
        /// What the system said.
        #[source]
        source: Box<redb::Error>,
    },
    /// The disk or the file failed.
    #[error("the log could not be read or written; try again when the disk is well")]
    Storage(#[source] Box<redb::Error>),
    /// The log is just being opened again after a failure.
    #[error("the log is being opened again after a failed commit; try again")]
    Reopening,
    /// What is on disk is not what was written.
    #[error("the log is damaged at event {event}: {what}; restore the file from a backup")]
    Damaged {
        /// First event of the damaged segment.
        event: u64,
        /// What does not fit.
        what: String,
    },
    /// The caller handed in events whose numbers do not follow the log's.
    #[error("event {found} was handed in where event {expected} comes next")]
    Numbering {
        /// The number that comes next.
        expected: u64,
        /// The number handed in.
        found: u64,
    },
    /// The writer is gone, nothing will follow.
    #[error("the log has been closed")]
    Closed,
}

impl Config {
    /// Checks every limit.
    ///
    /// # Errors
    /// Names the field that is out of its range.
    pub fn validate(&self) -> Result<(), String> {
        if !((1 << 20)..=(1 << 36)).contains(&self.cache_bytes) {
            return Err(format!("cache_bytes is {}, allowed are 1 MiB to 64 GiB", self.cache_bytes));
        }
        Ok(())
    }
}

impl Default for Config {
    fn default() -> Self {
        Self { cache_bytes: 64 << 20, disk_free_bytes_min: 1 << 30 }
    }
}

impl Metrics {
    /// Registers the log's metrics.
    pub fn new(registry: &mut Registry) -> Self {
        let seconds = [0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0];
        let metrics = Self {
            commits: Counter::default(),
            failed_commits: Counter::default(),
            events: Counter::default(),
            reopens: Counter::default(),
            commit_seconds: Histogram::new(seconds),
            batch_events: Histogram::new([0.0, 1.0, 4.0, 16.0, 64.0, 256.0, 1024.0, 4096.0]),
        };
        registry.register("log_commits", "Commits that are on disk", metrics.commits.clone());
        registry.register("log_failed_commits", "Commits that failed", metrics.failed_commits.clone());
        registry.register("log_events", "Events that are on disk, since the start", metrics.events.clone());
        registry.register("log_reopens", "Times that the log was opened again", metrics.reopens.clone());
        registry.register("log_commit_seconds", "Time that a commit took", metrics.commit_seconds.clone());
        registry.register("log_batch_events", "Events in a commit", metrics.batch_events.clone());
        metrics
    }
}

impl<E: Into<redb::Error>> From<E> for LogError {
    fn from(error: E) -> Self {
        Self::Storage(Box::new(error.into()))
    }
}
