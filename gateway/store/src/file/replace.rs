//! A file that takes another's place: written beside it, and renamed when it is whole.
//!
//! A database keeps the bytes of a row that was removed until their page is used again. So what must not be found any more is
//! destroyed by copying what stays into a new file: before it takes the place of the old one, everything is as it was.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// Where the new file is written.
pub fn beside(path: &Path) -> PathBuf {
    path.with_extension("redb.new")
}

/// Puts the file [`beside`] in the place of the one at `path`: from here on nothing finds the old one. Durable after
/// [`super::sync_folder`].
///
/// # Errors
/// What the system says.
pub fn exchange(path: &Path) -> io::Result<()> {
    fs::rename(beside(path), path)
}

/// Removes a file, such as a new one that did not come to its place because the work on it was interrupted.
///
/// # Errors
/// What the system says, but not that there is no such file.
pub fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
