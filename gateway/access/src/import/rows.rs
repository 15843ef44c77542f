//! From a file to rows: each is a person, checked, or a mistake with its line and column.

use std::collections::{HashSet, VecDeque};
use std::io::{self, BufRead, BufReader, Read};

use jiff::tz::TimeZone;
use serde_json::error::Category;

use super::report::RowError;
use crate::CredentialKey;
use crate::directory::{PersonError, PersonRecord, check, is_id};
use base::nearest::nearest;
use base::spreadsheet::unguarded;

const FILE_BYTES_MAX: u64 = 1 << 30;
const LINE_BYTES_MAX: u64 = 64 << 10;

/// The columns of a CSV file, and the field of each.
const COLUMNS: [(&str, &str); 15] = [
    ("person", "id"),
    ("name", "name"),
    ("class", "class"),
    ("opd", "opd"),
    ("groups", "groups"),
    ("badge", "badges"),
    ("status", "status"),
    ("status_since", "status_since"),
    ("status_until", "status_until"),
    ("valid_from", "valid_from"),
    ("valid_until", "valid_until"),
    ("host", "host"),
    ("language", "language"),
    ("id_number", "id_number"),
    ("credentials", "credentials"),
];
/// Other names for some of them, as JSON has them.
const ALIASES: [(&str, &str); 2] = [("id", "id"), ("badges", "badges")];
const REQUIRED: [(&str, &str); 2] = [("person", "id"), ("class", "class")];
/// Lines that one row may go on for behind its first.
const ROW_LINES_MAX: usize = 8;
/// Stands for the whole row.
const ALL: &str = "(all)";

/// What a file says.
pub(super) struct Rows {
    /// By id, each once.
    pub good: Vec<Row>,
    /// By line.
    pub bad: Vec<RowError>,
    /// Who the bad rows are about, as far as they say.
    pub bad_ids: HashSet<Box<str>>,
    /// There are bad rows that do not say whom they are about.
    pub nameless: bool,
    /// The fields that the file speaks of, and how it calls each.
    pub columns: Vec<(&'static str, &'static str)>,
}

/// A row that can be imported.
pub(super) struct Row {
    pub line: u64,
    pub id: Box<str>,
    /// The person, encoded: a million must fit.
    pub record: Box<[u8]>,
}

/// Reads a table.
pub(super) fn read_csv(input: impl Read, key: &CredentialKey, time_zone: &TimeZone) -> Result<Rows, String> {
    let mut input = BufReader::new(Limited { input, left: FILE_BYTES_MAX });
    let mut header = Vec::new();
    // A file of one endless line is refused by the limit.
    input.read_until(b'\n', &mut header).map_err(|error| unreadable(&error))?;
    let header = header.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&header);
    if header.starts_with(b"PK") {
        return Err("is a workbook or another archive; save it as CSV UTF-8 and import that".into());
    }
    let delimiter = [b',', b';', b'\t'].into_iter().find(|delimiter| header.contains(delimiter)).unwrap_or(b',');
    if !is_closed(header) {
        return Err("line 1: a quote is opened and not closed on this line".into());
    }
    let mut rows = Rows::new(columns(&cells(header, 1, delimiter)?)?);
    let mut table = Table { input, ahead: VecDeque::new(), line: 1, delimiter, columns: rows.columns.len() };
    while let Some((line, text)) = table.next_row()? {
        let Some(text) = text else {
            let reason = "a quote is opened here and not closed in the same cell";
            rows.refuse(line, "", ALL, reason.into());
            continue;
        };
        let row = cells(&text, line, delimiter)?;
        // What a spreadsheet leaves of a row that was emptied.
        if row.iter().all(str::is_empty) {
            continue;
        }
        if row.len() != rows.columns.len() {
            let reason = format!("must have {} fields, as the first line has", rows.columns.len());
            rows.refuse(line, "", ALL, reason);
            continue;
        }
        let person = person(&row, &rows.columns);
        rows.take(line, &person, key, time_zone);
    }
    Ok(rows.in_order())
}

/// The line on which a row begins, and its text where that is whole.
type RowText = (u64, Option<Vec<u8>>);

/// A table's rows, as text. A cell may have line ends within quotes; a quote that nobody closes must not swallow other rows.
struct Table<R> {
    input: R,
    /// Lines that were looked at and belong to later rows.
    ahead: VecDeque<Vec<u8>>,
    /// The number of the last line that was taken.
    line: u64,
    delimiter: u8,
    columns: usize,
}

