//! Working hours: shifts per weekday, holidays, and groups with shifts of their own.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::str::FromStr;

use jiff::civil::{Date, Time, Weekday};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Person;

/// When people are expected to work.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WorkingHours {
    /// The hours of whoever is in no group.
    pub week: Week,
    /// Days off for everybody who follows `week`, and for groups that say so.
    pub holidays: BTreeSet<Date>,
    /// Groups that have hours of their own, by name.
    pub groups: HashMap<String, Group>,
    /// The group of each person who is in one.
    #[serde(skip)]
    pub members: HashMap<Person, String>,
}

/// A group with hours of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Group {
    /// Its hours.
    pub week: Week,
    /// Whether it has holidays off.
    pub holidays_off: bool,
}

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

impl WorkingHours {
    /// The person's shift that begins on that day; `None` on a day off.
    pub fn shift(&self, person: &Person, day: Date) -> Option<Shift> {
        let group = self.members.get(person).and_then(|group| self.groups.get(group));
        let (week, holidays_off) = group.map_or((&self.week, true), |group| (&group.week, group.holidays_off));
        if holidays_off && self.holidays.contains(&day) {
            return None;
        }
        week.shift(day.weekday())
    }

    /// Every shift that anybody has.
    pub fn shifts(&self) -> impl Iterator<Item = Shift> {
        let weeks = std::iter::once(&self.week).chain(self.groups.values().map(|group| &group.week));
        weeks.flat_map(|week| Weekday::Monday.cycle_forward().take(7).filter_map(|day| week.shift(day)))
    }
}

impl Week {
    /// The same shift from Monday to Friday.
    pub fn workdays(shift: Shift) -> Self {
        let day = Some(shift);
        Self { monday: day, tuesday: day, wednesday: day, thursday: day, friday: day, ..Self::default() }
    }

    fn shift(&self, weekday: Weekday) -> Option<Shift> {
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
    use jiff::civil::date;

    use super::*;

    #[test]
    fn a_group_has_hours_of_its_own_and_holidays_only_if_it_says_so() {
        let mut hours: WorkingHours = toml::from_str(
            "holidays = [\"2026-12-25\"]\n[week]\nfriday = \"07:30-15:30\"\n[groups.guards.week]\nfriday = \"22:00-06:00\"\n",
        )
        .unwrap();
        let (guard, clerk) = (Person::new("P-1"), Person::new("P-2"));
        hours.members.insert(guard.clone(), "guards".into());
        let shift = |person, day| hours.shift(person, day).map(|shift| shift.to_string());
        assert_eq!(shift(&clerk, date(2026, 12, 18)).as_deref(), Some("07:30-15:30"));
        assert_eq!(shift(&clerk, date(2026, 12, 25)), None);
        assert_eq!(shift(&clerk, date(2026, 12, 19)), None);
        assert_eq!(shift(&guard, date(2026, 12, 25)).as_deref(), Some("22:00-06:00"));
        assert_eq!(hours.shifts().map(Shift::minutes).collect::<Vec<_>>(), [480, 480]);
    }

    #[test]
    fn a_shift_that_cannot_be_meant_is_refused() {
        for text in ["", "07:30", "7-25:00", "07:30-16:00-17:00", "a-b"] {
            assert!(text.parse::<Shift>().is_err(), "{text}");
        }
        assert!(toml::from_str::<WorkingHours>("[week]\nmonday = \"late\"\n").is_err());
        assert_eq!("00:00-00:00".parse::<Shift>().unwrap().minutes(), 1_440);
    }
}
