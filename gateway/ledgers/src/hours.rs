//! Working hours: who is expected when, by the site's calendar and the groups of people.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use jiff::civil::Date;

use super::Person;
use base::calendar::{Calendar, Group, Shift, Week};

/// When people are expected to work.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkingHours {
    /// The hours of whoever is in no group.
    pub week: Week,
    /// Days off for everybody who follows `week`, and for groups that say so.
    pub holidays: BTreeSet<Date>,
    /// Groups that have hours of their own, by name.
    pub groups: HashMap<String, Group>,
    /// The group of each person who is in one.
    pub members: HashMap<Person, Arc<str>>,
}

impl WorkingHours {
    /// The hours of a calendar. `members` are people who are in a group that has hours: a person's id, and the group's name.
    pub fn new<'a>(calendar: &'a Calendar, members: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let names: HashMap<&str, Arc<str>> =
            calendar.groups().iter().map(|(name, _)| (name.as_str(), Arc::from(name.as_str()))).collect();
        let member = |(id, group)| Some((Person::new(id), Arc::clone(names.get(group)?)));
        Self {
            week: calendar.hours().clone(),
            holidays: calendar.holidays().collect(),
            groups: calendar.groups().iter().cloned().collect(),
            members: members.into_iter().filter_map(member).collect(),
        }
    }

    /// The person's shift that begins on that day; `None` on a day off.
    pub fn shift(&self, person: &Person, day: Date) -> Option<Shift> {
        let group = self.members.get(person).and_then(|group| self.groups.get(&**group));
        let (week, holidays_off) = group.map_or((&self.week, true), |group| (&group.week, group.holidays_off));
        if holidays_off && self.holidays.contains(&day) {
            return None;
        }
        week.shift(day.weekday())
    }

    /// Every shift that may begin on that day, whether or not somebody has it.
    pub fn shifts_on(&self, day: Date) -> impl Iterator<Item = Shift> {
        let holiday = self.holidays.contains(&day);
        let groups =
            self.groups.values().filter(move |group| !(holiday && group.holidays_off)).map(|group| &group.week);
        let weeks = Some(&self.week).filter(|_| !holiday).into_iter().chain(groups);
        weeks.filter_map(move |week| week.shift(day.weekday()))
    }

    /// Every shift that anybody has.
    pub fn shifts(&self) -> impl Iterator<Item = Shift> {
        let weeks = std::iter::once(&self.week).chain(self.groups.values().map(|group| &group.week));
        weeks.flat_map(Week::shifts)
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn a_group_has_hours_of_its_own_and_holidays_only_if_it_says_so() {
        let calendar = Calendar::parse(
            "[holidays]\n2026-12-25 = \"Natal\"\n[hours]\nfriday = \"07:30-15:30\"\n\
             [groups.guards]\nfriday = \"22:00-06:00\"\n[groups.desk]\nfriday = \"08:00-16:00\"\nholidays_off = true\n",
        );
        let calendar = calendar.unwrap();
        let hours = WorkingHours::new(&calendar, [("P-1", "guards"), ("P-3", "desk"), ("P-4", "unknown")]);
        let shift = |person, day| hours.shift(&Person::new(person), day).map(|shift| shift.to_string());
        assert_eq!(shift("P-2", date(2026, 12, 18)).as_deref(), Some("07:30-15:30"));
        assert_eq!(shift("P-2", date(2026, 12, 25)), None);
        assert_eq!(shift("P-2", date(2026, 12, 19)), None);
        assert_eq!(shift("P-1", date(2026, 12, 25)).as_deref(), Some("22:00-06:00"));
        assert_eq!(shift("P-3", date(2026, 12, 18)).as_deref(), Some("08:00-16:00"));
        assert_eq!(shift("P-3", date(2026, 12, 25)), None);
        assert_eq!(shift("P-4", date(2026, 12, 18)).as_deref(), Some("07:30-15:30"));
        assert_eq!(hours.members.len(), 2);
        assert_eq!(hours.shifts().map(Shift::minutes).collect::<Vec<_>>(), [480, 480, 480]);
    }
}
