//! One client's connection from its CONNACK to its end: what it is. What it does stands in the files that extend it.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use protocol::{Channel, DoorId, DoorStatus, DoorTopic};
use tokio::time::{Instant, Sleep};

use super::backlog::Backlog;
use super::context::FrontContext;
use super::door_record::StatusMessage;
use super::limits::Bucket;
use super::outbox::{Intake, Message, Outbox};
use super::oversized::Skipped;
use super::packet::Will;
use super::reason::Reason;
use super::registry::Presence;
use super::scans::PendingScans;
use super::subscriptions::Subscriptions;
use super::wire::Wire;
use crate::monitors::{MonitorConnection, PublishOptions};

/// One client's connection.
pub(super) struct Session {
    pub(super) context: Arc<FrontContext>,
    pub(super) wire: Wire,
    pub(super) intake: Intake,
    /// Before the presence, so that its place among the monitors is free before the next of the same client comes.
    pub(super) role: SessionRole,
    pub(super) presence: Presence,
    pub(super) subscriptions: Subscriptions,
    pub(super) outbox: Outbox,
    /// Topics that the client has given a number.
    pub(super) aliases: Vec<(u16, Bytes)>,
    /// The message that is being thrown away because it is too large.
    pub(super) skipped: Option<Box<Skipped>>,
    /// Silence after which the connection ends.
    pub(super) silence_max: Duration,
    /// When the client's certificate expires, or is next compared with the clock.
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
pub(super) enum SessionRole {
    Door(DoorSession),
    Monitor(Box<MonitorSession>),
}

pub(super) struct DoorSession {
    pub(super) door: DoorId,
    pub(super) scans: PendingScans,
    /// Packet ids of QoS 2 messages that are received and not released.
    pub(super) received: Vec<u16>,
    /// As the last status of this connection said.
    pub(super) clock_offset_ms: Option<i64>,
    pub(super) backlog: Backlog,
    pub(super) settings_version: u64,
    pub(super) will: Option<Box<LastWill>>,
}

/// A monitor's side of its session.
pub(super) struct MonitorSession {
    pub(super) connection: MonitorConnection,
    pub(super) bucket: Mutex<Bucket>,
    /// Doors' last status, to be sent as fast as the client takes them.
    pub(super) retained: Vec<(DoorId, StatusMessage)>,
    /// Messages that were dropped on their way to the client, and of which it was not told.
    pub(super) missed: u64,
    /// For a helper's device.
    pub(super) helper: Option<HelperSession>,
}

/// What a helper's device has beyond a monitor: it may speak.
pub(super) struct HelperSession {
    pub(super) name: DoorId,
    /// Assist requests that wait for their answer.
    pub(super) scans: PendingScans,
}

/// A door's last will, which can only be a status.
pub(super) struct LastWill {
    pub(super) status: DoorStatus,
    pub(super) will: Will,
}

/// Why a connection ends.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    /// The client has said goodbye.
    Left { with_will: bool },
    /// It is gone without saying so, or does not take what it is sent.
    Lost,
    /// The gateway ends it.
    Closed(Reason),
}

impl Session {
    /// Puts a message on its way to the client.
    pub(super) fn push(&mut self, message: Message) {
        if self.outbox.push(message, self.context.config.outbox_messages_max).is_some() {
            self.context.metrics.outbox_dropped.inc();
        }
    }

    /// Remembers what is said of the door, and tells monitors.
    pub(super) fn publish_status(&self, status: DoorStatus, message: StatusMessage, clock_offset_ms: Option<i64>) {
        let Some(record) = &self.presence.door else { return };
        record.remember(status, message.clone(), clock_offset_ms);
        let topic = DoorTopic::new(self.context.site.clone(), record.door.clone(), Channel::Status);
        self.context.monitors.pass_on(&topic, message.payload, message.options);
    }
}

impl LastWill {
    /// As it is published at that time.
    pub(super) fn into_message(self, at: Instant) -> (DoorStatus, StatusMessage) {
        let Self { status, will } = self;
        let expires_at = will.expiry_s.map(|seconds| at + Duration::from_secs(seconds.into()));
        let properties = will.properties.into();
        let options = PublishOptions { qos: will.qos, retain: will.retain, properties, expires_at };
        (status, StatusMessage { payload: will.payload, options: Some(Arc::new(options)) })
    }
}

impl SessionRole {
    /// What the client has published and waits for, where it may publish.
    pub(super) fn scans(&mut self) -> Option<&mut PendingScans> {
        match self {
            Self::Door(role) => Some(&mut role.scans),
            Self::Monitor(role) => role.helper.as_mut().map(|helper| &mut helper.scans),
        }
    }
}

impl DoorSession {
    /// Strikes a released QoS 2 message; whether it was there.
    pub(super) fn release(&mut self, pkid: u16) -> bool {
        let at = self.received.iter().position(|received| *received == pkid);
        at.map(|at| self.received.swap_remove(at)).is_some()
    }
}
