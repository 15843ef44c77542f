//! What the front remembers of one door, whether its reader is connected or not.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use protocol::{DoorId, DoorState, DoorStatus, Instant};
use tokio::time;

use super::limits::Bucket;
use crate::monitors::PublishOptions;
use crate::scan::Occurrences;
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
    /// How often it has connected.
    pub connects: u64,
    /// How often it did while its connection before was still there.
    pub takeovers: u64,
    /// That its identity seems to be used by two.
    pub contested: Option<Contested>,
    /// When the certificate expires that it has last connected with.
    pub certificate_not_after: Option<Instant>,
}

/// Takeovers that come so fast that two readers seem to use one identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contested {
    /// Those takeovers.
    pub takeovers: Occurrences,
    /// Where the last of them came from, and where the connection that it ended.
    pub addresses: [IpAddr; 2],
}

/// So many takeovers within [`CONTESTED_WITHIN_MS`] are more than a bad network brings.
const CONTESTED_TAKEOVERS: usize = 6;

/// Five minutes.
const CONTESTED_WITHIN_MS: i64 = 300_000;

/// What outlives a door's connections.
pub(super) struct DoorRecord {
    pub(super) door: DoorId,
    /// Here and not in the connection: connecting anew must not refill it.
    pub(super) bucket: Mutex<Bucket>,
    state: Mutex<RecordState>,
}

/// A door's status as it was published: by its reader, as its last will, or by the gateway in its name.
#[derive(Clone, Debug)]
pub(super) struct StatusMessage {
    pub(super) payload: Bytes,
    /// `None` where the gateway has published it.
    pub(super) options: Option<Arc<PublishOptions>>,
}

pub(super) struct RecordState {
    pub(super) connected: bool,
    pub(super) since: Instant,
    pub(super) mqtt: &'static str,
    pub(super) status: Option<(DoorStatus, StatusMessage)>,
    pub(super) clock_offset_ms: Option<i64>,
    pub(super) delayed_will: Option<(time::Instant, (DoorStatus, StatusMessage))>,
    pub(super) connects: u64,
    pub(super) takeovers: u64,
    pub(super) contested: Option<Contested>,
    pub(super) certificate_not_after: Option<Instant>,
    /// When the last takeovers were, the oldest first.
    recent_takeovers: VecDeque<Instant>,
}

impl RecordState {
    /// Takes note that a connection from the first address has ended one from the second.
    pub(super) fn taken_over(&mut self, addresses: [IpAddr; 2], now: Instant) {
        self.takeovers = self.takeovers.saturating_add(1);
        self.recent_takeovers.push_back(now);
        if self.recent_takeovers.len() < CONTESTED_TAKEOVERS {
            return;
        }
        let first = self.recent_takeovers.pop_front();
        if first.is_some_and(|first| now.ms_since(first) <= CONTESTED_WITHIN_MS) {
            let mut takeovers = self.contested.map(|contested| contested.takeovers);
            Occurrences::add(&mut takeovers, now);
            self.contested = takeovers.map(|takeovers| Contested { takeovers, addresses });
        }
    }
}

impl StatusMessage {
    /// What the gateway publishes itself.
    pub(super) fn own(payload: Bytes) -> Self {
        Self { payload, options: None }
    }

    fn is_expired(&self, now: time::Instant) -> bool {
        let expires_at = self.options.as_ref().and_then(|options| options.expires_at);
        expires_at.is_some_and(|expires_at| expires_at <= now)
    }
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
            connects: 0,
            takeovers: 0,
            contested: None,
            certificate_not_after: None,
            recent_takeovers: VecDeque::new(),
        };
        Self { door, bucket: Mutex::new(Bucket::new(time::Instant::now())), state: Mutex::new(state) }
    }

    /// The door's last status, unless it has expired.
    pub(super) fn status(&self) -> Option<StatusMessage> {
        let state = self.state();
        let (_, message) = state.status.as_ref()?;
        (!message.is_expired(time::Instant::now())).then(|| message.clone())
    }

    pub(super) fn is_said_offline(&self) -> bool {
        self.state().status.as_ref().is_some_and(|(status, _)| status.state == DoorState::Offline)
    }

    pub(super) fn remember(&self, status: DoorStatus, message: StatusMessage, clock_offset_ms: Option<i64>) {
        let mut state = self.state();
        state.status = Some((status, message));
        if clock_offset_ms.is_some() {
            state.clock_offset_ms = clock_offset_ms;
        }
    }

    /// Remembers to publish a will later, unless the door is back before.
    pub(super) fn delay_will(&self, due: time::Instant, will: (DoorStatus, StatusMessage)) {
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
            connects: state.connects,
            takeovers: state.takeovers,
            contested: state.contested,
            certificate_not_after: state.certificate_not_after,
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, RecordState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
