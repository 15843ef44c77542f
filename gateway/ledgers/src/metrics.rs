//! What the ledgers count, and how they are kept.

use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

base::settings! {
    /// The file from which presence, attendance and contacts are answered. It is rebuilt from the log when it is missing.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Config {
        /// Memory for the file's pages.
        pub cache_bytes: usize = 64 << 20 => "bytes", in 1 << 20..=16 << 30;
        /// Time between two moments at which what was taken in is made durable; after a crash the rest is taken in again.
        pub sync_interval_ms: u64 = 5_000 => "milliseconds", in 100..=600_000;
    }
}

/// Metrics of the ledgers. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics {
    pub(super) through: Gauge<u64, AtomicU64>,
    pub(super) behind: Gauge<u64, AtomicU64>,
    pub(super) rebuilds: Counter,
    pub(super) batches: Counter,
    pub(super) sightings: Counter,
    pub(super) settled_days: Counter,
    pub(super) failed_reads: Counter,
}

impl Metrics {
    /// Registers them.
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self {
            through: Gauge::default(),
            behind: Gauge::default(),
            rebuilds: Counter::default(),
            batches: Counter::default(),
            sightings: Counter::default(),
            settled_days: Counter::default(),
            failed_reads: Counter::default(),
        };
        let Self { through, behind, rebuilds, batches, sightings, settled_days, failed_reads } = &metrics;
        registry.register("ledgers_through", "Number of the last event that the ledgers reflect", through.clone());
        registry.register("ledgers_behind", "Events in the log that the ledgers do not reflect yet", behind.clone());
        registry.register("ledgers_rebuilds", "Times the ledgers were given up and rebuilt", rebuilds.clone());
        registry.register("ledgers_batches", "Batches of events that the ledgers have taken in", batches.clone());
        registry.register("ledgers_sightings", "Sightings in these batches", sightings.clone());
        registry.register("ledgers_settled_days", "Days whose stays were filed", settled_days.clone());
        registry.register(
            "ledgers_failed_reads",
            "Times the log could not be read for the ledgers",
            failed_reads.clone(),
        );
        metrics
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_name_their_field_and_unknown_settings_are_refused() {
        assert_eq!(Config::default().validate(), Ok(()));
        let cases = [
            (Config { cache_bytes: 1, ..Config::default() }, "cache_bytes"),
            (Config { sync_interval_ms: 0, ..Config::default() }, "sync_interval_ms"),
        ];
        for (config, field) in cases {
            assert!(config.validate().unwrap_err().to_string().starts_with(field), "{field}");
        }
        assert!(toml::from_str::<Config>("cache_byte = 1").is_err());
    }

    #[test]
    fn every_metric_is_registered_under_its_name() {
        let mut registry = Registry::with_prefix("gapura");
        Metrics::new(&mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for name in ["through", "behind", "rebuilds", "batches", "sightings", "settled_days", "failed_reads"] {
            assert!(text.contains(&format!("# HELP gapura_ledgers_{name} ")), "{name}");
        }
    }
}
