//! Days as numbers: since 1970-01-01.

use jiff::SignedDuration;
use jiff::civil::{Date, date};

const EPOCH: Date = date(1970, 1, 1);

/// The day's number.
pub fn day_number(day: Date) -> i32 {
    // The calendar has fewer than 8 million days.
    i32::try_from(day.duration_since(EPOCH).as_hours() / 24).unwrap_or(i32::MAX)
}

/// The day with this number, or the calendar's end.
pub fn day_of_number(number: i32) -> Date {
    EPOCH.saturating_add(SignedDuration::from_hours(i64::from(number) * 24))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_have_numbers_in_order() {
        for (day, number) in [
            (date(1970, 1, 1), 0),
            (date(1969, 12, 31), -1),
            (date(2026, 11, 23), 20_780),
            (Date::MIN, -4_371_587),
            (Date::MAX, 2_932_896),
        ] {
            assert_eq!((day_number(day), day_of_number(number)), (number, day));
        }
    }
}
