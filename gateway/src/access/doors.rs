//! Reading the doors for decisions: a mistake is named with its line and what a door looks like.

use std::path::Path;

use super::{AccessError, line_of};
use crate::door_list::Doors;

impl Doors {
    /// Reads `doors.toml`.
    ///
    /// # Errors
    /// Names the line of what is wrong.
    pub fn read(path: &Path) -> Result<Self, AccessError> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            AccessError::new(path, format!("cannot be read ({error}); it lists the site's doors and may be empty"))
        })?;
        Self::parse(&text).map_err(|error| {
            let line = line_of(&text, error.span().map_or(0, |span| span.start));
            let remedy = "a door looks like: [main-in] zone = \"main\" mode = \"observe\" (or \"enforce\")";
            AccessError::at_line(path, line, format!("{}; {remedy}", error.message().trim_end()))
        })
    }
}

#[cfg(test)]
mod tests {
    use protocol::Mode;

    use super::*;

    fn read(text: &str) -> Result<Doors, AccessError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Doors::read(file.path())
    }

    #[test]
    fn a_door_has_a_zone_and_a_mode() {
        let doors =
            read("# doors\n[main-in]\nzone = \"main\"\nmode = \"enforce\"\n\n[east]\nzone = \"east\"\n").unwrap();
        assert_eq!(doors.get(&"main-in".parse().unwrap()).unwrap().mode, Mode::Enforce);
        assert_eq!(doors.get(&"east".parse().unwrap()).unwrap().mode, Mode::Observe);
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
