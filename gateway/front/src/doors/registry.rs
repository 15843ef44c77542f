//! Who is connected, what each door last said of itself, and the sessions of doors that are away.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use protocol::DoorId;
use protocol::api::RefusalRow;
use tokio::time::{self, timeout_at};

use super::client::{Client, Command};
use super::config::Config;
use super::door_record::{DoorPresence, DoorRecord, StatusMessage};
use super::metrics::Metrics;
use super::reason::{Reason, Refusal};
use super::refusals::RefusalLog;
use super::stored_sessions::{StoredSession, StoredSessions};
use base::clock::Clock;
use base::identity::{Identity, Role};

/// Who is connected, and what is remembered of each door.
pub struct Registry {
    config: Arc<Config>,
    metrics: Metrics,
    clock: Clock,
    clients: Mutex<Clients>,
    /// Rises with every change of the doors' settings, so that a door that was away learns of it.
    settings_version: AtomicU64,
    /// Who was refused lately.
    pub(super) refusals: RefusalLog,
}

impl Registry {
    /// An empty one; `config` must be the front's.
    pub fn new(config: Arc<Config>, metrics: Metrics, clock: Clock) -> Arc<Self> {
        let clients = Mutex::new(Clients {
            live: HashMap::new(),
            doors: HashMap::new(),
            stored: StoredSessions::new(config.sessions_kept_max),
            closing: false,
        });
        Arc::new(Self {
            config,
            metrics,
            clock,
            clients,
            settings_version: AtomicU64::new(0),
            refusals: RefusalLog::default(),
        })
    }

    /// Every door that has connected since the gateway started, by name.
    pub fn doors(&self) -> Vec<DoorPresence> {
        let records: Vec<_> = self.clients().doors.values().map(Arc::clone).collect();
        let mut doors: Vec<_> = records.iter().map(|record| record.presence()).collect();
        doors.sort_unstable_by(|a, b| a.door.cmp(&b.door));
        doors
    }

    /// Who was refused lately, the newest first.
    pub fn refusals(&self) -> Vec<RefusalRow> {
        self.refusals.rows()
    }

    /// An operator knows of the takeovers of a door by now.
    pub fn acknowledge(&self, door: &DoorId) {
        if let Some(record) = self.clients().doors.get(door) {
            record.state().contested = None;
        }
    }

    /// Monitors that are connected.
    pub fn monitors_connected(&self) -> u64 {
        let clients = self.clients();
        clients.live.keys().filter(|role| matches!(role, Role::Monitor(_))).map(|_| 1).sum()
    }

    /// Ends every session whose certificate is `revoked` at once, and forgets stored ones; how many were connected. Put the new
    /// TLS configuration in force before: a connection that is being made under the old one is then refused.
    pub fn drop_sessions(&self, revoked: impl Fn(&Identity) -> bool) -> usize {
        let mut clients = self.clients();
        clients.stored.forget(&revoked);
        let dropped: Vec<_> = clients.live.values().filter(|client| revoked(&client.identity)).collect();
        dropped.iter().for_each(|client| client.command(Command::REVOKED));
        self.metrics.sessions_dropped.inc_by(u64::try_from(dropped.len()).unwrap_or(u64::MAX));
        dropped.len()
    }

    /// Tells every door that has subscribed to its configuration what it is now. A door that is not registered any more is
    /// disconnected.
    pub fn send_config(&self) {
        self.settings_version.fetch_add(1, Ordering::Release);
        self.command_all(Command::CONFIG);
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
        self.command_all(Command::SHUTDOWN);
    }

    /// Makes a client the one of its role, after the one before has ended.
    pub(super) async fn join(
        self: &Arc<Self>,
        identity: Identity,
        mqtt: &'static str,
        address: IpAddr,
    ) -> Result<Presence, Refusal> {
        let deadline = time::Instant::now() + self.config.takeover_timeout();
        let client = Arc::new(Client::new(identity, address));
        let mut taken_over = None;
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
                        let door = clients.door_arrives(&client, mqtt, taken_over, &self.clock);
                        return Ok(Presence { registry: Arc::clone(self), client, door, to_store: None });
                    }
                }
            };
            if taken_over.replace(old.address).is_none() {
                self.metrics.takeovers.inc();
            }
            old.command(Command::TAKEOVER);
            if timeout_at(deadline, old.ended()).await.is_err() {
                return Err((Reason::SERVER_UNAVAILABLE, "takeover_timeout"));
            }
        }
    }

    /// The stored session of a door, which is then not stored any more.
    pub(super) fn take_stored(&self, door: &DoorId) -> Option<StoredSession> {
        self.clients().stored.take(door, time::Instant::now())
    }

    /// Wills that are due now, already remembered as their doors' status.
    pub(super) fn due_wills(&self) -> Vec<(DoorId, StatusMessage)> {
        let mut clients = self.clients();
        let now = time::Instant::now();
        clients.stored.expire(now);
        let due = clients.doors.values().filter_map(|record| {
            let mut state = record.state();
            let (_, (status, message)) = state.delayed_will.take_if(|(due, _)| *due <= now)?;
            state.status = Some((status, message.clone()));
            Some((record.door.clone(), message))
        });
        due.collect()
    }

    /// The last status of every door that has one.
    pub(super) fn statuses(&self) -> Vec<(DoorId, StatusMessage)> {
        let clients = self.clients();
        clients.doors.values().filter_map(|record| Some((record.door.clone(), record.status()?))).collect()
    }

    fn command_all(&self, command: Command) {
        self.clients().live.values().for_each(|client| client.command(command));
    }

    fn leave(&self, client: &Arc<Client>, door: Option<&DoorRecord>, to_store: Option<StoredSession>) {
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
        // Under the same lock as a revocation, which must not miss a session that is on its way from live to stored.
        if let (Some(record), Some(session)) = (door, to_store)
            && !client.commands().has(Command::REVOKED)
            && clients.stored.store(record.door.clone(), session, time::Instant::now())
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
    stored: StoredSessions,
    closing: bool,
}

impl Clients {
    /// Takes note of a door's new connection, which has ended the one from `taken_over`.
    fn door_arrives(
        &mut self,
        client: &Client,
        mqtt: &'static str,
        taken_over: Option<IpAddr>,
        clock: &Clock,
    ) -> Option<Arc<DoorRecord>> {
        let Role::Door(door) = &client.identity.role else { return None };
        let record = self.doors.entry(door.clone()).or_insert_with(|| Arc::new(DoorRecord::new(door.clone(), clock)));
        let mut state = record.state();
        let now = clock.now();
        (state.connected, state.since, state.mqtt, state.delayed_will) = (true, now, mqtt, None);
        state.connects = state.connects.saturating_add(1);
        // Who shows no certificate has none that ends.
        state.certificate_not_after = (!client.identity.serial.is_empty()).then_some(client.identity.not_after);
        if let Some(from) = taken_over {
            state.taken_over([client.address, from], now);
        }
        drop(state);
        Some(Arc::clone(record))
    }
}

/// A client among the live ones. Dropping it, in a panic too, takes it out and stores the session where there is one
/// to store.
pub(super) struct Presence {
    registry: Arc<Registry>,
    pub(super) client: Arc<Client>,
    /// For a door.
    pub(super) door: Option<Arc<DoorRecord>>,
    pub(super) to_store: Option<StoredSession>,
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.registry.leave(&self.client, self.door.as_deref(), self.to_store.take());
    }
}
