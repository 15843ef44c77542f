//! Reading the calendar: a mistake is named with its line and what a holiday and working hours look like.

use std::path::Path;

use super::Calendar;
use crate::file_error::{FileError, line_of};
use crate::owner::why;

impl Calendar {
    /// Reads `calendar.toml`; no file means no holidays and no working hours.
    ///
    /// # Errors
    /// Names the line of what is wrong.
    pub fn read(path: &Path) -> Result<Self, FileError> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(FileError::new(path, format!("cannot be read ({})", why(path, &error)))),
        };
        Self::parse(&text).map_err(|error| {
            let line = line_of(&text, error.span().map_or(0, |span| span.start));
            let remedy = "a holiday looks like 2026-12-25 = \"Christmas\" below [holidays], hours look like monday = \
                          \"07:30-16:00\" below [hours] or [groups.NAME], where holidays_off is true or false";
            FileError::at_line(path, line, format!("{}; {remedy}", error.message().trim_end()))
        })
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn read(text: &str) -> Result<Calendar, FileError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Calendar::read(file.path())
    }

    #[test]
    fn a_calendar_lists_holidays_by_day() {
        let calendar = read("[holidays]\n2026-12-25 = \"Hari Raya Natal\"\n2027-01-01 = \"Tahun Baru\"\n").unwrap();
        assert_eq!((calendar.len(), calendar.is_empty()), (2, false));
        assert_eq!(calendar.holiday(date(2026, 12, 25)), Some("Hari Raya Natal"));
        assert_eq!(calendar.holiday(date(2026, 12, 24)), None);
        assert!(read("").unwrap().is_empty());
        assert!(Calendar::read(Path::new("nowhere/calendar.toml")).unwrap().is_empty());
    }

    #[test]
    fn a_calendar_has_hours_and_groups_in_their_order() {
        let calendar = read(
            "[hours]\nmonday = \"07:30-16:00\"\nfriday = \"07:30-16:30\"\n[groups.shelter]\nsunday = \"06:00-14:00\"\n\
             holidays_off = true\n[groups.night]\nmonday = \"22:00-06:00\"\n[groups.day_2]\n",
        )
        .unwrap();
        let shifts: Vec<String> = calendar.hours().shifts().map(|shift| shift.to_string()).collect();
        assert_eq!(shifts, ["07:30-16:00", "07:30-16:30"]);
        assert_eq!(calendar.hours().tuesday, None);
        let groups: Vec<_> =
            calendar.groups().iter().map(|(name, group)| (name.as_str(), group.holidays_off)).collect();
        assert_eq!(groups, [("shelter", true), ("night", false), ("day_2", false)]);
        assert!(calendar.groups()[1].1.week.monday.unwrap().crosses_midnight());
    }

    #[test]
    fn the_sample_calendar_has_the_hours_of_offices() {
        let calendar = read(include_str!("../../../../deploy/calendar.toml")).unwrap();
        let minutes: Vec<i64> = calendar.hours().shifts().map(crate::calendar::Shift::minutes).collect();
        assert_eq!(minutes, [510, 510, 510, 510, 540]);
        assert!(calendar.groups().is_empty() && !calendar.is_empty());
    }

    #[test]
    fn the_group_that_the_sample_calendar_shows_is_valid() {
        let sample = include_str!("../../../../deploy/calendar.toml");
        let setting = |line: &&str| line.starts_with('[') && line.ends_with(']') || line.split(" = ").count() == 2;
        let shown = sample.lines().map(|line| line.strip_prefix("# ").filter(setting).unwrap_or(line));
        let calendar = read(&shown.collect::<Vec<_>>().join("\n")).unwrap();
        assert_eq!(calendar.groups()[0].1.week.shifts().filter(|shift| shift.crosses_midnight()).count(), 7);
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        for (text, line, word) in [
            ("[holidays]\nchristmas = \"x\"\n", ":2", "2026-12-25"),
            ("[holidays]\n2026-12-25 = 7\n", ":2", "string"),
            ("[holydays]\n", ":1", "holydays"),
            ("[hours]\nmonday = \"07:30\"\n", ":2", "22:00-06:00"),
            ("[hours]\nmontag = \"07:30-16:00\"\n", ":2", "montag"),
            ("[hours]\nholidays_off = true\n", ":2", "holidays_off"),
            ("[hours]\n\n[groups.night]\nmonday = \"late\"\n", ":4", "07:30-16:00"),
            ("[groups.night]\nholidays_off = \"no\"\n", ":2", "true or false"),
            ("[groups.night]\nholiday_off = true\n", ":2", "holiday_off"),
            ("[groups]\nnight = 7\n", ":2", "[groups.NAME]"),
            ("[hours]\n[groups.Night]\n", ":2", "a-z"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(line) && error.contains(word), "{text:?}: {error}");
        }
    }
}
