//! Importing people from CSV: all rows or none.

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::io::Read;
use std::path::Path;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use protocol::{CredentialHash, HealthStatus, Instant, PersonClass};
use redb::ReadableTable;
use serde::Serialize;
use thiserror::Error;

use super::directory::{self, PEOPLE, Record};
use super::{AccessError, CredentialKey};

const COLUMNS: [&str; 7] = ["person", "name", "class", "opd", "badge", "status", "status_until"];
const REQUIRED: [&str; 2] = ["person", "class"];
const FILE_BYTES_MAX: u64 = 512 << 20;
const NAME_BYTES_MAX: usize = 128;
const OPD_BYTES_MAX: usize = 64;
const BADGE_BYTES_MAX: usize = 256;
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
    let (mut rows, mut bad_rows) = read_rows(csv, csv_name, key, time_zone)?;
    let failed = |error: redb::Error| AccessError::new(path, format!("cannot be written: {error}"));
    let only_checks = options.dry_run || (!bad_rows.is_empty() && !options.skip_bad);
    let database = if only_checks && !path.exists() { directory::in_memory(path) } else { directory::open(path) }?;
    let transaction = database.begin_write().map_err(|error| failed(error.into()))?;
    let mut report = ImportReport::default();
    {
        let mut table = transaction.open_table(PEOPLE).map_err(|error| failed(error.into()))?;
        leave_out_owned_badges(&mut rows, &mut bad_rows, &owners(path, &table)?);
        if !bad_rows.is_empty() && !options.skip_bad {
            return Err(refusal(csv_name, &bad_rows));
        }
        for Row { id, record, .. } in rows {
            let bytes = minicbor::to_vec(&record)
                .map_err(|error| AccessError::new(path, format!("cannot hold an entry ({error})")))?;
            let before = table.insert(id.as_str(), bytes.as_slice()).map_err(|error| failed(error.into()))?;
            match before {
                None => report.added += 1,
                Some(before) if before.value() == bytes => report.unchanged += 1,
                Some(_) => report.changed += 1,
            }
        }
    }
    if options.dry_run {
        transaction.abort().map_err(|error| failed(error.into()))?;
    } else {
        transaction.commit().map_err(|error| failed(error.into()))?;
    }
    report.bad_rows = bad_rows;
    Ok(report)
}

/// A row that can be imported.
struct Row {
    line: u64,
    id: String,
    record: Record,
}

fn refusal(csv_name: &str, bad_rows: &[RowError]) -> ImportError {
    let mut list: Vec<String> = bad_rows.iter().take(BAD_ROWS_TOLD).map(|row| format!("  {row}")).collect();
    if bad_rows.len() > BAD_ROWS_TOLD {
        list.push(format!("  and {} more", bad_rows.len() - BAD_ROWS_TOLD));
    }
    ImportError::Rows { file: csv_name.into(), count: bad_rows.len(), list: list.join("\n") }
}

/// Whose each badge is now.
fn owners(
    path: &Path,
    table: &impl ReadableTable<&'static str, &'static [u8]>,
) -> Result<HashMap<CredentialHash, String>, AccessError> {
    let failed = |error: redb::Error| AccessError::new(path, format!("cannot be read: {error}"));
    let mut owners = HashMap::new();
    for entry in table.iter().map_err(|error| failed(error.into()))? {
        let (id, bytes) = entry.map_err(|error| failed(error.into()))?;
        let record: Record =
            minicbor::decode(bytes.value()).map_err(|error| AccessError::new(path, format!("is damaged: {error}")))?;
        owners.extend(record.credentials.into_iter().map(|badge| (badge, id.value().to_owned())));
    }
    Ok(owners)
}

/// Leaves out rows that would give a badge a second owner. A badge may change hands within one import: what counts is
/// who has it afterwards, and a row that is left out leaves its person's badges as they were.
fn leave_out_owned_badges(rows: &mut Vec<Row>, bad: &mut Vec<RowError>, before: &HashMap<CredentialHash, String>) {
    loop {
        let replaced: HashSet<&str> = rows.iter().map(|row| row.id.as_str()).collect();
        let keeps = |badge| before.get(badge).filter(|owner| !replaced.contains(owner.as_str()));
        let mut lines: HashMap<CredentialHash, u64> = HashMap::new();
        let mut conflicts: HashMap<u64, String> = HashMap::new();
        for Row { line, record, .. } in rows.iter() {
            for badge in &record.credentials {
                if let Some(owner) = keeps(badge) {
                    conflicts
                        .insert(*line, format!("a badge of this row belongs to {owner}, whom this file leaves as is"));
                } else if let Some(first) = lines.insert(*badge, *line).filter(|first| first != line) {
                    conflicts
                        .insert(*line, format!("a badge of this row is also on line {first}; it can have one owner"));
                    lines.insert(*badge, first);
                }
            }
        }
        if conflicts.is_empty() {
            break;
        }
        rows.retain(|row| !conflicts.contains_key(&row.line));
        bad.extend(conflicts.into_iter().map(|(line, reason)| RowError { line, column: "badge", reason }));
    }
    bad.sort_by_key(|row| row.line);
}

