//! The durable log: every event that the gateway has ever kept, and the only truth.
//!
//! # What is on disk
//!
//! One redb file, `log.redb`, mode 0600:
//!
//! | table | key | value |
//! | --- | --- | --- |
//! | `segments` | number of its first event | one commit's events, chained, see `segment.rs`; what tells who they are about is encrypted, see [`vault`](crate::vault) |
//! | `cursors` | a follower's name | number of the last event that it is done with; or what else it must remember |
//! | `quarantine` | number of its first event | a range that the upstream refused for good, see [`Quarantined`] |
//! | `checkpoints` | number of the last event that it covers | the bytes, encrypted; the newest two are kept |
//! | `meta` | `format` | [`FORMAT`] |
//!
//! # Who may touch it
//!
//! One process, and in it one thread writes: the owner of [`Log`]. Everybody else has a [`LogReader`], whose
//! transactions are short: long walks are cut into pieces, so that they neither pin old pages nor outlive a reopening.
//!
//! # Invariants
//!
//! - What [`Log::commit`] has confirmed survives a power cut; it becomes visible to readers as a whole or not at all.
//! - Events are numbered from 1 without a gap; no number is ever given twice ([`LogError::NotContiguous`],
//!   [`LogError::EventsLost`]).
//! - Each segment ends with a link, a hash that also covers the link of the segment before it: whatever is flipped, cut off,
//!   swapped or taken out of the middle is found by [`LogReader::verify`], and by every read that meets it.
//! - What tells who an event is about is never on disk in the clear. When the keys of a person are destroyed, the segments and
//!   their seals stay as they are.
//! - After a failed commit nothing is written until [`Log::reopen`] has looked at what really is on disk.

mod cursor;
mod quarantine;
mod reader;
mod segment;
mod store;
mod writer;

#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod encrypted_tests;
#[cfg(any(test, feature = "testing"))]
pub mod faulty_disk;
#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod reader_tests;

use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use thiserror::Error;

pub use cursor::{CommitError, UPSTREAM, UpstreamCursor};
pub use quarantine::Quarantined;
pub use reader::{LogReader, Verified, WalkEnd};
pub use segment::{Link, SegmentFault};
pub use store::{FORMAT, probe};
pub use writer::{Commit, Log};

use crate::file::OpenError;
use crate::vault::VaultError;

base::settings! {
    /// The durable log: every scan and every decision, in `data/`.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Config {
        /// Memory for the file's pages.
        pub cache_bytes: usize = 64 << 20 => "bytes", in 1 << 20..=16 << 30;
        /// Events that are committed together.
        pub batch_events_max: usize = 1024 => "events", in 1..=65_536;
        /// With less free space on the log's disk than this, status and metrics raise the alarm.
        pub disk_free_bytes_min: u64 = 1 << 30 => "bytes";
        /// A commit that takes longer counts as stuck.
        pub commit_stuck_ms: u64 = 5_000 => "milliseconds", in 100..=600_000;
    }
}

/// What the log counts.
#[derive(Clone, Debug)]
pub struct Metrics {
    commits: Counter,
    failed_commits: Counter,
    events: Counter,
    commit_seconds: Histogram,
    batch_events: Histogram,
    last_event: Gauge<u64, AtomicU64>,
    reopens: Counter,
}

impl Metrics {
    /// Registers the log's metrics.
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self {
            commits: Counter::default(),
            failed_commits: Counter::default(),
            events: Counter::default(),
            commit_seconds: Histogram::new([
                0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
            ]),
            batch_events: Histogram::new([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0]),
            last_event: Gauge::default(),
            reopens: Counter::default(),
        };
        registry.register("log_commits", "Commits that are on disk", metrics.commits.clone());
        registry.register("log_failed_commits", "Commits that failed", metrics.failed_commits.clone());
        registry.register("log_events", "Events that are on disk since the start", metrics.events.clone());
        registry.register(
            "log_commit_seconds",
            "Time from the start of a commit until it is on disk",
            metrics.commit_seconds.clone(),
        );
        registry.register("log_batch_events", "Events in one commit that has any", metrics.batch_events.clone());
        registry.register("log_last_event", "Number of the newest event on disk", metrics.last_event.clone());
        registry.register("log_reopens", "Times the log was opened again after a failure", metrics.reopens.clone());
        metrics
    }
}

