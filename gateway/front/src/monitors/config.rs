//! Settings of the fan-out to monitors.

use std::time::Duration;

base::settings! {
    /// Programs that watch all doors' decisions and status over MQTT, with a monitor's certificate. For all of them together at
    /// most queue_messages_max + 2 × backlog_messages_max messages of up to 4 KiB are held.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Config {
        /// Monitors that are connected at the same time; further ones are turned away.
        pub connections_max: usize = 64 => "connections", in 1..=1024;
        /// Topic filters that one monitor may have subscribed to; further ones are refused.
        pub filters_max: usize = 256 => "filters", in 1..=10_000;
        /// Messages that may wait to be handed on to the monitors; further ones are dropped.
        pub queue_messages_max: usize = 8192 => "messages", in 1..=1_000_000;
        /// Messages that are kept for monitors that read slowly, of decisions and of status each, taken as the next power of
        /// two; a monitor that falls behind further loses the oldest messages and is told how many.
        pub backlog_messages_max: usize = 8192 => "messages", in 64..=262_144;
        /// Time between two batches of messages to monitors. The first message after a pause is handed on at once; the longer
        /// this is, the fewer and larger are the writes.
        pub batch_interval_ms: u64 = 5 => "milliseconds", in 0..=1_000;
    }
}

impl Config {
    pub(super) fn batch_interval(&self) -> Duration {
        Duration::from_millis(self.batch_interval_ms)
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
            let message = config.validate().unwrap_err().to_string();
            assert!(message.starts_with(field) && message.contains(" to "), "{message}");
        }
    }

    #[test]
    fn an_unknown_setting_is_refused() {
        assert!(toml::from_str::<Config>("connections_max = 3").is_ok());
        assert!(toml::from_str::<Config>("connection_max = 3").is_err());
    }
}
