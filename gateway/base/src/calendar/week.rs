//! Shifts, a week of them, and groups that have a week of their own.

use std::fmt;
use std::str::FromStr;

use jiff::civil::{Time, Weekday};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A shift for each weekday; absent: a day off.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "the days of the week")]
pub struct Week {
    pub monday: Option<Shift>,
    pub tuesday: Option<Shift>,
    pub wednesday: Option<Shift>,
    pub thursday: Option<Shift>,
    pub friday: Option<Shift>,
    pub saturday: Option<Shift>,
    pub sunday: Option<Shift>,
}

/// A group with hours of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "Table")]
pub struct Group {
    /// Its hours.
    pub week: Week,
    /// Whether it has holidays off.
    pub holidays_off: bool,
}

/// From when until when, `07:30-16:00`; an end that is not after the start is on the next day, as in `22:00-06:00`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shift {
    /// When it begins.
    pub start: Time,
    /// When it ends.
    pub end: Time,
}

/// A shift that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("a shift looks like \"07:30-16:00\", or \"22:00-06:00\" when it ends on the next day")]
pub struct ShiftError;

/// `[groups.NAME]`, where the days stand beside the setting.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    monday: Option<Shift>,
    tuesday: Option<Shift>,
    wednesday: Option<Shift>,
    thursday: Option<Shift>,
    friday: Option<Shift>,
    saturday: Option<Shift>,
    sunday: Option<Shift>,
    #[serde(default)]
    holidays_off: bool,
}

impl Week {
    /// The same shift from Monday to Friday.
    pub fn workdays(shift: Shift) -> Self {
        let day = Some(shift);
        Self { monday: day, tuesday: day, wednesday: day, thursday: day, friday: day, ..Self::default() }
    }

    /// The shift that begins on such a day.
    pub fn shift(&self, weekday: Weekday) -> Option<Shift> {
        match weekday {
            Weekday::Monday => self.monday,
            Weekday::Tuesday => self.tuesday,
            Weekday::Wednesday => self.wednesday,
            Weekday::Thursday => self.thursday,
            Weekday::Friday => self.friday,
            Weekday::Saturday => self.saturday,
            Weekday::Sunday => self.sunday,
        }
    }

    /// Its shifts, from Monday on.
    pub fn shifts(&self) -> impl Iterator<Item = Shift> {
        Weekday::Monday.cycle_forward().take(7).filter_map(|day| self.shift(day))
    }
}

impl From<Table> for Group {
    fn from(table: Table) -> Self {
        let Table { monday, tuesday, wednesday, thursday, friday, saturday, sunday, holidays_off } = table;
        Self { week: Week { monday, tuesday, wednesday, thursday, friday, saturday, sunday }, holidays_off }
    }
}

impl Shift {
    /// Whether it ends on the day after it begins.
    pub fn crosses_midnight(self) -> bool {
        self.end <= self.start
    }

    /// How long it is by the clock on the wall, in minutes; at most a day.
    pub fn minutes(self) -> i64 {
        let minute = |time: Time| i64::from(time.hour()) * 60 + i64::from(time.minute());
        minute(self.end) - minute(self.start) + if self.crosses_midnight() { 24 * 60 } else { 0 }
    }
}

impl FromStr for Shift {
    type Err = ShiftError;

    fn from_str(text: &str) -> Result<Self, ShiftError> {
        let time = |text: &str| Time::strptime("%H:%M", text.trim()).map_err(|_| ShiftError);
        let (start, end) = text.split_once(['-', '–']).ok_or(ShiftError)?;
        Ok(Self { start: time(start)?, end: time(end)? })
    }
}

impl fmt::Display for Shift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { start, end } = self;
        write!(f, "{:02}:{:02}-{:02}:{:02}", start.hour(), start.minute(), end.hour(), end.minute())
    }
}

impl<'de> Deserialize<'de> for Shift {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for Shift {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shift_that_cannot_be_meant_is_refused() {
        for text in ["", "07:30", "7-25:00", "07:30-16:00-17:00", "a-b"] {
            assert!(text.parse::<Shift>().is_err(), "{text}");
        }
        assert_eq!("00:00-00:00".parse::<Shift>().unwrap().minutes(), 1_440);
        assert_eq!("22:00-06:00".parse::<Shift>().unwrap().minutes(), 480);
    }
}
