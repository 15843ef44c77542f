//! A file that takes another's place: written beside it, and renamed when it is whole.
//!
//! A database keeps the bytes of a row that was removed until their page is used again. So what must not be found any more is
//! destroyed by copying what stays into a new file: before it takes the place of the old one, everything is as it was.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use base::owner::folder_of;

/// What the name of a file that is being made ends with.
const UNFINISHED: &str = ".unfinished";

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

/// Where this call makes the file at `path`.
pub(super) fn unfinished(path: &Path) -> PathBuf {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}-{}{UNFINISHED}", std::process::id(), CALLS.fetch_add(1, Ordering::Relaxed)));
    path.with_file_name(name)
}

/// Whether there is a file at `path` that was made. An empty one was left by a version that made files in their place.
pub(super) fn is_made(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|file| file.len() > 0)
}

/// Gives a file that was made its name, unless another has it: that one stays, and this one is removed.
pub(super) fn put_in_place(unfinished: &Path, path: &Path) -> io::Result<()> {
    match fs::hard_link(unfinished, path) {
        Ok(()) => remove_if_there(unfinished),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(error),
        Err(_) if is_made(path) => remove_if_there(unfinished),
        // An empty one, or a file system without links.
        Err(_) => fs::rename(unfinished, path),
    }
}

/// Removes what processes left that were interrupted while they made the file at `path`. One that is still at it notices.
pub(super) fn remove_unfinished(path: &Path) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    for entry in fs::read_dir(folder_of(path))? {
        let entry = entry?;
        let found = entry.file_name();
        let rest = found.as_encoded_bytes().strip_prefix(name).and_then(|rest| rest.strip_prefix(b"."));
        if rest.is_some_and(|rest| rest.ends_with(UNFINISHED.as_bytes())) {
            remove_if_there(&entry.path())?;
        }
    }
    Ok(())
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
