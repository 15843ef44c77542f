//! How long what is known of people is kept, and what leaves the site: section `[privacy]`.

/// Longest time for which anything about people is kept, in days: ten years.
const DAYS_MAX: u32 = 3_650;

base::settings! {
    /// How long what is known of people is kept, by purpose; and what leaves the site.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Privacy {
        /// Events say whom they are about.
        pub events_days: u32 = 90 => "days", in 1..=DAYS_MAX;
        /// Contacts can be traced.
        pub contacts_days: u32 = 30 => "days", in 1..=DAYS_MAX;
        /// Attendance of each person.
        pub attendance_days: u32 = 400 => "days", in 1..=DAYS_MAX;
        /// The audit trail: who has looked at whose data, and why.
        pub audit_days: u32 = 730 => "days", in 1..=DAYS_MAX;
        /// The beginnings of malformed payloads.
        pub malformed_days: u32 = 7 => "days", in 1..=DAYS_MAX;
        /// Whether the upstream gets pseudonyms in place of people, credentials and helpers.
        pub pseudonymise_upstream: bool = false => "true or false";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_purpose_has_its_days() {
        let days = |value: i64, field| {
            let config: Privacy = toml::from_str(&format!("{field} = {value}")).unwrap();
            config.validate().map_err(|error| error.to_string())
        };
        for field in ["events_days", "contacts_days", "attendance_days", "audit_days", "malformed_days"] {
            assert_eq!((days(1, field), days(3_650, field)), (Ok(()), Ok(())));
            assert_eq!(days(0, field), Err(format!("{field} is 0, allowed are 1 to 3650")));
            assert_eq!(days(3_651, field), Err(format!("{field} is 3651, allowed are 1 to 3650")));
        }
        assert!(toml::from_str::<Privacy>("days = 1").is_err());
        assert_eq!(Privacy::default().validate(), Ok(()));
    }
}
