//! Contacts: who shared a zone with a person, when, and for how many minutes at least and at most.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Evidence;
use crate::Instant;

/// Whom to trace, and how far.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
pub struct ContactsQuery {
    /// Whose contacts: a person's id, or `~` and the hash of an unknown credential.
    #[cfg_attr(feature = "openapi", param(min_length = 1, max_length = 128, pattern = r"\S"))]
    pub person: String,
    /// From when.
    #[cfg_attr(feature = "openapi", param(inline))]
    pub from: Instant,
    /// Until when, after `from`.
    #[cfg_attr(feature = "openapi", param(inline))]
    pub to: Instant,
    /// How many minutes within 24 hours make a contact; as configured if absent.
    #[cfg_attr(feature = "openapi", param(minimum = 1, maximum = 1_440))]
    pub minutes: Option<u32>,
    /// Which zones count; `innermost` if absent.
    #[cfg_attr(feature = "openapi", param(inline))]
    pub scope: Option<Scope>,
    /// How far to go; 1 if absent.
    #[cfg_attr(feature = "openapi", param(inline))]
    pub generations: Option<Generations>,
    /// JSON if absent.
    #[cfg_attr(feature = "openapi", param(inline))]
    pub format: Option<ContactsFormat>,
    /// Why you look; recorded.
    #[cfg_attr(feature = "openapi", param(min_length = 1, max_length = 200, pattern = r"\S"))]
    pub purpose: String,
}

/// Which zones two people must share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// The innermost zone that is known of both.
    #[default]
    Innermost,
    /// That, or any zone around it.
    Around,
}

/// How many generations of contacts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Generations {
    /// The person's contacts.
    #[default]
    #[serde(rename = "1")]
    First,
    /// Their contacts as well, from the moment at which they have become a contact themselves.
    #[serde(rename = "2")]
    Second,
}

/// How contacts are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ContactsFormat {
    /// One JSON object.
    #[default]
    Json,
    /// A line list for a spreadsheet.
    Csv,
    /// A picture of who met whom, and when.
    Svg,
}

/// A person's contacts.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Contacts {
    /// Whose.
    pub person: String,
    /// From when.
    pub from: Instant,
    /// Until when.
    pub to: Instant,
    /// How many minutes within 24 hours made a contact.
    pub minutes: u32,
    /// By generation and person.
    pub contacts: Vec<Contact>,
}

/// One contact of a person.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Contact {
    /// 1 for a contact of the person who was asked for, 2 for a contact of a contact.
    pub generation: u8,
    /// With whom.
    pub of: String,
    /// Who.
    pub person: String,
    /// How sure it is.
    pub grade: Grade,
    /// Most whole minutes within 24 hours that the scans prove.
    pub minutes_min: i64,
    /// Most whole minutes within 24 hours that the scans allow.
    pub minutes_max: i64,
    /// When the threshold may first have been reached.
    pub reached_at: Instant,
    /// When they were in the same zone, in order.
    pub encounters: Vec<Encounter>,
}

/// How sure a contact is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Grade {
    /// The scans prove it.
    Certain,
    /// The scans allow it.
    Possible,
}

/// Two people in one zone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Encounter {
    /// From when at the earliest.
    pub from: Instant,
    /// Until when at the latest.
    pub to: Instant,
    /// From when and until when for certain.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<[Instant; 2]>))]
    pub certain: Option<(Instant, Instant)>,
    /// Where.
    pub zone: String,
    /// How the end of the stay of the one whose contact it is is known.
    pub evidence_of: Evidence,
    /// How the end of the contact's stay is known.
    pub evidence: Evidence,
    /// A scan of the two stays arrived late.
    pub late: bool,
    /// The time of a scan of the two stays is doubtful.
    pub clock_doubtful: bool,
}

impl Grade {
    /// The grade as it stands in JSON and tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Certain => "certain",
            Self::Possible => "possible",
        }
    }
}

impl fmt::Debug for ContactsQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContactsQuery").field("from", &self.from).field("to", &self.to).finish_non_exhaustive()
    }
}

impl fmt::Debug for Contacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contacts").field("contacts", &self.contacts.len()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Contact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contact").field("grade", &self.grade).finish_non_exhaustive()
    }
}
