//! The doors of the site and the zones that they lead into: the formats of `doors.toml` and `zones.toml`.

mod mode_plan;
mod read;
mod zones;

use std::collections::HashMap;

use protocol::{DoorId, SiteId};
use serde::Deserialize;

pub use mode_plan::ModePlan;
pub use read::read_places;
pub use zones::{Zone, ZoneError, Zones};

/// The doors of the site.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Doors(HashMap<DoorId, Door>);

/// One door.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Door {
    /// The zone that it leads into; a name like a door's.
    #[serde(deserialize_with = "zone")]
    pub zone: String,
    /// How far its decisions bind; absent: as its zone says, and else they do not.
    pub mode: Option<ModePlan>,
}

impl Doors {
    /// Reads the text of `doors.toml`.
    ///
    /// # Errors
    /// Says where in the text what is wrong.
    pub fn parse(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text).map(Self)
    }

    /// The door of this name.
    pub fn get(&self, door: &DoorId) -> Option<&Door> {
        self.0.get(door)
    }

    /// Adds a door; gives back the one that had its name.
    pub fn insert(&mut self, door: DoorId, settings: Door) -> Option<Door> {
        self.0.insert(door, settings)
    }

    /// Every door.
    pub fn iter(&self) -> impl Iterator<Item = (&DoorId, &Door)> {
        self.0.iter()
    }

    /// The first door, by name, that leads into a zone that is not declared, where any zone is; and that zone.
    pub fn undeclared_zone(&self, zones: &Zones) -> Option<(&DoorId, &str)> {
        let undeclared = self.0.iter().filter(|(_, door)| !zones.may_be_entered(&door.zone));
        undeclared.min_by_key(|(name, _)| *name).map(|(name, door)| (name, door.zone.as_str()))
    }

    /// Number of doors.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<(DoorId, Door)> for Doors {
    fn from_iter<T: IntoIterator<Item = (DoorId, Door)>>(doors: T) -> Self {
        Self(doors.into_iter().collect())
    }
}

/// Zones are named like sites and doors.
fn zone<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    SiteId::deserialize(deserializer).map(String::from)
}
