//! Attendance: when people came and went on their working days, and what a day comes to.

use std::fmt;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::Evidence;
use crate::Instant;

/// Whose working days, and how they are written.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
pub struct AttendanceQuery {
    /// The first day in the site's time zone; today if absent.
    #[cfg_attr(feature = "openapi", param(value_type = Option<String>, format = Date))]
    pub from: Option<Date>,
    /// The last day, not before `from`, at most 92 days in all; `from` if absent.
    #[cfg_attr(feature = "openapi", param(value_type = Option<String>, format = Date))]
    pub to: Option<Date>,
    /// One person's: a person's id, or `~` and the hash of an unknown credential; everybody's if absent.
    #[cfg_attr(feature = "openapi", param(min_length = 1, max_length = 128, pattern = r"\S"))]
    pub person: Option<String>,
    /// Those of this OPD; all if absent.
    #[cfg_attr(feature = "openapi", param(min_length = 1, max_length = 256))]
    pub opd: Option<String>,
    /// JSON if absent.
    #[cfg_attr(feature = "openapi", param(inline))]
    pub format: Option<AttendanceFormat>,
    /// Why you look; recorded.
    #[cfg_attr(feature = "openapi", param(min_length = 1, max_length = 200, pattern = r"\S"))]
    pub purpose: Option<String>,
}

/// How working days are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum AttendanceFormat {
    /// One JSON object.
    #[default]
    Json,
    /// A row a line, each a JSON object.
    Ndjson,
    /// A table for a spreadsheet.
    Csv,
}

/// Working days, by day and person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AttendanceTable {
    /// The first day.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = Date))]
    pub from: Date,
    /// The last day.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = Date))]
    pub to: Date,
    /// One for each person and day.
    pub rows: Vec<AttendanceRow>,
}

/// One person's working day.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AttendanceRow {
    /// The person's id, or `~` and the hash of a credential that belongs to nobody.
    pub person: String,
    /// The working day; a night shift belongs to the day on which it begins.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = Date))]
    pub day: Date,
    /// When work was to begin; absent on a day off.
    pub shift_start: Option<Instant>,
    /// When work was to end; absent on a day off.
    pub shift_end: Option<Instant>,
    /// When the person came; absent where that was not seen.
    pub first_in: Option<Instant>,
    /// When the person left for the last time; absent where that was not seen.
    pub last_out: Option<Instant>,
    /// From coming to going, in order.
    pub sessions: Vec<AttendanceSession>,
    /// Whole minutes of the person's presence that scans prove.
    pub worked_minutes: i64,
    /// Whole minutes when what was not seen is filled in by rule.
    pub worked_minutes_by_rule: i64,
    /// Whole minutes that the person came after the start of the shift; absent on a day off or where unknown.
    pub late_minutes: Option<i64>,
    /// Whole minutes that the person left before the end of the shift; absent on a day off or where unknown.
    pub early_minutes: Option<i64>,
    /// What to look at by hand.
    #[serde(flatten)]
    pub flags: AttendanceFlags,
    /// The person's name, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The person's OPD, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opd: Option<String>,
}

/// From coming to going without a break.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AttendanceSession {
    /// When it began; where that was not seen, the time by rule.
    pub from: Instant,
    /// Whether the person was seen coming.
    pub from_seen: bool,
    /// When it ended; where that was not seen, the time by rule.
    pub to: Instant,
    /// How the end is known.
    pub evidence: Evidence,
}

/// What of a working day to look at by hand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AttendanceFlags {
    /// The person was not seen leaving, and is not inside any more.
    pub missing_exit: bool,
    /// The person was not seen coming at a door that they must have come through.
    pub missing_entry: bool,
    /// The person was not seen again, so that the day was closed by rule.
    pub closed_by_rule: bool,
    /// A scan arrived late: the day may have been reported otherwise before.
    pub late_scan: bool,
    /// The time of a scan is a reader's whose clock is off or unknown.
    pub doubtful_clock: bool,
}

/// Which days are added up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
pub struct SummaryQuery {
    /// The first day in the site's time zone; today if absent.
    #[cfg_attr(feature = "openapi", param(value_type = Option<String>, format = Date))]
    pub from: Option<Date>,
    /// The last day, not before `from`, at most 92 days in all; `from` if absent.
    #[cfg_attr(feature = "openapi", param(value_type = Option<String>, format = Date))]
    pub to: Option<Date>,
}

/// Working days added up, without names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AttendanceSummary {
    /// Each day, from the first to the last.
    pub days: Vec<AttendanceDay>,
}

/// What a day comes to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AttendanceDay {
    /// The day.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = Date))]
    pub day: Date,
    /// For each OPD, by name.
    pub opds: Vec<OpdSummary>,
    /// For all of them together.
    pub total: OpdSummary,
}

/// What a day comes to for one OPD.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OpdSummary {
    /// The OPD; empty for all together.
    pub opd: String,
    /// How many people belong to it.
    pub staff: u64,
    /// How many of them came: staff who use the doors' readers.
    pub came: u64,
    /// How many came late.
    pub late: u64,
    /// How many left early.
    pub early: u64,
    /// How many were not seen leaving.
    pub missing_exit: u64,
    /// How many were not seen coming.
    pub missing_entry: u64,
    /// Minutes of all together, by rule where a scan is missing.
    pub worked_minutes_by_rule: i64,
    /// How many of a hundred came, to one decimal place; absent where that says nothing.
    pub adoption_percent: Option<f64>,
}

impl fmt::Debug for AttendanceQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AttendanceQuery").field("from", &self.from).field("to", &self.to).finish_non_exhaustive()
    }
}

impl fmt::Debug for AttendanceRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AttendanceRow").field("day", &self.day).finish_non_exhaustive()
    }
}