/// What goes wrong with the log.
#[derive(Debug, Error)]
pub enum LogError {
    /// The file cannot be used, whether at the start or when it is opened again.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A commit failed. It may or may not be on disk: [`Log::reopen`] tells.
    #[error("a commit to the log failed; check the disk and its free space")]
    Write(#[source] Box<redb::Error>),
    /// An earlier commit has failed and the log was not reopened since. Nothing was tried.
    #[error("an earlier commit to the log failed; the log must be reopened first")]
    NeedsReopen,
    /// A read failed.
    #[error("the log cannot be read; check the disk")]
    Read(#[source] Box<redb::Error>),
    /// The log is being reopened after a failure. Try again.
    #[error("the log is being reopened after a failure of the disk; try again")]
    Reopening,
    /// The writer is gone, and with it the file.
    #[error("the log is closed")]
    Closed,
    /// A segment's bytes are not what was written.
    #[error("the log is damaged in the segment that starts with event {segment}; restore log.redb from a backup")]
    Damaged {
        /// Number of the segment's first event.
        segment: u64,
        /// What is wrong with it.
        #[source]
        fault: SegmentFault,
    },
    /// An event is missing though later ones are there.
    #[error("the log is damaged: event {number} is missing; restore log.redb from a backup")]
    Missing {
        /// Number of the first missing event.
        number: u64,
    },
    /// A checkpoint's bytes are not what was written, or its key was destroyed. An older one may do.
    #[error("the checkpoint that covers events up to {covers} is damaged, or its key was destroyed; use an older one")]
    DamagedCheckpoint {
        /// Number of the last event that it covers.
        covers: u64,
    },
    /// A quarantine entry's bytes are not what was written.
    #[error("the quarantine entry that starts with event {first} is damaged; restore log.redb from a backup")]
    DamagedQuarantine {
        /// Number of its first event.
        first: u64,
        /// What is wrong with it.
        #[source]
        source: minicbor::decode::Error,
    },
    /// Reopened, the file has fewer events than were confirmed: the disk has lied about what it had stored.
    #[error("events {} to {confirmed} were confirmed and are gone; the disk does not keep what it has synced", found.saturating_add(1))]
    EventsLost {
        /// Number of the newest event that was confirmed.
        confirmed: u64,
        /// Number of the newest event that is there.
        found: u64,
    },
    /// A commit's events do not continue the log. Nothing was written; the caller is at fault.
    #[error("event {found} was to be kept where event {expected} comes next")]
    NotContiguous {
        /// The number that comes next.
        expected: u64,
        /// The number that was given.
        found: u64,
    },
    /// A commit has too many events. Nothing was written; the caller is at fault.
    #[error("{events} events were to be kept in one commit, the limit batch_events_max is {events_max}")]
    TooManyEvents {
        /// Events of the commit.
        events: usize,
        /// Most events of a commit.
        events_max: usize,
    },
    /// The keys of events cannot be had. Nothing was written to the log; it takes no commit until it is reopened.
    #[error("the keys for what the log keeps cannot be had")]
    Vault(#[from] VaultError),
    /// A value cannot be written as CBOR. Nothing was written.
    #[error("cannot encode what was to be kept: {0}")]
    Encode(String),
}

impl LogError {
    /// Whether the same call may succeed a little later without anybody's doing.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Reopening)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_configuration_is_valid_and_limits_name_their_field() {
        assert_eq!(Config::default().validate(), Ok(()));
        let cases = [
            (Config { cache_bytes: 1, ..Config::default() }, "cache_bytes"),
            (Config { batch_events_max: 0, ..Config::default() }, "batch_events_max"),
            (Config { batch_events_max: 65_537, ..Config::default() }, "batch_events_max"),
            (Config { commit_stuck_ms: 0, ..Config::default() }, "commit_stuck_ms"),
        ];
        for (config, field) in cases {
            assert!(config.validate().unwrap_err().to_string().starts_with(field), "{field}");
        }
    }

    #[test]
    fn an_unknown_setting_is_refused() {
        assert!(toml::from_str::<Config>("cache_byte = 1").is_err());
        assert_eq!(toml::from_str::<Config>("").unwrap(), Config::default());
    }

    #[test]
    fn every_metric_is_registered_under_its_name() {
        let mut registry = Registry::with_prefix("gapura");
        Metrics::new(&mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for name in ["commits", "failed_commits", "events", "commit_seconds", "batch_events", "last_event", "reopens"] {
            assert!(text.contains(&format!("# HELP gapura_log_{name} ")), "{name}");
        }
    }
}
