//! Settings of the fan-out to monitors.

use std::time::Duration;

base::settings! {
    /// Programs that watch all doors' decisions and status over MQTT, with a monitor's certificate.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Config {
        /// Monitors that are connected at the same time; further ones are turned away.
        pub links_max: usize = 64 => "connections", in 1..=256;
        /// Topic filters that one monitor may have subscribed to; further ones are refused.
        pub filters_max: usize = 256 => "filters", in 1..=10_000;
        /// Messages that may wait for the router; further ones are dropped.
        pub queue_messages_max: usize = 8192 => "messages", in 1..=1_000_000;
        /// Topics and payloads that are kept for monitors that read slowly, of decisions and of status each; a monitor that
        /// falls behind further loses the oldest messages.
        pub backlog_bytes_max: usize = 4 << 20 => "bytes", in 64 << 10..=1 << 30;
        /// Time for the router to accept a monitor.
        pub attach_timeout_ms: u64 = 5_000 => "milliseconds", in 10..=60_000;
        /// Time between two checks whether the router is alive.
        pub probe_interval_ms: u64 = 1_000 => "milliseconds", in 10..=60_000;
        /// Time after which a router that does not answer counts as stopped.
        pub probe_timeout_ms: u64 = 10_000 => "milliseconds", in 100..=600_000;
    }
}

impl Config {
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
            let message = config.validate().unwrap_err().to_string();
            assert!(message.starts_with(field) && message.contains(" to "), "{message}");
        }
    }

    #[test]
    fn an_unknown_setting_is_refused() {
        assert!(toml::from_str::<Config>("links_max = 3").is_ok());
        assert!(toml::from_str::<Config>("link_max = 3").is_err());
    }
}
