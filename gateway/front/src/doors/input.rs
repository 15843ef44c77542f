//! What a client has sent, packet by packet, as fast as it may send and as far as there is room for it.

use std::sync::PoisonError;

use tokio::time::Instant;

use super::codec;
use super::framing::{self, Cut, Frame, kind};
use super::limits::Rate;
use super::oversized::Skipped;
use super::packet::{Packet, Version};
use super::reason::Reason;
use super::reply::{self, Ack};
use super::session::{End, Session, SessionRole};

/// QoS 2 messages that one client may leave unreleased, whatever it was told.
const RECEIVED_MAX: usize = 1024;

impl Session {
    /// Interprets what has been received, as far as there is room for it.
    pub(super) fn take_input(&mut self) -> Result<(), End> {
        if self.stopping.is_some() || self.paused_until.is_some_and(|until| Instant::now() < until) {
            return Ok(());
        }
        (self.paused_until, self.blocked) = (None, false);
        while self.skip()? {
            let bytes_max = self.context.config.packet_bytes_max;
            let cut = framing::peek(&self.wire.input, bytes_max).map_err(|reason| self.malformed(reason))?;
            let frame = match cut {
                Cut::Part => break,
                Cut::Whole(frame) => frame,
                Cut::TooLarge(frame) if !Skipped::may_be(frame) => {
                    return Err(self.malformed(Reason::PACKET_TOO_LARGE));
                }
                // So much may be held; it ends well behind the beginning of the payload.
                Cut::TooLarge(_) if self.wire.input.len() < bytes_max => break,
                Cut::TooLarge(frame) => frame,
            };
            if frame.kind() == kind::PUBLISH && !self.has_room(frame)? {
                self.blocked = true;
                break;
            }
            // Acknowledgements only answer what was sent, and are free.
            if !matches!(frame.kind(), kind::PUBACK..=kind::PUBCOMP) && !self.may_send() {
                break;
            }
            if matches!(cut, Cut::TooLarge(_)) {
                let head = frame.take(&mut self.wire.input).freeze();
                let skipped = Skipped::new(self.intake.version, frame, &head);
                self.skipped = Some(Box::new(skipped.map_err(|reason| self.malformed(reason))?));
                continue;
            }
            self.last_packet = Instant::now();
            let packet = frame.take(&mut self.wire.input).freeze();
            let packet = codec::decode(self.intake.version, frame, &packet).map_err(|reason| self.malformed(reason))?;
            self.on_packet(packet)?;
        }
        self.wire.rest();
        Ok(())
    }

    /// Throws away what has come of a message that is too large, and takes in the message when all has; whether to go on.
    fn skip(&mut self) -> Result<bool, End> {
        let Some(mut skipped) = self.skipped.take() else { return Ok(true) };
        // What is thrown away is paid for as well.
        if !skipped.is_over() && !self.wire.input.is_empty() && !self.may_send() {
            self.skipped = Some(skipped);
            return Ok(false);
        }
        skipped.skip(&mut self.wire.input);
        if !skipped.is_over() {
            self.skipped = Some(skipped);
            return Ok(false);
        }
        self.last_packet = Instant::now();
        self.on_publish(skipped.into_publish())?;
        Ok(true)
    }

    /// Whether the client keeps to its rate; if not, it is not read for a while.
    fn may_send(&mut self) -> bool {
        let Err(until) = self.take_token(Instant::now()) else { return true };
        self.context.metrics.scans_throttled.inc();
        self.paused_until = Some(until);
        false
    }

    fn on_packet(&mut self, packet: Packet) -> Result<(), End> {
        let (out, version) = (&mut self.wire.out, self.intake.version);
        match packet {
            Packet::Publish(publish) => self.on_publish(publish),
            Packet::PubAck(pkid) => {
                self.outbox.acknowledge(pkid);
                Ok(())
            }
            // No message is ever sent with QoS 2.
            Packet::PubRec(pkid) => {
                reply::ack(out, version, Ack::Release, pkid, Reason::PACKET_ID_NOT_FOUND);
                Ok(())
            }
            Packet::PubComp => Ok(()),
            Packet::PubRel(pkid) => {
                let found = match &mut self.role {
                    SessionRole::Door(role) => role.release(pkid),
                    SessionRole::Monitor(_) => false,
                };
                let reason = if found { Reason::SUCCESS } else { Reason::PACKET_ID_NOT_FOUND };
                reply::ack(out, version, Ack::Complete, pkid, reason);
                Ok(())
            }
            Packet::PingReq => {
                reply::pong(out);
                Ok(())
            }
            Packet::Subscribe(subscribe) => self.on_subscribe(*subscribe),
            Packet::Unsubscribe(unsubscribe) => self.on_unsubscribe(*unsubscribe),
            Packet::Disconnect { reason, session_expiry_s } => {
                if let Some(asked_s) = session_expiry_s {
                    // A session that was to end with the connection cannot be kept after all (MQTT 5 section 3.14.2.2.2).
                    if self.session_expiry_s == 0 && asked_s > 0 {
                        return Err(self.malformed(Reason::PROTOCOL_ERROR));
                    }
                    self.session_expiry_s = asked_s.min(self.context.config.session_expiry_s_max);
                }
                Err(End::Left { with_will: reason != 0 })
            }
            Packet::Connect(_) => Err(self.malformed(Reason::PROTOCOL_ERROR)),
        }
    }

    /// Whether a message of the client finds room. An MQTT 5 client knows how much there is.
    fn has_room(&mut self, frame: Frame) -> Result<bool, End> {
        let received = match &self.role {
            SessionRole::Door(role) => role.received.len(),
            SessionRole::Monitor(_) => 0,
        };
        let Some(scans) = self.role.scans() else { return Ok(true) };
        let max = usize::from(self.context.config.in_flight_max);
        let resent = frame.head & 0x08 != 0;
        let exceeded = self.intake.version == Version::V5 && scans.numbered() + received >= max && !resent;
        if frame.qos() > 0 && (exceeded || received >= RECEIVED_MAX) {
            return Err(End::Closed(Reason::RECEIVE_MAXIMUM_EXCEEDED));
        }
        Ok(scans.len() < max)
    }

    fn take_token(&self, now: Instant) -> Result<(), Instant> {
        let bucket = match (&self.role, &self.presence.door) {
            (SessionRole::Monitor(role), _) => &role.bucket,
            (SessionRole::Door(_), Some(record)) => &record.bucket,
            (SessionRole::Door(_), None) => return Ok(()),
        };
        let rate = Rate::new(self.context.config.scans_per_second_max, self.context.config.scans_burst_max);
        bucket.lock().unwrap_or_else(PoisonError::into_inner).take(now, rate)
    }

    fn malformed(&self, reason: Reason) -> End {
        self.context.metrics.packets_malformed.inc();
        End::Closed(reason)
    }
}
