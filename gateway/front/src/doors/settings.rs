//! What a door is told about itself, when it asks and when it changes.

use bytes::Bytes;
use protocol::{Channel, DoorConfig};

use super::outbox::{Message, Topic};
use super::reason::Reason;
use super::session::{End, Part, Session};

impl Session {
    /// Sends the door's configuration because it has changed.
    pub(super) fn send_config(&mut self) -> Result<(), End> {
        let Part::Door(part) = &mut self.part else { return Ok(()) };
        part.settings_version = self.front.registry.settings_version();
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
        match &self.part {
            Part::Door(part) if part.settings_version != self.front.registry.settings_version() => self.send_config(),
            _ => Ok(()),
        }
    }

    /// The door's configuration as an MQTT payload; `None` when the door is not registered any more.
    pub(super) fn door_config(&self) -> Option<Bytes> {
        let Part::Door(part) = &self.part else { return None };
        let settings = (self.front.known_door)(&part.door)?;
        let now = self.front.clock.now();
        let config = DoorConfig::new(settings.mode, settings.zone, now, settings.late_after_ms);
        Some(config.to_json().into())
    }
}
