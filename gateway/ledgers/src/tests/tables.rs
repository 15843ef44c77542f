//! A person's scans and what attendance makes of them, case by case.

use protocol::Direction;

use super::site::{passage, person, rules};
use crate::*;

/// Each case: what it shows, who (1 works at night), the scans, now, and the working days: `day first-last worked/by rule`
/// and what is flagged. Days are of November 2026, in Makassar: the 22nd is a Sunday, the 24th a holiday.
const CASES: &[(&str, usize, &str, &str, &str)] = &[
    ("a plain day", 0, "23 07:31 in complex, 23 16:05 out complex", "24 12:00", "23 07:31-16:05 514/514 late 1"),
    (
        "trips between zones are no exits",
        0,
        "23 07:20 in complex, 23 07:25 in main, 23 07:30 in tax, 23 12:00 out tax, 23 12:05 in desk, 23 15:50 out desk, \
         23 15:55 out main, 23 16:00 out complex",
        "24 12:00",
        "23 07:20-16:00 520/520",
    ),
    (
        "lunch outside makes two sessions, and the day is first in, last out",
        0,
        "23 07:30 in complex, 23 12:00 out complex, 23 13:00 in complex, 23 15:00 out complex",
        "24 12:00",
        "23 07:30-15:00 390/390 early 60",
    ),
    (
        "a scan that is shown twice counts once",
        0,
        "23 07:30 in complex, 23 07:31 in complex, 23 16:00 out complex, 23 16:01 out complex",
        "24 12:00",
        "23 07:30-16:00 510/510",
    ),
    (
        "a missing exit is closed at the end of the shift, and does not turn the next day around",
        0,
        "25 07:30 in complex, 26 07:28 in complex, 26 16:00 out complex",
        "27 12:00",
        "25 07:30-? 0/510 missing exit closed, 26 07:28-16:00 512/512",
    ),
    ("a missing entry begins with the shift", 0, "23 16:30 out complex", "24 12:00", "23 ?-16:30 0/540 missing entry"),
    (
        "in again without having left: the exit in between is missing",
        0,
        "23 07:30 in complex, 23 13:00 in complex, 23 16:00 out complex",
        "24 12:00",
        "23 07:30-16:00 180/510 missing exit",
    ),
    (
        "a night shift belongs to the evening on which it begins",
        1,
        "23 21:50 in complex, 24 06:04 out complex",
        "24 12:00",
        "23 21:50-06:04 494/494",
    ),
    (
        "a night shift's missing exit is closed in the morning",
        1,
        "23 21:50 in complex, 24 21:55 in complex, 25 06:00 out complex",
        "25 23:00",
        "23 21:50-? 0/490 missing exit closed, 24 21:55-06:00 485/485",
    ),
    (
        "work on a holiday has no shift to be late for",
        0,
        "24 10:00 in complex, 24 12:00 out complex",
        "25 12:00",
        "24 10:00-12:00 120/120",
    ),
    ("whoever is still inside is not closed", 0, "23 07:30 in complex", "23 10:00", "23 07:30-? 0/150"),
    (
        "whoever has left through the gate came through it as well, although nobody saw that",
        0,
        "23 07:30 in main, 23 16:00 out complex",
        "24 12:00",
        "23 07:30-16:00 510/510 missing entry",
    ),
    (
        "the building that stands alone",
        0,
        "23 08:00 in annex, 23 08:30 out annex, 23 09:00 in complex, 23 16:00 out complex",
        "24 12:00",
        "23 08:00-16:00 450/450 late 30",
    ),
];

fn at(text: &str) -> protocol::Instant {
    let (day, time) = text.split_once(' ').unwrap();
    format!("2026-11-{day}T{time}:00+08:00").parse().unwrap()
}

fn passages(scans: &str) -> Vec<Passage> {
    let one = |(number, scan): (u64, &str)| {
        let words: Vec<&str> = scan.split_whitespace().collect();
        let direction = if words[2] == "in" { Direction::In } else { Direction::Out };
        passage(number, at(&words[..2].join(" ")), words[3], direction)
    };
    (1..).zip(scans.split(',')).map(one).collect()
}

fn told(row: &Attendance, rules: &Rules) -> String {
    let time = |at: Option<protocol::Instant>| {
        at.map_or("?".into(), |at| rules.time_zone.to_datetime(at.timestamp()).strftime("%H:%M").to_string())
    };
    let mut text = format!("{} {}-{} ", row.day.day(), time(row.first_in), time(row.last_out));
    text += &format!("{}/{}", row.worked_minutes, row.worked_minutes_by_rule);
    for (name, minutes) in [("late", row.late_minutes), ("early", row.early_minutes)] {
        if let Some(minutes) = minutes.filter(|minutes| *minutes > 0) {
            text += &format!(" {name} {minutes}");
        }
    }
    let flags = &row.flags;
    for (name, set) in
        [("missing exit", flags.missing_exit), ("missing entry", flags.missing_entry), ("closed", flags.closed_by_rule)]
    {
        text += &if set { format!(" {name}") } else { String::new() };
    }
    text
}

#[test]
fn days_are_what_an_attendance_officer_expects() {
    let (rules, _) = rules(0);
    let mut wrong = Vec::new();
    for (what, who, scans, now, expected) in CASES {
        let who = person(*who);
        let passages = passages(scans);
        let sessions = sessions(&who, &passages, &rules, at(now));
        let (from, to) = (rules.day_of(at("20 00:00")), rules.day_of(at("30 00:00")));
        let days = working_days(&who, from, to, &sessions, &rules);
        let found: Vec<String> = days.iter().map(|row| told(row, &rules)).collect();
        let found = found.join(", ");
        if found != *expected {
            wrong.push(format!("{what}: {found}, not {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
