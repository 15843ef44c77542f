//! How far the events have come, shared between the forwarder and whoever shows it.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use protocol::Instant;

use super::metrics::Metrics;
use base::status::UpstreamFigures;
use store::log::Quarantined;

/// What is known of the way upstream. Cheap to clone; all clones show the same.
#[derive(Clone, Debug)]
pub struct Progress {
    figures: Arc<Mutex<UpstreamFigures>>,
    metrics: Metrics,
}

impl Progress {
    pub(super) fn new(acked_through: u64, quarantined: Vec<(u64, u64)>, metrics: Metrics) -> Self {
        let progress = Self {
            figures: Arc::new(Mutex::new(UpstreamFigures { quarantined, ..UpstreamFigures::default() })),
            metrics,
        };
        progress.acked(acked_through);
        progress
    }

    /// The figures at this moment, where `last_event` is the newest event of the log.
    pub fn figures(&self, last_event: u64) -> UpstreamFigures {
        let mut figures = self.lock().clone();
        figures.backlog = last_event.saturating_sub(figures.acked_through);
        figures
    }

    /// Registers the gauge of the backlog, reckoned at each scrape; `newest` gives the log's newest event.
    pub fn register_backlog(&self, registry: &mut Registry, newest: impl Fn() -> u64 + Send + Sync + 'static) {
        registry.register_collector(Box::new(Backlog { progress: self.clone(), newest }));
    }

    pub(super) fn acked(&self, through: u64) {
        self.lock().acked_through = through;
        self.metrics.acked_through.set(gauge(through));
    }

    /// The upstream took something. Gives the time since when it had not, if there was one.
    pub(super) fn succeeded(&self, now: Instant) -> Option<Instant> {
        let mut figures = self.lock();
        figures.last_success_at = Some(now);
        figures.error = None;
        figures.failing_since.take()
    }

    /// A try failed. Gives whether that is news: the first of a row, or for another reason than the one before.
    pub(super) fn failed(&self, now: Instant, error: &str) -> bool {
        let mut figures = self.lock();
        let news = figures.error.as_deref() != Some(error);
        figures.failing_since.get_or_insert(now);
        figures.error = Some(error.into());
        news
    }

    /// `refused` is in quarantine for good. Ranges that touch become one.
    pub(super) fn quarantined(&self, refused: &Quarantined) {
        let mut figures = self.lock();
        match figures.quarantined.last_mut() {
            Some((_, last)) if last.saturating_add(1) == refused.first => *last = refused.last,
            _ => figures.quarantined.push((refused.first, refused.last)),
        }
    }

    /// How many events are in quarantine.
    pub(super) fn quarantined_events(&self) -> u64 {
        let size = |(first, last): &(u64, u64)| last.saturating_sub(*first).saturating_add(1);
        self.lock().quarantined.iter().map(size).fold(0, u64::saturating_add)
    }

    fn lock(&self) -> MutexGuard<'_, UpstreamFigures> {
        self.figures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Backlog<F> {
    progress: Progress,
    newest: F,
}

impl<F: Fn() -> u64 + Send + Sync + 'static> Collector for Backlog<F> {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let backlog = ConstGauge::new(gauge(self.progress.figures((self.newest)()).backlog));
        let help = "Events that wait for the upstream";
        backlog.encode(encoder.encode_descriptor("upstream_backlog_events", help, None, backlog.metric_type())?)
    }
}

impl<F> fmt::Debug for Backlog<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backlog").field("progress", &self.progress).finish_non_exhaustive()
    }
}

fn gauge(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
