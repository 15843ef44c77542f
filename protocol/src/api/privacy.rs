//! A person's rights, the audit trail of who has asked for whose data, and for how long what is kept.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{AttendanceRow, PageFormat, PersonRecord, is_false};
use crate::{Event, Instant};

/// Which audit records.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
pub struct AuditQuery {
    /// Those of the access token of this name.
    #[cfg_attr(feature = "openapi", param(min_length = 1, max_length = 128))]
    pub token: Option<String>,
    /// Those about this person.
    #[cfg_attr(feature = "openapi", param(min_length = 1, max_length = 128, pattern = r"\S"))]
    pub person: Option<String>,
    /// Not before this moment.
    #[cfg_attr(feature = "openapi", param(inline))]
    pub from: Option<Instant>,
    /// Before this moment, which comes after `from`.
    #[cfg_attr(feature = "openapi", param(inline))]
    pub to: Option<Instant>,
    /// Behind the record of this number, not beyond the last one: where the page before has ended; 0 if absent.
    #[cfg_attr(feature = "openapi", param(minimum = 0, maximum = 9_223_372_036_854_775_807_i64))]
    pub after: Option<u64>,
    /// Most records of the answer; 1000 if absent.
    #[cfg_attr(feature = "openapi", param(minimum = 1, maximum = 10_000))]
    pub limit: Option<usize>,
    /// Lines of JSON if absent.
    #[cfg_attr(feature = "openapi", param(inline))]
    pub format: Option<PageFormat>,
    /// Why you look; recorded.
    #[cfg_attr(feature = "openapi", param(min_length = 1, max_length = 200, pattern = r"\S"))]
    pub purpose: Option<String>,
}

/// A page of audit records, as one JSON object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuditPage {
    /// The records, in order. A page may be empty and have more behind it.
    pub records: Vec<AuditRecord>,
    /// Number of the last record that was looked at: `after` of the next page.
    pub last_record: u64,
    /// Whether there may be another page.
    pub more: bool,
}

/// A request for personal data, or an attempt. Its `Debug` form leaves person and purpose out.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuditRecord {
    /// Its number: 1 for the first, rising by one.
    pub number: u64,
    /// When.
    pub at: Instant,
    /// The name of the token.
    pub token: String,
    /// The token's role.
    pub role: String,
    /// What was asked for, as a stable word.
    pub what: String,
    /// With which parameters, those that tell of a person left out.
    pub query: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
    /// Whose data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
    /// What was answered: a status of HTTP; 100 for a change that was about to be made.
    pub status: u16,
    /// Person and purpose cannot be told any more: the person's keys were destroyed.
    #[serde(default, skip_serializing_if = "is_false")]
    pub erased: bool,
    /// The record, or one before it, is not what was written: somebody has changed the file.
    #[serde(default, skip_serializing_if = "is_false")]
    pub broken: bool,
}

/// Why everything about a person is asked for.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
pub struct ExportQuery {
    /// Why you look; recorded.
    #[cfg_attr(feature = "openapi", param(min_length = 1, max_length = 200, pattern = r"\S"))]
    pub purpose: String,
}

/// Everything about one person.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PersonExport {
    /// The person's id.
    pub person: String,
    /// What the directory has; absent when it has nothing.
    pub directory: Option<PersonRecord>,
    /// Whether and why the person's data are restricted.
    pub restriction: Option<Restriction>,
    /// Every event that tells of the person.
    pub events: Vec<Event>,
    /// Every working day.
    pub attendance: Vec<AttendanceRow>,
    /// Every audit record about the person.
    pub audit: Vec<AuditRecord>,
}

/// How a person's data are to be restricted.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RestrictionRequest {
    /// Why the data are not to be used.
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 200, pattern = r"\S"))]
    pub reason: String,
}

/// Why a person's data are not used.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Restriction {
    /// Why.
    pub reason: String,
    /// Since when.
    pub since: Instant,
    /// The name of the token with which it was asked for.
    pub by: String,
}

/// How an erasure is asked for.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
pub struct EraseQuery {
    /// Why; recorded.
    #[cfg_attr(feature = "openapi", param(min_length = 1, max_length = 200, pattern = r"\S"))]
    pub purpose: String,
    /// Also while the person is inside; `false` if absent.
    #[cfg_attr(feature = "openapi", param(value_type = Option<super::schema::Switch>, inline))]
    pub force: Option<bool>,
}

/// Who was erased, and what that has done.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ErasedPerson {
    /// The person's id.
    pub person: String,
    /// What was done.
    #[serde(flatten)]
    pub erasure: Erasure,
}

/// What an erasure has done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Erasure {
    /// Keys that are no more.
    pub keys_destroyed: u64,
    /// Rows of the ledgers that are no more.
    pub ledger_rows: u64,
    /// Whether the directory had the person, and has no more.
    pub directory_removed: bool,
}

/// For how long what is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Retention {
    /// For each purpose.
    pub purposes: Vec<RetentionPurpose>,
    /// What was done about it the last time; absent before the first.
    pub last_run: Option<RetentionRun>,
}

/// For how long what serves a purpose is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RetentionPurpose {
    /// As in the configuration: `events`, `contacts`, `attendance`, `audit`, `malformed`.
    pub purpose: String,
    /// How many days.
    pub days: u32,
}

/// What was taken away because its time was over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RetentionRun {
    /// When.
    pub at: Instant,
    /// How much, by purpose.
    pub removed: BTreeMap<String, u64>,
}

impl fmt::Debug for AuditQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditQuery").field("after", &self.after).field("limit", &self.limit).finish_non_exhaustive()
    }
}

impl fmt::Debug for AuditRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditRecord")
            .field("number", &self.number)
            .field("what", &self.what)
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for PersonExport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PersonExport").field("events", &self.events.len()).finish_non_exhaustive()
    }
}
