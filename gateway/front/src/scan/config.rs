//! What an operator may set of the spine: section `[scans]` of the configuration.

base::settings! {
    /// How scans are judged and kept.
    #[derive(Clone, Debug)]
    pub struct Config {
        /// Scans of all doors that may wait to be decided and kept; further ones are answered `unavailable`.
        pub queue_events_max: usize = 16_384 => "scans", in 1..=1_000_000;
        /// A scan that is decided later than this after it was made is recorded, but never opens the door.
        pub late_after_ms: u64 = 30_000 => "milliseconds", in 1_000..=86_400_000;
        /// A reader's clock may be off by this much before its times are corrected and its scans are marked as uncertain.
        pub clock_tolerance_ms: u64 = 5_000 => "milliseconds", in 100..=3_600_000;
        /// Events between two checkpoints of what doors have sent; a restart reads at most so many again.
        pub checkpoint_events: u64 = 50_000 => "events", in 1..=10_000_000;
        /// Time between two tries to open the log again after a failed commit.
        pub reopen_interval_ms: u64 = 500 => "milliseconds", in 10..=60_000;
        /// Resent scans that may wait to be looked up in the log; further ones are answered `unavailable`.
        pub recall_scans_max: usize = 256 => "scans", in 1..=100_000;
        /// Time after a decision `assist` in which a helper may still confirm or refuse it.
        pub assist_within_ms: u64 = 120_000 => "milliseconds", in 1_000..=3_600_000;
        /// Assist requests of one helper's device or token in a minute; further ones are refused and not kept.
        pub assists_per_minute_max: u32 = 30 => "requests per minute", in 1..=6_000;
    }
}
