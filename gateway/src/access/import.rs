//! Importing people from CSV: all rows or none.

use std::collections::HashMap;
use std::io::Read;
use std::path::Path;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use protocol::{CredentialHash, HealthStatus, Instant, PersonClass};
use redb::{ReadableDatabase, ReadableTable};
use serde::Serialize;
use thiserror::Error;

use super::directory::{self, PEOPLE, Record};
use super::{AccessError, CredentialKey};

const COLUMNS: [&str; 7] = ["person", "name", "class", "opd", "badge", "status", "status_until"];
const REQUIRED: [&str; 2] = ["person", "class"];
const ROWS_MAX: usize = 2_000_000;
const BAD_ROWS_TOLD: usize = 100;

/// How an import is done.
#[derive(Clone, Debug, Default)]
pub struct ImportOptions {
    /// Import the good rows although there are bad ones.
    pub skip_bad: bool,
    /// Check and count, write nothing.
    pub dry_run: bool,
}

/// What an import has done, or would have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ImportReport {
    /// People who were not there before.
    pub added: usize,
    /// People of whom something changed.
    pub changed: usize,
    /// People who were there like this.
    pub unchanged: usize,
    /// Rows that were left out.
    pub bad_rows: Vec<RowError>,
}

/// One row that cannot be imported. Repeats neither names nor badges.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Error)]
#[error("line {line}, column {column}: {reason}")]
pub struct RowError {
    /// Line of the file, from 1.
    pub line: u64,
    /// The column.
    pub column: &'static str,
    /// What is wrong and what is allowed.
    pub reason: String,
}

/// Why nothing was imported.
#[derive(Debug, Error)]
pub enum ImportError {
    /// The file as a whole is wrong.
    #[error("{file}: {reason}")]
    File {
        /// The CSV file.
        file: String,
        /// What is wrong and what to do.
        reason: String,
    },
    /// Rows are wrong.
    #[error("{file}: {count} bad rows, nothing was imported; mend them, or leave them out with --skip-bad\n{list}")]
    Rows {
        /// The CSV file.
        file: String,
        /// How many.
        count: usize,
        /// The first of them, a line each.
        list: String,
    },
    /// The directory cannot be written.
    #[error(transparent)]
    Directory(#[from] AccessError),
}

/// Adds or changes the people that `csv` lists in the directory at `path`.
///
/// Columns, in any order: `person` (id), `class` (`asn`, `non-asn`, `visitor`), and if wanted `name`, `opd`, `badge`
/// (several separated by `;`), `status` (`green`, `yellow`, `red`, `black`), `status_until` (RFC 3339, or a date whose
/// end is meant, in `time_zone`).
///
/// # Errors
/// When the file, any row (unless bad rows are to be skipped), or the directory is wrong; then nothing is written.
pub fn import_people(
    path: &Path,
    key: &CredentialKey,
    time_zone: &TimeZone,
    csv: impl Read,
    csv_name: &str,
    options: &ImportOptions,
) -> Result<ImportReport, ImportError> {
    let (people, bad_rows) = read_rows(csv, csv_name, key, time_zone)?;
    if !bad_rows.is_empty() && !options.skip_bad {
        let list: Vec<String> = bad_rows.iter().take(BAD_ROWS_TOLD).map(|row| format!("  {row}")).collect();
        return Err(ImportError::Rows { file: csv_name.into(), count: bad_rows.len(), list: list.join("\n") });
    }
    let failed = |error: redb::Error| AccessError::new(path, format!("cannot be written: {error}"));
    let database = directory::open(path)?;
    let transaction = database.begin_write().map_err(|error| failed(error.into()))?;
    let mut report = ImportReport { bad_rows, ..ImportReport::default() };
    {
        let mut table = transaction.open_table(PEOPLE).map_err(|error| failed(error.into()))?;
        for (id, record) in people {
            let bytes = minicbor::to_vec(&record).unwrap_or_default();
            let before = table.insert(id.as_str(), bytes.as_slice()).map_err(|error| failed(error.into()))?;
            match before {
                None => report.added += 1,
                Some(before) if before.value() == bytes => report.unchanged += 1,
                Some(_) => report.changed += 1,
            }
        }
        check_owners(path, &table)?;
    }
    if options.dry_run {
        transaction.abort().map_err(|error| failed(error.into()))?;
    } else {
        transaction.commit().map_err(|error| failed(error.into()))?;
    }
    drop(database.begin_read());
    Ok(report)
}

/// No badge may belong to two people, whether both are in this import or one was there before.
fn check_owners(path: &Path, table: &impl ReadableTable<&'static str, &'static [u8]>) -> Result<(), AccessError> {
    let failed = |error: redb::Error| AccessError::new(path, format!("cannot be read: {error}"));
    let mut owners: HashMap<CredentialHash, String> = HashMap::new();
    for entry in table.iter().map_err(|error| failed(error.into()))? {
        let (id, bytes) = entry.map_err(|error| failed(error.into()))?;
        let record: Record =
            minicbor::decode(bytes.value()).map_err(|error| AccessError::new(path, format!("is damaged: {error}")))?;
        for credential in record.credentials {
            if let Some(other) = owners.insert(credential, id.value().to_owned()) {
                let reason = format!("a badge would belong to both {other} and {}; nothing was imported", id.value());
                return Err(AccessError::new(path, reason));
            }
        }
    }
    Ok(())
}

type People = Vec<(String, Record)>;

fn read_rows(
    mut csv: impl Read,
    csv_name: &str,
    key: &CredentialKey,
    time_zone: &TimeZone,
) -> Result<(People, Vec<RowError>), ImportError> {
    let whole = |reason: String| ImportError::File { file: csv_name.into(), reason };
    let mut text = String::new();
    csv.read_to_string(&mut text).map_err(|error| whole(format!("cannot be read as UTF-8 text ({error})")))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let header = text.lines().next().unwrap_or_default();
    let delimiter = if header.contains(';') && !header.contains(',') { b';' } else { b',' };
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).trim(csv::Trim::All).from_reader(text.as_bytes());
    let columns = columns(reader.headers().map_err(|error| whole(error.to_string()))?).map_err(whole)?;

