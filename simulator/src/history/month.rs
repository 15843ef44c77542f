//! The days of a history: which ones, and which of them are worked.

use std::str::FromStr;

use anyhow::{Context, Result, ensure};
use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

/// The regency's time zone, which has no summer time.
pub const TIME_ZONE: &str = "Asia/Makassar";

/// Days between the last one of a history and now: the last night shift is over, and nobody is believed inside any more.
const DAYS_OVER: i32 = 2;

/// A month's name, as in `2026-10`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MonthName(Date);

/// The days from the first of a month on.
#[derive(Clone, Debug)]
pub struct Month {
    time_zone: TimeZone,
    days: Vec<(Date, i64)>,
    holiday: Date,
}

impl FromStr for MonthName {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let first =
            text.bytes().enumerate().all(|(at, byte)| if at == 4 { byte == b'-' } else { byte.is_ascii_digit() });
        let day = format!("{text}-01").parse::<Date>().ok().filter(|_| first && text.len() == 7);
        day.map(Self).context("a month looks like 2026-10")
    }
}

impl MonthName {
    /// Checks that the month's first `days` days were over long enough ago at `now`.
    ///
    /// # Errors
    /// Says what is allowed.
    pub fn must_be_over(self, days: u32, now: Timestamp) -> Result<()> {
        let today = now.to_zoned_datetime(TimeZone::get(TIME_ZONE)?).date();
        let last = later(self.0, i32::try_from(days)?.saturating_sub(1));
        let (earliest, latest) = (Date::constant(2020, 1, 1), later(today, -DAYS_OVER - 1));
        ensure!(
            self.0 >= earliest && last <= latest,
            "its days must lie between {earliest} and {latest}, they are {} to {last}: give an earlier month, or fewer \
             --days",
            self.0
        );
        Ok(())
    }

    /// How many days the month has.
    pub fn days(self) -> u32 {
        u32::from(self.0.days_in_month().unsigned_abs())
    }
}

impl Month {
    /// The first `days` days of the month.
    ///
    /// # Errors
    /// When the system does not know the time zone.
    pub fn new(name: MonthName, days: u32) -> Result<Self> {
        let time_zone = TimeZone::get(TIME_ZONE).context("the time zone is unknown to this system")?;
        let first_wednesday = (0..7).map(|n| later(name.0, n)).find(|day| day.weekday() == Weekday::Wednesday);
        let holiday = later(first_wednesday.unwrap_or(name.0), 7);
        let mut month = Self { time_zone, days: Vec::new(), holiday };
        for n in 0..i32::try_from(days.min(name.days()))? {
            let date = later(name.0, n);
            let midnight = month.time_zone.to_timestamp(date.at(0, 0, 0, 0))?.as_millisecond();
            month.days.push((date, midnight));
        }
        Ok(month)
    }

    /// How many days there are.
    pub fn len(&self) -> usize {
        self.days.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.days.is_empty()
    }

    /// The date of a day, which are counted from 0.
    pub fn date(&self, day: usize) -> Option<Date> {
        self.days.get(day).map(|(date, _)| *date)
    }

    /// Which day has that date.
    pub fn day(&self, date: Date) -> Option<usize> {
        self.days.iter().position(|(other, _)| *other == date)
    }

    /// A day's first moment in Unix milliseconds; the end of the last day for any later one.
    pub fn midnight_ms(&self, day: usize) -> i64 {
        let end = self.days.last().map_or(0, |(_, midnight)| midnight + 86_400_000);
        self.days.get(day).map_or(end, |(_, midnight)| *midnight)
    }

    /// Whether offices work on that day.
    pub fn is_worked(&self, day: usize) -> bool {
        self.date(day)
            .is_some_and(|date| date != self.holiday && !matches!(date.weekday(), Weekday::Saturday | Weekday::Sunday))
    }

    /// The one holiday: the second Wednesday, whether it is among the days or not.
    pub fn holiday(&self) -> Date {
        self.holiday
    }
}

fn later(day: Date, days: i32) -> Date {
    day.saturating_add(Span::new().days(days))
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn a_month_has_its_days_weekends_and_a_holiday() {
        let month = Month::new("2026-10".parse().unwrap(), 31).unwrap();
        assert_eq!((month.len(), month.date(0), month.holiday()), (31, Some(date(2026, 10, 1)), date(2026, 10, 14)));
        assert_eq!((0..31).filter(|day| month.is_worked(*day)).count(), 21);
        assert_eq!(month.midnight_ms(0), "2026-09-30T16:00:00Z".parse::<Timestamp>().unwrap().as_millisecond());
        assert_eq!(month.midnight_ms(31) - month.midnight_ms(30), 86_400_000);
        assert_eq!(month.day(date(2026, 10, 31)), Some(30));
        assert_eq!(Month::new("2026-02".parse().unwrap(), 31).unwrap().len(), 28);
    }

    #[test]
    fn what_is_no_month_or_not_over_is_refused() {
        for text in ["", "2026", "2026-13", "2026-10-01", "2026-1", "26-10", "2026/10", "+026-10"] {
            assert!(text.parse::<MonthName>().is_err(), "{text}");
        }
        let name: MonthName = "2026-10".parse().unwrap();
        let over = |days, now: &str| name.must_be_over(days, now.parse().unwrap());
        assert!(over(31, "2026-11-03T00:00:00+08:00").is_ok());
        let error = over(31, "2026-11-02T23:59:00+08:00").unwrap_err().to_string();
        assert!(error.contains("between 2020-01-01 and 2026-10-30"), "{error}");
        assert!(over(3, "2026-10-06T00:00:00+08:00").is_ok());
        assert!("2019-12".parse::<MonthName>().unwrap().must_be_over(1, Timestamp::now()).is_err());
    }
}
