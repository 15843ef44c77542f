//! The end of a connection: the reason, the last will, what is stored, and what of it the next connection takes back.

use std::time::Duration;

use protocol::{DoorState, DoorStatus};
use tokio::time::Instant;

use super::door_record::StatusMessage;
use super::reason::Reason;
use super::reply;
use super::session::{End, Session, SessionRole};
use super::stored_sessions::StoredSession;

impl Session {
    /// Says why, publishes the last will, stores what the client may find again, and closes.
    pub(super) async fn finish(mut self: Box<Self>, end: End) {
        if let End::Closed(reason) = end {
            tracing::debug!(client = ?self.presence.client.identity.role, reason = reason.0, "connection closed");
            reply::disconnect(&mut self.wire.out, self.intake.version, reason);
        }
        self.publish_last_will(end);
        let Self { wire, presence, role, .. } = self.put_away();
        drop(role);
        drop(presence);
        if !matches!(end, End::Lost) {
            Box::pin(wire.close()).await;
        }
    }

    /// Publishes the last will or, for want of one, that the door is offline.
    fn publish_last_will(&mut self, end: End) {
        let SessionRole::Door(role) = &mut self.role else { return };
        let Some(record) = &self.presence.door else { return };
        let will = role.will.take().filter(|_| !matches!(end, End::Left { with_will: false }));
        let taken_over = matches!(end, End::Closed(Reason::SESSION_TAKEN_OVER));
        match will {
            Some(last) if last.will.delay_s.min(self.session_expiry_s) > 0 => {
                let due = Instant::now() + Duration::from_secs(last.will.delay_s.min(self.session_expiry_s).into());
                // A door that is back already has cancelled it.
                if !taken_over {
                    record.delay_will(due, last.into_message(due));
                }
            }
            Some(last) => {
                let (status, message) = last.into_message(Instant::now());
                self.publish_status(status, message, None);
            }
            None if !taken_over && !record.is_said_offline() => {
                let offline = DoorStatus::new(DoorState::Offline, None);
                let message = StatusMessage::own(offline.to_json().into());
                self.publish_status(offline, message, None);
            }
            None => {}
        }
    }

    /// Takes back that the door is offline, whoever said so of it while it was away: its reader may never publish a status.
    pub(super) fn take_back_offline(&self) {
        if self.presence.door.as_ref().is_some_and(|record| record.is_said_offline()) {
            let online = DoorStatus::new(DoorState::Online, None);
            let message = StatusMessage::own(online.to_json().into());
            self.publish_status(online, message, None);
        }
    }

    /// Puts what the client may find again into its presence.
    fn put_away(mut self: Box<Self>) -> Self {
        if let SessionRole::Door(role) = &mut self.role
            && self.session_expiry_s > 0
        {
            self.presence.to_store = Some(StoredSession {
                identity: self.presence.client.identity.clone(),
                expires_at: Instant::now() + Duration::from_secs(self.session_expiry_s.into()),
                subscriptions: std::mem::take(&mut self.subscriptions),
                outbox: std::mem::take(&mut self.outbox).into_stored(),
                received: std::mem::take(&mut role.received),
                settings_version: role.settings_version,
            });
        }
        *self
    }
}
