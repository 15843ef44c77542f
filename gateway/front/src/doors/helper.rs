//! What a helper's session does beyond a monitor's: it takes assist requests, and passes decisions on them to their doors.

use std::time::Duration;

use bytes::Bytes;
use protocol::{Assist, Channel, Decision, DoorId, DoorTopic, Via};
use tokio::time::Instant;

use super::outbox::{Message, Topic};
use super::packet::{Publish, Version};
use super::reason::Reason;
use super::scans::PendingScan;
use super::session::{End, Session, SessionRole};
use crate::scan::{Arrival, AssistRequest};

/// A helper's word opens the door for so long after it was given.
const HELPER_OPENS_FOR: Duration = Duration::from_secs(30);

impl Session {
    /// Takes in an assist request, which names its door in the topic.
    pub(super) fn on_assist(&mut self, publish: Publish) -> Result<(), End> {
        let topic = std::str::from_utf8(&publish.topic).ok().and_then(|topic| topic.parse::<DoorTopic>().ok());
        let topic = topic.filter(|topic| topic.site == self.context.site && topic.channel == Channel::Assist);
        let Some(DoorTopic { door, .. }) = topic else {
            return self.refuse(&publish, Reason::NOT_AUTHORIZED, "topic");
        };
        if (self.context.door_settings)(&door).is_none() {
            self.context.metrics.refuse_assist("unknown_door");
            return self.refuse(&publish, Reason::NOT_AUTHORIZED, "topic");
        }
        if publish.qos != 1 {
            self.context.metrics.refuse_assist("qos");
            return self.refuse(&publish, Reason::IMPLEMENTATION_SPECIFIC, "qos");
        }
        let SessionRole::Monitor(role) = &mut self.role else { return Ok(()) };
        let Some(helper) = &mut role.helper else { return Ok(()) };
        if helper.scans.has(publish.pkid) {
            helper.scans.retry(&self.context.scans);
            return Ok(());
        }
        let Ok(assist) = Assist::from_json(publish.document()) else {
            self.note_refused_assist("payload");
            let told = self.intake.version == Version::V5;
            self.ack(&publish, if told { Reason::PAYLOAD_INVALID } else { Reason::SUCCESS });
            return Ok(());
        };
        let request = AssistRequest { assist, device: helper.name.clone(), via: Via::Mqtt };
        if self.context.assists.rate.take(&request, Instant::now()).is_err() {
            self.note_refused_assist("rate");
            // A 3.1.1 client cannot be told, and PUBACK would say that it is kept.
            if self.intake.version == Version::V5 {
                self.ack(&publish, Reason::QUOTA_EXCEEDED);
            }
            return Ok(());
        }
        let arrival = Arrival::assist(door, request, self.context.clock.now(), helper.scans.reply_to());
        let waiting = PendingScan::new(publish.pkid, publish.qos, None, None);
        helper.scans.submit(&self.context.scans, waiting, arrival);
        Ok(())
    }

    fn note_refused_assist(&self, reason: &'static str) {
        self.context.metrics.refuse_assist(reason);
        let client = &self.presence.client;
        self.context.note_publish(client.address, client.identity.role.to_string(), reason);
    }

    /// An assist request is on disk: the door hears of it, then the helper.
    pub(super) fn on_assist_answer(&mut self, ticket: u64, door: &DoorId, decision: &Decision, for_door: bool) {
        if for_door {
            self.context.registry.tell(door, decision.to_json().into());
        }
        if let Some(waiting) = self.role.scans().and_then(|scans| scans.answered(ticket)) {
            self.ack_scan(&waiting, false);
        }
    }

    /// Passes decisions on assist requests on to the door, if it listens.
    pub(super) fn send_pending_decisions(&mut self, decisions: impl IntoIterator<Item = Bytes>) {
        for payload in decisions {
            let subscription = self.subscriptions.covering_own(&self.intake.prefix, Channel::Decision);
            let Some(qos) = subscription.map(|subscription| subscription.qos) else { return };
            let topic = Topic::Own(Channel::Decision);
            let opens_until = Some(Instant::now() + HELPER_OPENS_FOR);
            self.push(Message { opens_until, ..Message::new(topic, payload, qos, false) });
        }
    }
}
