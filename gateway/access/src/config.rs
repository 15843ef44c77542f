//! Settings of decisions, section `[access]`.

use super::presence::KEEP_HOURS;

base::settings! {
    /// What decisions depend on beside the policy, `zones.toml`, `calendar.toml` and `trust/`.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Config {
        /// A person who enters a zone again within this time, without having left it or been seen elsewhere, counts as passing
        /// back; 0: never.
        pub passback_minutes: u32 = 15 => "minutes", in 0..=1_440;
        /// The same credential at the same door in the same direction within this time is a scan too many, not a second
        /// passage.
        pub double_scan_seconds: u32 = 5 => "seconds", in 0..=300;
        /// A pass that is shown at two doors within this time counts as replayed; 0: never.
        pub pass_replay_seconds: u32 = 5 => "seconds", in 0..=3_600;
        /// Time for which a person is believed to be where they were last seen; after it, a missed exit frees its place.
        pub presence_hours: u32 = KEEP_HOURS => "hours", in 1..=168;
        /// Policies see the directory as expired when it was not changed for longer; status and metrics warn before.
        pub directory_age_days_max: u32 = 90 => "days", in 1..=3_660;
    }
}

impl Config {
    /// How long somebody is believed to be where they were last seen, in milliseconds.
    pub fn presence_ms(&self) -> i64 {
        i64::from(self.presence_hours) * 3_600_000
    }
}
