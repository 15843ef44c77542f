//! What a client may subscribe to, and the retained messages that it then gets.

use protocol::Channel;

use super::door_record::StatusMessage;
use super::outbox::{Message, Topic};
use super::packet::{Filter, Retained, Subscribe, Unsubscribe};
use super::reason::Reason;
use super::reply;
use super::session::{End, Session, SessionRole};
use super::subscriptions::{self, Subscription};
use crate::monitors::{Stopped, SubscribeAnswer};

impl Session {
    /// Grants or refuses each filter, and sends what is retained for those that are granted.
    pub(super) fn on_subscribe(&mut self, subscribe: Subscribe) -> Result<(), End> {
        if subscribe.has_identifier {
            return Err(End::Closed(Reason::SUBSCRIPTION_IDS_NOT_SUPPORTED));
        }
        self.check_answer(subscribe.filters.len())?;
        let mut reasons = Vec::with_capacity(subscribe.filters.len());
        let mut granted = Vec::new();
        for filter in subscribe.filters {
            match self.grant(&filter) {
                Ok(is_new) => {
                    reasons.push(Reason(filter.qos.min(1)));
                    granted.push((filter, is_new));
                }
                Err(reason) => {
                    self.context.metrics.subscriptions_refused.inc();
                    reasons.push(reason);
                }
            }
        }
        reply::suback(&mut self.wire.out, self.intake.version, subscribe.pkid, &reasons);
        for (filter, is_new) in granted {
            let wanted = match filter.retained {
                Retained::Always => true,
                Retained::IfNew => is_new,
                Retained::Never => false,
            };
            if wanted {
                self.send_retained(&filter);
            }
        }
        Ok(())
    }

    /// Ends subscriptions.
    pub(super) fn on_unsubscribe(&mut self, unsubscribe: Unsubscribe) -> Result<(), End> {
        self.check_answer(unsubscribe.filters.len())?;
        let mut reasons = Vec::with_capacity(unsubscribe.filters.len());
        for filter in &unsubscribe.filters {
            let found = self.subscriptions.remove(filter);
            reasons.push(if found { Reason::SUCCESS } else { Reason::NO_SUBSCRIPTION });
            if let (true, SessionRole::Monitor(role)) = (found, &mut self.role) {
                role.connection.unsubscribe(filter);
            }
        }
        reply::unsuback(&mut self.wire.out, self.intake.version, unsubscribe.pkid, &reasons);
        Ok(())
    }

    /// Makes sure that the client takes an answer with so many reasons. It must get one, and must not get a larger packet than it
    /// has said: its connection ends before anything has changed.
    fn check_answer(&self, reasons: usize) -> Result<(), End> {
        if reply::reasons_len(self.intake.version, reasons) > self.intake.packet_bytes_max {
            return Err(End::Closed(Reason::PACKET_TOO_LARGE));
        }
        Ok(())
    }

    /// Adds a subscription that the client's role allows; whether it is new.
    fn grant(&mut self, filter: &Filter) -> Result<bool, Reason> {
        subscriptions::check_filter(&filter.path)?;
        let allowed = match &self.role {
            SessionRole::Door(_) => filter.path.starts_with(&*self.intake.prefix),
            SessionRole::Monitor(role) => {
                let channel = subscriptions::monitor_channel(&self.context.site, &filter.path);
                // A helper's device hears what waits for it, and no more.
                channel.is_some_and(|channel| role.helper.is_none() || channel == Channel::Decision)
            }
        };
        if !allowed {
            return Err(Reason::NOT_AUTHORIZED);
        }
        let subscription = Subscription {
            filter: filter.path.as_str().into(),
            qos: filter.qos.min(1),
            no_local: filter.no_local,
            retain_as_published: filter.retain_as_published,
        };
        let max = self.context.config.subscriptions_max;
        let is_new = self.subscriptions.add(subscription, max).ok_or(Reason::QUOTA_EXCEEDED)?;
        if let SessionRole::Monitor(role) = &mut self.role {
            let refused = match role.connection.subscribe(&filter.path) {
                Ok(SubscribeAnswer::Granted) => return Ok(is_new),
                Ok(SubscribeAnswer::Refused) => Reason::QUOTA_EXCEEDED,
                Err(Stopped) => Reason::UNSPECIFIED,
            };
            self.subscriptions.remove(&filter.path);
            return Err(refused);
        }
        Ok(is_new)
    }

    fn send_retained(&mut self, filter: &Filter) {
        let own = |channel: Channel| format!("{}{}", self.intake.prefix, channel.as_str());
        let covers = |channel| protocol::topic::matches(&filter.path, &own(channel));
        match &mut self.role {
            SessionRole::Door(_) => {
                let config = covers(Channel::Config).then(|| self.door_config()).flatten();
                let record = self.presence.door.as_ref().filter(|_| covers(Channel::Status));
                let status = record.and_then(|record| record.status());
                let config = config.map(StatusMessage::own);
                for (channel, message) in [(Channel::Config, config), (Channel::Status, status)] {
                    let Some(StatusMessage { payload, options }) = message else { continue };
                    let published = options.as_ref().map_or(1, |options| options.qos);
                    let (qos, topic) = (filter.qos.min(1).min(published), Topic::Own(channel));
                    self.push(Message { options, ..Message::new(topic, payload, qos, true) });
                }
            }
            SessionRole::Monitor(_) => self.retain_for_monitor(filter),
        }
    }
}
