//! Presence: how full the zones are, and who may be inside.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Instant;

/// How full the zones are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ZonePresence {
    /// When that was so.
    pub at: Instant,
    /// Every zone that is listed or that somebody is in, by name.
    pub zones: Vec<ZoneOccupancy>,
}

/// How full a zone is, with the zones in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ZoneOccupancy {
    /// The zone.
    pub zone: String,
    /// How many people may be in it; absent: no limit.
    pub capacity: Option<u32>,
    /// How many are in it, those with weak evidence left out.
    pub people: u64,
    /// How many more may be in it.
    pub weak: u64,
}

/// Who is to be listed, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
pub struct PeopleInsideQuery {
    /// In this zone and the zones in it; everywhere if absent.
    #[cfg_attr(feature = "openapi", param(min_length = 1, max_length = 128))]
    pub zone: Option<String>,
    /// JSON if absent.
    #[cfg_attr(feature = "openapi", param(inline))]
    pub format: Option<PeopleInsideFormat>,
    /// Why you look; recorded.
    #[cfg_attr(feature = "openapi", param(min_length = 1, max_length = 200, pattern = r"\S"))]
    pub purpose: Option<String>,
}

/// How the people inside are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum PeopleInsideFormat {
    /// One JSON object.
    #[default]
    Json,
    /// A table for a spreadsheet.
    Csv,
    /// The list for an evacuation, to print.
    Html,
}

/// Who may be inside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PeopleInside {
    /// When that was so.
    pub at: Instant,
    /// By zone and person.
    pub people: Vec<PersonInside>,
}

/// Somebody who may be inside.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PersonInside {
    /// The person's id, or `~` and the hash of a credential that belongs to nobody.
    pub person: String,
    /// The innermost zone that is known.
    pub zone: String,
    /// Since when they are in it.
    pub since: Bounds,
    /// `inside`, or `rule` where the evidence is weak: the shift is over, and they were not seen leaving.
    pub evidence: Evidence,
    /// Number of the event by which they were last seen.
    pub event: Option<u64>,
    /// The person's name, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The person's OPD, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opd: Option<String>,
}

/// When something happened: not before `earliest`, not after `latest`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Bounds {
    /// Not before.
    pub earliest: Instant,
    /// Not after.
    pub latest: Instant,
}

/// How the end of a stay is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// Seen going out.
    Exit,
    /// Seen at the next door.
    NextDoor,
    /// Not seen again: closed by rule at the end of the shift.
    Rule,
    /// Still inside, as far as is known.
    Inside,
}

impl Bounds {
    /// Known to the scan.
    pub const fn at(moment: Instant) -> Self {
        Self { earliest: moment, latest: moment }
    }
}

impl Evidence {
    /// The evidence as it stands in JSON and tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exit => "exit",
            Self::NextDoor => "next_door",
            Self::Rule => "rule",
            Self::Inside => "inside",
        }
    }
}

impl fmt::Debug for PersonInside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PersonInside").field("zone", &self.zone).finish_non_exhaustive()
    }
}
