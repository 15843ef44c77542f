//! One client's connection from its CONNACK to its end.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::PoisonError;
use std::time::Duration;

use bytes::Bytes;
use protocol::{Channel, DoorId, DoorStatus, DoorTopic};
use tokio::time::{Instant, Sleep};

use super::Front;
use super::codec::{self, Packet, Version};
use super::framing::{self, Frame, kind};
use super::limits::Rate;
use super::monitor::MonitorPart;
use super::outbox::{Intake, Message, Outbox};
use super::reason::Reason;
use super::registry::{Order, Presence};
use super::reply::{self, Ack};
use super::scans::Scans;
use super::subscriptions::Subscriptions;
use super::wire::Wire;
use crate::monitors::{Delivery, Stopped};
use crate::scan::Answer;

/// QoS 2 messages that one client may leave unreleased, whatever it was told.
const RECEIVED_MAX: usize = 1024;

/// One client's connection.
pub(super) struct Session {
    pub(super) front: Front,
    pub(super) wire: Wire,
    pub(super) intake: Intake,
    pub(super) presence: Presence,
    pub(super) part: Part,
    pub(super) subscriptions: Subscriptions,
    pub(super) outbox: Outbox,
    /// Topics that the client has given a number.
    pub(super) aliases: Vec<(u16, Bytes)>,
    /// Silence after which the connection ends.
    pub(super) silence_max: Duration,
    /// When the client's certificate expires.
    pub(super) expires_at: Instant,
    /// How long the session is kept after the connection; 0 for not at all.
    pub(super) session_expiry_s: u32,
    pub(super) last_packet: Instant,
    /// The client sends too fast: until then its socket is not read.
    pub(super) paused_until: Option<Instant>,
    /// The client's next message finds no room: its socket is not read until one of the earlier is answered.
    pub(super) blocked: bool,
    /// The gateway shuts down: what is in flight may be answered until then.
    pub(super) stopping: Option<Instant>,
    pub(super) timer: Pin<Box<Sleep>>,
}

/// What differs between a door's and a monitor's connection. A helper's device is a monitor that may speak.
pub(super) enum Part {
    Door(DoorPart),
    Monitor(Box<MonitorPart>),
}

pub(super) struct DoorPart {
    pub(super) door: DoorId,
    pub(super) scans: Scans,
    /// Packet ids of QoS 2 messages that are received and not released.
    pub(super) received: Vec<u16>,
    /// As the last status of this connection said.
    pub(super) clock_offset_ms: Option<i64>,
    pub(super) settings_version: u64,
    pub(super) will: Option<Box<LastWill>>,
}

/// A door's last will, which can only be a status.
pub(super) struct LastWill {
    pub(super) status: DoorStatus,
    pub(super) payload: Bytes,
    pub(super) delay_s: u32,
}

/// Why a connection ends.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    /// The client has said goodbye.
    Left { with_will: bool },
    /// It is gone without a word, or does not take what it is sent.
    Lost,
    /// The gateway ends it.
    Closed(Reason),
}

enum Event {
    Ordered,
    Answered(Answer),
    Delivered(Result<Delivery, Stopped>),
    Read(io::Result<usize>),
    Timer,
}

impl Session {
    /// Serves the client to its end.
    pub(super) async fn run(mut self: Box<Self>) {
        let end = match self.serve().await {
            Err(end) => end,
            Ok(never) => match never {},
        };
        self.finish(end).await;
    }

    async fn serve(&mut self) -> Result<Infallible, End> {
        self.catch_up()?;
        // A client need not wait for CONNACK: what it sent with CONNECT is here already, and the socket may stay silent.
        self.take_input()?;
        loop {
            self.turn().await?;
        }
    }

    async fn turn(&mut self) -> Result<(), End> {
        loop {
            self.obey()?;
            self.send().await?;
            if !self.presence.client.orders().has(Order::ANY) {
                break;
            }
        }
        match self.event().await {
            Event::Ordered => {}
            Event::Answered(answer) => {
                self.answered(answer);
                while let Some(scans) = self.part.scans()
                    && let Ok(answer) = scans.answers.try_recv()
                {
                    self.answered(answer);
                }
            }
            Event::Delivered(Ok(delivery)) => self.deliver(delivery).await?,
            Event::Delivered(Err(Stopped)) => return Err(End::Closed(Reason::SHUTTING_DOWN)),
            Event::Read(Ok(0) | Err(_)) => return Err(End::Lost),
            Event::Read(Ok(_)) => {}
            Event::Timer => self.on_timer()?,
        }
        self.take_input()
    }

    async fn event(&mut self) -> Event {
        let due = self.due();
        if due < self.timer.deadline() || self.timer.is_elapsed() {
            self.timer.as_mut().reset(due);
        }
        let reading = self.reads();
        let room = self.takes_deliveries();
        tokio::select! {
            biased;
            () = self.presence.client.ordered() => Event::Ordered,
            event = self.part.event(room) => event,
            read = self.wire.read(), if reading => Event::Read(read),
            () = self.timer.as_mut() => Event::Timer,
        }
    }

