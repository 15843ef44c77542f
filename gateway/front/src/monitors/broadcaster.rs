//! The one task that takes messages from the queue and puts them where every monitor reads them.

use std::time::Duration;

use tokio::sync::{broadcast, mpsc, watch};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until};

use super::filters::PerFeed;
use super::metrics::Metrics;
use super::shared::Message;

/// Most messages that are handed on before other tasks have their turn.
const BATCH_MESSAGES_MAX: usize = 256;

/// Hands messages on to the monitors, in batches: at 5,000 decisions a second, waking 64 monitors for each of them alone
/// would take more of the machine than all doors together.
///
/// When it is dropped, whether it was run to its end or not, every monitor's feed ends.
#[derive(Debug)]
pub struct Broadcaster {
    queue: mpsc::Receiver<Message>,
    feeds: PerFeed<broadcast::Sender<Message>>,
    batch_interval: Duration,
    metrics: Metrics,
}

impl Broadcaster {
    pub(super) fn new(
        queue: mpsc::Receiver<Message>,
        feeds: PerFeed<broadcast::Sender<Message>>,
        batch_interval: Duration,
        metrics: Metrics,
    ) -> Self {
        Self { queue, feeds, batch_interval, metrics }
    }

    /// Runs until `stop` turns true (or its sender is dropped), or nobody can publish any more. What was published before
    /// is still handed on.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => {}
            () = self.work() => {}
        }
        self.queue.close();
        while let Ok(message) = self.queue.try_recv() {
            self.broadcast(message);
        }
    }

    /// The first message after a pause is handed on at once; those that come within the interval after it, together.
    async fn work(&mut self) {
        let mut batch = Vec::with_capacity(BATCH_MESSAGES_MAX);
        while self.queue.recv_many(&mut batch, BATCH_MESSAGES_MAX).await > 0 {
            let next_at = Instant::now() + self.batch_interval;
            let more = batch.len() == BATCH_MESSAGES_MAX;
            // Before any other wait: a stop loses nothing that was taken.
            batch.drain(..).for_each(|message| self.broadcast(message));
            if more {
                yield_now().await;
            } else if !self.batch_interval.is_zero() {
                sleep_until(next_at).await;
            }
        }
    }

    /// Messages that wait.
    #[cfg(test)]
    pub(super) fn queued(&self) -> usize {
        self.queue.len()
    }

    fn broadcast(&self, message: Message) {
        self.metrics.published.inc();
        // An error says that nobody has subscribed.
        self.feeds.of(message.feed).send(message).ok();
    }
}
