//! What the fan-out to monitors counts.

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Metrics of the fan-out. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics {
    pub(super) connections: Gauge,
    pub(super) published: Counter,
    dropped: Family<DroppedLabels, Counter>,
    refused: Family<RefusedLabels, Counter>,
}

/// Why a message did not reach a monitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DropReason {
    /// The queue to the monitors was full; counted once for all monitors.
    QueueFull,
    /// A monitor read so slowly that what it had not read yet was overwritten; counted for each such monitor, when it
    /// reads on and is told.
    SlowMonitor,
    /// The gateway stops; counted once for all monitors.
    Stopped,
}

/// Why something was turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RefuseReason {
    /// A message whose topic is no door's decision or status.
    Topic,
    /// A message that is longer than the contract allows.
    Payload,
    /// A subscription to something other than decisions or status.
    Filter,
    /// A subscription beyond the monitor's limit.
    FiltersMax,
    /// A monitor beyond the limit.
    ConnectionsMax,
}

/// Labels of `monitors_dropped`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DroppedLabels {
    reason: DropReason,
}

/// Labels of `monitors_refused`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefusedLabels {
    reason: RefuseReason,
}

impl DropReason {
    const ALL: [Self; 3] = [Self::QueueFull, Self::SlowMonitor, Self::Stopped];
}

impl RefuseReason {
    const ALL: [Self; 5] = [Self::Topic, Self::Payload, Self::Filter, Self::FiltersMax, Self::ConnectionsMax];
}

impl Metrics {
    /// Registers them.
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self {
            connections: Gauge::default(),
            published: Counter::default(),
            dropped: Family::default(),
            refused: Family::default(),
        };
        // From the start at 0: the first of a kind is then seen to rise.
        for reason in DropReason::ALL {
            metrics.drop_messages(reason, 0);
        }
        for reason in RefuseReason::ALL {
            drop(metrics.refused.get_or_create(&RefusedLabels { reason }));
        }
        let Self { connections, published, dropped, refused } = metrics.clone();
        registry.register("monitors_connections", "Monitors that are connected", connections);
        registry.register("monitors_published", "Messages handed on to the monitors, once for all", published);
        registry.register("monitors_dropped", "Messages that did not reach a monitor, by reason", dropped);
        registry.register("monitors_refused", "Messages, subscriptions and monitors turned away, by reason", refused);
        metrics
    }

    pub(super) fn drop_messages(&self, reason: DropReason, messages: u64) {
        self.dropped.get_or_create(&DroppedLabels { reason }).inc_by(messages);
    }

    pub(super) fn refuse(&self, reason: RefuseReason) {
        self.refused.get_or_create(&RefusedLabels { reason }).inc();
    }

    #[cfg(test)]
    pub(super) fn dropped(&self, reason: DropReason) -> u64 {
        self.dropped.get_or_create(&DroppedLabels { reason }).get()
    }

    #[cfg(test)]
    pub(super) fn refused(&self, reason: RefuseReason) -> u64 {
        self.refused.get_or_create(&RefusedLabels { reason }).get()
    }
}

impl EncodeLabelValue for DropReason {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        match self {
            Self::QueueFull => "queue_full",
            Self::SlowMonitor => "slow_monitor",
            Self::Stopped => "stopped",
        }
        .encode(encoder)
    }
}

impl EncodeLabelValue for RefuseReason {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        match self {
            Self::Topic => "topic",
            Self::Payload => "payload",
            Self::Filter => "filter",
            Self::FiltersMax => "filters_max",
            Self::ConnectionsMax => "connections_max",
        }
        .encode(encoder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_metrics_are_named_and_labelled_as_documented() {
        let mut registry = Registry::with_prefix("gapura");
        let metrics = Metrics::new(&mut registry);
        metrics.connections.inc();
        metrics.published.inc();
        metrics.drop_messages(DropReason::SlowMonitor, 3);
        metrics.refuse(RefuseReason::ConnectionsMax);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            "gapura_monitors_connections 1",
            "gapura_monitors_published_total 1",
            "gapura_monitors_dropped_total{reason=\"slow_monitor\"} 3",
            "gapura_monitors_refused_total{reason=\"connections_max\"} 1",
            "gapura_monitors_dropped_total{reason=\"queue_full\"} 0",
            "gapura_monitors_dropped_total{reason=\"stopped\"} 0",
            "gapura_monitors_refused_total{reason=\"topic\"} 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
    }
}
