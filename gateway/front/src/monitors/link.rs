//! One monitor's end of the fan-out: what it wants, what has arrived for it, and what it has missed.

use std::collections::VecDeque;
use std::fmt;
use std::mem;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::watch;

use super::filters::{Feed, Filters};
use super::metrics::{DropReason, RefuseReason};
use super::router::{self, Connection, Heard, Seat};
use super::{RouterStopped, Shared};

/// The router lets 100 messages be in flight to a link; so many are acknowledged at once.
const ACKS_AT_ONCE: usize = 32;

/// One monitor's end of the fan-out. Dropping it disconnects the monitor.
pub struct MonitorLink {
    // The connection takes its leave before its seat, and with it the client id, is free again: keep this order.
    connection: Connection,
    seat: Seat,
    shared: Arc<Shared>,
    stop: watch::Receiver<bool>,
    filters: Filters,
    /// Not acknowledged yet, so never more than the router lets be in flight.
    arrived: VecDeque<Arrival>,
    acks: Vec<u16>,
    /// The offset of each feed's next message if none is lost; unknown until the first one has arrived.
    expected: Expected,
}

/// A message for a monitor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The topic that it was published to.
    pub topic: Bytes,
    /// What was published.
    pub payload: Bytes,
}

/// What became of a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubscribeAnswer {
    /// What is published from now on and covered by the filter is delivered.
    Granted,
    /// The filter is none that a monitor may use, or one too many; nothing has changed.
    Refused,
}

struct Arrival {
    packet_id: u16,
    delivery: Delivery,
}

#[derive(Default)]
struct Expected {
    decisions: Option<u64>,
    status: Option<u64>,
}

impl MonitorLink {
    pub(super) fn new(connection: Connection, seat: Seat, shared: Arc<Shared>) -> Self {
        Self {
            connection,
            seat,
            stop: shared.stopped.subscribe(),
            shared,
            filters: Filters::default(),
            arrived: VecDeque::new(),
            acks: Vec::with_capacity(ACKS_AT_ONCE),
            expected: Expected::default(),
        }
    }

    /// Starts deliveries of what `filter` covers: `gapura/v1/{site}/+/decision`, `…/status`, or one door's topic of
    /// these. What is published after this has returned is delivered.
    ///
    /// # Errors
    /// When the router has stopped.
    pub async fn subscribe(&mut self, filter: &str) -> Result<SubscribeAnswer, RouterStopped> {
        self.check()?;
        let metrics = &self.shared.metrics;
        let Some(feed) = Feed::of_filter(filter) else {
            metrics.refuse(RefuseReason::Filter);
            return Ok(SubscribeAnswer::Refused);
        };
        if self.filters.contains(filter) {
            return Ok(SubscribeAnswer::Granted);
        }
        if self.filters.len() >= self.shared.config.filters_max {
            metrics.refuse(RefuseReason::FiltersMax);
            return Ok(SubscribeAnswer::Refused);
        }
        let begins = !self.filters.touch(feed);
        self.filters.insert(filter);
        if begins {
            self.collect()?;
            self.connection.say([router::subscribe(feed)])?;
        }
        Ok(SubscribeAnswer::Granted)
    }

    /// Ends them: what only `filter` covers is not delivered any more. Nothing happens when it was not subscribed to.
    ///
    /// # Errors
    /// When the router has stopped.
    pub async fn unsubscribe(&mut self, filter: &str) -> Result<(), RouterStopped> {
        self.check()?;
        if !self.filters.remove(filter) {
            return Ok(());
        }
        match Feed::of_filter(filter) {
            Some(feed) if !self.filters.touch(feed) => {
                self.collect()?;
                self.connection.say([router::unsubscribe(feed)])
            }
            _ => Ok(()),
        }
    }

    /// The next message; those of one channel come in the order in which they were published, each once. May be
    /// dropped and called again without losing one.
    ///
    /// # Errors
    /// When the router has stopped.
    pub async fn next(&mut self) -> Result<Delivery, RouterStopped> {
        loop {
            tokio::task::consume_budget().await;
            while let Some(Arrival { packet_id, delivery }) = self.arrived.pop_front() {
                self.acks.push(packet_id);
                if self.acks.len() >= ACKS_AT_ONCE {
                    self.acknowledge()?;
                }
                if self.wants(&delivery) {
                    return Ok(delivery);
                }
            }
            self.collect()?;
            if self.arrived.is_empty() {
                self.acknowledge()?;
                let heard = tokio::select! {
                    biased;
                    heard = self.connection.hear() => heard?,
                    _ = self.stop.wait_for(|stopped| *stopped) => return Err(RouterStopped),
                };
                self.take(heard);
            }
        }
    }

    fn check(&self) -> Result<(), RouterStopped> {
        if *self.stop.borrow() { Err(RouterStopped) } else { Ok(()) }
    }

    /// Takes what has come without waiting, so that answers never pile up at the router's end.
    fn collect(&mut self) -> Result<(), RouterStopped> {
        while let Some(heard) = self.connection.hear_now()? {
            self.take(heard);
        }
        Ok(())
    }

    fn take(&mut self, heard: Heard) {
        match heard {
            Heard::Message { packet_id, offset, topic, payload } => {
                if let (Some(offset), Some(feed)) = (offset, feed_of(&topic)) {
                    let lost = self.expected.pass(feed, offset);
                    if lost > 0 {
                        self.shared.metrics.drop_messages(DropReason::SlowMonitor, lost);
                    }
                }
                self.arrived.push_back(Arrival { packet_id, delivery: Delivery { topic, payload } });
            }
            Heard::FeedChanged(feed) => *self.expected.of(feed) = None,
            Heard::Alive | Heard::Other => {}
        }
    }

    fn acknowledge(&mut self) -> Result<(), RouterStopped> {
        if self.acks.is_empty() {
            return Ok(());
        }
        let acks = mem::replace(&mut self.acks, Vec::with_capacity(ACKS_AT_ONCE));
        self.connection.say(acks.into_iter().map(router::acknowledge))
    }

    fn wants(&self, delivery: &Delivery) -> bool {
        std::str::from_utf8(&delivery.topic).is_ok_and(|topic| self.filters.cover(topic))
    }
}

impl fmt::Debug for MonitorLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MonitorLink").field("seat", &self.seat).field("filters", &self.filters).finish_non_exhaustive()
    }
}

impl Expected {
    /// Notes that the message with this offset has arrived; returns how many before it are lost.
    fn pass(&mut self, feed: Feed, offset: u64) -> u64 {
        let next = self.of(feed).replace(offset.saturating_add(1));
        next.map_or(0, |next| offset.saturating_sub(next))
    }

    fn of(&mut self, feed: Feed) -> &mut Option<u64> {
        match feed {
            Feed::Decisions => &mut self.decisions,
            Feed::Status => &mut self.status,
        }
    }
}

/// The feed of a topic that has come out of the router, which has been checked on its way in.
fn feed_of(topic: &[u8]) -> Option<Feed> {
    Feed::ALL.into_iter().find(|feed| topic.ends_with(feed.channel().as_str().as_bytes()))
}
