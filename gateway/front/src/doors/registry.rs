//! Who is connected, what each door last said of itself, and the sessions of doors that are away.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use protocol::{DoorId, DoorState, DoorStatus, Instant};
use tokio::sync::Notify;
use tokio::time::{self, timeout_at};

use super::kept::{KeptSession, KeptSessions};
use super::limits::Bucket;
use super::reason::{Reason, Refusal};
use super::{Config, Metrics};
use base::clock::Clock;
use base::identity::{Identity, Role};

/// Decisions on helpers' words that wait for one door's session; beyond, the oldest is dropped.
const TOLD_MAX: usize = 16;

/// Who is connected, and what is remembered of each door.
pub struct Registry {
    config: Arc<Config>,
    metrics: Metrics,
    clock: Clock,
    clients: Mutex<Clients>,
    /// Rises with every change of the doors' settings, so that a door that was away learns of it.
    settings_version: AtomicU64,
}

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

impl Registry {
    /// An empty one; `config` must be the front's.
    pub fn new(config: Arc<Config>, metrics: Metrics, clock: Clock) -> Arc<Self> {
        let clients = Mutex::new(Clients {
            live: HashMap::new(),
            doors: HashMap::new(),
            kept: KeptSessions::new(config.sessions_kept_max),
            closing: false,
        });
        Arc::new(Self { config, metrics, clock, clients, settings_version: AtomicU64::new(0) })
    }

    /// Every door that has connected since the gateway started, by name.
    pub fn doors(&self) -> Vec<DoorPresence> {
        let records: Vec<_> = self.clients().doors.values().map(Arc::clone).collect();
        let mut doors: Vec<_> = records.iter().map(|record| record.presence()).collect();
        doors.sort_unstable_by(|a, b| a.door.cmp(&b.door));
        doors
    }

    /// Monitors that are connected.
    pub fn monitors_connected(&self) -> u64 {
        let clients = self.clients();
        clients.live.keys().filter(|role| matches!(role, Role::Monitor(_))).map(|_| 1).sum()
    }

    /// Ends every session whose certificate is `revoked` at once, and forgets kept ones; how many were connected. Put the new
    /// TLS configuration in force before: a connection that is being made under the old one is then refused.
    pub fn drop_sessions(&self, revoked: impl Fn(&Identity) -> bool) -> usize {
        let mut clients = self.clients();
        clients.kept.forget(&revoked);
        let dropped: Vec<_> = clients.live.values().filter(|client| revoked(&client.identity)).collect();
        dropped.iter().for_each(|client| client.order(Order::REVOKED));
        self.metrics.sessions_dropped.inc_by(u64::try_from(dropped.len()).unwrap_or(u64::MAX));
        dropped.len()
    }

    /// Tells every door that has subscribed to its configuration what it is now. A door that is not registered any more is
    /// disconnected.
    pub fn send_config(&self) {
        self.settings_version.fetch_add(1, Ordering::Release);
        self.order_all(Order::CONFIG);
    }

    /// Hands a door's reader a decision that it has not asked for; whether it is connected. The decision must be on disk.
    pub fn tell(&self, door: &DoorId, decision: Bytes) -> bool {
        let clients = self.clients();
        let Some(client) = clients.live.get(&Role::Door(door.clone())) else { return false };
        client.tell(decision);
        true
    }

    pub(super) fn settings_version(&self) -> u64 {
        self.settings_version.load(Ordering::Acquire)
    }

    /// Lets nobody in any more, and tells every session to end when it has answered what is in flight.
    pub(super) fn close(&self) {
        self.clients().closing = true;
        self.order_all(Order::SHUTDOWN);
    }

