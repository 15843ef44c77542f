//! The thread that hands messages to the router, and that notices when the router has stopped.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::watch;

use super::metrics::DropReason;
use super::router::{self, Connection, Heard};
use super::{Metrics, RouterStopped};

/// Most messages that are handed over at once.
const BATCH_MESSAGES_MAX: usize = 256;

/// A deadline is waited for in so many parts: a machine that was suspended loses one of them, not all its patience.
const PARTS: u32 = 10;

/// Feeds the router from the queue.
pub(super) struct Publisher {
    pub(super) queue: Receiver<Message>,
    pub(super) connection: Connection,
    pub(super) probe_interval: Duration,
    pub(super) probe_timeout: Duration,
    pub(super) stopped: Arc<watch::Sender<bool>>,
    pub(super) metrics: Metrics,
}

/// A message that waits for the router.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) topic: Bytes,
    pub(super) payload: Bytes,
}

impl Publisher {
    /// Runs until nobody can publish any more, or the router has stopped.
    pub(super) fn run(mut self) {
        if let Err(error) = self.feed() {
            tracing::error!(%error, "monitors get nothing any more; the gateway must be restarted");
        }
    }

    /// Hands over whatever has queued up while the last batch was handed over, and an empty batch when it is quiet: the
    /// router's answer bounds what waits inside it, and proves that it is alive.
    fn feed(&mut self) -> Result<(), RouterStopped> {
        loop {
            let mut batch = match self.queue.recv_timeout(self.probe_interval) {
                Ok(message) => vec![message],
                Err(RecvTimeoutError::Timeout) => Vec::new(),
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            };
            if !batch.is_empty() {
                batch.extend(self.queue.try_iter().take(BATCH_MESSAGES_MAX - 1));
            }
            let messages = batch.len() as u64;
            if let Err(stopped) = self.hand_over(batch) {
                self.metrics.drop_messages(DropReason::RouterStopped, messages);
                return Err(stopped);
            }
            self.metrics.published.inc_by(messages);
        }
    }

    fn hand_over(&mut self, batch: Vec<Message>) -> Result<(), RouterStopped> {
        let messages = batch.into_iter().map(|message| router::message(message.topic, message.payload));
        self.connection.say(messages.chain([router::probe()]))?;
        let mut parts = 0;
        while parts < PARTS {
            match self.connection.hear_until(Instant::now() + self.probe_timeout / PARTS) {
                Some(Heard::Alive) => return Ok(()),
                Some(_) => {}
                None => parts += 1,
            }
        }
        Err(RouterStopped)
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.stopped.send_replace(true);
        let left = self.queue.try_iter().count() as u64;
        self.metrics.drop_messages(DropReason::RouterStopped, left);
    }
}
