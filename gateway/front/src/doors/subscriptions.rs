//! What one client has subscribed to, and what its role may.

use protocol::{Channel, DoorId, SiteId};

use super::reason::Reason;

/// One client's subscriptions.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    list: Vec<Subscription>,
}

#[derive(Clone, Debug)]
pub(super) struct Subscription {
    pub(super) filter: Box<str>,
    /// 0 or 1, as granted.
    pub(super) qos: u8,
    pub(super) no_local: bool,
    pub(super) retain_as_published: bool,
}

impl Subscriptions {
    /// Adds a subscription or replaces the one of the same filter; whether it is new. `None` when there are `max` already.
    pub(super) fn add(&mut self, subscription: Subscription, max: usize) -> Option<bool> {
        if let Some(old) = self.list.iter_mut().find(|old| old.filter == subscription.filter) {
            *old = subscription;
            return Some(false);
        }
        (self.list.len() < max).then(|| {
            self.list.push(subscription);
            true
        })
    }

    /// Removes one; whether it was there.
    pub(super) fn remove(&mut self, filter: &str) -> bool {
        let before = self.list.len();
        self.list.retain(|subscription| *subscription.filter != *filter);
        self.list.len() < before
    }

    /// The subscription that brings `topic`: of several the one with the highest QoS.
    pub(super) fn covering(&self, topic: &str) -> Option<&Subscription> {
        let covering = self.list.iter().filter(|subscription| protocol::topic::matches(&subscription.filter, topic));
        covering.max_by_key(|subscription| subscription.qos)
    }

    /// The same for a door's own topic. All of a door's filters start with `prefix`, so no topic needs to be put together.
    pub(super) fn covering_own(&self, prefix: &str, channel: Channel) -> Option<&Subscription> {
        let brings = |filter: &str| {
            filter.strip_prefix(prefix).is_some_and(|rest| protocol::topic::matches(rest, channel.as_str()))
        };
        self.list.iter().filter(|subscription| brings(&subscription.filter)).max_by_key(|subscription| subscription.qos)
    }
}

/// Whether a topic filter is well-formed (MQTT 5 section 4.7), and none that only other servers know.
pub(super) fn check_filter(filter: &str) -> Result<(), Reason> {
    if filter.starts_with("$share/") {
        return Err(Reason::SHARED_NOT_SUPPORTED);
    }
    let mut levels = filter.split('/').rev();
    let last = levels.next().unwrap_or("");
    let fits = |level: &str| level == "+" || !level.contains(['+', '#']);
    if filter.is_empty() || filter.contains('\0') || !(last == "#" || fits(last)) || !levels.all(fits) {
        return Err(Reason::FILTER_INVALID);
    }
    Ok(())
}

/// The channels that a monitor's filter brings; it may subscribe to decisions and status, of one door or of all.
pub(super) fn monitor_channel(site: &SiteId, filter: &str) -> Option<Channel> {
    let rest = filter.strip_prefix(protocol::topic::ROOT)?.strip_prefix('/')?;
    let rest = rest.strip_prefix(site.as_str())?.strip_prefix('/')?;
    let (door, channel) = rest.split_once('/')?;
    let door_fits = door == "+" || door.parse::<DoorId>().is_ok();
    [Channel::Decision, Channel::Status].into_iter().find(|known| door_fits && known.as_str() == channel)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn malformed_and_shared_filters_are_told_apart() {
        for good in ["a", "#", "+", "a/#", "+/+/#", "/", "a//b"] {
            assert_eq!(check_filter(good), Ok(()), "{good}");
        }
        for bad in ["", "a#", "#/a", "a+/b", "a/++", "a/#/b", "a\0"] {
            assert_eq!(check_filter(bad), Err(Reason::FILTER_INVALID), "{bad}");
        }
        assert_eq!(check_filter("$share/g/a"), Err(Reason::SHARED_NOT_SUPPORTED));
    }

    #[test]
    fn a_monitor_may_see_decisions_and_status_only() {
        let site: SiteId = "regency".parse().unwrap();
        for (filter, expected) in [
            ("gapura/v1/regency/+/decision", Some(Channel::Decision)),
            ("gapura/v1/regency/main-in/status", Some(Channel::Status)),
            ("gapura/v1/regency/+/scan", None),
            ("gapura/v1/regency/+/+", None),
            ("gapura/v1/regency/#", None),
            ("gapura/v1/+/+/decision", None),
            ("gapura/v1/other/+/decision", None),
            ("gapura/v1/regency2/+/decision", None),
            ("gapura/v1/regency/+/decision/#", None),
            ("#", None),
        ] {
            assert_eq!(monitor_channel(&site, filter), expected, "{filter}");
        }
    }

    #[test]
    fn the_highest_quality_of_overlapping_subscriptions_counts() {
        let subscription = |filter: &str, qos| Subscription {
            filter: filter.into(),
            qos,
            no_local: false,
            retain_as_published: false,
        };
        let mut subscriptions = Subscriptions::default();
        assert_eq!(subscriptions.add(subscription("a/+", 0), 2), Some(true));
        assert_eq!(subscriptions.add(subscription("a/b", 1), 2), Some(true));
        assert_eq!(subscriptions.add(subscription("a/c", 1), 2), None);
        assert_eq!(subscriptions.add(subscription("a/+", 0), 2), Some(false));
        assert_eq!(subscriptions.covering("a/b").map(|found| found.qos), Some(1));
        assert_eq!(subscriptions.covering("a/x").map(|found| found.qos), Some(0));
        assert!(subscriptions.remove("a/+") && !subscriptions.remove("a/+"));
        assert!(subscriptions.covering("a/x").is_none());
    }

    #[test]
    fn a_doors_own_topics_are_matched_without_their_prefix() {
        for (filter, channel, expected) in [
            ("p/d/decision", Channel::Decision, true),
            ("p/d/+", Channel::Decision, true),
            ("p/d/#", Channel::Config, true),
            ("p/d/+/#", Channel::Status, true),
            ("p/d/status", Channel::Decision, false),
            ("p/d/+/x", Channel::Decision, false),
        ] {
            let mut subscriptions = Subscriptions::default();
            let (no_local, retain_as_published) = (false, false);
            subscriptions.add(Subscription { filter: filter.into(), qos: 1, no_local, retain_as_published }, 9);
            assert_eq!(subscriptions.covering_own("p/d/", channel).is_some(), expected, "{filter}");
            let topic = format!("p/d/{}", channel.as_str());
            assert_eq!(subscriptions.covering(&topic).is_some(), expected, "{filter}");
        }
    }

    proptest! {
        #[test]
        fn no_filter_makes_the_checks_panic(filter in any::<String>()) {
            check_filter(&filter).ok();
            monitor_channel(&"s".parse().unwrap(), &filter);
        }
    }
}
