//! What can be set of the views: sections `[attendance]` and `[contacts]`.

use serde::Deserialize;

use super::Rules;

/// Section `[attendance]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AttendanceConfig {
    /// See [`Rules::double_scan_seconds`].
    pub double_scan_seconds: u32,
    /// See [`Rules::stay_hours_max`].
    pub stay_hours_max: u32,
    /// See [`Rules::gap_minutes`].
    pub gap_minutes: u32,
    /// Whether each day is sent upstream when it is over.
    pub upstream: bool,
}

/// Section `[contacts]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ContactsConfig {
    /// Minutes in the same zone within 24 hours that make a contact, where a query does not say.
    pub minutes: u32,
}

impl Default for AttendanceConfig {
    fn default() -> Self {
        Self { double_scan_seconds: 5, stay_hours_max: 14, gap_minutes: 0, upstream: false }
    }
}

impl Default for ContactsConfig {
    fn default() -> Self {
        Self { minutes: 15 }
    }
}

impl AttendanceConfig {
    /// Checks every field. That no shift is longer than `stay_hours_max` is for [`Rules::validate`], which knows them.
    ///
    /// # Errors
    /// Names the field that is out of its range, and what is allowed.
    pub fn validate(&self) -> Result<(), String> {
        self.rules(Rules::new(jiff::tz::TimeZone::UTC)).validate()
    }

    /// `rules` with these settings.
    pub fn rules(&self, rules: Rules) -> Rules {
        let Self { double_scan_seconds, stay_hours_max, gap_minutes, upstream: _ } = *self;
        Rules { double_scan_seconds, stay_hours_max, gap_minutes, ..rules }
    }
}

impl ContactsConfig {
    /// Checks every field.
    ///
    /// # Errors
    /// Names the field that is out of its range, and what is allowed.
    pub fn validate(&self) -> Result<(), String> {
        if (1..=1_440).contains(&self.minutes) {
            Ok(())
        } else {
            Err(format!("minutes is {}, allowed are 1 to 1440", self.minutes))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_field_and_what_it_may_be() {
        let attendance = |text| toml::from_str::<AttendanceConfig>(text).map_err(|error| error.to_string())?.validate();
        assert_eq!(attendance(""), Ok(()));
        for (text, expected) in [
            ("double_scan_seconds = 301", "double_scan_seconds is 301, allowed are 0 to 300"),
            ("stay_hours_max = 0", "stay_hours_max is 0, allowed are 1 to 72"),
            ("gap_minutes = 241", "gap_minutes is 241, allowed are 0 to 240"),
            ("gap_hours = 1", "unknown field `gap_hours`"),
        ] {
            let error = attendance(text).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
        for (minutes, good) in [(0, false), (1, true), (1_440, true), (1_441, false)] {
            assert_eq!(ContactsConfig { minutes }.validate().is_ok(), good);
        }
    }
}
