//! All that is known of rumqttd: its router's thread, and links to it that cannot harm it.
//!
//! The router trusts its links. What keeps it alive, and from growing, is kept here:
//!
//! - Only the two filters of [`Feed`] enter it, since it keeps a log for every filter that it has ever seen; and only
//!   topics of the contract, since one that starts with a multi-byte character ends its thread.
//! - Every link says `Disconnect` when it ends, whatever the way ([`Connection`]'s `Drop`), and nothing after it.
//! - A link is always at QoS 1. So at most 100 messages are in flight to it, acknowledged in order, and the router
//!   never asks it to say that it is ready again (which ends the router's thread when the link has just gone).
//! - Client ids are reused ([`Seats`]), since the router remembers every one that it has ever seen.
//! - No message is retained.

use std::mem;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use bytes::Bytes;
use prometheus_client::metrics::gauge::Gauge;
use rumqttd::local::{LinkBuilder, LinkError, LinkRx, LinkTx};
use rumqttd::protocol::{
    Disconnect, DisconnectReasonCode, Filter, Packet, PubAck, PubAckReason, Publish, QoS, RetainForwardRule, Subscribe,
    Unsubscribe,
};
use rumqttd::{Forward, Notification, RouterConfig};

use super::filters::Feed;
use super::{Config, RouterStopped};

/// Connects a link with this client id to the router. Blocks until the router has answered.
pub(super) type Connect = Arc<dyn Fn(&str) -> Result<Connection, Box<LinkError>> + Send + Sync>;

/// Segments of which the router keeps each feed: the oldest is dropped as a whole.
const SEGMENTS: usize = 4;

/// Starts the router's thread, which lives as long as the process.
pub(super) fn start(config: &Config) -> Connect {
    let router = rumqttd::Router::new(
        0,
        RouterConfig {
            // One more for the link that publishes.
            max_connections: config.links_max.saturating_add(1),
            max_outgoing_packet_count: 100,
            max_segment_size: config.backlog_bytes_max / SEGMENTS,
            max_segment_count: SEGMENTS,
            ..RouterConfig::default()
        },
    );
    let events = router.spawn();
    Arc::new(move |client_id| {
        let (tx, rx, _ack) = LinkBuilder::new(client_id, events.clone())
            .clean_session(true)
            .topic_alias_max(0)
            .dynamic_filters(false)
            .build()
            .map_err(Box::new)?;
        Ok(Connection { tx, rx })
    })
}

/// A link to the router that takes its leave when it is dropped.
pub(super) struct Connection {
    tx: LinkTx,
    pub(super) rx: LinkRx,
}

/// What the router says to a link.
#[derive(Debug)]
pub(super) enum Heard {
    /// A message.
    Message {
        /// To be given back in [`acknowledge`], in order.
        packet_id: u16,
        /// Its number in the log of its feed: one more than that of the message before it, unless some were lost.
        offset: Option<u64>,
        topic: Bytes,
        payload: Bytes,
    },
    /// The subscription to a feed begins or ends here.
    FeedChanged(Feed),
    /// The answer to [`probe`].
    Alive,
    /// Nothing of interest.
    Other,
}

impl Connection {
    /// Hands packets to the router. Never waits: see [`Connection::wake`].
    pub(super) fn say(&mut self, packets: impl IntoIterator<Item = Packet>) -> Result<(), RouterStopped> {
        let idle = {
            let mut waiting = self.tx.buffer();
            let idle = waiting.is_empty();
            waiting.extend(packets);
            idle && !waiting.is_empty()
        };
        // The router takes all that waits at once: where something waited already, it has been woken for that.
        if idle { self.wake() } else { Ok(()) }
    }

    /// What the router has said and was not yet heard; `None` when it has said no more.
    pub(super) fn hear_now(&mut self) -> Result<Option<Heard>, RouterStopped> {
        let mut context = Context::from_waker(Waker::noop());
        loop {
            match pin!(self.rx.next()).poll(&mut context) {
                Poll::Ready(Ok(Some(notification))) => return Ok(Some(notification.into())),
                Poll::Ready(Ok(None)) => {}
                Poll::Ready(Err(_)) => return Err(RouterStopped),
                Poll::Pending => return Ok(None),
            }
        }
    }

    /// Waits for what the router says next. May be dropped and called again without losing anything.
    pub(super) async fn hear(&mut self) -> Result<Heard, RouterStopped> {
        loop {
            if let Some(notification) = self.rx.next().await.map_err(|_| RouterStopped)? {
                return Ok(notification.into());
            }
        }
    }

    /// Blocks for what the router says next; `None` when it says nothing until then or has stopped.
    pub(super) fn hear_until(&mut self, deadline: Instant) -> Option<Heard> {
        loop {
            if let Some(notification) = self.rx.recv_deadline(deadline).ok()? {
                return Some(notification.into());
            }
        }
    }

