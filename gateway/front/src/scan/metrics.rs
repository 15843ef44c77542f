//! What the spine counts.

use std::time::Duration;

use access::pass_faults;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use protocol::{CredentialKind, Event, EventKind, Outcome};

/// The spine's metrics.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Events kept, by outcome.
    pub kept: Family<OutcomeLabel, Counter>,
    /// Kept scans of passes that do not count, by why; not of late scans, whose event does not say.
    pub pass_faults: Family<FaultLabel, Counter>,
    /// Kept payloads that were no scans.
    pub malformed: Counter,
    /// Scans that were sent before and are answered again.
    pub duplicates: Counter,
    /// Assist requests kept, by what they say and what came of it.
    pub assists: Family<AssistLabels, Counter>,
    /// Resent scans that were looked up in the log.
    pub recalled: Counter,
    /// Scans that had to be let go; their readers send them again.
    pub refused: Counter,
    /// Scans that are held until the log works again.
    pub held: Gauge,
    /// From a scan's arrival to its commit, in seconds.
    pub seconds: Histogram,
}

/// The label of an outcome.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OutcomeLabel {
    outcome: &'static str,
}

/// The label of a pass that does not count.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct FaultLabel {
    /// One of [`pass_faults`].
    reason: &'static str,
}

/// The labels of an assist request.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct AssistLabels {
    action: &'static str,
    /// The verdict's reason; one of a few.
    result: String,
}

impl Metrics {
    /// Registers the spine's metrics.
    pub fn new(registry: &mut Registry) -> Self {
        let buckets = [0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];
        let metrics = Self {
            kept: Family::default(),
            pass_faults: Family::default(),
            malformed: Counter::default(),
            assists: Family::default(),
            duplicates: Counter::default(),
            recalled: Counter::default(),
            refused: Counter::default(),
            held: Gauge::default(),
            seconds: Histogram::new(buckets),
        };
        // From the start at 0: the first of a kind is then seen to rise.
        for outcome in Outcome::ALL {
            drop(metrics.kept.get_or_create(&OutcomeLabel { outcome: outcome.as_str() }));
        }
        for reason in pass_faults() {
            drop(metrics.pass_faults.get_or_create(&FaultLabel { reason }));
        }
        registry.register("scans_kept", "Events kept on disk, by outcome", metrics.kept.clone());
        let help = "Kept scans of passes that do not count, by why; not of late scans";
        registry.register("scans_pass_faults", help, metrics.pass_faults.clone());
        registry.register("scans_malformed", "Kept payloads that were no scans", metrics.malformed.clone());
        registry.register("assists", "Assist requests kept on disk, by action and result", metrics.assists.clone());
        registry.register("scans_duplicates", "Scans sent before, answered again", metrics.duplicates.clone());
        registry.register("scans_recalled", "Resent scans looked up in the log", metrics.recalled.clone());
        registry.register("scans_refused", "Scans let go for want of room, to be sent again", metrics.refused.clone());
        registry.register("scans_held", "Scans held until the log works again", metrics.held.clone());
        registry.register("scans_seconds", "From a scan's arrival to its commit", metrics.seconds.clone());
        metrics
    }

    /// Counts what a commit has kept.
    pub fn count(&self, event: &Event, latency: Duration) {
        self.kept.get_or_create(&OutcomeLabel { outcome: event.verdict.outcome.as_str() }).inc();
        if matches!(event.subject, EventKind::Malformed(_)) {
            self.malformed.inc();
        }
        if let Some(label) = FaultLabel::of(event) {
            self.pass_faults.get_or_create(&label).inc();
        }
        if let Some(labels) = AssistLabels::of(event) {
            self.assists.get_or_create(&labels).inc();
        }
        self.seconds.observe(latency.as_secs_f64());
    }
}

impl FaultLabel {
    /// The label of an event that keeps a scan of a pass that does not count. A policy may give reasons of its own to passes
    /// that do: those are none.
    fn of(event: &Event) -> Option<Self> {
        let EventKind::Scan(scan) = &event.subject else { return None };
        if !matches!(scan.kind, Some(CredentialKind::Pass | CredentialKind::HealthCertificate)) {
            return None;
        }
        let reason = pass_faults().find(|fault| *fault == event.verdict.reason)?;
        Some(Self { reason })
    }
}

impl AssistLabels {
    /// The labels of an event that keeps an assist request.
    pub(super) fn of(event: &Event) -> Option<Self> {
        let EventKind::Assist(word) = &event.subject else { return None };
        Some(Self { action: word.action.as_str(), result: event.verdict.reason.clone() })
    }
}
