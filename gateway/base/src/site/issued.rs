//! The list of every certificate that the authority has issued, so that each can be found again and revoked.

use std::fs::OpenOptions;
use std::io::{Seek, SeekFrom, Write};

use protocol::Instant;
use serde::{Deserialize, Serialize};

use super::error::SiteError;
use super::files::{failed, read_text};
use super::lock::Lock;
use super::{SiteFolder, from_hex, hex};

/// What an empty list holds.
pub(super) const HEADER: &str = "serial,role,not_after,issued_at\n";

/// One certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Row {
    /// Its serial number in hex digits.
    serial: String,
    /// Whose it is, such as `door:main-in`, `gateway` or `server`.
    pub(super) role: String,
    /// When it expires.
    pub(super) not_after: Instant,
    /// When it was issued.
    issued_at: Instant,
}

impl Row {
    pub(super) fn new(serial: &[u8], role: String, not_after: Instant, issued_at: Instant) -> Self {
        Self { serial: hex(serial), role, not_after, issued_at }
    }

    /// The serial number, big-endian.
    pub(super) fn serial(&self) -> Vec<u8> {
        from_hex(&self.serial).unwrap_or_default()
    }
}

/// Every certificate, the oldest first.
pub(super) fn read(folder: &SiteFolder) -> Result<Vec<Row>, SiteError> {
    let path = folder.issued();
    let text = read_text(&path)?;
    let mut rows = Vec::new();
    for row in csv::Reader::from_reader(whole_lines(&text).as_bytes()).into_deserialize::<Row>() {
        let row = row.map_err(|source| {
            let line = source.position().map_or(0, csv::Position::line);
            SiteError::Index { path: path.clone(), line, source: Box::new(source) }
        })?;
        if from_hex(&row.serial).is_none_or(|serial| serial.is_empty()) {
            let line = u64::try_from(rows.len()).unwrap_or(u64::MAX).saturating_add(2);
            let source = format!("{:?} is no serial number in hex digits", row.serial).into();
            return Err(SiteError::Index { path, line, source });
        }
        rows.push(row);
    }
    Ok(rows)
}

/// Adds `rows` and waits until they are on disk. To be called before anybody gets a certificate of them.
pub(super) fn append(_: &Lock, folder: &SiteFolder, rows: &[Row]) -> Result<(), SiteError> {
    let path = folder.issued();
    let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
    let lines = rows
        .iter()
        .try_for_each(|row| writer.serialize(row))
        .and_then(|()| writer.into_inner().map_err(|error| error.into_error().into()))
        .map_err(|source| SiteError::Index { path: path.clone(), line: 0, source: Box::new(source) })?;
    let whole = u64::try_from(whole_lines(&read_text(&path)?).len()).unwrap_or(u64::MAX);
    let write = || {
        let mut file = OpenOptions::new().write(true).open(&path)?;
        file.set_len(whole)?;
        file.seek(SeekFrom::End(0))?;
        file.write_all(&lines)?;
        file.sync_all()
    };
    write().map_err(failed("add to", &path))
}

/// `text` up to its last line break: a line that a dying command left unfinished stands for a certificate that nobody
/// got.
fn whole_lines(text: &str) -> &str {
    text.rsplit_once('\n').map_or("", |(whole, _)| text.get(..=whole.len()).unwrap_or(""))
}
