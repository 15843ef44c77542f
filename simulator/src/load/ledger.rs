//! The readers' own record of what was acknowledged, one JSON object a line, for the audit.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use protocol::Outcome;
use serde::{Deserialize, Serialize};

use super::mix::Kind;

/// One acknowledged scan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AckedScan<'a> {
    /// The door.
    pub door: std::borrow::Cow<'a, str>,
    /// Epoch of the scan.
    pub epoch: u32,
    /// Sequence number of the scan.
    pub seq: u64,
    /// When it was made by its reader's clock, in Unix milliseconds.
    pub scanned_at_ms: i64,
    /// When it was really made.
    pub made_at_ms: i64,
    /// What it was.
    pub kind: Kind,
    /// What it was answered; absent where no answer arrived or a plain broker relayed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// The event that the answer named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<u64>,
    /// Always true: what was not acknowledged is not written.
    pub acked: bool,
}

/// Writes such a record. A write error is kept until [`Self::flush`].
#[derive(Debug)]
pub struct AckedLedger(Mutex<(BufWriter<File>, io::Result<()>)>);

impl AckedLedger {
    /// Starts an empty record.
    ///
    /// # Errors
    /// When the file cannot be created.
    pub fn create(path: &Path) -> io::Result<Self> {
        Ok(Self(Mutex::new((BufWriter::with_capacity(1 << 16, File::create(path)?), Ok(())))))
    }

    /// Writes one scan down.
    pub fn write(&self, scan: &AckedScan<'_>) {
        let mut line = serde_json::to_vec(scan).unwrap_or_default();
        line.push(b'\n');
        let (file, result) = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if result.is_ok() {
            *result = file.write_all(&line);
        }
    }

    /// Makes sure that all is in the file.
    ///
    /// # Errors
    /// The first error of any write.
    pub fn flush(&self) -> io::Result<()> {
        let (file, result) = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(result, Ok(()))?;
        file.flush()
    }
}
