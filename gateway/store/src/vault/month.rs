//! A calendar month in UTC: each has its own keys, so that old ones can be destroyed month by month.

use jiff::tz::Offset;
use protocol::Instant;

/// A calendar month in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month(u32);

impl Month {
    /// The month in which `at` lies.
    pub fn of(at: Instant) -> Self {
        let date = Offset::UTC.to_datetime(at.timestamp()).date();
        let months = i32::from(date.year()) * 12 + i32::from(date.month()) - 1;
        Self(u32::try_from(months).unwrap_or(0))
    }

    /// The month before.
    pub fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }

    /// As it stands in the file: months since the year 0.
    pub(super) fn number(self) -> u32 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_begin_and_end_in_utc() {
        let month = |at: &str| Month::of(at.parse().unwrap());
        assert_eq!(month("2026-12-01T07:59:59+08:00"), month("2026-11-01T00:00:00Z"));
        assert_eq!(month("2026-12-01T08:00:00+08:00"), month("2026-12-31T23:59:59.999Z"));
        assert_eq!(month("2027-01-01T00:00:00Z").previous(), month("2026-12-01T00:00:00Z"));
        assert!(month("2026-12-31T00:00:00Z") < month("2027-01-01T00:00:00Z"));
    }
}
