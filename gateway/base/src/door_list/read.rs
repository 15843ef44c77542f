//! Reading doors and zones for decisions: a mistake is named with its line and what a door or a zone looks like.

use std::path::Path;

use super::{Doors, ZoneError, Zones};
use crate::file_error::{FileError, line_of};

impl Doors {
    /// Reads `doors.toml`.
    ///
    /// # Errors
    /// Names the line of what is wrong.
    pub fn read(path: &Path) -> Result<Self, FileError> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            FileError::new(path, format!("cannot be read ({error}); it lists the site's doors and may be empty"))
        })?;
        Self::parse(&text).map_err(|error| {
            let line = line_of(&text, error.span().map_or(0, |span| span.start));
            let remedy =
                "a door looks like: [main-in] zone = \"main\" mode = \"observe\" (or \"off\", \"warn\", \"enforce\")";
            FileError::at_line(path, line, format!("{}; {remedy}", error.message().trim_end()))
        })
    }
}

impl Zones {
    /// Reads `zones.toml`; no file means that no zone has a limit or lies in another.
    ///
    /// # Errors
    /// Names the line or the zone of what is wrong.
    pub fn read(path: &Path) -> Result<Self, FileError> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(FileError::new(path, format!("cannot be read ({error})"))),
        };
        Self::parse(&text).map_err(|error| match &error {
            ZoneError::Format(format) => {
                let line = line_of(&text, format.span().map_or(0, |span| span.start));
                let remedy =
                    "a zone looks like: [tax] parent = \"main\" opd = \"bapenda\" capacity = 60 mode = \"observe\"";
                FileError::at_line(path, line, format!("{error}; {remedy}"))
            }
            ZoneError::Tree { .. } => FileError::new(path, error.to_string()),
        })
    }
}

#[cfg(test)]
mod tests {
    use protocol::Mode;

    use super::super::ModePlan;
    use super::*;

    fn read(text: &str) -> Result<Doors, FileError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Doors::read(file.path())
    }

    #[test]
    fn a_door_has_a_zone_and_a_mode() {
        let doors =
            read("# doors\n[main-in]\nzone = \"main\"\nmode = \"enforce\"\n\n[east]\nzone = \"east\"\n").unwrap();
        assert_eq!(doors.get(&"main-in".parse().unwrap()).unwrap().mode, Some(ModePlan::always(Mode::Enforce)));
        assert_eq!(doors.get(&"east".parse().unwrap()).unwrap().mode, None);
        assert_eq!(doors.len(), 2);
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        for (text, line, word) in [
            ("[main-in]\nzone = \"main\"\nmode = \"strict\"\n", ":3", "strict"),
            ("[main-in]\nmode = \"enforce\"\n", ":1", "zone"),
            ("[main-in]\nzone = \"main\"\ncolour = \"red\"\n", ":3", "colour"),
            ("[Main]\nzone = \"main\"\n", ":1", "a-z"),
            ("[main-in]\nzone = \"Main Hall\"\n", ":2", "a-z"),
            ("[main-in\n", ":1", "zone = "),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(line) && error.contains(word), "{text:?}: {error}");
        }
    }
}
