//! Files of a site: made private, replaced whole, changed by one command at a time.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use super::error::SiteError;
use crate::owner::take_after_folder;

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Its owner alone.
    Secret,
    /// Everybody who gets into the folder.
    Plain,
}

/// Makes a folder that only its owner may enter.
pub(super) fn create_folder(path: &Path) -> Result<(), SiteError> {
    let made = DirBuilder::new().mode(0o700).create(path).and_then(|()| take_after_folder(&File::open(path)?, path));
    made.map_err(failed("make the folder", path))
}

/// Makes a file that must not exist yet, and waits until it is on disk.
pub(super) fn create(path: &Path, content: impl AsRef<[u8]>, access: Access) -> Result<(), SiteError> {
    let mut file = options(access).create_new(true).open(path).map_err(failed("make", path))?;
    let written = take_after_folder(&file, path).and_then(|()| file.write_all(content.as_ref()));
    written.and_then(|()| file.sync_all()).map_err(failed("write", path))
}

/// Puts `content` in the place of the file at `path` in one step, and waits until it is on disk. A file that is there
/// hands down its owner and its permissions, so that what an administrator replaces stays readable for the gateway.
///
/// The new name is on disk only after [`sync_folder`].
pub(super) fn replace(path: &Path, content: impl AsRef<[u8]>, access: Access) -> Result<(), SiteError> {
    let new = beside(path);
    let before = match fs::metadata(path) {
        Ok(metadata) => Some(metadata),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(failed("look at", path)(error)),
    };
    // What a command that died left behind; nobody else is at work here while the lock is held.
    remove(&new)?;
    let mut file = options(access).create_new(true).open(&new).map_err(failed("make", &new))?;
    let written = (|| {
        if let Some(before) = &before {
            let made = file.metadata()?;
            if (made.uid(), made.gid()) != (before.uid(), before.gid()) {
                // Only root may give files away. For everybody else a list that is theirs is better than no list.
                match fchown(&file, Some(before.uid()), Some(before.gid())) {
                    Err(error) if error.kind() != io::ErrorKind::PermissionDenied => return Err(error),
                    _ => {}
                }
            }
            file.set_permissions(before.permissions())?;
        } else {
            take_after_folder(&file, path)?;
        }
        file.write_all(content.as_ref())?;
        file.sync_all()?;
        fs::rename(&new, path)
    })();
    written.map_err(failed("replace", path))
}

/// Waits until the names of the files in the folder `path` are on disk.
pub(super) fn sync_folder(path: &Path) -> Result<(), SiteError> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(failed("write", path))
}

/// Removes the file at `path`, if there is one.
pub(super) fn remove(path: &Path) -> Result<(), SiteError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path)(error)),
        _ => Ok(()),
    }
}

/// The text in the file at `path`.
pub(super) fn read_text(path: &Path) -> Result<String, SiteError> {
    fs::read_to_string(path).map_err(|error| unreadable(path, error))
}

/// The content of the file at `path`, whatever it is.
pub(super) fn read_bytes(path: &Path) -> Result<Vec<u8>, SiteError> {
    fs::read(path).map_err(|error| unreadable(path, error))
}

fn unreadable(path: &Path, error: io::Error) -> SiteError {
    match error.kind() {
        io::ErrorKind::NotFound => SiteError::Missing { path: path.to_owned() },
        _ => failed("read", path)(error),
    }
}

/// Makes the folder at `path` its owner's alone.
pub(super) fn make_private(path: &Path) -> Result<(), SiteError> {
    fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(failed("make private", path))
}

/// Turns what the system said into an error about `path`.
pub(super) fn failed(action: &'static str, path: &Path) -> impl Fn(io::Error) -> SiteError {
    let path = path.to_owned();
    move |source| SiteError::Io { action, path: path.clone(), source }
}

pub(super) fn options(access: Access) -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).mode(match access {
        Access::Secret => 0o600,
        Access::Plain => 0o644,
    });
    options
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    path.with_file_name(name)
}