    /// Makes a client the one of its role, after the one before has ended.
    pub(super) async fn join(self: &Arc<Self>, identity: Identity, mqtt: &'static str) -> Result<Presence, Refusal> {
        let deadline = time::Instant::now() + self.config.takeover_timeout();
        let client = Arc::new(Client::new(identity));
        let mut taking_over = false;
        loop {
            let old = {
                let mut clients = self.clients();
                if clients.closing {
                    return Err((Reason::SERVER_UNAVAILABLE, "shutdown"));
                }
                let full = clients.live.len() >= self.config.connections_max;
                match clients.live.entry(client.identity.role.clone()) {
                    Entry::Occupied(old) => Arc::clone(old.get()),
                    Entry::Vacant(_) if full => return Err((Reason::SERVER_BUSY, "connections_max")),
                    Entry::Vacant(place) => {
                        place.insert(Arc::clone(&client));
                        self.metrics.connections.inc();
                        let door = clients.door_arrives(&client.identity.role, mqtt, &self.clock);
                        return Ok(Presence { registry: Arc::clone(self), client, door, keep: None });
                    }
                }
            };
            if !std::mem::replace(&mut taking_over, true) {
                self.metrics.takeovers.inc();
            }
            old.order(Order::TAKEOVER);
            if timeout_at(deadline, old.ended()).await.is_err() {
                return Err((Reason::SERVER_UNAVAILABLE, "takeover_timeout"));
            }
        }
    }

    /// The kept session of a door, which is then not kept any more.
    pub(super) fn take_kept(&self, door: &DoorId) -> Option<KeptSession> {
        self.clients().kept.take(door, time::Instant::now())
    }

    /// Wills that are due now, already remembered as their doors' status.
    pub(super) fn due_wills(&self) -> Vec<(DoorId, Bytes)> {
        let mut clients = self.clients();
        let now = time::Instant::now();
        clients.kept.expire(now);
        let due = clients.doors.values().filter_map(|record| {
            let mut state = record.state();
            let (_, (status, payload)) = state.delayed_will.take_if(|(due, _)| *due <= now)?;
            state.status = Some((status, payload.clone()));
            Some((record.door.clone(), payload))
        });
        due.collect()
    }

    /// The last status of every door that has one, as MQTT payloads.
    pub(super) fn statuses(&self) -> Vec<(DoorId, Bytes)> {
        let clients = self.clients();
        clients.doors.values().filter_map(|record| Some((record.door.clone(), record.status()?))).collect()
    }

    fn order_all(&self, order: Order) {
        self.clients().live.values().for_each(|client| client.order(order));
    }

    fn leave(&self, client: &Arc<Client>, door: Option<&DoorRecord>, keep: Option<KeptSession>) {
        let mut clients = self.clients();
        if clients.live.get(&client.identity.role).is_some_and(|live| Arc::ptr_eq(live, client)) {
            clients.live.remove(&client.identity.role);
            self.metrics.connections.dec();
        }
        if let Some(record) = door {
            let mut state = record.state();
            state.connected = false;
            state.since = self.clock.now();
        }
        // Under the same lock as a revocation, which must not miss a session that is on its way from live to kept.
        if let (Some(record), Some(keep)) = (door, keep)
            && !client.orders().has(Order::REVOKED)
            && clients.kept.keep(record.door.clone(), keep, time::Instant::now())
        {
            self.metrics.sessions_forgotten.inc();
        }
        drop(clients);
        client.end();
    }

    fn clients(&self) -> MutexGuard<'_, Clients> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Clients {
    live: HashMap<Role, Arc<Client>>,
    doors: HashMap<DoorId, Arc<DoorRecord>>,
    kept: KeptSessions,
    closing: bool,
}

impl Clients {
    fn door_arrives(&mut self, role: &Role, mqtt: &'static str, clock: &Clock) -> Option<Arc<DoorRecord>> {
        let Role::Door(door) = role else { return None };
        let record = self.doors.entry(door.clone()).or_insert_with(|| Arc::new(DoorRecord::new(door.clone(), clock)));
        let mut state = record.state();
        (state.connected, state.since, state.mqtt, state.delayed_will) = (true, clock.now(), mqtt, None);
        drop(state);
        Some(Arc::clone(record))
    }
}

