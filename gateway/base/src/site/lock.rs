//! One command at a time changes a site's folder.

use std::fs::File;
use std::io;

use super::SiteFolder;
use super::error::SiteError;
use super::files::{Access, failed, options};
use crate::owner::take_after_folder;

/// The right to change a site's folder, held by one command at a time. Given back when dropped, or when its process
/// ends in whatever way.
#[derive(Debug)]
pub(super) struct Lock {
    _held: File,
}

impl Lock {
    /// Waits for the right to change `folder`.
    pub(super) fn wait(folder: &SiteFolder) -> Result<Self, SiteError> {
        let path = folder.lock();
        let missing = folder.ca_certificate();
        let file =
            options(Access::Secret).create(true).truncate(false).open(&path).map_err(|source| match source.kind() {
                io::ErrorKind::NotFound => SiteError::Missing { path: missing },
                _ => failed("open", &path)(source),
            })?;
        take_after_folder(&file, &path).map_err(failed("give away", &path))?;
        file.lock().map_err(failed("lock", &path))?;
        Ok(Self { _held: file })
    }
}
