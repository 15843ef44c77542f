//! Files that a site may lack, remembered once they were there: at the next start one that has vanished or holds nothing is a
//! mistake, not an empty one.
//!
//! They are listed in `data/known-files`, a path a line, from the site's folder.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Result, bail};

use crate::reload::loss;
use base::site::SiteFolder;

/// The list's file, in the site's data folder.
const LIST: &str = "known-files";

/// The list of one site.
#[derive(Debug)]
pub(crate) struct KnownFiles {
    folder: SiteFolder,
    /// The files that a site may lack.
    optional: Vec<PathBuf>,
    /// What the list says; [`None`] before it was read.
    written: Mutex<Option<BTreeSet<PathBuf>>>,
}

impl KnownFiles {
    /// `optional`: the files that a site may lack.
    pub(crate) fn new(folder: &SiteFolder, optional: Vec<PathBuf>) -> Self {
        Self { folder: folder.clone(), optional, written: Mutex::new(None) }
    }

    /// Refuses a site of which a file was there and is lost.
    ///
    /// # Errors
    /// Names the file.
    pub(crate) fn check(&self) -> Result<()> {
        match self.read().iter().find_map(|name| loss(&self.folder.root().join(name))) {
            Some(reason) => bail!("{reason}"),
            None => Ok(()),
        }
    }

    /// Refuses what was read from `paths`, where one of them was there once and is lost.
    ///
    /// # Errors
    /// Names the file.
    pub(crate) fn check_among(&self, paths: &[PathBuf]) -> Result<()> {
        match paths.iter().filter(|path| self.knows(path)).find_map(|path| loss(path)) {
            Some(reason) => bail!("{reason}"),
            None => Ok(()),
        }
    }

    /// Whether this file was there once.
    pub(crate) fn knows(&self, path: &Path) -> bool {
        path.strip_prefix(self.folder.root()).is_ok_and(|name| self.read().contains(name))
    }

    /// Remembers the files that are there. To be called when they are in force.
    pub(crate) fn note(&self) {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let known = written.get_or_insert_with(|| self.read());
        let optional = self.optional.iter().filter(|path| loss(path).is_none());
        let names = optional.filter_map(|path| path.strip_prefix(self.folder.root()).ok().map(PathBuf::from));
        let all: BTreeSet<PathBuf> = known.iter().cloned().chain(names).collect();
        if all == *known {
            return;
        }
        match self.write(&all) {
            Ok(()) => *known = all,
            Err(error) => tracing::warn!(%error, "which files the site has cannot be noted in data/known-files"),
        }
    }

    fn read(&self) -> BTreeSet<PathBuf> {
        let text = fs::read_to_string(self.list()).unwrap_or_default();
        let names = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        names.map(PathBuf::from).collect()
    }

    fn write(&self, names: &BTreeSet<PathBuf>) -> std::io::Result<()> {
        let mut text =
            "# Files that were there once. To take one of them away, write a comment into it instead.\n".to_owned();
        for name in names {
            text.push_str(&format!("{}\n", name.display()));
        }
        let (list, new) = (self.list(), self.list().with_extension("new"));
        let mut file = fs::File::create(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, list)
    }

    fn list(&self) -> PathBuf {
        self.folder.data().join(LIST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_there_is_missed_and_one_that_never_was_is_not() {
        let site = base::site::testing::Site::with_doors(&["main-in"]);
        let folder = &site.folder;
        let passes = folder.trust().join("passes");
        let optional = [folder.doors_toml(), folder.zones_toml(), folder.calendar_toml(), passes.clone()];
        let known = || KnownFiles::new(folder, optional.to_vec());
        fs::remove_file(folder.calendar_toml()).unwrap();
        known().check().unwrap();
        known().note();
        known().check().unwrap();
        assert!(known().knows(&folder.zones_toml()) && !known().knows(&folder.calendar_toml()));
        for (path, blank) in [(folder.zones_toml(), true), (folder.doors_toml(), true), (passes, false)] {
            let away = folder.root().join("away");
            fs::rename(&path, &away).unwrap();
            let error = known().check().unwrap_err().to_string();
            assert!(error.contains(path.to_str().unwrap()) && error.contains("not there any more"), "{error}");
            // One that is lost stays known.
            known().note();
            assert!(known().check().is_err() && known().check_among(std::slice::from_ref(&path)).is_err());
            known().check_among(&[folder.gapura_toml(), folder.root().join("nowhere")]).unwrap();
            if blank {
                fs::write(&path, "\n").unwrap();
                assert!(known().check().unwrap_err().to_string().contains("is empty"));
                fs::write(&path, "# none\n").unwrap();
                known().check().unwrap();
                fs::remove_file(&path).unwrap();
            }
            fs::rename(&away, &path).unwrap();
            known().check().unwrap();
        }
        // What comes later is known from then on.
        fs::write(folder.calendar_toml(), "# none\n").unwrap();
        known().note();
        fs::remove_file(folder.calendar_toml()).unwrap();
        assert!(known().check().unwrap_err().to_string().contains("calendar.toml"));
    }
}
