//! What one monitor has subscribed to, and whether it covers a topic.

use std::collections::HashSet;

use protocol::{Channel, DoorTopic, SiteId, topic};

/// What monitors may hear: the channels on which the gateway and the doors speak of what has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Feed {
    /// Decisions of all doors.
    Decisions,
    /// Status of all doors.
    Status,
}

/// Something for each feed.
#[derive(Debug, Default)]
pub(super) struct PerFeed<T> {
    pub(super) decisions: T,
    pub(super) status: T,
}

/// The filters of one monitor.
#[derive(Debug, Default)]
pub(super) struct Filters {
    /// Exact topics.
    topics: HashSet<String>,
    /// Filters with a `+` for the door; few, one for a site and a feed.
    wildcards: Vec<String>,
}

impl Feed {
    pub(super) const ALL: [Self; 2] = [Self::Decisions, Self::Status];

    /// The feed of a topic or of a filter on which monitors may hear something; `None` for anything else.
    pub(super) fn of_filter(filter: &str) -> Option<Self> {
        match filter.strip_prefix(topic::ROOT)?.split('/').collect::<Vec<_>>().as_slice() {
            ["", site, "+", channel] => {
                site.parse::<SiteId>().ok()?;
                Self::ALL.into_iter().find(|feed| feed.channel().as_str() == *channel)
            }
            _ => Self::of_topic(filter),
        }
    }

    /// The feed to which a topic belongs; `None` for what monitors never hear.
    pub(super) fn of_topic(topic: &str) -> Option<Self> {
        Self::of_channel(topic.parse::<DoorTopic>().ok()?.channel)
    }

    /// The feed of a channel; `None` for what monitors never hear.
    pub(super) const fn of_channel(channel: Channel) -> Option<Self> {
        match channel {
            Channel::Decision => Some(Self::Decisions),
            Channel::Status => Some(Self::Status),
            Channel::Scan | Channel::Config | Channel::Assist => None,
        }
    }

    pub(super) const fn channel(self) -> Channel {
        match self {
            Self::Decisions => Channel::Decision,
            Self::Status => Channel::Status,
        }
    }
}

impl<T> PerFeed<T> {
    pub(super) fn new(make: impl Fn(Feed) -> T) -> Self {
        Self { decisions: make(Feed::Decisions), status: make(Feed::Status) }
    }

    pub(super) const fn of(&self, feed: Feed) -> &T {
        match feed {
            Feed::Decisions => &self.decisions,
            Feed::Status => &self.status,
        }
    }

    pub(super) const fn of_mut(&mut self, feed: Feed) -> &mut T {
        match feed {
            Feed::Decisions => &mut self.decisions,
            Feed::Status => &mut self.status,
        }
    }
}

impl Filters {
    /// Filters that are held.
    pub(super) fn len(&self) -> usize {
        self.topics.len() + self.wildcards.len()
    }

    pub(super) fn contains(&self, filter: &str) -> bool {
        self.topics.contains(filter) || self.wildcards.iter().any(|known| known == filter)
    }

    /// Whether one of them is of `feed`.
    pub(super) fn touch(&self, feed: Feed) -> bool {
        self.wildcards.iter().chain(&self.topics).any(|filter| Feed::of_filter(filter) == Some(feed))
    }

    /// Adds a filter that [`Feed::of_filter`] knows and that is not held yet.
    pub(super) fn insert(&mut self, filter: &str) {
        if filter.contains('+') {
            self.wildcards.push(filter.to_owned());
        } else {
            self.topics.insert(filter.to_owned());
        }
    }

    /// Takes a filter away; whether it was held.
    pub(super) fn remove(&mut self, filter: &str) -> bool {
        let held = self.len();
        self.wildcards.retain(|known| known != filter);
        self.topics.remove(filter);
        self.len() < held
    }

    /// Whether one of them covers `topic`.
    pub(super) fn cover(&self, topic: &str) -> bool {
        self.topics.contains(topic) || self.wildcards.iter().any(|filter| topic::matches(filter, topic))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_decisions_and_status_have_a_feed() {
        for (filter, feed) in [
            ("gapura/v1/site/+/decision", Some(Feed::Decisions)),
            ("gapura/v1/site/+/status", Some(Feed::Status)),
            ("gapura/v1/site/main-in/decision", Some(Feed::Decisions)),
            ("gapura/v1/site/main-in/status", Some(Feed::Status)),
            ("gapura/v1/site/+/scan", None),
            ("gapura/v1/site/main-in/scan", None),
            ("gapura/v1/site/main-in/config", None),
            ("gapura/v1/site/main-in/assist", None),
            ("gapura/v1/+/+/decision", None),
            ("gapura/v1/site/+/+", None),
            ("gapura/v1/site/#", None),
            ("gapura/v1/site/+/decision/", None),
            ("gapura/v1/Site/+/decision", None),
            ("gapura/v1//+/decision", None),
            ("gapura/v1x/site/+/decision", None),
            ("$share/group/gapura/v1/site/+/decision", None),
            ("$SYS/#", None),
            ("#", None),
            ("é/v1/site/+/decision", None),
            ("", None),
        ] {
            assert_eq!(Feed::of_filter(filter), feed, "{filter}");
        }
    }

    #[test]
    fn a_filter_that_is_taken_away_covers_nothing() {
        let mut filters = Filters::default();
        filters.insert("gapura/v1/s/+/decision");
        filters.insert("gapura/v1/s/d/status");
        assert!(filters.cover("gapura/v1/s/x/decision") && filters.cover("gapura/v1/s/d/status"));
        assert!(!filters.cover("gapura/v1/s/x/status") && !filters.cover("gapura/v1/t/x/decision"));
        assert!(filters.remove("gapura/v1/s/+/decision") && !filters.remove("gapura/v1/s/+/decision"));
        assert!(!filters.cover("gapura/v1/s/x/decision") && !filters.touch(Feed::Decisions));
        assert!(filters.touch(Feed::Status) && filters.len() == 1);
    }

    proptest! {
        #[test]
        fn a_topic_of_a_feed_is_covered_by_its_wildcard(
            site in "[a-z0-9-]{1,32}", door in "[a-z0-9-]{1,32}", decisions in any::<bool>()
        ) {
            let feed = if decisions { Feed::Decisions } else { Feed::Status };
            let topic = DoorTopic::new(site.parse()?, door.parse()?, feed.channel()).to_string();
            prop_assert_eq!(Feed::of_topic(&topic), Some(feed));
            let mut filters = Filters::default();
            filters.insert(&format!("gapura/v1/{site}/+/{}", feed.channel().as_str()));
            prop_assert!(filters.cover(&topic));
        }

        #[test]
        fn whatever_has_a_feed_starts_with_the_root_in_ascii(filter in any::<String>()) {
            if Feed::of_filter(&filter).is_some() {
                prop_assert!(filter.starts_with("gapura/v1/") && filter.is_ascii());
            }
        }
    }
}
