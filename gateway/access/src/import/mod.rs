//! Importing people from CSV or NDJSON: all rows or none.

mod plan;
mod report;
mod rows;

#[cfg(test)]
mod tests;

use std::fmt;
use std::io::Read;
use std::path::Path;

use jiff::tz::TimeZone;
use protocol::Instant;
use thiserror::Error;

pub use report::{ChangeKind, Difference, ImportReport, RowError};

use super::CredentialKey;
use super::directory::{self, Change};
use base::file_error::FileError;
use base::owner::why;
use store::file::{beside, remove_if_there};

/// How people stand in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PeopleFormat {
    /// A table whose first line names its columns, separated by commas, semicolons or tabs.
    #[default]
    Csv,
    /// A JSON object on every line: [`PersonRecord`](super::PersonRecord).
    Ndjson,
}

/// How an import is done.
#[derive(Clone, Debug, Default)]
pub struct ImportOptions {
    /// How the people stand in the file.
    pub format: PeopleFormat,
    /// Import the good rows although there are bad ones.
    pub skip_bad: bool,
    /// Check and count, write nothing.
    pub dry_run: bool,
    /// List who is added, changed and removed.
    pub diff: bool,
    /// Remove whoever is not in the file.
    pub replace: bool,
    /// Do so even where that is more than half of all people.
    pub force: bool,
}

/// Why nothing was imported.
#[derive(Debug, Error)]
pub enum ImportError {
    /// The file as a whole is wrong.
    #[error("{file}: {reason}")]
    File {
        /// The file that was to be imported.
        file: String,
        /// What is wrong and what to do.
        reason: String,
    },
    /// Rows are wrong.
    #[error("{file}: {} bad rows, nothing was imported; mend them, or leave them out with --skip-bad{}", .rows.len(), Lines(.rows))]
    Rows {
        /// The file that was to be imported.
        file: String,
        /// Every one of them.
        rows: Vec<RowError>,
    },
    /// The directory cannot be written.
    #[error(transparent)]
    Directory(#[from] FileError),
}

/// Adds or changes the people that `input` lists in the directory at `path`.
///
/// The columns of a CSV file, in any order: `person` (id), `class`, and if wanted the other fields of
/// [`PersonRecord`](super::PersonRecord); several groups, badges or credentials are separated by `;`. Fields whose column the
/// file does not have stay as they are, where the person is known; what belongs together (a status and its time, the two ends
/// of a validity) is replaced together. A line of NDJSON replaces the person whole.
///
/// An import that replaces everybody also replaces a directory that cannot be used, which is kept beside the new one.
///
/// # Errors
/// When the file, any row (unless bad rows are to be skipped), or the directory is wrong; then nothing is written.
pub fn import_people(
    path: &Path,
    key: &CredentialKey,
    time_zone: &TimeZone,
    input: impl Read,
    input_name: &str,
    options: &ImportOptions,
    now: Instant,
) -> Result<ImportReport, ImportError> {
    let whole = |reason| ImportError::File { file: input_name.into(), reason };
    let rows = match options.format {
        PeopleFormat::Csv => rows::read_csv(input, key, time_zone),
        PeopleFormat::Ndjson => rows::read_ndjson(input, key, time_zone),
    };
    let rows = rows.map_err(whole)?;
    let only_checks = options.dry_run || (!rows.bad.is_empty() && !options.skip_bad);
    let anew = options.replace && !only_checks && directory::is_unusable(path)?;
    let file = if anew { beside(path) } else { path.to_owned() };
    if anew {
        let removed = remove_if_there(&file);
        removed.map_err(|error| FileError::new(&file, format!("cannot be removed ({})", why(&file, &error))))?;
    }
    let database =
        if only_checks && !path.exists() { directory::in_memory(path) } else { directory::open_to_write(&file) }?;
    let mut report = directory::change_in(&file, &database, |tables| {
        let mut plan = plan::Plan::of(path, tables, rows, options.replace)?;
        if !plan.bad.is_empty() && !options.skip_bad {
            return Err(ImportError::Rows { file: input_name.into(), rows: plan.bad });
        }
        if options.replace {
            plan.remove_others(path, tables, options.force)?.map_err(whole)?;
        }
        let report = plan.report(options.diff);
        if options.dry_run {
            return Ok((report, Change::Nothing));
        }
        plan.carry_out(path, tables)?;
        tables.synced(now)?;
        Ok((report, Change::All))
    })?;
    if anew {
        report.set_aside = Some(directory::set_aside(path)?.display().to_string());
    }
    Ok(report)
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.change {
            ChangeKind::Added => write!(f, "+ {}", self.id),
            ChangeKind::Changed => write!(f, "~ {}: {}", self.id, self.fields.join(", ")),
            ChangeKind::Removed => write!(f, "- {}", self.id),
        }
    }
}

/// Each on a line of its own.
struct Lines<'a>(&'a [RowError]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|row| write!(f, "\n  {row}"))
    }
}