impl<R: BufRead> Table<R> {
    /// The line on which the next row begins, and its text; no text where it has a quote that is not closed before another row
    /// begins.
    fn next_row(&mut self) -> Result<Option<RowText>, String> {
        let Some(mut text) = self.next_line()? else { return Ok(None) };
        self.line += 1;
        let line = self.line;
        let mut within = Vec::new();
        while !is_closed(&text) {
            let next = if within.len() < ROW_LINES_MAX { self.next_line()? } else { None };
            let Some(next) = next else { return Ok(Some((line, self.put_back(within)))) };
            // Part of a cell that has as many cells of its own as a row.
            let cells = next.iter().filter(|byte| **byte == self.delimiter).count() + 1;
            let is_row = cells >= self.columns && !next.contains(&b'"');
            text.extend_from_slice(&next);
            within.push(next);
            if is_row {
                return Ok(Some((line, self.put_back(within))));
            }
        }
        self.line += within.len() as u64;
        Ok(Some((line, Some(text))))
    }

    fn next_line(&mut self) -> Result<Option<Vec<u8>>, String> {
        if let Some(line) = self.ahead.pop_front() {
            return Ok(Some(line));
        }
        let mut text = Vec::new();
        let read = self.input.read_until(b'\n', &mut text).map_err(|error| unreadable(&error))?;
        Ok((read > 0).then_some(text))
    }

    /// Leaves lines to later rows.
    fn put_back(&mut self, lines: Vec<Vec<u8>>) -> Option<Vec<u8>> {
        lines.into_iter().rev().for_each(|line| self.ahead.push_front(line));
        None
    }
}

/// Whether every quote that is opened is closed.
fn is_closed(text: &[u8]) -> bool {
    text.iter().filter(|byte| **byte == b'"').count().is_multiple_of(2)
}

/// The cells of one row.
fn cells(text: &[u8], line: u64, delimiter: u8) -> Result<csv::StringRecord, String> {
    let text = text.trim_ascii_end();
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .trim(csv::Trim::All)
        .buffer_capacity(text.len().max(1))
        .from_reader(text);
    let mut row = csv::StringRecord::new();
    reader.read_record(&mut row).map(|_| row).map_err(|error| unreadable_csv(&error, line))
}

/// Reads an object a line.
pub(super) fn read_ndjson(input: impl Read, key: &CredentialKey, time_zone: &TimeZone) -> Result<Rows, String> {
    let mut input = BufReader::new(Limited { input, left: FILE_BYTES_MAX });
    let fields = COLUMNS.map(|(_, field)| (field, field));
    let mut rows = Rows::new(fields.into());
    let mut text = Vec::new();
    for line in 1.. {
        text.clear();
        let read = input.by_ref().take(LINE_BYTES_MAX + 1).read_until(b'\n', &mut text);
        if read.map_err(|error| unreadable(&error))? == 0 {
            break;
        }
        if text.len() as u64 > LINE_BYTES_MAX {
            return Err(format!("line {line} has more than {LINE_BYTES_MAX} bytes; a line holds one person"));
        }
        let object = if line == 1 { text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&text) } else { &text };
        let object = object.trim_ascii();
        if object.is_empty() {
            continue;
        }
        match read_object(object, &fields) {
            Ok(person) => rows.take(line, &person, key, time_zone),
            Err((column, reason)) => rows.refuse(line, "", column, reason),
        }
    }
    Ok(rows.in_order())
}

impl Rows {
    fn new(columns: Vec<(&'static str, &'static str)>) -> Self {
        Self { good: Vec::new(), bad: Vec::new(), bad_ids: HashSet::new(), nameless: false, columns }
    }

    /// How the file calls a field; [`None`] where it does not speak of it.
    pub(super) fn column(&self, field: &str) -> Option<&'static str> {
        self.columns.iter().find(|(_, known)| *known == field).map(|(column, _)| *column)
    }

    fn take(&mut self, line: u64, person: &PersonRecord, key: &CredentialKey, time_zone: &TimeZone) {
        let record = check(person, key, time_zone).map_err(|error| match error {
            PersonError::Field(error) | PersonError::Order(error) | PersonError::Taken(error) => {
                (self.column(error.field).unwrap_or(ALL), error.reason)
            }
            PersonError::Directory(error) => (ALL, error.to_string()),
        });
        let encoded = record.and_then(|record| minicbor::to_vec(record).map_err(|error| (ALL, error.to_string())));
        match encoded {
            Ok(record) => self.good.push(Row { line, id: person.id.trim().into(), record: record.into() }),
            Err((column, reason)) => self.refuse(line, &person.id, column, reason),
        }
    }

    fn refuse(&mut self, line: u64, id: &str, column: &'static str, reason: String) {
        if is_id(id) {
            self.bad_ids.insert(id.into());
        } else {
            self.nameless = true;
        }
        self.bad.push(RowError { line, column, reason });
    }

    /// By id, and the first of several rows about the same person only.
    fn in_order(mut self) -> Self {
        self.good.sort_unstable_by(|one, other| (&one.id, one.line).cmp(&(&other.id, other.line)));
        let column = self.column("id").unwrap_or(ALL);
        let mut first: Option<(Box<str>, u64)> = None;
        let bad = &mut self.bad;
        self.good.retain(|row| match &first {
            Some((id, line)) if *id == row.id => {
                let reason = format!("the same person as on line {line}; give several badges in one row");
                bad.push(RowError { line: row.line, column, reason });
                false
            }
            _ => {
                first = Some((row.id.clone(), row.line));
                true
            }
        });
        self.bad.sort_by_key(|row| row.line);
        self
    }
}

