//! The rules by which passages become stays and days, and the site's calendar.

use std::collections::BTreeSet;

use jiff::Span;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use protocol::{Direction, Instant};

use super::hours::WorkingHours;
use super::{AttendanceConfig, Passage, Person};
use base::calendar::Shift;
use base::door_list::Zones;

/// How passages are read.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The site's time zone: where its days begin and end.
    pub time_zone: TimeZone,
    /// The zones that lie in each other. A zone that is not listed lies in no other.
    pub zones: Zones,
    /// Zones that have doors of their own: who is in one of them has come in there, seen or not.
    pub entrances: BTreeSet<String>,
    /// When people are expected to work.
    pub hours: WorkingHours,
    /// The same person at the same door in the same direction again so soon is one scan too many.
    pub double_scan_seconds: u32,
    /// How long somebody is believed to be where they were last seen. Longer than any shift.
    pub stay_hours_max: u32,
    /// Who leaves the site and is back so soon has not been away. 0: every absence counts.
    pub gap_minutes: u32,
}

impl Rules {
    /// The rules of a site that has no zones in each other and no working hours.
    pub fn new(time_zone: TimeZone) -> Self {
        Self {
            time_zone,
            zones: Zones::default(),
            entrances: BTreeSet::new(),
            hours: WorkingHours::default(),
            double_scan_seconds: 5,
            stay_hours_max: 14,
            gap_minutes: 0,
        }
    }

    /// Checks what the rules rely on.
    ///
    /// # Errors
    /// Names the field that is out of its range.
    pub fn validate(&self) -> Result<(), String> {
        let &Self { double_scan_seconds, stay_hours_max, gap_minutes, .. } = self;
        let settings = AttendanceConfig { double_scan_seconds, stay_hours_max, gap_minutes, upstream: false };
        settings.validate().map_err(|error| error.to_string())?;
        match self.hours.shifts().find(|shift| shift.minutes() > i64::from(self.stay_hours_max) * 60) {
            Some(shift) => Err(format!("stay_hours_max is {}, the shift {shift} is longer", self.stay_hours_max)),
            None => Ok(()),
        }
    }

    /// The day on the site's calendar.
    pub fn day_of(&self, at: Instant) -> Date {
        self.time_zone.to_datetime(at.timestamp()).date()
    }

    /// The day's first moment.
    pub fn start_of(&self, day: Date) -> Instant {
        self.moment(day.at(0, 0, 0, 0))
    }

    /// The first moment of the next day.
    pub fn end_of(&self, day: Date) -> Instant {
        self.start_of(days_after(day, 1))
    }

    /// When the person's shift of that day begins and ends.
    pub fn shift_times(&self, person: &Person, day: Date) -> Option<(Instant, Instant)> {
        let shift = self.hours.shift(person, day)?;
        Some((self.moment(day.to_datetime(shift.start)), self.shift_end(shift, day)))
    }

    /// Which of the last `days` working days are over, the oldest first: every shift has ended `grace_minutes` ago, or the day
    /// itself where it has no shift.
    pub fn days_over(&self, now: Instant, days: u32, grace_minutes: u32) -> Vec<Date> {
        let today = self.day_of(now);
        let until = plus_ms(now, -i64::from(grace_minutes) * 60_000);
        let days = (0..i32::try_from(days).unwrap_or(i32::MAX)).rev().map(|ago| days_after(today, -ago));
        days.filter(|day| self.is_over(*day, until)).collect()
    }

    /// The working day of somebody who arrives: the day, or the one before while its night shift lasts.
    pub fn day_of_arrival(&self, person: &Person, at: Instant) -> Date {
        self.working_day(person, at, |_, end| at < end)
    }

    /// The working day of somebody who is seen leaving only: the night shift of the day before may have been longer.
    pub fn day_of_departure(&self, person: &Person, at: Instant) -> Date {
        self.working_day(person, at, |start, _| at.ms_since(start) <= self.stay_ms())
    }

    /// When somebody is said to have left who was last seen at `last`, on the working day `day`: at the end of the
    /// shift, or else when they are no longer believed to be there, but at midnight at the latest.
    pub fn end_by_rule(&self, person: &Person, day: Date, last: Instant) -> Instant {
        let forgotten = plus_ms(last, self.stay_ms());
        match self.shift_times(person, day) {
            Some((_, end)) if end > last => end.min(forgotten),
            _ => self.end_of(self.day_of(last)).min(forgotten),
        }
    }

