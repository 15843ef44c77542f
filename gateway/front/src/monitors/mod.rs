//! Fan-out of decisions and door status to monitors.
//!
//! ```text
//! publish ──try_send──▶ queue ──▶ Publisher (a thread) ──▶ rumqttd's router (a thread) ──▶ MonitorLink, one a monitor
//! ```
//!
//! Nothing here slows a door: [`Monitors::publish`] never waits, and what a monitor does not read in time is
//! overwritten and counted. Monitors that must miss nothing read the log instead.
//!
//! The router keeps one log for all decisions and one for all status; which doors a monitor wants is decided at its own
//! link, so that what it subscribes to costs the router nothing, and a message that several of its filters cover comes
//! once.

mod config;
mod filters;
mod link;
mod metrics;
mod publisher;
mod router;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread;

use bytes::Bytes;
use protocol::PAYLOAD_BYTES_MAX;
use thiserror::Error;
use tokio::sync::{oneshot, watch};

use self::filters::Feed;
use self::publisher::{Message, Publisher};
use self::router::{Connect, Seats};

pub use self::config::Config;
pub use self::link::{Delivery, MonitorLink, SubscribeAnswer};
pub use self::metrics::{DropReason, Metrics, RefuseReason};

/// Publishes to every monitor that has subscribed. Cheap to clone.
#[derive(Clone)]
pub struct Monitors {
    shared: Arc<Shared>,
}

