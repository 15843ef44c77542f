//! A file of the site that cannot be used: which, where in it, and what to do.

use std::path::Path;

use thiserror::Error;

/// A file of the site cannot be used.
#[derive(Debug, Error)]
#[error("{file}: {reason}")]
pub struct FileError {
    /// The file, with a line where one is to blame.
    pub file: String,
    /// What is wrong and what to do.
    pub reason: String,
}

impl FileError {
    /// Something is wrong with `file` as a whole.
    pub fn new(file: &Path, reason: impl Into<String>) -> Self {
        Self { file: file.display().to_string(), reason: reason.into() }
    }

    /// Something is wrong on this line of `file`, from 1.
    pub fn at_line(file: &Path, line: usize, reason: impl Into<String>) -> Self {
        Self { file: format!("{}:{line}", file.display()), reason: reason.into() }
    }
}

/// The line, from 1, on which byte `offset` of `text` lies.
pub fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}
