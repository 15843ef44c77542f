//! Settings of decisions, section `[access]`.

use serde::Deserialize;

use super::presence::KEEP_HOURS;

/// How scans are judged beside the policy.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Somebody who enters a zone again so soon, without having left it, is said to pass back; 0: never.
    pub passback_minutes: u32,
    /// The same credential at the same door again so soon is one scan too many, not a second passage.
    pub double_scan_seconds: u32,
    /// A pass that is shown at two doors within this time is said to be replayed; 0: never.
    pub pass_replay_seconds: u32,
    /// How long somebody is believed to be where they were last seen.
    pub presence_hours: u32,
    /// A directory that was not changed for longer is said to be expired.
    pub directory_age_days_max: u32,
}

impl Config {
    /// Checks every limit.
    ///
    /// # Errors
    /// Names the field that is out of its range.
    pub fn validate(&self) -> Result<(), String> {
        for (field, value, min, max) in [
            ("passback_minutes", self.passback_minutes, 0, 1_440),
            ("double_scan_seconds", self.double_scan_seconds, 0, 300),
            ("pass_replay_seconds", self.pass_replay_seconds, 0, 3_600),
            ("presence_hours", self.presence_hours, 1, 168),
            ("directory_age_days_max", self.directory_age_days_max, 1, 3_660),
        ] {
            if !(min..=max).contains(&value) {
                return Err(format!("{field} is {value}, allowed are {min} to {max}"));
            }
        }
        Ok(())
    }

    /// How long somebody is believed to be where they were last seen, in milliseconds.
    pub fn presence_ms(&self) -> i64 {
        i64::from(self.presence_hours) * 3_600_000
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            passback_minutes: 15,
            double_scan_seconds: 5,
            pass_replay_seconds: 5,
            presence_hours: KEEP_HOURS,
            directory_age_days_max: 90,
        }
    }
}
