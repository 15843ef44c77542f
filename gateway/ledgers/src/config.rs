//! What can be set of the ledgers: sections `[attendance]` and `[contacts]`.

base::settings! {
    /// How the times of people at doors become working days. When people are expected to work stands in `calendar.toml`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct AttendanceConfig {
        /// The same person at the same door in the same direction within this time is a scan too many.
        pub double_scan_seconds: u32 = 5 => "seconds", in 0..=300;
        /// Time for which a person is believed to be where they were last seen; not shorter than any shift in `calendar.toml`.
        pub stay_hours_max: u32 = 14 => "hours", in 1..=72;
        /// A person who leaves the site and is back within this time has not been away; 0: every absence counts.
        pub gap_minutes: u32 = 0 => "minutes", in 0..=240;
        /// Whether each office's working day is sent upstream when it is over, and again when a late scan changes it.
        pub upstream: bool = false => "true or false", must "needs a section `[upstream]`";
    }
}

base::settings! {
    /// What makes a contact.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct ContactsConfig {
        /// Minutes in the same zone within 24 hours that make a contact, where a query does not say.
        pub minutes: u32 = 15 => "minutes", in 1..=1_440;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_field_and_what_it_may_be() {
        let attendance = |text| {
            let config: AttendanceConfig = toml::from_str(text).map_err(|error| error.to_string())?;
            config.validate().map_err(|error| error.to_string())
        };
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
