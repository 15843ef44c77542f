//! What a door is told about itself, when it asks and when it changes.

use bytes::Bytes;
use protocol::{Channel, DoorConfig};

use super::outbox::{Message, Topic};
use super::reason::Reason;
use super::session::{End, Session, SessionRole};

impl Session {
    /// Sends the door's configuration because it has changed.
    pub(super) fn send_config(&mut self) -> Result<(), End> {
        let SessionRole::Door(role) = &mut self.role else { return Ok(()) };
        role.settings_version = self.context.registry.settings_version();
        let Some(payload) = self.door_config() else { return Err(End::Closed(Reason::ADMINISTRATIVE_ACTION)) };
        if let Some(subscription) = self.subscriptions.covering_own(&self.intake.prefix, Channel::Config) {
            let (qos, retain) = (subscription.qos, subscription.retain_as_published);
            let topic = Topic::Own(Channel::Config);
            self.push(Message::new(topic, payload, qos, retain));
        }
        Ok(())
    }

    /// A door that comes back to its session learns of settings that have changed meanwhile.
    pub(super) fn catch_up(&mut self) -> Result<(), End> {
        match &self.role {
            SessionRole::Door(role) if role.settings_version != self.context.registry.settings_version() => {
                self.send_config()
            }
            _ => Ok(()),
        }
    }

    /// The door's configuration as an MQTT payload; `None` when the door is not registered any more.
    pub(super) fn door_config(&self) -> Option<Bytes> {
        let SessionRole::Door(role) = &self.role else { return None };
        let settings = (self.context.door_settings)(&role.door)?;
        let now = self.context.clock.now();
        let config = DoorConfig::new(settings.mode, settings.zone, now, settings.late_after_ms, settings.highest);
        Some(config.to_json().into())
    }
}
