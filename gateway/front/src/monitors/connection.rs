//! One monitor's end of the fan-out: what it wants, what comes for it, and what it has missed.

use std::fmt;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use tokio::sync::broadcast::{self, error::RecvError};

use super::filters::{Feed, Filters, PerFeed};
use super::metrics::{DropReason, RefuseReason};
use super::shared::{ConnectionPermit, Message, PublishOptions, Shared, Stopped};

/// One monitor's end of the fan-out. Dropping it disconnects the monitor.
pub struct MonitorConnection {
    shared: Arc<Shared>,
    permit: ConnectionPermit,
    filters: Filters,
    /// Of each feed that one of the filters touches.
    feeds: PerFeed<Option<FeedReader>>,
}

/// A message for a monitor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The topic that it was published to.
    pub topic: Bytes,
    /// What was published.
    pub payload: Bytes,
    /// How it was published, where not by the gateway.
    pub options: Option<Arc<PublishOptions>>,
    /// How many messages before it were overwritten unread, of all doors; the monitor may have wanted all of them.
    pub missed: u64,
}

/// What became of a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubscribeAnswer {
    /// What is published from now on and covered by the filter is delivered.
    Granted,
    /// The filter is none that a monitor may use, or one too many; nothing has changed.
    Refused,
}

/// Reads one feed from where the subscription began.
struct FeedReader {
    messages: broadcast::Receiver<Message>,
    /// Overwritten before they were read, and not yet told.
    missed: u64,
    feed: Feed,
    shared: Arc<Shared>,
}

impl MonitorConnection {
    pub(super) fn new(shared: Arc<Shared>, permit: ConnectionPermit) -> Self {
        Self { shared, permit, filters: Filters::default(), feeds: PerFeed::default() }
    }

    /// Starts deliveries of what `filter` covers: `gapura/v1/{site}/+/decision`, `…/status`, or one door's topic of
    /// these. What is published after this has returned is delivered.
    ///
    /// # Errors
    /// When the fan-out has stopped.
    pub fn subscribe(&mut self, filter: &str) -> Result<SubscribeAnswer, Stopped> {
        let Shared { config, metrics, .. } = &*self.shared;
        let Some(feed) = Feed::of_filter(filter) else {
            metrics.refuse(RefuseReason::Filter);
            return Ok(SubscribeAnswer::Refused);
        };
        if self.filters.contains(filter) {
            return Ok(SubscribeAnswer::Granted);
        }
        if self.filters.len() >= config.filters_max {
            metrics.refuse(RefuseReason::FiltersMax);
            return Ok(SubscribeAnswer::Refused);
        }
        let reader = self.feeds.of_mut(feed);
        if reader.is_none() {
            *reader = Some(FeedReader::new(feed, &self.shared)?);
        }
        self.filters.insert(filter);
        Ok(SubscribeAnswer::Granted)
    }

    /// Ends them: what only `filter` covers is not delivered any more. Nothing happens when it was not subscribed to.
    pub fn unsubscribe(&mut self, filter: &str) {
        if self.filters.remove(filter)
            && let Some(feed) = Feed::of_filter(filter)
            && !self.filters.touch(feed)
        {
            *self.feeds.of_mut(feed) = None;
        }
    }

    /// The next message; those of one channel come in the order in which they were published, each once. Waits for ever
    /// where nothing is subscribed to. May be dropped and called again without losing a message.
    ///
    /// # Errors
    /// When the fan-out has stopped and every message was read.
    pub async fn next(&mut self) -> Result<Delivery, Stopped> {
        let Self { feeds: PerFeed { decisions, status }, filters, .. } = self;
        loop {
            // What is not wanted is passed over, and there may be much of it.
            tokio::task::consume_budget().await;
            let (message, missed) = tokio::select! {
                next = FeedReader::next(decisions) => next?,
                next = FeedReader::next(status) => next?,
            };
            let Message { topic, payload, options, .. } = message;
            if std::str::from_utf8(&topic).is_ok_and(|topic| filters.cover(topic)) {
                return Ok(Delivery { topic, payload, options, missed: mem::take(missed) });
            }
        }
    }
}

impl FeedReader {
    fn new(feed: Feed, shared: &Arc<Shared>) -> Result<Self, Stopped> {
        let messages = shared.feeds.of(feed).upgrade().ok_or(Stopped)?.subscribe();
        // Only now may a message be put there for it.
        shared.listeners.of(feed).fetch_add(1, Ordering::AcqRel);
        Ok(Self { messages, missed: 0, feed, shared: Arc::clone(shared) })
    }

    /// The next message, and how many were missed before it and not told yet. Waits for ever where there is no reader.
    async fn next(reader: &mut Option<Self>) -> Result<(Message, &mut u64), Stopped> {
        let Some(Self { messages, missed, shared, .. }) = reader else { return std::future::pending().await };
        loop {
            match messages.recv().await {
                Ok(message) => return Ok((message, missed)),
                Err(RecvError::Closed) => return Err(Stopped),
                Err(RecvError::Lagged(messages)) => {
                    *missed = missed.saturating_add(messages);
                    shared.metrics.drop_messages(DropReason::SlowMonitor, messages);
                }
            }
        }
    }
}

impl Drop for FeedReader {
    fn drop(&mut self) {
        self.shared.listeners.of(self.feed).fetch_sub(1, Ordering::AcqRel);
    }
}

impl fmt::Debug for MonitorConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("MonitorConnection");
        debug.field("permit", &self.permit).field("filters", &self.filters).finish_non_exhaustive()
    }
}
