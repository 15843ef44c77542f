//! Attendance and contacts as files: CSV for a spreadsheet, JSON and NDJSON for programs.
//!
//! A CSV file begins with a byte order mark, its lines end with CR LF, and its fields are quoted as RFC 4180 says. Its times are
//! the site's, to the minute and without a zone, because that is what spreadsheets take for times. No cell is a formula.

use std::io::{self, Write};

use jiff::tz::TimeZone;
use protocol::Instant;
use serde::Serialize;

use super::attendance::AttendanceSession;
use super::contact::Line;
use super::{Attendance, Contact, Evidence};
use base::spreadsheet::Spreadsheet;

const ATTENDANCE: [&str; 19] = [
    "person",
    "name",
    "opd",
    "day",
    "shift_start",
    "shift_end",
    "first_in",
    "last_out",
    "worked",
    "worked_minutes",
    "by_rule_minutes",
    "late_minutes",
    "early_minutes",
    "missing_exit",
    "missing_entry",
    "closed_by_rule",
    "late_scan",
    "doubtful_clock",
    "sessions",
];

const LINES: [&str; 19] = [
    "generation",
    "of",
    "of_name",
    "person",
    "name",
    "opd",
    "grade",
    "minutes_min",
    "minutes_max",
    "reached_at",
    "zone",
    "from",
    "to",
    "certain_from",
    "certain_to",
    "evidence_of",
    "evidence",
    "late_scan",
    "doubtful_clock",
];

/// Which part of a table it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TablePart {
    /// It begins with the heading.
    First,
    /// Its rows follow those of the part before.
    Further,
}

/// Something about a person, with who that is.
#[derive(Debug, Serialize)]
pub struct NamedRow<'a, T> {
    /// What it is: a working day, or a contact.
    #[serde(flatten)]
    pub about: &'a T,
    /// The person's name, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<&'a str>,
    /// The person's office, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opd: Option<&'a str>,
}

impl<'a> NamedRow<'a, Attendance> {
    /// The working day, and what `known` says of its person: name and office, which may be empty.
    pub fn day<'k: 'a>(about: &'a Attendance, known: impl Fn(&str) -> Option<(&'k str, &'k str)>) -> Self {
        Self::of(about, known(about.person.as_str()))
    }
}

impl<'a> NamedRow<'a, Contact> {
    /// The contact, and what `known` says of the person who it is: name and office, which may be empty.
    pub fn contact<'k: 'a>(about: &'a Contact, known: impl Fn(&str) -> Option<(&'k str, &'k str)>) -> Self {
        Self::of(about, known(about.person.as_str()))
    }
}

impl<'a, T> NamedRow<'a, T> {
    fn of(about: &'a T, known: Option<(&'a str, &'a str)>) -> Self {
        let some = |text: &'a str| Some(text).filter(|text| !text.is_empty());
        let (name, opd) = known.unwrap_or_default();
        Self { about, name: some(name), opd: some(opd) }
    }
}

/// Writes working days as CSV, one row per person and day.
///
/// `worked` is `worked_minutes` as `h:mm`; `sessions` lists from when until when the person was there, like
/// `07:31-12:02 13:00-16:00?`, where `?` follows a time by rule.
///
/// # Errors
/// Never, as it is written to memory.
pub fn attendance_csv<'a>(
    rows: impl IntoIterator<Item = NamedRow<'a, Attendance>>,
    part: TablePart,
    time_zone: &TimeZone,
) -> Result<Vec<u8>, csv::Error> {
    let time = |at: Option<Instant>| local(at, "%Y-%m-%d %H:%M", time_zone);
    sheet(&ATTENDANCE, part, rows, |NamedRow { about: day, name, opd }| {
        let sessions: Vec<String> = day.sessions.iter().map(|session| from_until(session, time_zone)).collect();
        [
            day.person.as_str().to_owned(),
            name.unwrap_or_default().to_owned(),
            opd.unwrap_or_default().to_owned(),
            day.day.to_string(),
            time(day.shift_start),
            time(day.shift_end),
            time(day.first_in),
            time(day.last_out),
            format!("{}:{:02}", day.worked_minutes / 60, day.worked_minutes % 60),
            day.worked_minutes.to_string(),
            day.worked_minutes_by_rule.to_string(),
            number(day.late_minutes),
            number(day.early_minutes),
            day.flags.missing_exit.to_string(),
            day.flags.missing_entry.to_string(),
            day.flags.closed_by_rule.to_string(),
            day.flags.late_scan.to_string(),
            day.flags.doubtful_clock.to_string(),
            sessions.join(" "),
        ]
    })
}

