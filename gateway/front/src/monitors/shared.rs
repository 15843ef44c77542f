//! What the fan-out's handles, its task and its connections share.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use bytes::Bytes;
use prometheus_client::metrics::gauge::Gauge;
use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast};

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