/// What outlives a door's connections.
pub(super) struct DoorRecord {
    pub(super) door: DoorId,
    /// Here and not in the connection: connecting anew must not refill it.
    pub(super) bucket: Mutex<Bucket>,
    state: Mutex<RecordState>,
}

struct RecordState {
    connected: bool,
    since: Instant,
    mqtt: &'static str,
    status: Option<(DoorStatus, Bytes)>,
    clock_offset_ms: Option<i64>,
    delayed_will: Option<(time::Instant, (DoorStatus, Bytes))>,
}

impl DoorRecord {
    fn new(door: DoorId, clock: &Clock) -> Self {
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

    fn presence(&self) -> DoorPresence {
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

    fn state(&self) -> MutexGuard<'_, RecordState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A client's place among the live ones. Dropping it, in a panic too, gives the place up and keeps the session where there is one
/// to keep.
pub(super) struct Presence {
    registry: Arc<Registry>,
    pub(super) client: Arc<Client>,
    /// For a door.
    pub(super) door: Option<Arc<DoorRecord>>,
    pub(super) keep: Option<KeptSession>,
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.registry.leave(&self.client, self.door.as_deref(), self.keep.take());
    }
}

/// One live session as others see it.
pub(super) struct Client {
    pub(super) identity: Identity,
    orders: AtomicU8,
    ordered: Notify,
    /// Decisions that the door has not asked for.
    told: Mutex<VecDeque<Bytes>>,
    ended: AtomicBool,
    end: Notify,
}

/// What others want of a session; a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Order(u8);

impl Order {
    pub(super) const TAKEOVER: Self = Self(1);
    pub(super) const REVOKED: Self = Self(2);
    pub(super) const SHUTDOWN: Self = Self(4);
    pub(super) const CONFIG: Self = Self(8);
    pub(super) const TOLD: Self = Self(16);
    pub(super) const ANY: Self = Self(u8::MAX);

    pub(super) fn has(self, order: Self) -> bool {
        self.0 & order.0 != 0
    }
}

impl Client {
    fn new(identity: Identity) -> Self {
        Self {
            identity,
            orders: AtomicU8::new(0),
            ordered: Notify::new(),
            told: Mutex::default(),
            ended: AtomicBool::new(false),
            end: Notify::new(),
        }
    }

    /// Completes when there may be new orders.
    pub(super) async fn ordered(&self) {
        self.ordered.notified().await;
    }

    /// Completes when the session must end at once, even in the middle of a write.
    pub(super) async fn must_end(&self) {
        while !self.orders().has(Order(Order::TAKEOVER.0 | Order::REVOKED.0)) {
            self.ordered().await;
        }
        // The session still has to see why.
        self.ordered.notify_one();
    }

    /// All orders so far.
    pub(super) fn orders(&self) -> Order {
        Order(self.orders.load(Ordering::Acquire))
    }

    /// Strikes an order that is carried out.
    pub(super) fn done(&self, order: Order) {
        self.orders.fetch_and(!order.0, Ordering::AcqRel);
    }

    fn tell(&self, decision: Bytes) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() >= TOLD_MAX {
            told.pop_front();
        }
        told.push_back(decision);
        drop(told);
        self.order(Order::TOLD);
    }

    /// Takes the decisions that the door has not asked for.
    pub(super) fn take_told(&self) -> VecDeque<Bytes> {
        std::mem::take(&mut self.told.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn order(&self, order: Order) {
        self.orders.fetch_or(order.0, Ordering::AcqRel);
        self.ordered.notify_one();
    }

    fn end(&self) {
        self.ended.store(true, Ordering::Release);
        self.end.notify_waiters();
    }

    async fn ended(&self) {
        let mut end = std::pin::pin!(self.end.notified());
        end.as_mut().enable();
        if !self.ended.load(Ordering::Acquire) {
            end.await;
        }
    }
}
