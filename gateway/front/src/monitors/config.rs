//! Settings of the fan-out to monitors.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde::Deserialize;

/// Settings of the fan-out, section `[monitors]`.
///
/// It holds at most `queue_messages_max` + 2 × `backlog_messages_max` messages of 4 KiB and their topics, however many
/// monitors are connected: 96 MiB by default if every message were as long as it may be. A decision takes about 450 bytes
/// with its topic, so that two full rings and a full queue of them are 11 MiB; of a ring, only what some monitor has not
/// read yet is held. Beside that each monitor holds what is on its way to it, at most 32 messages and those in flight.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Monitors that may be connected at one time, 1 to 1024; who comes beyond is turned away.
    pub connections_max: usize,
    /// Filters that one monitor may have subscribed to at one time, 1 to 10000; what comes beyond is refused.
    pub filters_max: usize,
    /// Messages that may wait to be handed on to the monitors, 1 to 1000000; what comes beyond is dropped.
    pub queue_messages_max: usize,
    /// Messages that are kept for monitors that read slowly, for decisions and for status each, 64 to 262144, taken as
    /// the next power of two. A monitor that falls behind further loses the oldest messages and is told how many.
    pub backlog_messages_max: usize,
    /// Time between two batches of messages to monitors, in milliseconds, 0 to 1000. The first message after a pause is
    /// handed on at once; the longer this is, the fewer and larger are the writes to monitors.
    pub batch_interval_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            connections_max: 64,
            filters_max: 256,
            queue_messages_max: 8192,
            backlog_messages_max: 8192,
            batch_interval_ms: 5,
        }
    }
}

impl Config {
    /// Checks the ranges.
    ///
    /// # Errors
    /// The field's name and its range, for people.
    pub fn validate(&self) -> Result<(), String> {
        within("connections_max", self.connections_max, 1..=1024)?;
        within("filters_max", self.filters_max, 1..=10_000)?;
        within("queue_messages_max", self.queue_messages_max, 1..=1_000_000)?;
        within("backlog_messages_max", self.backlog_messages_max, 64..=262_144)?;
        within("batch_interval_ms", self.batch_interval_ms, 0..=1000)
    }

    pub(super) fn batch_interval(&self) -> Duration {
        Duration::from_millis(self.batch_interval_ms)
    }
}

fn within<T: PartialOrd + Display>(field: &str, value: T, range: RangeInclusive<T>) -> Result<(), String> {
    if range.contains(&value) {
        Ok(())
    } else {
        Err(format!("{field} is {value}, it must be from {} to {}", range.start(), range.end()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(Config::default().validate(), Ok(()));
    }

    #[test]
    fn a_value_out_of_range_is_named_with_its_range() {
        for (config, field) in [
            (Config { connections_max: 0, ..Config::default() }, "connections_max"),
            (Config { connections_max: 1025, ..Config::default() }, "connections_max"),
            (Config { filters_max: 0, ..Config::default() }, "filters_max"),
            (Config { queue_messages_max: 0, ..Config::default() }, "queue_messages_max"),
            (Config { backlog_messages_max: 63, ..Config::default() }, "backlog_messages_max"),
            (Config { backlog_messages_max: 262_145, ..Config::default() }, "backlog_messages_max"),
            (Config { batch_interval_ms: 1001, ..Config::default() }, "batch_interval_ms"),
        ] {
            let message = config.validate().unwrap_err();
            assert!(message.starts_with(field) && message.contains(" to "), "{message}");
        }
    }

    #[test]
    fn an_unknown_setting_is_refused() {
        assert!(toml::from_str::<Config>("connections_max = 3").is_ok());
        assert!(toml::from_str::<Config>("connection_max = 3").is_err());
    }
}
