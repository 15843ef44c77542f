//! Fan-out of decisions and door status to monitors.
//!
//! ```text
//! publish ──try_send──▶ queue ──▶ Broadcaster (a task) ──▶ a ring for each feed ──▶ MonitorConnection, one a monitor
//! ```
//!
//! Nothing here slows a door: [`Monitors::publish`] never waits, and what a monitor does not read in time is
//! overwritten; the monitor is told how many messages it has missed, and they are counted. Monitors that must miss
//! nothing read the log instead.
//!
//! Every message is held once, whatever the number of monitors: decisions and status have a ring of a fixed number of
//! slots each, from which every monitor reads at its own pace. Which doors a monitor wants is decided at its own
//! connection, so that a message that several of its filters cover comes once.

mod broadcaster;
mod config;
mod connection;
mod filters;
mod metrics;
mod shared;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use protocol::{DoorTopic, PAYLOAD_BYTES_MAX};
use thiserror::Error;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Semaphore, broadcast, mpsc};

use self::filters::{Feed, PerFeed};
use self::shared::{ConnectionPermit, Message, Shared};
use base::settings::SettingError;

pub use self::broadcaster::Broadcaster;
pub use self::config::Config;
pub use self::connection::{Delivery, MonitorConnection, SubscribeAnswer};
pub use self::metrics::{DropReason, Metrics, RefuseReason};
pub use self::shared::{PublishOptions, Stopped};

/// Publishes to every monitor that has subscribed. Cheap to clone.
#[derive(Clone)]
pub struct Monitors {
    queue: mpsc::Sender<Message>,
    shared: Arc<Shared>,
}

/// Why the fan-out could not be made.
#[derive(Debug, Error)]
pub enum StartError {
    /// A setting is out of its range.
    #[error("section [monitors]: {0}")]
    Config(SettingError),
}

/// Why a monitor was not connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ConnectError {
    /// As many monitors are connected as may be: try again when one has gone.
    #[error("{connections_max} monitors are connected already, see connections_max in section [monitors]")]
    Full {
        /// The limit.
        connections_max: usize,
    },
    /// The gateway stops.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

impl Monitors {
    /// The fan-out, and the task that does it: to be run beside the gateway's other tasks.
    ///
    /// # Errors
    /// When a setting is out of its range.
    pub fn new(config: Config, metrics: Metrics) -> Result<(Self, Broadcaster), StartError> {
        config.validate().map_err(StartError::Config)?;
        let (queue, messages) = mpsc::channel(config.queue_messages_max);
        let feeds = PerFeed::new(|_| broadcast::Sender::new(config.backlog_messages_max));
        let shared = Shared {
            permits: Arc::new(Semaphore::new(config.connections_max)),
            listeners: PerFeed::default(),
            feeds: PerFeed::new(|feed| feeds.of(feed).downgrade()),
            metrics: metrics.clone(),
            config: config.clone(),
        };
        let broadcaster = Broadcaster::new(messages, feeds, config.batch_interval(), metrics);
        Ok((Self { queue, shared: Arc::new(shared) }, broadcaster))
    }

    /// Publishes without ever waiting; what does not fit is dropped and counted. Free when no monitor has subscribed.
    ///
    /// `topic` is a door's decision or status, `payload` at most [`PAYLOAD_BYTES_MAX`] bytes; anything else is refused
    /// and counted.
    pub fn publish(&self, topic: &DoorTopic, payload: Bytes) {
        self.pass_on(topic, payload, None);
    }

    /// The same for a message that somebody else has published with these options.
    pub fn pass_on(&self, topic: &DoorTopic, payload: Bytes, options: Option<Arc<PublishOptions>>) {
        let Shared { listeners, metrics, .. } = &*self.shared;
        let Some(feed) = Feed::of_channel(topic.channel) else {
            return metrics.refuse(RefuseReason::Topic);
        };
        if listeners.of(feed).load(Ordering::Acquire) == 0 {
            return;
        }
        if payload.len() > PAYLOAD_BYTES_MAX {
            return metrics.refuse(RefuseReason::Payload);
        }
        match self.queue.try_send(Message { feed, topic: topic.to_string().into(), payload, options }) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => metrics.drop_messages(DropReason::QueueFull, 1),
            Err(TrySendError::Closed(_)) => metrics.drop_messages(DropReason::Stopped, 1),
        }
    }

    /// Connects a monitor; it is disconnected when its connection is dropped. One monitor may have several.
    ///
    /// # Errors
    /// When as many monitors are connected as may be, and when the gateway stops.
    pub fn connect(&self) -> Result<MonitorConnection, ConnectError> {
        let Shared { config, permits, metrics, .. } = &*self.shared;
        if self.has_stopped() {
            return Err(Stopped.into());
        }
        let Ok(permit) = Arc::clone(permits).try_acquire_owned() else {
            metrics.refuse(RefuseReason::ConnectionsMax);
            return Err(ConnectError::Full { connections_max: config.connections_max });
        };
        let permit = ConnectionPermit::new(permit, metrics.connections.clone());
        Ok(MonitorConnection::new(Arc::clone(&self.shared), permit))
    }

    /// Whether the fan-out has ended: monitors get nothing any more until the gateway is restarted. Doors work on.
    pub fn has_stopped(&self) -> bool {
        self.queue.is_closed()
    }

    /// Messages that were handed on.
    #[cfg(test)]
    pub(crate) fn published(&self) -> u64 {
        self.shared.metrics.published.get()
    }

    /// Monitors that are connected.
    pub fn connections(&self) -> usize {
        let Shared { config, permits, .. } = &*self.shared;
        config.connections_max.saturating_sub(permits.available_permits())
    }
}

impl fmt::Debug for Monitors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Monitors");
        debug.field("connections", &self.connections()).field("stopped", &self.has_stopped()).finish()
    }
}
