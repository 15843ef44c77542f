//! What the fan-out's handles, its task and its connections share.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use bytes::Bytes;
use prometheus_client::metrics::gauge::Gauge;
use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast};
use tokio::time::Instant;

use super::config::Config;
use super::filters::{Feed, PerFeed};
use super::metrics::Metrics;

/// The fan-out has ended: nothing is delivered any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the fan-out to monitors has stopped")]
pub struct Stopped;

/// What every handle and every connection shares.
pub(super) struct Shared {
    pub(super) config: Config,
    pub(super) metrics: Metrics,
    /// One for each monitor that may still connect.
    pub(super) permits: Arc<Semaphore>,
    /// Connections that have subscribed.
    pub(super) listeners: PerFeed<AtomicUsize>,
    /// Weak: a feed ends with the broadcaster.
    pub(super) feeds: PerFeed<broadcast::WeakSender<Message>>,
}

/// A message on its way to monitors.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) feed: Feed,
    pub(super) topic: Bytes,
    pub(super) payload: Bytes,
    pub(super) options: Option<Arc<PublishOptions>>,
}

/// How a message was published, where that differs from what the gateway does itself: QoS 1, not retained, without properties.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishOptions {
    /// Quality of service, 0 to 2.
    pub qos: u8,
    /// Whether it was to be retained.
    pub retain: bool,
    /// Properties of MQTT 5 that subscribers get unchanged, as they stand in a packet, without their length.
    pub properties: Box<[u8]>,
    /// When nobody needs it any more.
    pub expires_at: Option<Instant>,
}

/// One of the connections that may be; given back when it is dropped.
#[derive(Debug)]
pub(super) struct ConnectionPermit {
    _permit: OwnedSemaphorePermit,
    connections: Gauge,
}

impl ConnectionPermit {
    pub(super) fn new(permit: OwnedSemaphorePermit, connections: Gauge) -> Self {
        connections.inc();
        Self { _permit: permit, connections }
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.connections.dec();
    }
}
