//! The directory as a file: CSV for a spreadsheet, NDJSON for programs. Either can be imported again.

use std::io::{self, Write};
use std::path::Path;

use thiserror::Error;

use super::PeopleFormat;
use super::directory::{PersonRecord, each_person};
use base::file_error::FileError;
use base::spreadsheet::guarded;

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

/// People could not be exported.
#[derive(Debug, Error)]
pub enum ExportError {
    /// The directory cannot be used.
    #[error(transparent)]
    Directory(#[from] FileError),
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
    let guarded = |text: &str| guarded(text).into_owned();
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