/// Which column stands where.
fn columns(header: &csv::StringRecord) -> Result<Vec<(&'static str, &'static str)>, String> {
    let mut columns: Vec<(&str, &str)> = Vec::new();
    for (at, name) in (1..).zip(header) {
        // A file without a first line of names has a person there: nothing of it is repeated.
        let known = COLUMNS.into_iter().chain(ALIASES).find(|(column, _)| *column == name);
        let known = known.ok_or_else(|| {
            let names = COLUMNS.map(|(column, _)| column);
            let near = nearest(name, names).map(|near| format!(", the nearest is {near}")).unwrap_or_default();
            format!("line 1: the name of column {at} is unknown{near}; known are {}", names.join(", "))
        })?;
        if columns.iter().any(|(_, field)| *field == known.1) {
            return Err(format!("line 1: column {} is there twice", known.0));
        }
        columns.push(known);
    }
    match REQUIRED.into_iter().find(|(_, field)| !columns.iter().any(|(_, known)| known == field)) {
        Some((missing, _)) => Err(format!("line 1: column {missing} is missing; the first line names the columns")),
        None => Ok(columns),
    }
}

fn person(row: &csv::StringRecord, columns: &[(&'static str, &'static str)]) -> PersonRecord {
    let mut person = PersonRecord::default();
    for ((_, field), cell) in columns.iter().zip(row) {
        let cell = unguarded(cell);
        if cell.is_empty() {
            continue;
        }
        let several = || cell.split(';').map(Into::into).collect();
        let one = || Some(cell.to_owned());
        match *field {
            "id" => person.id = cell.into(),
            "name" => person.name = one(),
            "class" => person.class = cell.into(),
            "opd" => person.opd = one(),
            "groups" => person.groups = several(),
            "badges" => person.badges = several(),
            "status" => person.status = one(),
            "status_since" => person.status_since = one(),
            "status_until" => person.status_until = one(),
            "valid_from" => person.valid_from = one(),
            "valid_until" => person.valid_until = one(),
            "host" => person.host = one(),
            "language" => person.language = one(),
            "id_number" => person.id_number = one(),
            _ => person.credentials = several(),
        }
    }
    person
}

/// Reads one line's object. What the parser says is not repeated: it quotes the line.
fn read_object(object: &[u8], fields: &[(&'static str, &'static str)]) -> Result<PersonRecord, (&'static str, String)> {
    if object.first() != Some(&b'{') {
        return Err((ALL, "must be a JSON object".into()));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(object);
    let person = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        if !matches!(error.inner().classify(), Category::Data) {
            return (ALL, format!("is no JSON from character {} on", error.inner().column()));
        }
        let path = error.path().to_string();
        match fields.iter().find(|(field, _)| path.split(['.', '[']).next() == Some(field)) {
            Some((field @ ("groups" | "badges" | "credentials"), _)) => (*field, "must be a list of texts".into()),
            Some((field, _)) => (*field, "must be a text, and there once".into()),
            None => {
                let names: Vec<_> = fields.iter().map(|(field, _)| *field).collect();
                (ALL, format!("has a field that is unknown, or there twice; known are {}", names.join(", ")))
            }
        }
    })?;
    deserializer.end().map_err(|_| (ALL, "must be one JSON object and nothing behind it".to_owned()))?;
    Ok(person)
}

fn unreadable(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::FileTooLarge => format!("has more than {FILE_BYTES_MAX} bytes; split it"),
        _ => format!("cannot be read: {error}"),
    }
}

fn unreadable_csv(error: &csv::Error, line: u64) -> String {
    match error.kind() {
        csv::ErrorKind::Io(error) => unreadable(error),
        csv::ErrorKind::Utf8 { .. } => format!("line {line} is not UTF-8 text; save it as CSV UTF-8"),
        _ => format!("line {line}: {error}"),
    }
}

/// An error behind so many bytes, rather than a file that ends early.
struct Limited<R> {
    input: R,
    left: u64,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        let left = self.left.checked_sub(read as u64);
        self.left = left.ok_or_else(|| io::Error::from(io::ErrorKind::FileTooLarge))?;
        Ok(read)
    }
}