/// Writes contacts as a line list in CSV, one row per encounter. `known` gives a person's name and office.
///
/// # Errors
/// Never, as it is written to memory.
pub fn contacts_csv<'a>(
    contacts: &[Contact],
    known: impl Fn(&str) -> Option<(&'a str, &'a str)>,
    time_zone: &TimeZone,
) -> Result<Vec<u8>, csv::Error> {
    let time = |at: Option<Instant>| local(at, "%Y-%m-%d %H:%M", time_zone);
    let of = |person: &str| known(person).unwrap_or_default();
    sheet(&LINES, TablePart::First, contacts.iter().flat_map(Contact::lines), |line: Line<'_>| {
        let (name, opd) = of(line.person.as_str());
        [
            line.generation.to_string(),
            line.of.as_str().to_owned(),
            of(line.of.as_str()).0.to_owned(),
            line.person.as_str().to_owned(),
            name.to_owned(),
            opd.to_owned(),
            line.grade.as_str().into(),
            line.minutes_min.to_string(),
            line.minutes_max.to_string(),
            time(Some(line.reached_at)),
            line.zone.to_owned(),
            time(Some(line.from)),
            time(Some(line.to)),
            time(line.certain_from),
            time(line.certain_to),
            line.evidence_of.as_str().into(),
            line.evidence.as_str().into(),
            line.late.to_string(),
            line.clock_doubtful.to_string(),
        ]
    })
}

/// Writes each of `rows` as a line of JSON.
///
/// # Errors
/// When `out` takes no more.
pub fn ndjson(rows: impl IntoIterator<Item = impl Serialize>, mut out: impl Write) -> io::Result<()> {
    for row in rows {
        serde_json::to_writer(&mut out, &row)?;
        out.write_all(b"\n")?;
    }
    out.flush()
}

fn sheet<T, const N: usize>(
    columns: &[&str; N],
    part: TablePart,
    rows: impl IntoIterator<Item = T>,
    cells: impl Fn(T) -> [String; N],
) -> Result<Vec<u8>, csv::Error> {
    let mut table = match part {
        TablePart::First => Spreadsheet::new(columns.iter().copied())?,
        TablePart::Further => Spreadsheet::continued(),
    };
    for row in rows {
        table.row(cells(row))?;
    }
    table.into_bytes()
}

fn local(at: Option<Instant>, format: &str, time_zone: &TimeZone) -> String {
    at.map_or(String::new(), |at| time_zone.to_datetime(at.timestamp()).strftime(format).to_string())
}

fn from_until(session: &AttendanceSession, time_zone: &TimeZone) -> String {
    let time = |at, seen| format!("{}{}", local(Some(at), "%H:%M", time_zone), if seen { "" } else { "?" });
    format!("{}-{}", time(session.from, session.from_seen), time(session.to, session.evidence == Evidence::Exit))
}