    /// Sends what may be sent, in as few writes as possible.
    async fn send(&mut self) -> Result<(), End> {
        loop {
            self.send_waiting_status();
            let dropped = self.outbox.write(&mut self.wire.out, &self.intake);
            self.front.metrics.outbox_dropped.inc_by(dropped);
            if self.wire.out.is_empty() {
                return Ok(());
            }
            let sent = tokio::select! {
                biased;
                sent = self.wire.flush() => sent,
                () = self.presence.client.must_end() => return self.obey(),
            };
            if let Err(error) = sent {
                if error.kind() == io::ErrorKind::TimedOut {
                    self.front.metrics.write_timeouts.inc();
                }
                return Err(End::Lost);
            }
        }
    }

    fn obey(&mut self) -> Result<(), End> {
        let orders = self.presence.client.orders();
        if orders.has(Order::REVOKED) {
            return Err(End::Closed(Reason::ADMINISTRATIVE_ACTION));
        }
        if orders.has(Order::TAKEOVER) {
            return Err(End::Closed(Reason::SESSION_TAKEN_OVER));
        }
        if orders.has(Order::SHUTDOWN) {
            self.presence.client.done(Order::SHUTDOWN);
            self.stopping = Some(Instant::now() + self.front.config.answer_timeout());
        }
        if orders.has(Order::CONFIG) {
            self.presence.client.done(Order::CONFIG);
            self.send_config()?;
        }
        if orders.has(Order::TOLD) {
            self.presence.client.done(Order::TOLD);
            let told = self.presence.client.take_told();
            self.send_told(told);
        }
        let unanswered = self.part.scans().is_some_and(|scans| scans.len() > 0);
        match self.stopping {
            Some(until) if !unanswered || until <= Instant::now() => Err(End::Closed(Reason::SHUTTING_DOWN)),
            _ => Ok(()),
        }
    }

    /// Interprets what has been received, as far as there is room for it.
    fn take_input(&mut self) -> Result<(), End> {
        if self.stopping.is_some() || self.paused_until.is_some_and(|until| Instant::now() < until) {
            return Ok(());
        }
        (self.paused_until, self.blocked) = (None, false);
        while let Some(frame) = framing::peek(&self.wire.input, self.front.config.packet_bytes_max)
            .map_err(|reason| self.malformed(reason))?
        {
            if frame.kind() == kind::PUBLISH && !self.has_room(frame)? {
                self.blocked = true;
                break;
            }
            let now = Instant::now();
            // Acknowledgements only answer what was sent, and are free.
            if !matches!(frame.kind(), kind::PUBACK..=kind::PUBCOMP)
                && let Err(until) = self.take_token(now)
            {
                self.front.metrics.scans_throttled.inc();
                self.paused_until = Some(until);
                break;
            }
            self.last_packet = now;
            let packet = frame.take(&mut self.wire.input);
            let packet = codec::decode(self.intake.version, frame, packet).map_err(|reason| self.malformed(reason))?;
            self.on_packet(packet)?;
        }
        self.wire.rest();
        Ok(())
    }

    fn on_packet(&mut self, packet: Packet) -> Result<(), End> {
        let (out, version) = (&mut self.wire.out, self.intake.version);
        match packet {
            Packet::Publish(publish) => self.on_publish(publish),
            Packet::PubAck(pkid) => {
                self.outbox.acknowledge(pkid);
                Ok(())
            }
            // No message is ever sent with QoS 2.
            Packet::PubRec(pkid) => {
                reply::ack(out, version, Ack::Release, pkid, Reason::PACKET_ID_NOT_FOUND);
                Ok(())
            }
            Packet::PubComp => Ok(()),
            Packet::PubRel(pkid) => {
                let found = match &mut self.part {
                    Part::Door(part) => part.release(pkid),
                    Part::Monitor(_) => false,
                };
                let reason = if found { Reason::SUCCESS } else { Reason::PACKET_ID_NOT_FOUND };
                reply::ack(out, version, Ack::Complete, pkid, reason);
                Ok(())
            }
            Packet::PingReq => {
                reply::pong(out);
                Ok(())
            }
            Packet::Subscribe(subscribe) => self.on_subscribe(*subscribe),
            Packet::Unsubscribe(unsubscribe) => self.on_unsubscribe(*unsubscribe),
            Packet::Disconnect { reason, session_expiry_s } => {
                if let Some(asked_s) = session_expiry_s {
                    // A session that was to end with the connection cannot be kept after all (MQTT 5 section 3.14.2.2.2).
                    if self.session_expiry_s == 0 && asked_s > 0 {
                        return Err(self.malformed(Reason::PROTOCOL_ERROR));
                    }
                    self.session_expiry_s = asked_s.min(self.front.config.session_expiry_s_max);
                }
                Err(End::Left { with_will: reason != 0 })
            }
            Packet::Connect(_) => Err(self.malformed(Reason::PROTOCOL_ERROR)),
        }
    }

