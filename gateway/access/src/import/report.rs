//! What an import has done, and which rows it cannot take.

use serde::Serialize;
use thiserror::Error;

/// What an import has done, or would have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ImportReport {
    /// People who were not there before.
    pub added: usize,
    /// People of whom something changed.
    pub changed: usize,
    /// People who were there like this.
    pub unchanged: usize,
    /// People who were not in the file that replaced them.
    pub removed: usize,
    /// Rows that were left out.
    pub bad_rows: Vec<RowError>,
    /// Who was added, changed and removed, where that was asked for; by id.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub diff: Vec<Difference>,
    /// Where a directory is now that could not be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub set_aside: Option<String>,
}

/// What an import changes about one person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The person's id.
    pub id: String,
    /// What happens.
    pub change: ChangeKind,
    /// The fields that change, by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<&'static str>,
}

/// What happens to a person in an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// Was not there before.
    Added,
    /// Something changes.
    Changed,
    /// Is not in the file.
    Removed,
}

/// One row that cannot be imported. Repeats neither names nor badges.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Error)]
#[error("line {line}, column {column}: {reason}")]
pub struct RowError {
    /// Line of the file, from 1.
    pub line: u64,
    /// The column, or the field.
    pub column: &'static str,
    /// What is wrong and what is allowed.
    pub reason: String,
}
