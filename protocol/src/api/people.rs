//! The directory's people: who they are, how long that holds, and what they carry.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::PageFormat;

/// Which people, in the order of their ids.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
pub struct PeopleQuery {
    /// Behind the person of this id.
    pub after: Option<String>,
    /// Most people of the answer; 1000 if absent.
    #[cfg_attr(feature = "openapi", param(minimum = 1, maximum = 10_000))]
    pub limit: Option<usize>,
    /// Lines of JSON if absent.
    #[cfg_attr(feature = "openapi", param(inline))]
    pub format: Option<PageFormat>,
}

/// A page of people, as one JSON object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PeoplePage {
    /// The people.
    pub people: Vec<PersonRecord>,
    /// Id of the last of them: `after` of the next page. Absent on an empty page.
    pub last_person: Option<String>,
}

/// One person of the directory. What is absent is not known; an empty text is absent.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct PersonRecord {
    /// 1 to 64 of letters, digits, `.`, `_` and `-`. In a request, the one of the address or absent.
    #[cfg_attr(feature = "openapi", schema(read_only))]
    pub id: String,
    /// For people to read; up to 128 characters.
    #[cfg_attr(feature = "openapi", schema(max_length = 128))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `asn`, `non-asn` or `visitor`.
    #[cfg_attr(feature = "openapi", schema(required, value_type = crate::PersonClass))]
    pub class: String,
    /// The office; up to 256 characters.
    #[cfg_attr(feature = "openapi", schema(max_length = 256))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opd: Option<String>,
    /// Short words, for policies: each of 1 to 32 of `a-z`, `0-9`, `_` and `-`.
    #[cfg_attr(feature = "openapi", schema(max_items = 16, value_type = Vec<super::schema::Group>))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// `green`, `yellow`, `red` or `black`.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<super::schema::Colour>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Since when the status holds; of a date, its beginning.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<super::schema::DayOrMoment>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_since: Option<String>,
    /// When the status ends, not before it begins; of a date, its end.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<super::schema::DayOrMoment>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_until: Option<String>,
    /// When the visit, or the contract, begins; of a date, its beginning.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<super::schema::DayOrMoment>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub valid_from: Option<String>,
    /// When the visit, or the contract, ends, not before it begins; of a date, its end.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<super::schema::DayOrMoment>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<String>,
    /// Whom or what a visitor visits: a person's id or an office; up to 64 characters.
    #[cfg_attr(feature = "openapi", schema(max_length = 64))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// `id` or `en`.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<super::schema::DoorLanguage>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// Badges' codes, up to 256 characters each. Kept as keyed hashes only, so they never come back.
    #[cfg_attr(feature = "openapi", schema(max_items = 32, value_type = Vec<super::schema::Badge>))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub badges: Vec<String>,
    /// What a helper may type instead of a badge: 1 to 64 letters and digits; spaces, dots and dashes between them do not count.
    /// Comes back as its hash, `b3:…`, which is taken too.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<super::schema::IdNumber>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id_number: Option<String>,
    /// Badges' hashes, `b3:` and 32 hexadecimal digits, as an export with the same key has them; 32 with the badges.
    #[cfg_attr(feature = "openapi", schema(max_items = 32, value_type = Vec<super::schema::WrittenHash>))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub credentials: Vec<String>,
}

impl fmt::Debug for PersonRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PersonRecord(…)")
    }
}
