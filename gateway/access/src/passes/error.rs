//! What is wrong with the files of keys and of what is revoked.

use std::fmt;
use std::path::{Path, PathBuf};

/// A trust folder or revocation list that cannot be used. Trying again helps only after the file was put right.
#[derive(Debug, thiserror::Error)]
#[error("{}{}: {reason}", path.display(), Line(*line))]
pub struct PassError {
    path: PathBuf,
    line: Option<usize>,
    reason: String,
}

struct Line(Option<usize>);

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |line| write!(f, ":{line}"))
    }
}

impl PassError {
    pub(super) fn new(path: &Path, reason: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line: None, reason: reason.into() }
    }

    pub(super) fn at_line(path: &Path, line: usize, reason: String) -> Self {
        Self { path: path.to_owned(), line: Some(line), reason }
    }
}