fn number(minutes: Option<i64>) -> String {
    minutes.map_or(String::new(), |minutes| minutes.to_string())
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;
    use crate::{AttendanceFlags, Encounter, Grade, Person};

    fn at(text: &str) -> Instant {
        text.parse().unwrap()
    }

    fn makassar() -> TimeZone {
        TimeZone::get("Asia/Makassar").unwrap()
    }

    fn known(person: &str) -> Option<(&'static str, &'static str)> {
        match person {
            "P-1" => Some(("Contoh \"Satu\", S.E.", "dinkes")),
            "P-2" => Some(("=SUM(A1)\nContoh", "")),
            _ => None,
        }
    }

    fn day(person: &str) -> Attendance {
        Attendance {
            person: Person::new(person),
            day: date(2026, 11, 23),
            shift_start: Some(at("2026-11-23T07:30:00+08:00")),
            shift_end: Some(at("2026-11-23T16:00:00+08:00")),
            first_in: Some(at("2026-11-22T23:31:59Z")),
            last_out: None,
            sessions: vec![
                AttendanceSession {
                    from: at("2026-11-23T07:31:59+08:00"),
                    from_seen: true,
                    to: at("2026-11-23T12:02:00+08:00"),
                    evidence: Evidence::Exit,
                },
                AttendanceSession {
                    from: at("2026-11-23T13:00:00+08:00"),
                    from_seen: false,
                    to: at("2026-11-23T16:00:00+08:00"),
                    evidence: Evidence::Rule,
                },
            ],
            worked_minutes: 485,
            worked_minutes_by_rule: 490,
            late_minutes: Some(1),
            early_minutes: None,
            flags: AttendanceFlags { missing_exit: true, late_scan: true, ..AttendanceFlags::default() },
        }
    }

    /// The rows of a CSV file, read back.
    fn rows(bytes: &[u8]) -> Vec<Vec<String>> {
        let text = std::str::from_utf8(bytes).unwrap();
        let text = text.strip_prefix('\u{feff}').expect("a byte order mark");
        assert!(text.lines().next().unwrap().starts_with("generation,") || text.starts_with("person,name,opd,day,"));
        assert!(text.ends_with("\r\n"));
        let mut reader = csv::ReaderBuilder::new().from_reader(text.as_bytes());
        reader.records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect()
    }

    #[test]
    fn a_working_day_is_a_row_that_a_spreadsheet_reads() {
        let days = [day("P-1"), day("P-2"), day("@P-3")];
        let table = |days: &[Attendance], part| {
            attendance_csv(days.iter().map(|day| NamedRow::day(day, known)), part, &makassar()).unwrap()
        };
        let out = table(&days, TablePart::First);
        assert_eq!([table(&days[..1], TablePart::First), table(&days[1..], TablePart::Further)].concat(), out);
        let rows = rows(&out);
        let first = "P-1|Contoh \"Satu\", S.E.|dinkes|2026-11-23|2026-11-23 07:30|2026-11-23 16:00|2026-11-23 07:31||8:05|\
                     485|490|1||true|false|false|true|false|07:31-12:02 13:00?-16:00?";
        assert_eq!(rows[0].join("|"), first);
        assert_eq!(rows[1][..3], ["P-2", "'=SUM(A1)\nContoh", ""]);
        assert_eq!(rows[2][..3], ["'@P-3", "", ""]);
        assert_eq!(out.iter().filter(|byte| **byte == b'\r').count(), 4);
        assert!(String::from_utf8(out).unwrap().contains("\"Contoh \"\"Satu\"\", S.E.\""));
    }

    #[test]
    fn a_working_day_is_json_with_who_it_is_about() {
        let (days, mut out) = ([day("P-1"), day("P-3")], Vec::new());
        ndjson(days.iter().map(|day| NamedRow::day(day, known)), &mut out).unwrap();
        let lines: Vec<serde_json::Value> =
            out.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
        assert_eq!((&lines[0]["name"], &lines[0]["opd"]), (&"Contoh \"Satu\", S.E.".into(), &"dinkes".into()));
        assert_eq!((&lines[0]["person"], &lines[0]["missing_exit"]), (&"P-1".into(), &true.into()));
        assert_eq!((lines.len(), lines[1].get("name"), lines[1].get("opd")), (2, None, None));
    }

    #[test]
    fn a_line_list_has_a_row_for_each_encounter() {
        let met = |from: &str, to: &str, certain| Encounter {
            from: at(from),
            to: at(to),
            certain,
            zone: "tax".into(),
            evidence_of: Evidence::Exit,
            evidence: Evidence::NextDoor,
            late: false,
            clock_doubtful: true,
        };
        let (nine, ten) = (at("2026-11-23T09:00:00+08:00"), at("2026-11-23T10:00:00+08:00"));
        let contact = Contact {
            generation: 1,
            of: Person::new("P-2"),
            person: Person::new("P-1"),
            grade: Grade::Certain,
            minutes_min: 60,
            minutes_max: 75,
            reached_at: nine,
            encounters: vec![
                met("2026-11-23T09:00:00+08:00", "2026-11-23T10:00:00+08:00", Some((nine, ten))),
                met("2026-11-23T11:00:00+08:00", "2026-11-23T11:15:00+08:00", None),
            ],
        };
        let out = contacts_csv(std::slice::from_ref(&contact), known, &makassar()).unwrap();
        let rows = rows(&out);
        let first = "1|P-2|'=SUM(A1)\nContoh|P-1|Contoh \"Satu\", S.E.|dinkes|certain|60|75|2026-11-23 09:00|tax|\
                     2026-11-23 09:00|2026-11-23 10:00|2026-11-23 09:00|2026-11-23 10:00|exit|next_door|false|true";
        assert_eq!(rows[0].join("|"), first);
        assert_eq!((rows.len(), &rows[1][13..15]), (2, &[String::new(), String::new()][..]));
        let json = serde_json::to_value(NamedRow::contact(&contact, known)).unwrap();
        assert_eq!(
            (&json["opd"], &json["person"], &json["grade"]),
            (&"dinkes".into(), &"P-1".into(), &"certain".into())
        );
    }
}