    /// Wakes the router for what waits.
    ///
    /// rumqttd has no bare wake-up; to unsubscribe from what was never subscribed to is one. It blocks only while the
    /// router's event queue is full, which it never is: it holds 1,000, and each link has at most one wake-up in it.
    fn wake(&mut self) -> Result<(), RouterStopped> {
        self.tx.unsubscribe("").map(drop).map_err(|_| RouterStopped)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let disconnect = Disconnect { reason_code: DisconnectReasonCode::NormalDisconnection };
        // A router that has stopped holds no connections.
        self.say([Packet::Disconnect(disconnect, None)]).ok();
    }
}

impl From<Notification> for Heard {
    fn from(notification: Notification) -> Self {
        if let Notification::Forward(Forward { cursor, mut publish, .. }) = notification {
            let (topic, payload) = (mem::take(&mut publish.topic), mem::take(&mut publish.payload));
            let offset = cursor.map(|(_segment, offset)| offset);
            return Self::Message { packet_id: packet_id(&publish), offset, topic, payload };
        }
        match Option::<Packet>::from(notification) {
            Some(Packet::SubAck(ack, _)) => feed_of(ack.pkid).map_or(Self::Other, Self::FeedChanged),
            Some(Packet::UnsubAck(ack, _)) => feed_of(ack.pkid).map_or(Self::Other, Self::FeedChanged),
            Some(Packet::PingResp(_)) => Self::Alive,
            _ => Self::Other,
        }
    }
}

/// A message for all who have subscribed.
pub(super) fn message(topic: Bytes, payload: Bytes) -> Packet {
    Packet::Publish(Publish::new(topic, payload, false), None)
}

/// A question that a live router answers with [`Heard::Alive`], after all that was said before.
pub(super) fn probe() -> Packet {
    Packet::PingReq(rumqttd::protocol::PingReq)
}

/// Says that a message was taken, so that another one may come.
pub(super) fn acknowledge(packet_id: u16) -> Packet {
    Packet::PubAck(PubAck { pkid: packet_id, reason: PubAckReason::Success }, None)
}

/// Begins a feed.
pub(super) fn subscribe(feed: Feed) -> Packet {
    let filter = Filter {
        path: feed.router_filter(),
        qos: QoS::AtLeastOnce,
        nolocal: false,
        preserve_retain: false,
        retain_forward_rule: RetainForwardRule::Never,
    };
    Packet::Subscribe(Subscribe { pkid: subscription_id(feed), filters: vec![filter] }, None)
}

/// Ends a feed.
pub(super) fn unsubscribe(feed: Feed) -> Packet {
    Packet::Unsubscribe(Unsubscribe { pkid: subscription_id(feed), filters: vec![feed.router_filter()] }, None)
}

/// The places for links, each with a client id of its own.
#[derive(Debug)]
pub(super) struct Seats {
    free: Mutex<Vec<usize>>,
    taken: AtomicUsize,
    gauge: Gauge,
}

/// A place that is taken until this is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    number: usize,
    seats: Arc<Seats>,
}

impl Seats {
    pub(super) fn new(seats: usize, gauge: Gauge) -> Arc<Self> {
        Arc::new(Self { free: Mutex::new((0..seats).rev().collect()), taken: AtomicUsize::new(0), gauge })
    }

    /// Takes a place, if there is one.
    pub(super) fn take(self: &Arc<Self>) -> Option<Seat> {
        let number = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
        self.taken.fetch_add(1, Ordering::AcqRel);
        self.gauge.inc();
        Some(Seat { number, seats: Arc::clone(self) })
    }

    /// Places that are taken.
    pub(super) fn taken(&self) -> usize {
        self.taken.load(Ordering::Acquire)
    }
}

impl Seat {
    /// The client id of the link on this place: none of `+ $ # /`, which the router refuses.
    pub(super) fn client_id(&self) -> String {
        format!("monitor-{}", self.number)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.gauge.dec();
        self.seats.taken.fetch_sub(1, Ordering::AcqRel);
        self.seats.free.lock().unwrap_or_else(PoisonError::into_inner).push(self.number);
    }
}

/// The packet id, which rumqttd keeps to itself: bytes 1 and 2 of its own serialization.
fn packet_id(publish: &Publish) -> u16 {
    match publish.serialize().as_ref() {
        [_, high, low, ..] => u16::from_be_bytes([*high, *low]),
        _ => 0,
    }
}

const fn subscription_id(feed: Feed) -> u16 {
    match feed {
        Feed::Decisions => 1,
        Feed::Status => 2,
    }
}

fn feed_of(subscription: u16) -> Option<Feed> {
    Feed::ALL.into_iter().find(|feed| subscription_id(*feed) == subscription)
}