fn read_rows(
    csv: impl Read,
    csv_name: &str,
    key: &CredentialKey,
    time_zone: &TimeZone,
) -> Result<(Vec<Row>, Vec<RowError>), ImportError> {
    let whole = |reason: String| ImportError::File { file: csv_name.into(), reason };
    let mut text = String::new();
    csv.take(FILE_BYTES_MAX + 1)
        .read_to_string(&mut text)
        .map_err(|error| whole(format!("cannot be read as UTF-8 text ({error}); save it as CSV UTF-8")))?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(whole(format!("has more than {FILE_BYTES_MAX} bytes; split it")));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let header = text.lines().next().unwrap_or_default();
    let delimiter = if header.contains(';') && !header.contains(',') { b';' } else { b',' };
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).trim(csv::Trim::All).from_reader(text.as_bytes());
    let columns = columns(reader.headers().map_err(|error| whole(error.to_string()))?).map_err(whole)?;

    let (mut rows, mut bad) = (Vec::new(), Vec::new());
    let mut lines: HashMap<String, u64> = HashMap::new();
    for row in reader.records() {
        let row = match row {
            Ok(row) => row,
            Err(error) => {
                let line = error.position().map_or(0, csv::Position::line);
                let reason = format!("must have {} fields, as the first line has", columns.len());
                bad.push(RowError { line, column: "(all)", reason });
                continue;
            }
        };
        let line = row.position().map_or(0, csv::Position::line);
        let (id, record) = match person(&row, &columns, line, key, time_zone) {
            Ok(person) => person,
            Err(error) => {
                bad.push(error);
                continue;
            }
        };
        if let Some(first) = lines.get(&id) {
            let reason = format!("the same person as on line {first}; give several badges in one row, with ';'");
            bad.push(RowError { line, column: "person", reason });
        } else {
            lines.insert(id.clone(), line);
            rows.push(Row { line, id, record });
        }
    }
    Ok((rows, bad))
}

/// Which column stands where.
fn columns(header: &csv::StringRecord) -> Result<Vec<&'static str>, String> {
    let mut columns = Vec::new();
    for (at, name) in (1..).zip(header) {
        // A file without a first line of names has a person there: nothing of it is repeated.
        let known = COLUMNS
            .into_iter()
            .find(|column| *column == name)
            .ok_or_else(|| format!("line 1: the name of column {at} is unknown; known are {}", COLUMNS.join(", ")))?;
        if columns.contains(&known) {
            return Err(format!("line 1: column {known} is there twice"));
        }
        columns.push(known);
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
    for (column, bytes_max) in [("name", NAME_BYTES_MAX), ("opd", OPD_BYTES_MAX)] {
        if field(column).len() > bytes_max {
            return Err(bad(column, &format!("may have {bytes_max} bytes")));
        }
    }
    let mut credentials: Vec<CredentialHash> = Vec::new();
    for badge in field("badge").split(';').map(str::trim).filter(|badge| !badge.is_empty()) {
        if badge.len() > BADGE_BYTES_MAX {
            return Err(bad("badge", &format!("a badge's code may have {BADGE_BYTES_MAX} bytes")));
        }
        let credential = key.hash(badge);
        if !credentials.contains(&credential) {
            credentials.push(credential);
        }
    }
    let record = Record {
        name: Some(field("name")).filter(|name| !name.is_empty()).map(Into::into),
        class,
        opd: field("opd").into(),
        status,
        status_until,
        credentials,
    };
    Ok((id.into(), record))
}

/// A moment, or the end of a day.
fn moment(text: &str, time_zone: &TimeZone) -> Option<Instant> {
    if let Ok(moment) = text.parse() {
        return Some(moment);
    }
    // A date's parser takes a time behind it and forgets it.
    let date: Date = text.parse().ok().filter(|_| text.len() == "2026-12-31".len())?;
    let next_day = date.tomorrow().ok()?.to_zoned_datetime(time_zone.clone()).ok()?;
    Some(Instant::from_unix_ms(next_day.timestamp().as_millisecond() - 1))
}
