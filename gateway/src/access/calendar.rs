//! The site's holidays: the format of `calendar.toml`.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::civil::Date;
use serde::Deserialize;

use super::{AccessError, line_of};

/// Days on which offices are closed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Calendar {
    holidays: BTreeMap<Date, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    holidays: BTreeMap<Date, String>,
}

impl Calendar {
    /// Reads `calendar.toml`; no file means no holidays.
    ///
    /// # Errors
    /// Names the line of what is wrong.
    pub fn read(path: &Path) -> Result<Self, AccessError> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(AccessError::new(path, format!("cannot be read ({error})"))),
        };
        let file: File = toml::from_str(&text).map_err(|error| {
            let line = line_of(&text, error.span().map_or(0, |span| span.start));
            let remedy = "a holiday looks like: 2026-12-25 = \"Christmas\", below [holidays]";
            AccessError::at_line(path, line, format!("{}; {remedy}", error.message().trim_end()))
        })?;
        Ok(Self { holidays: file.holidays })
    }

    /// The name of the holiday on that day, if it is one.
    pub fn holiday(&self, day: Date) -> Option<&str> {
        self.holidays.get(&day).map(String::as_str)
    }

    /// Number of holidays.
    pub fn len(&self) -> usize {
        self.holidays.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.holidays.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn read(text: &str) -> Result<Calendar, AccessError> {
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
    fn mistakes_are_named_with_their_line() {
        for (text, line, word) in [
            ("[holidays]\nchristmas = \"x\"\n", ":2", "2026-12-25"),
            ("[holidays]\n2026-12-25 = 7\n", ":2", "string"),
            ("[holydays]\n", ":1", "holydays"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(line) && error.contains(word), "{text:?}: {error}");
        }
    }
}
