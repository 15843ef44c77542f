//! What a client may publish, and how it is answered.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use protocol::{Channel, Decision, DoorStatus, MalformedScan, Scan, ScanError};
use tokio::time::Instant;

use super::codec;
use super::door_record::StatusMessage;
use super::outbox::{Message, Topic};
use super::packet::{Oversized, Publish, Version};
use super::reason::Reason;
use super::reply::{self, Ack};
use super::scans::PendingScan;
use super::session::{End, Session, SessionRole};
use super::subscriptions::Subscriptions;
use crate::monitors::PublishOptions;
use crate::scan::{Answer, Arrival, Payload};

/// Topics that a client may give a number.
pub(super) const TOPIC_ALIAS_MAX: u16 = 8;

impl Session {
    /// Takes in a message of the client.
    pub(super) fn on_publish(&mut self, mut publish: Publish) -> Result<(), End> {
        self.resolve_alias(&mut publish)?;
        let role = match &mut self.role {
            SessionRole::Door(role) => role,
            SessionRole::Monitor(role) if role.helper.is_some() => return self.on_assist(publish),
            SessionRole::Monitor(_) => return self.refuse(&publish, Reason::NOT_AUTHORIZED, "monitor"),
        };
        if publish.qos == 2 && role.received.contains(&publish.pkid) {
            self.ack(&publish, Reason::SUCCESS);
            return Ok(());
        }
        let Some(name) = std::str::from_utf8(&publish.topic).ok().filter(|name| !name.contains(['+', '#', '\0']))
        else {
            return self.refuse(&publish, Reason::TOPIC_NAME_INVALID, "topic_name");
        };
        match name.strip_prefix(&*self.intake.prefix) {
            Some("scan") => self.on_scan(publish),
            Some("status") => self.on_status(publish),
            _ => self.refuse(&publish, Reason::NOT_AUTHORIZED, "topic"),
        }
    }

    /// Acts on what became of a scan.
    pub(super) fn answered(&mut self, answer: Answer) {
        match answer {
            Answer::Committed { ticket, decision, malformed, opens_until } => {
                let Some(waiting) = self.role.scans().and_then(|scans| scans.answered(ticket)) else { return };
                if let SessionRole::Door(role) = &mut self.role {
                    role.backlog.answered(Instant::now());
                }
                if let Some(decision) = decision {
                    self.send_decision(&waiting, decision, opens_until.map(Instant::from_std));
                }
                self.ack_scan(&waiting, malformed);
            }
            Answer::Assisted { ticket, door, decision, for_door } => {
                self.on_assist_answer(ticket, &door, &decision, for_door)
            }
            Answer::Held { ticket, reason } => self.tell_unavailable(ticket, reason),
            Answer::Refused { arrival, reason } => {
                let ticket = arrival.reply.ticket;
                if let Some(scans) = self.role.scans() {
                    scans.take_back(arrival);
                }
                self.tell_unavailable(ticket, reason);
            }
        }
    }

    /// Tells the door that nothing can be promised of a scan, once. A helper learns it from the missing acknowledgement.
    pub(super) fn tell_unavailable(&mut self, ticket: u64, reason: &'static str) {
        if let SessionRole::Monitor(role) = &mut self.role {
            if role.helper.as_mut().is_some_and(|helper| helper.scans.unavailable(ticket).is_some()) {
                self.context.metrics.refuse_assist("unavailable");
            }
            return;
        }
        let Some(waiting) = self.role.scans().and_then(|scans| scans.unavailable(ticket)) else { return };
        self.context.metrics.scans_unavailable.inc();
        let Some(id) = waiting.id else { return };
        let payload = Decision::unavailable(id, reason, self.context.clock.now()).to_json().into();
        if let Some(message) = decision_message(&self.subscriptions, &self.intake.prefix, waiting, payload) {
            self.push(message);
        }
    }