    fn on_timer(&mut self) -> Result<(), End> {
        let now = Instant::now();
        if self.expires_at <= now {
            return Err(End::Closed(Reason::MAXIMUM_CONNECT_TIME));
        }
        if self.reads() && self.last_packet + self.silence_max <= now {
            self.front.metrics.keep_alive_timeouts.inc();
            return Err(End::Closed(Reason::KEEP_ALIVE_TIMEOUT));
        }
        let timeout = self.front.config.answer_timeout();
        while let Some(scans) = self.part.scans()
            && let Some(ticket) = scans.overdue(timeout)
        {
            self.tell_unavailable(ticket, "no-answer-in-time");
        }
        if let Some(scans) = self.part.scans()
            && scans.retry_is_due()
        {
            scans.retry(&self.front.scans);
        }
        Ok(())
    }

    /// When the timer has something to do next.
    fn due(&mut self) -> Instant {
        let silent_at = self.reads().then(|| self.last_packet + self.silence_max);
        let timeout = self.front.config.answer_timeout();
        let scans_at = self.part.scans().and_then(|scans| scans.due(timeout));
        let others = [silent_at, scans_at, self.paused_until, self.stopping];
        others.into_iter().flatten().fold(self.expires_at, Instant::min)
    }

    fn reads(&self) -> bool {
        !self.blocked && self.paused_until.is_none() && self.stopping.is_none()
    }

    /// Whether a message of the client finds room. An MQTT 5 client knows how much there is.
    fn has_room(&mut self, frame: Frame) -> Result<bool, End> {
        let received = match &self.part {
            Part::Door(part) => part.received.len(),
            Part::Monitor(_) => 0,
        };
        let Some(scans) = self.part.scans() else { return Ok(true) };
        let max = usize::from(self.front.config.in_flight_max);
        let resent = frame.head & 0x08 != 0;
        let exceeded = self.intake.version == Version::V5 && scans.numbered() + received >= max && !resent;
        if frame.qos() > 0 && (exceeded || received >= RECEIVED_MAX) {
            return Err(End::Closed(Reason::RECEIVE_MAXIMUM_EXCEEDED));
        }
        Ok(scans.len() < max)
    }

    fn take_token(&self, now: Instant) -> Result<(), Instant> {
        let bucket = match (&self.part, &self.presence.door) {
            (Part::Monitor(part), _) => &part.bucket,
            (Part::Door(_), Some(record)) => &record.bucket,
            (Part::Door(_), None) => return Ok(()),
        };
        let rate = Rate::new(self.front.config.scans_per_second_max, self.front.config.scans_burst_max);
        bucket.lock().unwrap_or_else(PoisonError::into_inner).take(now, rate)
    }

    /// Puts a message on its way to the client.
    pub(super) fn push(&mut self, message: Message) {
        if self.outbox.push(message, self.front.config.outbox_messages_max).is_some() {
            self.front.metrics.outbox_dropped.inc();
        }
    }

    /// Remembers what is said of the door, and tells monitors.
    pub(super) fn publish_status(&self, status: DoorStatus, payload: Bytes, clock_offset_ms: Option<i64>) {
        let Some(record) = &self.presence.door else { return };
        record.remember(status, payload.clone(), clock_offset_ms);
        let topic = DoorTopic::new(self.front.site.clone(), record.door.clone(), Channel::Status);
        self.front.monitors.publish(&topic, payload);
    }

    fn malformed(&self, reason: Reason) -> End {
        self.front.metrics.packets_malformed.inc();
        End::Closed(reason)
    }
}

impl Part {
    /// The next event beside the socket and the clock. May be dropped without losing one.
    async fn event(&mut self, room: bool) -> Event {
        match self {
            Self::Door(part) => match part.scans.answers.recv().await {
                Some(answer) => Event::Answered(answer),
                None => std::future::pending().await,
            },
            Self::Monitor(part) => {
                let MonitorPart { connection, retained, helper, .. } = &mut **part;
                let answered = async {
                    match helper {
                        Some(helper) => helper.scans.answers.recv().await,
                        None => None,
                    }
                };
                tokio::select! {
                    biased;
                    Some(answer) = answered => Event::Answered(answer),
                    delivery = connection.next(), if room && retained.is_empty() => Event::Delivered(delivery),
                    else => std::future::pending().await,
                }
            }
        }
    }

    /// What the client has published and waits for, where it may publish.
    pub(super) fn scans(&mut self) -> Option<&mut Scans> {
        match self {
            Self::Door(part) => Some(&mut part.scans),
            Self::Monitor(part) => part.helper.as_mut().map(|helper| &mut helper.scans),
        }
    }
}

impl DoorPart {
    /// Strikes a released QoS 2 message; whether it was there.
    fn release(&mut self, pkid: u16) -> bool {
        let at = self.received.iter().position(|received| *received == pkid);
        at.map(|at| self.received.swap_remove(at)).is_some()
    }
}
