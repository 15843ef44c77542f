//! Sessions of doors that are away: what MQTT calls session state (MQTT 5 section 4.1), bounded in number.

use std::collections::{BTreeSet, HashMap};

use protocol::DoorId;
use tokio::time::Instant;

use super::outbox::Outbox;
use super::subscriptions::Subscriptions;
use base::identity::Identity;

/// What a door finds again when it is back.
pub(super) struct StoredSession {
    /// Whose session it is: a revoked certificate loses it.
    pub(super) identity: Identity,
    pub(super) expires_at: Instant,
    pub(super) subscriptions: Subscriptions,
    pub(super) outbox: Outbox,
    /// Packet ids of QoS 2 messages that are received and not released.
    pub(super) received: Vec<u16>,
    /// Which settings the door was last told, see `Registry::settings_version`.
    pub(super) settings_version: u64,
}

/// The sessions that are stored.
pub(super) struct StoredSessions {
    sessions_max: usize,
    sessions: HashMap<DoorId, StoredSession>,
    by_expiry: BTreeSet<(Instant, DoorId)>,
}

impl StoredSessions {
    pub(super) fn new(sessions_max: usize) -> Self {
        Self { sessions_max, sessions: HashMap::new(), by_expiry: BTreeSet::new() }
    }

    /// Stores a session; whether one had to be forgotten for it.
    pub(super) fn store(&mut self, door: DoorId, session: StoredSession, now: Instant) -> bool {
        drop(self.take(&door, now));
        self.by_expiry.insert((session.expires_at, door.clone()));
        self.sessions.insert(door, session);
        self.expire(now);
        self.sessions.len() > self.sessions_max && self.forget_first()
    }

    /// Takes a door's session out.
    pub(super) fn take(&mut self, door: &DoorId, now: Instant) -> Option<StoredSession> {
        let session = self.sessions.remove(door)?;
        self.by_expiry.remove(&(session.expires_at, door.clone()));
        (session.expires_at > now).then_some(session)
    }

    /// Forgets what has expired.
    pub(super) fn expire(&mut self, now: Instant) {
        while self.by_expiry.first().is_some_and(|(expires_at, _)| *expires_at <= now) {
            self.forget_first();
        }
    }

    /// Forgets the sessions of `revoked` certificates.
    pub(super) fn forget(&mut self, revoked: impl Fn(&Identity) -> bool) {
        let Self { sessions, by_expiry, .. } = self;
        sessions.retain(|door, session| {
            let keep = !revoked(&session.identity);
            if !keep {
                by_expiry.remove(&(session.expires_at, door.clone()));
            }
            keep
        });
    }

    fn forget_first(&mut self) -> bool {
        self.by_expiry.pop_first().is_some_and(|(_, door)| self.sessions.remove(&door).is_some())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use base::identity::Role;

    fn session(door: &str, expires_at: Instant) -> (DoorId, StoredSession) {
        let door: DoorId = door.parse().unwrap();
        let not_after = protocol::Instant::from_unix_ms(i64::MAX);
        let session = StoredSession {
            identity: Identity { role: Role::Door(door.clone()), serial: vec![1], not_after },
            expires_at,
            subscriptions: Subscriptions::default(),
            outbox: Outbox::default(),
            received: Vec::new(),
            settings_version: 0,
        };
        (door, session)
    }

    #[test]
    fn the_session_that_expires_first_makes_room() {
        let mut stored = StoredSessions::new(2);
        let now = Instant::now();
        let after = |door, seconds| session(door, now + Duration::from_secs(seconds));
        for ((door, session), forgotten) in [(after("a", 30), false), (after("b", 10), false), (after("c", 20), true)] {
            assert_eq!(stored.store(door, session, now), forgotten);
        }
        let found = ["a", "b", "c"].map(|door| stored.take(&door.parse().unwrap(), now).is_some());
        assert_eq!(found, [true, false, true]);
    }

    #[test]
    fn an_expired_or_revoked_session_is_gone() {
        let mut stored = StoredSessions::new(9);
        let now = Instant::now();
        for (door, seconds) in [("a", 5), ("b", 50)] {
            let (door, session) = session(door, now + Duration::from_secs(seconds));
            stored.store(door, session, now);
        }
        let later = now + Duration::from_secs(6);
        assert!(stored.take(&"a".parse().unwrap(), later).is_none());
        stored.forget(|identity| identity.serial == [1]);
        assert!(stored.take(&"b".parse().unwrap(), later).is_none());
        assert!(stored.by_expiry.is_empty());
    }
}