    fn on_scan(&mut self, publish: Publish) -> Result<(), End> {
        if let Some(respond) = &publish.respond {
            let own = respond.topic.strip_prefix(&*self.intake.prefix);
            if own.is_none_or(|rest| rest.is_empty() || rest.contains(['+', '#', '\0'])) {
                return self.refuse(&publish, Reason::NOT_AUTHORIZED, "response_topic");
            }
        }
        let SessionRole::Door(role) = &mut self.role else { return Ok(()) };
        if role.scans.has(publish.pkid) {
            // The client is impatient. If its scan has found the queue full, there may be room now.
            role.scans.retry(&self.context.scans);
            return Ok(());
        }
        self.context.metrics.scans_received.inc();
        let payload = match (publish.oversized, Scan::from_json(&publish.payload)) {
            (Some(oversized), _) => {
                let Oversized { payload_bytes, digest } = *oversized;
                let scan = MalformedScan::new(ScanError::too_large(payload_bytes), payload_bytes, &publish.payload);
                Payload::Malformed { scan: Box::new(scan), digest }
            }
            (None, Ok(scan)) => Payload::Scan(scan),
            (None, Err(error)) => Payload::Malformed {
                scan: Box::new(MalformedScan::new(error, publish.payload.len(), &publish.payload)),
                digest: blake3::hash(&publish.payload).into(),
            },
        };
        let now = Instant::now();
        let arrival = Arrival {
            door: role.door.clone(),
            received_at: self.context.clock.now(),
            arrived: std::time::Instant::now(),
            clock_offset_ms: role.clock_offset_ms,
            maybe_buffered: role.backlog.covers(now, role.scans.len()),
            payload,
            reply: role.scans.reply_to(),
        };
        let (ticket, id) = (arrival.reply.ticket, arrival.scan_id());
        let waiting = PendingScan::new(publish.pkid, publish.qos, id, publish.respond);
        if !role.scans.submit(&self.context.scans, waiting, arrival) {
            self.tell_unavailable(ticket, "gateway-busy");
        }
        Ok(())
    }

    fn on_status(&mut self, publish: Publish) -> Result<(), End> {
        let Ok(status) = DoorStatus::from_json(publish.document()) else {
            self.note_refused("status");
            let reason = Reason::PAYLOAD_INVALID;
            self.ack(&publish, if self.intake.version == Version::V5 { reason } else { Reason::SUCCESS });
            return Ok(());
        };
        let offset_ms = status.at.map(|at| at.ms_since(self.context.clock.now()));
        if let SessionRole::Door(role) = &mut self.role {
            role.clock_offset_ms = offset_ms.or(role.clock_offset_ms);
            if status.buffered_scans == Some(0) {
                role.backlog.is_empty(Instant::now());
            }
        }
        // A copy, so that the record of a quiet door does not hold on to all that was received with it.
        let payload = Bytes::copy_from_slice(&publish.payload);
        let (properties, expiry_s) = codec::message_properties(&publish.properties);
        let options = Arc::new(PublishOptions {
            qos: publish.qos,
            retain: publish.retain,
            properties: properties.into(),
            expires_at: expiry_s.map(|seconds| Instant::now() + Duration::from_secs(seconds.into())),
        });
        let message = StatusMessage { payload, options: Some(options) };
        self.publish_status(status, message.clone(), offset_ms);
        let subscription = self.subscriptions.covering_own(&self.intake.prefix, Channel::Status);
        if let Some(subscription) = subscription.filter(|found| !found.no_local) {
            let retain = publish.retain && subscription.retain_as_published;
            let qos = subscription.qos.min(publish.qos);
            let topic = Topic::Own(Channel::Status);
            let StatusMessage { payload, options } = message;
            self.push(Message { options, ..Message::new(topic, payload, qos, retain) });
        }
        self.ack(&publish, Reason::SUCCESS);
        Ok(())
    }

