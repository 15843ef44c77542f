//! What the front remembers of one door, whether its reader is connected or not.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use protocol::{DoorId, DoorState, DoorStatus, Instant};
use tokio::time;

use super::limits::Bucket;
use base::clock::Clock;

/// One door as the front knows it.
#[derive(Clone, Debug)]
pub struct DoorPresence {
    /// The door.
    pub door: DoorId,
    /// Whether its reader is connected.
    pub connected: bool,
    /// Since when it is, or is not.
    pub since: Instant,
    /// What its reader, its last will, or for want of both the gateway last said of it.
    pub status: Option<DoorStatus>,
    /// The reader's clock minus the gateway's in milliseconds, as last told.
    pub clock_offset_ms: Option<i64>,
    /// The protocol of its last connection, `3.1.1` or `5`.
    pub mqtt: &'static str,
}

/// What outlives a door's connections.
pub(super) struct DoorRecord {
    pub(super) door: DoorId,
    /// Here and not in the connection: connecting anew must not refill it.
    pub(super) bucket: Mutex<Bucket>,
    state: Mutex<RecordState>,
}

pub(super) struct RecordState {
    pub(super) connected: bool,
    pub(super) since: Instant,
    pub(super) mqtt: &'static str,
    pub(super) status: Option<(DoorStatus, Bytes)>,
    pub(super) clock_offset_ms: Option<i64>,
    pub(super) delayed_will: Option<(time::Instant, (DoorStatus, Bytes))>,
}

impl DoorRecord {
    pub(super) fn new(door: DoorId, clock: &Clock) -> Self {
        let state = RecordState {
            connected: false,
            since: clock.now(),
            mqtt: "",
            status: None,
            clock_offset_ms: None,
            delayed_will: None,
        };
        Self { door, bucket: Mutex::new(Bucket::new(time::Instant::now())), state: Mutex::new(state) }
    }

    /// The door's last status as an MQTT payload.
    pub(super) fn status(&self) -> Option<Bytes> {
        self.state().status.as_ref().map(|(_, payload)| payload.clone())
    }

    pub(super) fn is_said_offline(&self) -> bool {
        self.state().status.as_ref().is_some_and(|(status, _)| status.state == DoorState::Offline)
    }

    pub(super) fn remember(&self, status: DoorStatus, payload: Bytes, clock_offset_ms: Option<i64>) {
        let mut state = self.state();
        state.status = Some((status, payload));
        if clock_offset_ms.is_some() {
            state.clock_offset_ms = clock_offset_ms;
        }
    }

    /// Remembers to publish a will later, unless the door is back before.
    pub(super) fn delay_will(&self, due: time::Instant, will: (DoorStatus, Bytes)) {
        self.state().delayed_will = Some((due, will));
    }

    pub(super) fn presence(&self) -> DoorPresence {
        let state = self.state();
        DoorPresence {
            door: self.door.clone(),
            connected: state.connected,
            since: state.since,
            status: state.status.as_ref().map(|(status, _)| status.clone()),
            clock_offset_ms: state.clock_offset_ms,
            mqtt: state.mqtt,
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, RecordState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