    /// When somebody is said to have come who was first seen leaving, at `first`: at the start of the shift, or else at
    /// midnight, but not before `known`, when they were last known to be outside.
    pub fn begin_by_rule(&self, person: &Person, first: Instant, known: Option<Instant>) -> Instant {
        let shift = self.shift_times(person, self.day_of_departure(person, first));
        let begin = shift.map(|(start, _)| start).filter(|start| *start < first);
        let begin = begin.unwrap_or_else(|| self.start_of(self.day_of(first)));
        begin.max(plus_ms(first, -self.stay_ms())).max(known.unwrap_or(begin)).min(first)
    }

    /// Whether `next` is the same scan again.
    pub fn is_double(&self, before: &Passage, next: &Passage) -> bool {
        (&before.door, before.direction) == (&next.door, next.direction)
            && next.at.ms_since(before.at) <= i64::from(self.double_scan_seconds) * 1_000
    }

    /// How long somebody is believed to be where they were last seen, in milliseconds.
    pub fn stay_ms(&self) -> i64 {
        i64::from(self.stay_hours_max) * 3_600_000
    }

    /// Absences that are shorter are none, in milliseconds.
    pub fn gap_ms(&self) -> i64 {
        i64::from(self.gap_minutes) * 60_000
    }

    /// The zone around `zone`, if it lies in one.
    pub fn around(&self, zone: &str) -> Option<&str> {
        self.zones.around(zone).first().map(String::as_str)
    }

    /// The innermost zone in which somebody is right before the passage; outside where there is none.
    pub fn before<'r>(&'r self, passage: &'r Passage) -> Option<&'r str> {
        match passage.direction {
            Direction::In => self.around(&passage.zone),
            Direction::Out => Some(&passage.zone),
        }
    }

    /// The zones on the way from one to the other, in order: those around the first until one that is around both, or outside,
    /// and from there into the second. Without the first, with the second.
    pub fn way<'r>(&'r self, from: Option<&'r str>, to: Option<&'r str>) -> Vec<&'r str> {
        let path = |zone: Option<&'r str>| {
            let around = zone.map_or(&[][..], |zone| self.zones.around(zone));
            zone.into_iter().chain(around.iter().map(String::as_str)).collect::<Vec<_>>()
        };
        let (out, into) = (path(from), path(to));
        let both = out.iter().find(|zone| into.contains(zone));
        let until_both = |path: &[&str]| path.iter().position(|zone| Some(zone) == both);
        let leaving = out.iter().take(until_both(&out).map_or(out.len(), |at| at.saturating_add(1))).skip(1);
        let entering = into.iter().take(until_both(&into).unwrap_or(into.len())).rev();
        leaving.chain(entering).copied().collect()
    }

    /// Whether `inner` is `zone` or lies in it.
    pub fn is_within(&self, inner: &str, zone: &str) -> bool {
        inner == zone || self.zones.around(inner).iter().any(|around| around == zone)
    }

    fn is_over(&self, day: Date, at: Instant) -> bool {
        let last = self.hours.shifts_on(day).map(|shift| self.shift_end(shift, day)).max();
        last.unwrap_or_else(|| self.end_of(day)) <= at
    }

    fn shift_end(&self, shift: Shift, day: Date) -> Instant {
        let last_day = if shift.crosses_midnight() { days_after(day, 1) } else { day };
        self.moment(last_day.to_datetime(shift.end))
    }

    /// How many days before and after a day its stays may depend on, or reach into.
    pub fn reach_days(&self) -> i32 {
        i32::try_from(self.stay_hours_max / 24).unwrap_or(i32::MAX).saturating_add(1)
    }

    fn working_day(&self, person: &Person, at: Instant, counts: impl Fn(Instant, Instant) -> bool) -> Date {
        let (today, yesterday) = (self.day_of(at), days_after(self.day_of(at), -1));
        let night = self.hours.shift(person, yesterday).filter(|shift: &Shift| shift.crosses_midnight());
        let times = night.and_then(|_| self.shift_times(person, yesterday));
        if times.is_some_and(|(start, end)| counts(start, end)) { yesterday } else { today }
    }

    /// The moment at which the site's clocks show `local`, or the next one where they skip it.
    fn moment(&self, local: DateTime) -> Instant {
        let nearest = if local.year() < 0 { i64::MIN } else { i64::MAX };
        self.time_zone.to_timestamp(local).map_or(Instant::from_unix_ms(nearest), Instant::from)
    }
}