    /// Does not accept a message. A 3.1.1 client cannot be told, nor any at QoS 0: its connection ends.
    pub(super) fn refuse(&mut self, publish: &Publish, reason: Reason, counted_as: &'static str) -> Result<(), End> {
        self.note_refused(counted_as);
        if self.intake.version == Version::V311 || publish.qos == 0 {
            return Err(End::Closed(reason));
        }
        self.ack(publish, reason);
        Ok(())
    }

    /// Counts a message that is not accepted, and keeps whose it was.
    fn note_refused(&self, reason: &'static str) {
        self.context.metrics.refuse_publish(reason);
        let client = &self.presence.client;
        self.context.note_publish(client.address, client.identity.role.to_string(), reason);
    }

    /// Acknowledges a message that needs no more waiting.
    pub(super) fn ack(&mut self, publish: &Publish, reason: Reason) {
        self.ack_numbered(publish.qos, publish.pkid, reason);
    }

    pub(super) fn ack_scan(&mut self, waiting: &PendingScan, malformed: bool) {
        let refused = malformed && self.intake.version == Version::V5;
        let reason = if refused { Reason::PAYLOAD_INVALID } else { Reason::SUCCESS };
        self.ack_numbered(waiting.qos, waiting.pkid, reason);
    }

    fn ack_numbered(&mut self, qos: u8, pkid: u16, reason: Reason) {
        let ack = match qos {
            0 => return,
            1 => Ack::Published,
            _ => Ack::Received,
        };
        // After an error there will be no PUBREL.
        if let (Ack::Received, SessionRole::Door(role)) = (ack, &mut self.role)
            && !reason.is_error()
            && !role.received.contains(&pkid)
        {
            role.received.push(pkid);
        }
        reply::ack(&mut self.wire.out, self.intake.version, ack, pkid, reason);
    }

    fn send_decision(&mut self, waiting: &PendingScan, payload: Bytes, opens_until: Option<Instant>) {
        let Some(message) = decision_message(&self.subscriptions, &self.intake.prefix, waiting, payload) else {
            return;
        };
        self.push(Message { opens_until, ..message });
        // Ahead of the acknowledgement where the client's window allows.
        let dropped = self.outbox.write(&mut self.wire.out, &self.intake);
        self.context.metrics.outbox_dropped.inc_by(dropped);
    }

    fn resolve_alias(&mut self, publish: &mut Publish) -> Result<(), End> {
        let Some(alias) = publish.alias else {
            return if publish.topic.is_empty() { Err(End::Closed(Reason::PROTOCOL_ERROR)) } else { Ok(()) };
        };
        if alias == 0 || alias > TOPIC_ALIAS_MAX {
            return Err(End::Closed(Reason::TOPIC_ALIAS_INVALID));
        }
        let known = self.aliases.iter_mut().find(|(number, _)| *number == alias);
        match known {
            Some((_, topic)) if publish.topic.is_empty() => publish.topic = topic.clone(),
            None if publish.topic.is_empty() => return Err(End::Closed(Reason::PROTOCOL_ERROR)),
            Some((_, topic)) => *topic = Bytes::copy_from_slice(&publish.topic),
            None => self.aliases.push((alias, Bytes::copy_from_slice(&publish.topic))),
        }
        Ok(())
    }
}

/// The answer to a scan: on the response topic that it named, if the door listens there, otherwise on the decision topic.
fn decision_message(
    subscriptions: &Subscriptions,
    prefix: &str,
    waiting: &PendingScan,
    payload: Bytes,
) -> Option<Message> {
    let message = |qos, topic, correlation| Message { correlation, ..Message::new(topic, payload, qos, false) };
    if let Some(respond) = &waiting.respond
        && let Some(subscription) = subscriptions.covering(&respond.topic)
    {
        let topic = Topic::Named(Bytes::copy_from_slice(respond.topic.as_bytes()));
        let correlation = respond.correlation.as_deref().map(Bytes::copy_from_slice);
        return Some(message(subscription.qos, topic, correlation));
    }
    let subscription = subscriptions.covering_own(prefix, Channel::Decision)?;
    Some(message(subscription.qos, Topic::Own(Channel::Decision), None))
}
