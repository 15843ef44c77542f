//! MQTT topics: `gapura/v1/{site}/{door}/{channel}`, built and parsed in this one place.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// What every topic of this version starts with.
pub const ROOT: &str = "gapura/v1";

/// Longest site or door name, in bytes.
pub const NAME_BYTES_MAX: usize = 32;

/// One door's topic of one channel.
///
/// ```
/// use protocol::{Channel, DoorTopic};
/// let topic: DoorTopic = "gapura/v1/regency/main-in/scan".parse()?;
/// assert_eq!((topic.door.as_str(), topic.channel), ("main-in", Channel::Scan));
/// assert_eq!(topic.to_string(), "gapura/v1/regency/main-in/scan");
/// # Ok::<(), protocol::TopicError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DoorTopic {
    /// The site, the third level.
    pub site: SiteId,
    /// The door, the fourth level.
    pub door: DoorId,
    /// What is said on it, the fifth level.
    pub channel: Channel,
}

/// The last level of a door's topic: who speaks on it, and what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Channel {
    /// Door to gateway: a [`Scan`](crate::Scan).
    Scan,
    /// Gateway to door: a [`Decision`](crate::Decision).
    Decision,
    /// Door to gateway, retained, also the last will: a [`DoorStatus`](crate::DoorStatus).
    Status,
    /// Gateway to door, retained: a [`DoorConfig`](crate::DoorConfig).
    Config,
    /// Helper's device to gateway: an [`Assist`](crate::Assist).
    Assist,
}

/// A site's name: 1 to 32 of `a-z`, `0-9` and `-`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SiteId(Arc<str>);

/// A door's name, unique in its site: 1 to 32 of `a-z`, `0-9` and `-`. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DoorId(Arc<str>);

/// Why a text is no site's or door's name.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{name:?} is not a name: use 1 to 32 of the characters a-z, 0-9 and '-'")]
pub struct NameError {
    name: String,
}

/// Why a topic is none of this contract.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum TopicError {
    /// It does not start with `gapura/v1/` or has another number of levels.
    #[error("not a topic of the form gapura/v1/{{site}}/{{door}}/{{channel}}")]
    Shape,
    /// The site or the door is no valid name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The last level is none of the known channels.
    #[error("the topic's last level is none of scan, decision, status, config, assist")]
    Channel,
}

impl DoorTopic {
    /// The topic on which `door` of `site` uses `channel`.
    pub fn new(site: SiteId, door: DoorId, channel: Channel) -> Self {
        Self { site, door, channel }
    }
}

impl fmt::Display for DoorTopic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{ROOT}/{}/{}/{}", self.site, self.door, self.channel.as_str())
    }
}

impl FromStr for DoorTopic {
    type Err = TopicError;

    fn from_str(topic: &str) -> Result<Self, TopicError> {
        let rest = topic.strip_prefix(ROOT).and_then(|rest| rest.strip_prefix('/')).ok_or(TopicError::Shape)?;
        let mut levels = rest.split('/');
        let (Some(site), Some(door), Some(channel), None) =
            (levels.next(), levels.next(), levels.next(), levels.next())
        else {
            return Err(TopicError::Shape);
        };
        let channel = Channel::ALL.into_iter().find(|known| known.as_str() == channel).ok_or(TopicError::Channel)?;
        Ok(Self { site: site.parse()?, door: door.parse()?, channel })
    }
}

impl Channel {
    /// Every channel of the contract.
    pub const ALL: [Self; 5] = [Self::Scan, Self::Decision, Self::Status, Self::Config, Self::Assist];

    /// The channel as the topic's last level.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scan => "scan",
            Self::Decision => "decision",
            Self::Status => "status",
            Self::Config => "config",
            Self::Assist => "assist",
        }
    }
}

/// What all topics of one door start with, with the closing slash: `gapura/v1/{site}/{door}/`.
pub fn door_prefix(site: &SiteId, door: &DoorId) -> String {
    format!("{ROOT}/{site}/{door}/")
}

/// Whether an MQTT topic filter covers a topic (MQTT 3.1.1 section 4.7: `+` one level, `#` all that follow, and neither
/// at the first level a topic that starts with `$`).
pub fn matches(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut levels = topic.split('/');
    for wanted in filter.split('/') {
        if wanted == "#" {
            return true;
        }
        match levels.next() {
            Some(level) if wanted == "+" || wanted == level => {}
            _ => return false,
        }
    }
    levels.next().is_none()
}

fn checked(name: &str) -> Result<Arc<str>, NameError> {
    let fits = (1..=NAME_BYTES_MAX).contains(&name.len());
    if fits && name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-')) {
        Ok(name.into())
    } else {
        // Names come from strangers: what is repeated in an error is short.
        Err(NameError { name: name.chars().take(NAME_BYTES_MAX + 1).collect() })
    }
}

macro_rules! name {
    ($name:ident) => {
        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(name: &str) -> Result<Self, NameError> {
                checked(name).map(Self)
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(name: String) -> Result<Self, NameError> {
                name.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.as_ref().into()
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl<C> minicbor::Encode<C> for $name {
            fn encode<W: minicbor::encode::Write>(
                &self,
                e: &mut minicbor::Encoder<W>,
                _: &mut C,
            ) -> Result<(), minicbor::encode::Error<W::Error>> {
                e.str(&self.0)?.ok()
            }
        }

        impl<'b, C> minicbor::Decode<'b, C> for $name {
            fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
                d.str()?.parse().map_err(minicbor::decode::Error::custom)
            }
        }
    };
}

name!(SiteId);
name!(DoorId);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_built_topic_reads_back(site in "[a-z0-9-]{1,32}", door in "[a-z0-9-]{1,32}", channel in 0..5usize) {
            let topic = DoorTopic::new(site.parse()?, door.parse()?, Channel::ALL[channel]);
            prop_assert_eq!(topic.to_string().parse::<DoorTopic>()?, topic);
        }

        #[test]
        fn whatever_parses_is_written_the_same(topic in "(gapura/v1/)?[a-z0-9/-]{0,40}(/scan)?") {
            if let Ok(parsed) = topic.parse::<DoorTopic>() {
                prop_assert_eq!(parsed.to_string(), topic);
            }
        }

        #[test]
        fn no_text_makes_the_parser_panic(topic in any::<String>(), filter in any::<String>()) {
            drop(topic.parse::<DoorTopic>());
            matches(&filter, &topic);
        }
    }

    #[test]
    fn names_outside_the_contract_are_refused() {
        for name in ["", "Main", "main_in", "main in", "+", "#", "é", &"a".repeat(33)] {
            assert!(name.parse::<DoorId>().is_err(), "{name:?}");
        }
    }

    #[test]
    fn filters_cover_topics_as_mqtt_says() {
        for (filter, topic, expected) in [
            ("gapura/v1/s/+/decision", "gapura/v1/s/d/decision", true),
            ("gapura/v1/s/+/decision", "gapura/v1/s/d/status", false),
            ("gapura/v1/s/+", "gapura/v1/s/d/status", false),
            ("gapura/v1/s/#", "gapura/v1/s/d/status", true),
            ("gapura/v1/s/#", "gapura/v1/s", true),
            ("gapura/v1/s/d", "gapura/v1/s/d/x", false),
            ("#", "$SYS/x", false),
            ("+/x", "$SYS/x", false),
            ("$SYS/#", "$SYS/x", true),
        ] {
            assert_eq!(matches(filter, topic), expected, "{filter} {topic}");
        }
    }
}
