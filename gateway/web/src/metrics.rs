//! Figures of the HTTP side.

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use super::route::Route;

/// What the HTTP side counts.
#[derive(Clone, Debug)]
pub struct Metrics {
    pub(super) requests: Family<Request, Counter>,
    pub(super) seconds: Family<OfRoute, Histogram>,
    pub(super) connections: Gauge,
    pub(super) refused: Family<Refused, Counter>,
    pub(super) tokens_refused: Counter,
    pub(super) tokens_forbidden: Family<OfRoute, Counter>,
    pub(super) audit_failed: Counter,
}

impl Metrics {
    /// Registers the figures.
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self {
            requests: Family::default(),
            seconds: Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.000_5, 4.0, 8))),
            connections: Gauge::default(),
            refused: Family::default(),
            tokens_refused: Counter::default(),
            tokens_forbidden: Family::default(),
            audit_failed: Counter::default(),
        };
        for reason in Reason::ALL {
            drop(metrics.refused.get_or_create(&Refused { reason }));
        }
        registry.register("http_requests", "HTTP requests by route and answer", metrics.requests.clone());
        registry.register(
            "http_request_seconds",
            "Time from an HTTP request's headers to its answer's, in seconds",
            metrics.seconds.clone(),
        );
        registry.register("http_connections", "Open HTTP connections", metrics.connections.clone());
        registry.register(
            "http_connections_refused",
            "HTTP connections that were turned away or cut, by reason",
            metrics.refused.clone(),
        );
        registry.register(
            "http_tokens_refused",
            "HTTP requests with a wrong access token, or one that has ended",
            metrics.tokens_refused.clone(),
        );
        registry.register(
            "http_tokens_forbidden",
            "HTTP requests with an access token that is not for what was asked",
            metrics.tokens_forbidden.clone(),
        );
        registry.register(
            "http_audit_failed",
            "Requests for personal data that could not be recorded and were not answered",
            metrics.audit_failed.clone(),
        );
        metrics
    }

    pub(super) fn refuse(&self, reason: Reason) {
        self.refused.get_or_create(&Refused { reason }).inc();
    }
}

/// Labels of a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Request {
    pub(super) route: Route,
    pub(super) code: u32,
}

/// Label of a route.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OfRoute {
    pub(super) route: Route,
}

/// Label of a refused connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Refused {
    pub(super) reason: Reason,
}

/// Why a connection was turned away or cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "the names are the label's values")]
pub(super) enum Reason {
    /// `connections_max` is reached.
    connections,
    /// `connections_per_address_max` is reached.
    address,
    /// The TLS handshake failed.
    handshake,
    /// The TLS handshake took longer than `handshake_timeout_ms`.
    handshake_timeout,
    /// The oldest TLS handshake had to go: `handshakes_max` is reached.
    handshakes,
    /// The headers went on far beyond `head_bytes_max`.
    head_bytes,
    /// The headers took longer than `head_timeout_ms`.
    head_timeout,
    /// The client took longer than `answer_timeout_ms` to read its answer.
    answer_timeout,
}

impl Reason {
    const ALL: [Self; 8] = [
        Self::connections,
        Self::address,
        Self::handshake,
        Self::handshake_timeout,
        Self::handshakes,
        Self::head_bytes,
        Self::head_timeout,
        Self::answer_timeout,
    ];
}
