//! Reading doors and zones for decisions: a mistake is named with its line and what a door or a zone looks like.

use std::path::Path;

use toml::de::DeTable;

use super::{Doors, ZoneError, Zones};
use crate::file_error::{FileError, line_of};
use crate::nearest::did_you_mean;
use crate::owner::why;

/// Reads the doors and the zones of a site, which must fit together: where zones are declared, a door leads into one of them.
///
/// # Errors
/// Names the file and the line of what is wrong.
pub fn read_places(doors_toml: &Path, zones_toml: &Path) -> Result<(Doors, Zones), FileError> {
    let (doors, zones) = (Doors::read(doors_toml)?, Zones::read(zones_toml)?);
    let Some((door, zone)) = doors.undeclared_zone(&zones) else { return Ok((doors, zones)) };
    let meant = did_you_mean(zone, zones.iter().map(|(name, _)| name));
    let reason = format!(
        "{door} leads into {zone}, a zone that {} does not declare{meant}; correct the name, or add [{zone}] there",
        zones_toml.display()
    );
    let text = std::fs::read_to_string(doors_toml).unwrap_or_default();
    Err(match line_of_zone(&text, door.as_str()) {
        Some(line) => FileError::at_line(doors_toml, line, reason),
        None => FileError::new(doors_toml, reason),
    })
}

/// The line on which a door names its zone.
fn line_of_zone(text: &str, door: &str) -> Option<usize> {
    let tables = DeTable::parse(text).ok()?;
    let (_, table) = tables.get_ref().iter().find(|(name, _)| name.get_ref() == door)?;
    let (name, _) = table.get_ref().as_table()?.iter().find(|(name, _)| name.get_ref() == "zone")?;
    Some(line_of(text, name.span().start))
}

impl Doors {
    /// Reads `doors.toml`.
    ///
    /// # Errors
    /// Names the line of what is wrong.
    pub fn read(path: &Path) -> Result<Self, FileError> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            FileError::new(
                path,
                format!("cannot be read ({}); it lists the site's doors and may be empty", why(path, &error)),
            )
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
            Err(error) => return Err(FileError::new(path, format!("cannot be read ({})", why(path, &error)))),
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
    fn a_zone_that_is_not_declared_is_named_with_its_line_and_the_one_that_was_meant() {
        let folder = tempfile::tempdir().unwrap();
        let (doors_toml, zones_toml) = (folder.path().join("doors.toml"), folder.path().join("zones.toml"));
        let places = |doors: &str, zones: &str| {
            std::fs::write(&doors_toml, doors).unwrap();
            std::fs::write(&zones_toml, zones).unwrap();
            read_places(&doors_toml, &zones_toml).map(|(doors, _)| doors.len()).map_err(|error| error.to_string())
        };
        let doors = "[main-in]\nzone = \"main\"\n\n[side]\nmode = \"off\"\nzone = \"mian\"\n";
        assert_eq!(places(doors, "# none\n"), Ok(2), "a site may have zones without declaring any");
        let error = places(doors, "[main]\n[archive]\n").unwrap_err();
        assert!(
            error.contains("doors.toml:6: side leads into mian") && error.contains("did you mean main?"),
            "{error}"
        );
        assert!(places(doors, "[archive]\n").unwrap_err().contains("main-in leads into main"), "the first by name");
        assert_eq!(places(&doors.replace("mian", "main"), "[main]\n"), Ok(2));
        // Zones that lie in each other count like all others.
        let error = places(doors, "[main]\n[mia]\nparent = \"mainn\"\n").unwrap_err();
        assert!(error.contains("zones.toml") && error.contains("did you mean main?"), "{error}");
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
