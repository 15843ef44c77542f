//! What the front counts.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// The front's metrics. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    /// Connected clients.
    pub connections: Gauge,
    /// Connections that have not sent CONNECT yet.
    pub pending: Gauge,
    /// Those of them that were dropped to make room for newer ones.
    pub pending_dropped: Counter,
    /// Errors of accepting connections.
    pub accept_errors: Counter,
    /// Clients that were not let in.
    pub connections_refused: Family<ReasonLabel, Counter>,
    /// TLS handshakes that failed.
    pub tls_failures: Family<ReasonLabel, Counter>,
    /// Old connections that a new one of the same client has ended.
    pub takeovers: Counter,
    /// Sessions that were ended because their certificate was revoked.
    pub sessions_dropped: Counter,
    /// Sessions of absent doors that were forgotten because too many were kept.
    pub sessions_forgotten: Counter,
    /// Clients that were silent beyond their keep-alive.
    pub keep_alive_timeouts: Counter,
    /// Writes to clients that took too long.
    pub write_timeouts: Counter,
    /// Connections that were closed over malformed, oversized or forbidden packets.
    pub packets_malformed: Counter,
    /// Messages that were not accepted.
    pub publishes_refused: Family<ReasonLabel, Counter>,
    /// Assist requests that were not taken.
    pub assists_refused: Family<ReasonLabel, Counter>,
    /// Subscriptions that were not granted.
    pub subscriptions_refused: Counter,
    /// PendingScans that arrived.
    pub scans_received: Counter,
    /// PendingScans that were answered `unavailable`.
    pub scans_unavailable: Counter,
    /// Times that a client's socket was not read because the client sends too fast.
    pub scans_throttled: Counter,
    /// Messages to clients that were dropped: too many waited, or larger than the client takes.
    pub outbox_dropped: Counter,
}

/// Why something was refused.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReasonLabel {
    /// One of a few stable words; never what a client has sent.
    pub reason: &'static str,
}

impl Metrics {
    /// Registers every metric with `registry`.
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let m = &metrics;
        registry.register("doors_connections", "Connected doors and monitors", m.connections.clone());
        registry.register("doors_pending", "Connections that have not sent CONNECT yet", m.pending.clone());
        for (name, help, counter) in [
            ("doors_pending_dropped", "Connections dropped before CONNECT to make room", &m.pending_dropped),
            ("doors_accept_errors", "Errors of accepting connections", &m.accept_errors),
            ("doors_takeovers", "Connections ended by a new one of the same client", &m.takeovers),
            ("doors_sessions_dropped", "Sessions ended because their certificate was revoked", &m.sessions_dropped),
            ("doors_sessions_forgotten", "Kept sessions forgotten for want of room", &m.sessions_forgotten),
            ("doors_keep_alive_timeouts", "Clients silent beyond their keep-alive", &m.keep_alive_timeouts),
            ("doors_write_timeouts", "Writes to clients that took too long", &m.write_timeouts),
            ("doors_packets_malformed", "Connections closed over bad packets", &m.packets_malformed),
            ("doors_subscriptions_refused", "Subscriptions not granted", &m.subscriptions_refused),
            ("doors_scans_received", "PendingScans that arrived", &m.scans_received),
            ("doors_scans_unavailable", "PendingScans answered unavailable", &m.scans_unavailable),
            ("doors_scans_throttled", "Times a client was not read because it sends too fast", &m.scans_throttled),
            ("doors_outbox_dropped", "Messages to clients that were dropped", &m.outbox_dropped),
        ] {
            registry.register(name, help, counter.clone());
        }
        for (name, help, family) in [
            ("doors_connections_refused", "Clients not let in, by reason", &m.connections_refused),
            ("doors_tls_failures", "TLS handshakes that failed, by reason", &m.tls_failures),
            ("doors_publishes_refused", "Messages not accepted, by reason", &m.publishes_refused),
            ("assists_refused", "Assist requests not taken, by reason", &m.assists_refused),
        ] {
            registry.register(name, help, family.clone());
        }
        metrics
    }

    pub(super) fn refuse_connection(&self, reason: &'static str) {
        self.connections_refused.get_or_create(&ReasonLabel { reason }).inc();
    }

    pub(super) fn fail_tls(&self, reason: &'static str) {
        self.tls_failures.get_or_create(&ReasonLabel { reason }).inc();
    }

    pub(super) fn refuse_assist(&self, reason: &'static str) {
        self.assists_refused.get_or_create(&ReasonLabel { reason }).inc();
    }

    pub(super) fn refuse_publish(&self, reason: &'static str) {
        self.publishes_refused.get_or_create(&ReasonLabel { reason }).inc();
    }
}
