//! What is different in a monitor's session: what is published for all comes from the fan-out, and retained status.

use protocol::{Channel, DoorId};

use super::door_record::StatusMessage;
use super::outbox::{Message, Topic};
use super::packet::{Filter, Version};
use super::reason::Reason;
use super::session::{End, Session, SessionRole};
use crate::monitors::{Delivery, PublishOptions};

/// A client waits for so many of its messages at once; the others follow as these go.
const WAITING_MAX: usize = 32;

impl Session {
    /// Whether a monitor has room for another message of the fan-out.
    pub(super) fn takes_deliveries(&self) -> bool {
        self.outbox.waiting() < WAITING_MAX
    }

    /// Passes on what the fan-out has brought, and what else it has at once: it all goes out with one write.
    pub(super) async fn deliver(&mut self, first: Delivery) -> Result<(), End> {
        self.on_delivery(first)?;
        while self.takes_deliveries()
            && let SessionRole::Monitor(role) = &mut self.role
        {
            let next = tokio::select! {
                biased;
                next = role.connection.next() => next,
                () = std::future::ready(()) => break,
            };
            // The end of the fan-out is met again when it is waited for.
            let Ok(delivery) = next else { break };
            self.on_delivery(delivery)?;
        }
        Ok(())
    }

    /// Puts a delivery on its way. A client that has missed messages is told how many; where its version of MQTT has no
    /// way to say so, the connection ends: then it knows as well.
    fn on_delivery(&mut self, Delivery { topic, payload, options, missed }: Delivery) -> Result<(), End> {
        let SessionRole::Monitor(role) = &mut self.role else { return Ok(()) };
        role.missed = role.missed.saturating_add(missed);
        if role.missed > 0 && self.intake.version == Version::V311 {
            return Err(End::Closed(Reason::QUOTA_EXCEEDED));
        }
        let Ok(name) = std::str::from_utf8(&topic) else { return Ok(()) };
        let Some(subscription) = self.subscriptions.covering(name) else { return Ok(()) };
        // What the gateway says of a door in its name is retained; its decisions are not.
        let own = || name.ends_with(Channel::Status.as_str());
        let retain = subscription.retain_as_published && options.as_ref().map_or_else(own, |options| options.retain);
        let qos = subscription.qos.min(published_qos(options.as_deref()));
        let message = Message::new(Topic::Named(topic), payload, qos, retain);
        let message = Message { missed: std::mem::take(&mut role.missed), options, ..message };
        if let Some(dropped) = self.outbox.push(message, self.context.config.outbox_messages_max) {
            self.context.metrics.outbox_dropped.inc();
            role.missed = dropped.missed.saturating_add(1);
        }
        Ok(())
    }

    /// Remembers which doors' last status a new subscription of a monitor brings.
    pub(super) fn retain_for_monitor(&mut self, filter: &Filter) {
        let SessionRole::Monitor(role) = &mut self.role else { return };
        let is_covered = |door: &DoorId| {
            let topic = protocol::topic::door_prefix(&self.context.site, door) + Channel::Status.as_str();
            protocol::topic::matches(&filter.path, &topic)
        };
        let mut statuses = self.context.registry.statuses();
        statuses.retain(|(door, _)| is_covered(door));
        // A door that still waits is sent once, with its newer status.
        role.retained.retain(|(door, _)| !is_covered(door));
        role.retained.append(&mut statuses);
    }

    /// Puts as much retained status on its way as the client has room for.
    pub(super) fn send_waiting_status(&mut self) {
        let SessionRole::Monitor(role) = &mut self.role else { return };
        while self.outbox.waiting() < WAITING_MAX
            && let Some((door, StatusMessage { payload, options })) = role.retained.pop()
        {
            let topic = protocol::topic::door_prefix(&self.context.site, &door) + Channel::Status.as_str();
            if let Some(subscription) = self.subscriptions.covering(&topic) {
                let qos = subscription.qos.min(published_qos(options.as_deref()));
                let message = Message::new(Topic::Named(topic.into()), payload, qos, true);
                drop(self.outbox.push(Message { options, ..message }, usize::MAX));
            }
        }
    }
}

/// The quality of service that a message was published with.
fn published_qos(options: Option<&PublishOptions>) -> u8 {
    options.map_or(1, |options| options.qos)
}
