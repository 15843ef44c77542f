//! What the way upstream counts.

use std::fmt::{self, Write as _};

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// Metrics of the way upstream. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics {
    pub(super) acked_through: Gauge,
    pub(super) batches: Family<BatchLabels, Counter>,
    pub(super) events_sent: Counter,
    pub(super) retries: Counter,
    pub(super) quarantined_events: Counter,
    pub(super) quarantine_full: Counter,
    pub(super) missing_events: Counter,
    pub(super) request_seconds: Histogram,
}

/// Metrics of the working days that are sent. Cheap to clone.
#[derive(Clone, Debug)]
pub struct AttendanceMetrics {
    pub(super) days: Family<DayLabels, Counter>,
    pub(super) retries: Counter,
}

/// Labels of `upstream_attendance_days`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct DayLabels {
    /// What became of the day: accepted or refused.
    pub result: BatchResult,
}

/// Labels of `upstream_batches`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct BatchLabels {
    /// What became of the batch.
    pub result: BatchResult,
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BatchResult {
    /// The upstream has all of it.
    Accepted,
    /// The upstream has the first part of it.
    Partial,
    /// The upstream will never take it as it is.
    Refused,
    /// Anything else: it is sent again.
    Failed,
}

impl EncodeLabelValue for BatchResult {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        encoder.write_str(match self {
            Self::Accepted => "accepted",
            Self::Partial => "partial",
            Self::Refused => "refused",
            Self::Failed => "failed",
        })
    }
}

impl Metrics {
    /// Registers them.
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self {
            acked_through: Gauge::default(),
            batches: Family::default(),
            events_sent: Counter::default(),
            retries: Counter::default(),
            quarantined_events: Counter::default(),
            quarantine_full: Counter::default(),
            missing_events: Counter::default(),
            request_seconds: Histogram::new(exponential_buckets(0.002, 2.0, 15)),
        };
        for result in [BatchResult::Accepted, BatchResult::Partial, BatchResult::Refused, BatchResult::Failed] {
            drop(metrics.batches.get_or_create(&BatchLabels { result }));
        }
        let Self { acked_through, batches, events_sent, retries, .. } = metrics.clone();
        registry.register("upstream_acked_through", "Every event up to this number is upstream", acked_through);
        registry.register("upstream_batches", "Batches posted, by what became of them", batches);
        registry.register("upstream_events_sent", "Events posted, each time that they are", events_sent);
        registry.register("upstream_retries", "Waits after a failed try", retries);
        let Self { quarantined_events, quarantine_full, missing_events, request_seconds, .. } = metrics.clone();
        registry.register(
            "upstream_quarantined_events",
            "Events that the upstream refused for good and that were passed over",
            quarantined_events,
        );
        registry.register(
            "upstream_quarantine_full",
            "Refusals for good that were retried because the quarantine was full",
            quarantine_full,
        );
        registry.register(
            "upstream_missing_events",
            "Events that were gone from the log before the upstream had them",
            missing_events,
        );
        registry.register("upstream_request_seconds", "From posting a batch to its whole answer", request_seconds);
        metrics
    }
}

impl AttendanceMetrics {
    /// Registers them.
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self { days: Family::default(), retries: Counter::default() };
        registry.register(
            "upstream_attendance_days",
            "Working days of offices that the upstream took or refused for good",
            metrics.days.clone(),
        );
        registry.register(
            "upstream_attendance_retries",
            "Waits after a failed try to send working days",
            metrics.retries.clone(),
        );
        metrics
    }
}