/// The day that lies `days` after `day`, or the calendar's end.
pub fn days_after(day: Date, days: i32) -> Date {
    day.saturating_add(Span::new().days(days))
}

/// The moment `ms` milliseconds later.
pub fn plus_ms(at: Instant, ms: i64) -> Instant {
    Instant::from_unix_ms(at.unix_ms().saturating_add(ms))
}

impl AttendanceConfig {
    /// `rules` with these settings.
    pub fn rules(&self, rules: Rules) -> Rules {
        let Self { double_scan_seconds, stay_hours_max, gap_minutes, upstream: _ } = *self;
        Rules { double_scan_seconds, stay_hours_max, gap_minutes, ..rules }
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;
    use base::calendar::{Group, Week};

    fn rules(zone: &str) -> Rules {
        let mut rules = Rules::new(TimeZone::get(zone).unwrap());
        rules.hours.week = Week::workdays("07:30-16:00".parse().unwrap());
        let night = Week::workdays("22:00-06:00".parse().unwrap());
        rules.hours.groups.insert("night".into(), Group { week: night, holidays_off: false });
        rules.hours.members.insert(Person::new("N"), "night".into());
        rules
    }

    fn at(text: &str) -> Instant {
        text.parse().unwrap()
    }

    #[test]
    fn a_night_shift_belongs_to_the_day_on_which_it_begins() {
        let rules = rules("Asia/Makassar");
        let (clerk, guard) = (Person::new("D"), Person::new("N"));
        let monday = date(2026, 11, 23);
        for (person, time, arrival, departure) in [
            (&clerk, "2026-11-23T23:59:59+08:00", 23, 23),
            (&clerk, "2026-11-24T00:00:00+08:00", 24, 24),
            (&guard, "2026-11-23T21:45:00+08:00", 23, 23),
            (&guard, "2026-11-24T03:20:00+08:00", 23, 23),
            (&guard, "2026-11-24T06:00:00+08:00", 24, 23),
            (&guard, "2026-11-24T12:00:00+08:00", 24, 23),
            (&guard, "2026-11-24T12:00:01+08:00", 24, 24),
            // The shift of Friday; there is none on Saturday.
            (&guard, "2026-11-28T05:59:00+08:00", 27, 27),
            (&guard, "2026-11-29T05:59:00+08:00", 29, 29),
        ] {
            assert_eq!(rules.day_of_arrival(person, at(time)).day(), arrival, "{time}");
            assert_eq!(rules.day_of_departure(person, at(time)).day(), departure, "{time}");
        }
        assert_eq!(rules.shift_times(&guard, monday).unwrap().1, at("2026-11-24T06:00:00+08:00"));
        assert_eq!(rules.shift_times(&guard, date(2026, 11, 28)), None);
    }

    #[test]
    fn a_working_day_is_over_when_its_last_shift_is() {
        let mut rules = rules("Asia/Makassar");
        let over =
            |rules: &Rules, now| rules.days_over(at(now), 3, 60).into_iter().map(|day| day.day()).collect::<Vec<_>>();
        // Monday's guards stay until Tuesday, 06:00; on Sunday there is no shift.
        assert_eq!(over(&rules, "2026-11-24T06:59:59+08:00"), [22]);
        assert_eq!(over(&rules, "2026-11-24T07:00:00+08:00"), [22, 23]);
        assert_eq!(over(&rules, "2026-11-23T00:59:59+08:00"), [21]);
        assert_eq!(over(&rules, "2026-11-23T01:00:00+08:00"), [21, 22]);
        rules.hours.groups.clear();
        assert_eq!(over(&rules, "2026-11-23T16:59:59+08:00"), [21, 22]);
        assert_eq!(over(&rules, "2026-11-23T17:00:00+08:00"), [21, 22, 23]);
        rules.hours.holidays.insert(date(2026, 11, 23));
        assert_eq!(over(&rules, "2026-11-23T17:00:00+08:00"), [21, 22]);
    }

    #[test]
    fn who_was_not_seen_leaving_left_at_the_end_of_the_shift_but_never_the_next_day() {
        let rules = rules("Asia/Makassar");
        let (clerk, guard) = (Person::new("D"), Person::new("N"));
        for (person, day, last, end) in [
            (&clerk, 23, "2026-11-23T07:31:00+08:00", "2026-11-23T16:00:00+08:00"),
            (&clerk, 23, "2026-11-23T01:00:00+08:00", "2026-11-23T15:00:00+08:00"),
            (&clerk, 23, "2026-11-23T17:00:00+08:00", "2026-11-24T00:00:00+08:00"),
            (&clerk, 28, "2026-11-28T08:00:00+08:00", "2026-11-28T22:00:00+08:00"),
            (&clerk, 28, "2026-11-28T12:00:00+08:00", "2026-11-29T00:00:00+08:00"),
            (&guard, 23, "2026-11-23T22:00:00+08:00", "2026-11-24T06:00:00+08:00"),
            (&guard, 23, "2026-11-24T06:00:00+08:00", "2026-11-24T20:00:00+08:00"),
        ] {
            assert_eq!(rules.end_by_rule(person, date(2026, 11, day), at(last)), at(end), "{last}");
        }
    }

    #[test]
    fn who_was_not_seen_coming_came_at_the_start_of_the_shift_but_not_before_they_were_known_to_be_outside() {
        let rules = rules("Asia/Makassar");
        let clerk = Person::new("D");
        for (first, known, begin) in [
            ("2026-11-23T16:05:00+08:00", None, "2026-11-23T07:30:00+08:00"),
            ("2026-11-23T16:05:00+08:00", Some("2026-11-23T12:00:00+08:00"), "2026-11-23T12:00:00+08:00"),
            ("2026-11-23T16:05:00+08:00", Some("2026-11-22T12:00:00+08:00"), "2026-11-23T07:30:00+08:00"),
            ("2026-11-23T06:00:00+08:00", None, "2026-11-23T00:00:00+08:00"),
            ("2026-11-28T16:00:00+08:00", None, "2026-11-28T02:00:00+08:00"),
        ] {
            assert_eq!(rules.begin_by_rule(&clerk, at(first), known.map(at)), at(begin), "{first}");
        }
    }

    #[test]
    fn days_begin_and_end_with_the_sites_clocks() {
        // Havana skips midnight in spring, Berlin an hour of the night, and both repeat one in autumn.
        for (zone, day, hours) in [
            ("America/Havana", date(2020, 3, 8), 23),
            ("America/Havana", date(2020, 11, 1), 25),
            ("Europe/Berlin", date(2026, 3, 29), 23),
            ("Europe/Berlin", date(2026, 10, 25), 25),
            ("Asia/Makassar", date(2026, 3, 29), 24),
            ("Asia/Kathmandu", date(2026, 3, 29), 24),
        ] {
            let rules = rules(zone);
            let (start, end) = (rules.start_of(day), rules.end_of(day));
            assert_eq!(end.ms_since(start), hours * 3_600_000, "{zone} {day}");
            assert_eq!((rules.day_of(start), rules.day_of(plus_ms(start, -1))), (day, days_after(day, -1)));
        }
        // A night shift in the night in which clocks go forward is an hour shorter.
        let mut berlin = rules("Europe/Berlin");
        berlin.hours.groups.get_mut("night").unwrap().week.saturday = Some("22:00-06:00".parse().unwrap());
        let (start, end) = berlin.shift_times(&Person::new("N"), date(2026, 3, 28)).unwrap();
        assert_eq!(end.ms_since(start), 7 * 3_600_000);
    }

    #[test]
    fn rules_that_cannot_hold_are_refused_with_the_field() {
        let good = rules("UTC");
        assert_eq!(good.validate(), Ok(()));
        for (rules, field) in [
            (Rules { stay_hours_max: 0, ..good.clone() }, "stay_hours_max"),
            (Rules { stay_hours_max: 8, ..good.clone() }, "07:30-16:00"),
            (Rules { gap_minutes: 241, ..good.clone() }, "gap_minutes"),
            (Rules { double_scan_seconds: 301, ..good.clone() }, "double_scan_seconds"),
        ] {
            assert!(rules.validate().unwrap_err().contains(field), "{field}");
        }
    }
}
