//! How long what is known of people is kept, and what leaves the site: section `[privacy]`.

use serde::Deserialize;

/// Section `[privacy]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Privacy {
    /// Days for which events tell whom they are about.
    pub events_days: u32,
    /// Days for which contacts can be traced.
    pub contacts_days: u32,
    /// Days for which attendance is kept.
    pub attendance_days: u32,
    /// Days for which it is kept who has looked at whom.
    pub looks_days: u32,
    /// Days for which the beginnings of malformed payloads are kept.
    pub malformed_days: u32,
    /// Whether the upstream gets pseudonyms of people in place of their ids.
    pub pseudonymise_upstream: bool,
}

/// Days of any purpose.
const DAYS: std::ops::RangeInclusive<u32> = 1..=3_650;

impl Default for Privacy {
    fn default() -> Self {
        Self {
            events_days: 90,
            contacts_days: 30,
            attendance_days: 400,
            looks_days: 730,
            malformed_days: 7,
            pseudonymise_upstream: false,
        }
    }
}

impl Privacy {
    /// Checks every field.
    ///
    /// # Errors
    /// Names the field that is out of its range, and what is allowed.
    pub fn validate(&self) -> Result<(), String> {
        for (field, days) in [
            ("events_days", self.events_days),
            ("contacts_days", self.contacts_days),
            ("attendance_days", self.attendance_days),
            ("looks_days", self.looks_days),
            ("malformed_days", self.malformed_days),
        ] {
            if !DAYS.contains(&days) {
                return Err(format!("{field} is {days}, allowed are {} to {}", DAYS.start(), DAYS.end()));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_purpose_has_its_days() {
        let days = |value: i64, field| toml::from_str::<Privacy>(&format!("{field} = {value}")).unwrap().validate();
        for field in ["events_days", "contacts_days", "attendance_days", "looks_days", "malformed_days"] {
            assert_eq!((days(1, field), days(3_650, field)), (Ok(()), Ok(())));
            assert_eq!(days(0, field), Err(format!("{field} is 0, allowed are 1 to 3650")));
            assert_eq!(days(3_651, field), Err(format!("{field} is 3651, allowed are 1 to 3650")));
        }
        assert!(toml::from_str::<Privacy>("days = 1").is_err());
        assert_eq!(Privacy::default().validate(), Ok(()));
    }
}
