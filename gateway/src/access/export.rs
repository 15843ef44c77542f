//! The directory as a file: CSV for a spreadsheet, NDJSON for programs. Either can be imported again.

use std::io::{self, Write};
use std::path::Path;

use thiserror::Error;

use super::directory::{PersonRecord, each_person};
use super::{AccessError, PeopleFormat};

const COLUMNS: [&str; 14] = [
    "person",
    "name",
    "class",
    "opd",
    "groups",
    "status",
    "status_since",
    "status_until",
    "valid_from",
    "valid_until",
    "host",
    "language",
    "id_number",
    "credentials",
];

/// What a spreadsheet takes a cell for a formula by.
const FORMULA: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];
/// What tells a spreadsheet that a cell is text.
const GUARD: char = '\'';

/// People could not be exported.
#[derive(Debug, Error)]
pub enum ExportError {
    /// The directory cannot be used.
    #[error(transparent)]
    Directory(#[from] AccessError),
    /// The output takes no more.
    #[error("the people could not be written down")]
    Output(#[from] io::Error),
}

/// Writes everybody in the directory at `path` to `out` in the order of their ids, badges and ID numbers as keyed hashes; says
/// how many there were.
///
/// # Errors
/// When the directory cannot be read or the output not written.
pub fn export_people(path: &Path, format: PeopleFormat, out: impl Write) -> Result<usize, ExportError> {
    match format {
        PeopleFormat::Csv => export_csv(path, out),
        PeopleFormat::Ndjson => export_ndjson(path, out),
    }
}

fn export_csv(path: &Path, out: impl Write) -> Result<usize, ExportError> {
    let mut out = csv::Writer::from_writer(out);
    let failed = |error: csv::Error| ExportError::Output(error.into());
    out.write_record(COLUMNS).map_err(failed)?;
    let mut people = 0;
    each_person(path, None, |person| {
        people += 1;
        out.write_record(cells(&person)).map_err(failed)?;
        Ok::<_, ExportError>(true)
    })?;
    out.flush()?;
    Ok(people)
}

fn export_ndjson(path: &Path, mut out: impl Write) -> Result<usize, ExportError> {
    let mut people = 0;
    each_person(path, None, |person| {
        people += 1;
        serde_json::to_writer(&mut out, &person).map_err(io::Error::from)?;
        out.write_all(b"\n")?;
        Ok::<_, ExportError>(true)
    })?;
    out.flush()?;
    Ok(people)
}

/// In the order of [`COLUMNS`].
fn cells(person: &PersonRecord) -> [String; 14] {
    let cell = |text: &Option<String>| guarded(text.as_deref().unwrap_or_default());
    [
        guarded(&person.id),
        cell(&person.name),
        guarded(&person.class),
        cell(&person.opd),
        guarded(&person.groups.join(";")),
        cell(&person.status),
        cell(&person.status_since),
        cell(&person.status_until),
        cell(&person.valid_from),
        cell(&person.valid_until),
        cell(&person.host),
        cell(&person.language),
        cell(&person.id_number),
        guarded(&person.credentials.join(";")),
    ]
}

/// A cell that no spreadsheet takes for a formula.
fn guarded(text: &str) -> String {
    let mut chars = text.chars();
    let needed = match chars.next() {
        Some(GUARD) => chars.next().is_some_and(|second| second == GUARD || FORMULA.contains(&second)),
        first => first.is_some_and(|first| FORMULA.contains(&first)),
    };
    if needed { format!("{GUARD}{text}") } else { text.to_owned() }
}

/// What was in a cell before it was guarded.
pub(super) fn unguarded(cell: &str) -> &str {
    let guarded = |text: &&str| text.starts_with(GUARD) || text.starts_with(FORMULA);
    cell.strip_prefix(GUARD).filter(guarded).unwrap_or(cell)
}