    let (mut people, mut bad, mut lines) = (Vec::new(), Vec::new(), HashMap::new());
    for row in reader.records() {
        if people.len() >= ROWS_MAX {
            return Err(ImportError::File {
                file: csv_name.into(),
                reason: format!("has more than {ROWS_MAX} rows; split it"),
            });
        }
        let row = match row {
            Ok(row) => row,
            Err(error) => {
                let line = error.position().map_or(0, csv::Position::line);
                let reason = format!("the row must have {} fields", columns.len());
                bad.push(RowError { line, column: "(row)", reason });
                continue;
            }
        };
        let line = row.position().map_or(0, csv::Position::line);
        match person(&row, &columns, line, key, time_zone) {
            Ok((id, _)) if lines.contains_key(&id) => {
                let reason =
                    format!("the same person as on line {}; give several badges in one row, with ';'", lines[&id]);
                bad.push(RowError { line, column: "person", reason });
            }
            Ok((id, record)) => {
                lines.insert(id.clone(), line);
                people.push((id, record));
            }
            Err(error) => bad.push(error),
        }
    }
    Ok((people, bad))
}

/// Which column stands where.
fn columns(header: &csv::StringRecord) -> Result<Vec<&'static str>, String> {
    let mut columns = Vec::new();
    for name in header {
        let known = COLUMNS.into_iter().find(|column| *column == name);
        let column =
            known.ok_or_else(|| format!("line 1: unknown column {name:?}; known are {}", COLUMNS.join(", ")))?;
        if columns.contains(&column) {
            return Err(format!("line 1: column {column} is there twice"));
        }
        columns.push(column);
    }
    match REQUIRED.into_iter().find(|column| !columns.contains(column)) {
        Some(missing) => Err(format!("line 1: column {missing} is missing; the first line names the columns")),
        None => Ok(columns),
    }
}

fn person(
    row: &csv::StringRecord,
    columns: &[&'static str],
    line: u64,
    key: &CredentialKey,
    time_zone: &TimeZone,
) -> Result<(String, Record), RowError> {
    let field = |column: &str| columns.iter().position(|name| *name == column).and_then(|at| row.get(at)).unwrap_or("");
    let bad = |column: &'static str, reason: &str| RowError { line, column, reason: reason.into() };

    let id = field("person");
    let id_is_good = (1..=64).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'));
    if !id_is_good {
        return Err(bad("person", "must be 1 to 64 of letters, digits, '.', '_' and '-'"));
    }
    let class = PersonClass::ALL.into_iter().find(|class| class.as_str() == field("class"));
    let class = class.ok_or_else(|| bad("class", "must be asn, non-asn or visitor"))?;
    let status = match field("status") {
        "" => None,
        colour => {
            let status = HealthStatus::ALL.into_iter().find(|status| status.as_str() == colour);
            Some(status.ok_or_else(|| bad("status", "must be green, yellow, red, black or empty"))?)
        }
    };
    let status_until = match field("status_until") {
        "" => None,
        until => Some(moment(until, time_zone).ok_or_else(|| {
            bad("status_until", "must be a date like 2026-12-31, a moment like 2026-12-31T16:00:00+08:00, or empty")
        })?),
    };
    if field("name").len() > 128 || field("opd").len() > 64 {
        return Err(bad("name", "name may have 128 bytes, opd 64"));
    }
    let badges: Vec<&str> = field("badge").split(';').map(str::trim).filter(|badge| !badge.is_empty()).collect();
    if badges.iter().any(|badge| badge.len() > 256) {
        return Err(bad("badge", "a badge's code may have 256 bytes"));
    }
    let record = Record {
        name: Some(field("name")).filter(|name| !name.is_empty()).map(Into::into),
        class,
        opd: field("opd").into(),
        status,
        status_until,
        credentials: badges.into_iter().map(|badge| key.hash(badge)).collect(),
    };
    Ok((id.into(), record))
}

/// A moment, or the end of a day.
fn moment(text: &str, time_zone: &TimeZone) -> Option<Instant> {
    if let Ok(date) = text.parse::<Date>() {
        let end = date.tomorrow().ok()?.to_zoned_datetime(time_zone.clone()).ok()?;
        return Some(Instant::from_unix_ms(end.timestamp().as_millisecond() - 1));
    }
    text.parse().ok()
}
