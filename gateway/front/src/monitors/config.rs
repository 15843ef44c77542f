//! Settings of the fan-out to monitors.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde::Deserialize;

/// Settings of the fan-out, section `[monitors]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Monitors that may be connected at one time, 1 to 256; who comes beyond is turned away.
    pub links_max: usize,
    /// Filters that one monitor may have subscribed to at one time, 1 to 10000; what comes beyond is refused.
    pub filters_max: usize,
    /// Messages that may wait for the router, 1 to 1000000; what comes beyond is dropped.
    pub queue_messages_max: usize,
    /// What is kept for monitors that read slowly, in bytes of topics and payloads, for decisions and for status each,
    /// 64 KiB to 1 GiB. A monitor that falls behind further loses the oldest messages.
    pub backlog_bytes_max: usize,
    /// Time for the router to accept a monitor, in milliseconds, 10 to 60000.
    pub attach_timeout_ms: u64,
    /// Time between two looks at whether the router is alive, in milliseconds, 10 to 60000.
    pub probe_interval_ms: u64,
    /// Time after which a router that does not answer counts as stopped, in milliseconds, 100 to 600000.
    pub probe_timeout_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            links_max: 64,
            filters_max: 256,
            queue_messages_max: 8192,
            backlog_bytes_max: 4 << 20,
            attach_timeout_ms: 5_000,
            probe_interval_ms: 1_000,
            probe_timeout_ms: 10_000,
        }
    }
}

impl Config {
    /// Checks the ranges.
    ///
    /// # Errors
    /// The field's name and its range, for people.
    pub fn validate(&self) -> Result<(), String> {
        // The router's event queue holds 1,000: with at most 256 links, each with one wake-up in it, it is never full.
        within("links_max", self.links_max, 1..=256)?;
        within("filters_max", self.filters_max, 1..=10_000)?;
        within("queue_messages_max", self.queue_messages_max, 1..=1_000_000)?;
        within("backlog_bytes_max", self.backlog_bytes_max, 64 << 10..=1 << 30)?;
        within("attach_timeout_ms", self.attach_timeout_ms, 10..=60_000)?;
        within("probe_interval_ms", self.probe_interval_ms, 10..=60_000)?;
        within("probe_timeout_ms", self.probe_timeout_ms, 100..=600_000)
    }

    pub(super) fn attach_timeout(&self) -> Duration {
        Duration::from_millis(self.attach_timeout_ms)
    }

    pub(super) fn probe_interval(&self) -> Duration {
        Duration::from_millis(self.probe_interval_ms)
    }

    pub(super) fn probe_timeout(&self) -> Duration {
        Duration::from_millis(self.probe_timeout_ms)
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
            (Config { links_max: 0, ..Config::default() }, "links_max"),
            (Config { links_max: 257, ..Config::default() }, "links_max"),
            (Config { filters_max: 0, ..Config::default() }, "filters_max"),
            (Config { queue_messages_max: 0, ..Config::default() }, "queue_messages_max"),
            (Config { backlog_bytes_max: 1024, ..Config::default() }, "backlog_bytes_max"),
            (Config { attach_timeout_ms: 0, ..Config::default() }, "attach_timeout_ms"),
            (Config { probe_interval_ms: 0, ..Config::default() }, "probe_interval_ms"),
            (Config { probe_timeout_ms: 1, ..Config::default() }, "probe_timeout_ms"),
        ] {
            let message = config.validate().unwrap_err();
            assert!(message.starts_with(field) && message.contains(" to "), "{message}");
        }
    }

    #[test]
    fn an_unknown_setting_is_refused() {
        assert!(toml::from_str::<Config>("links_max = 3").is_ok());
        assert!(toml::from_str::<Config>("link_max = 3").is_err());
    }
}