/// Why the fan-out could not be started.
#[derive(Debug, Error)]
pub enum StartError {
    /// A setting is out of its range.
    #[error("section [monitors]: {0}")]
    Config(String),
    /// The router accepts no link.
    #[error("the router of the monitors does not start")]
    Router(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The system gives no thread.
    #[error("no thread for the monitors' messages: raise the limit of threads or processes")]
    Thread(#[source] io::Error),
}

/// Why a monitor was not connected.
#[derive(Debug, Error)]
pub enum AttachError {
    /// As many monitors are connected as may be: try again when one has gone.
    #[error("{links_max} monitors are connected already, see links_max in section [monitors]")]
    Full {
        /// The limit.
        links_max: usize,
    },
    /// The router did not answer in time: trying again may help.
    #[error("the router of the monitors did not answer within {timeout_ms} ms")]
    TimedOut {
        /// The limit, in milliseconds.
        timeout_ms: u64,
    },
    /// The system gives no thread: trying again may help.
    #[error("no thread to connect a monitor: raise the limit of threads or processes")]
    Thread(#[source] io::Error),
    /// It never will again.
    #[error(transparent)]
    Stopped(#[from] RouterStopped),
}

/// The fan-out does not work any more: the gateway must be restarted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the router of the monitors has stopped")]
pub struct RouterStopped;

/// What every handle and every link shares.
struct Shared {
    config: Config,
    connect: Connect,
    queue: SyncSender<Message>,
    seats: Arc<Seats>,
    stopped: Arc<watch::Sender<bool>>,
    metrics: Metrics,
}

impl Monitors {
    /// Starts the router's thread and the one that feeds it. Blocks until both have met, for a moment.
    ///
    /// # Errors
    /// When a setting is out of range or the system gives no threads.
    pub fn start(config: Config, metrics: Metrics) -> Result<Self, StartError> {
        config.validate().map_err(StartError::Config)?;
        let connect = router::start(&config);
        Self::with_router(config, metrics, connect)
    }

    /// Publishes without ever waiting; what does not fit is dropped and counted. Free when no monitor is connected.
    ///
    /// `topic` is a door's decision or status, `payload` at most [`PAYLOAD_BYTES_MAX`] bytes; anything else is refused
    /// and counted.
    pub fn publish(&self, topic: &str, payload: Bytes) {
        let Shared { seats, queue, metrics, .. } = &*self.shared;
        if seats.taken() == 0 {
            return;
        }
        if Feed::of_topic(topic).is_none() {
            metrics.refuse(RefuseReason::Topic);
        } else if payload.len() > PAYLOAD_BYTES_MAX {
            metrics.refuse(RefuseReason::Payload);
        } else if self.stopped() {
            metrics.drop_messages(DropReason::RouterStopped, 1);
        } else {
            match queue.try_send(Message { topic: Bytes::copy_from_slice(topic.as_bytes()), payload }) {
                Ok(()) => {}
                Err(TrySendError::Full(_)) => metrics.drop_messages(DropReason::QueueFull, 1),
                Err(TrySendError::Disconnected(_)) => metrics.drop_messages(DropReason::RouterStopped, 1),
            }
        }
    }

    /// Connects a monitor; it is disconnected when its link is dropped. `client_id` is for the log only: one monitor
    /// may have several links.
    ///
    /// # Errors
    /// When as many monitors are connected as may be, and when the router has stopped or does not answer in time.
    pub async fn attach(&self, client_id: &str) -> Result<MonitorLink, AttachError> {
        let Shared { config, connect, seats, stopped, metrics, .. } = &*self.shared;
        if self.stopped() {
            return Err(RouterStopped.into());
        }
        let Some(seat) = seats.take() else {
            metrics.refuse(RefuseReason::LinksMax);
            return Err(AttachError::Full { links_max: config.links_max });
        };
        let (reply, connected) = oneshot::channel();
        let connect = Arc::clone(connect);
        // To connect blocks, and for ever if the router dies meanwhile: a thread of its own never delays a shutdown, and
        // keeps its seat, so that there are never more of them than seats. Whoever does not wait any more gets no link:
        // the connection is then dropped here, before its seat.
        let attempt = move || drop(reply.send(connect(&seat.client_id()).map(|connection| (connection, seat))));
        thread::Builder::new().name("monitor-attach".into()).spawn(attempt).map_err(AttachError::Thread)?;
        let mut stop = stopped.subscribe();
        tokio::select! {
            biased;
            answer = connected => match answer {
                Ok(Ok((connection, seat))) => {
                    tracing::debug!(monitor = client_id, link = seat.client_id(), "monitor connected");
                    Ok(MonitorLink::new(connection, seat, Arc::clone(&self.shared)))
                }
                Ok(Err(_)) | Err(_) => Err(RouterStopped.into()),
            },
            _ = stop.wait_for(|stopped| *stopped) => Err(RouterStopped.into()),
            () = tokio::time::sleep(config.attach_timeout()) => {
                Err(AttachError::TimedOut { timeout_ms: config.attach_timeout_ms })
            }
        }
    }

    /// Whether the router has stopped: monitors get nothing any more until the gateway is restarted. Doors work on.
    pub fn stopped(&self) -> bool {
        *self.shared.stopped.borrow()
    }

    /// Completes when the router has stopped.
    pub async fn wait_stopped(&self) {
        let mut stop = self.shared.stopped.subscribe();
        // An error would mean that the sender has gone, which `self` holds.
        stop.wait_for(|stopped| *stopped).await.ok();
    }

    /// Monitors that are connected.
    pub fn links(&self) -> usize {
        self.shared.seats.taken()
    }

    fn with_router(config: Config, metrics: Metrics, connect: Connect) -> Result<Self, StartError> {
        let connection = connect("publisher").map_err(|error| StartError::Router(error))?;
        let (queue, messages) = sync_channel(config.queue_messages_max);
        let stopped = Arc::new(watch::Sender::new(false));
        let publisher = Publisher {
            queue: messages,
            connection,
            probe_interval: config.probe_interval(),
            probe_timeout: config.probe_timeout(),
            stopped: Arc::clone(&stopped),
            metrics: metrics.clone(),
        };
        thread::Builder::new().name("monitors".into()).spawn(move || publisher.run()).map_err(StartError::Thread)?;
        let seats = Seats::new(config.links_max, metrics.links.clone());
        Ok(Self { shared: Arc::new(Shared { config, connect, queue, seats, stopped, metrics }) })
    }
}

impl fmt::Debug for Monitors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Monitors").field("links", &self.links()).field("stopped", &self.stopped()).finish()
    }
}
