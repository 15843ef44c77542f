//! What tells a changed file, and one that is lost: gone, or shrunk to nothing.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A file of at most this size may hold nothing but blanks.
const BLANK_BYTES_MAX: u64 = 16;

/// What it means that a file is gone which was in force.
#[derive(Clone, Copy, Debug)]
pub enum Vanishing {
    /// It says that there is nothing.
    Taken,
    /// It is a mishap: what was in force stays. Of a folder single files may go.
    Refused,
    /// The same; and of a folder the files for which the function is true may go only when everything is read again on request.
    RefusedOf(fn(&Path) -> bool),
}

/// What tells a changed file: it was written, replaced, or has another size.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Fingerprint {
    path: PathBuf,
    inode: u64,
    modified: (i64, i64),
    bytes: u64,
    is_blank: bool,
}

impl Fingerprint {
    fn of(path: PathBuf) -> Option<Self> {
        let file = fs::metadata(&path).ok()?;
        let is_blank = file.is_file() && is_blank(&path, file.len());
        Some(Self { path, inode: file.ino(), modified: (file.mtime(), file.mtime_nsec()), bytes: file.len(), is_blank })
    }
}

/// Those of `paths` that are there, and of what is in them where they are folders.
pub(super) fn fingerprints(paths: &[PathBuf]) -> Vec<Fingerprint> {
    let inside = paths.iter().filter_map(|path| fs::read_dir(path).ok()).flatten().flatten();
    let inside = inside.map(|entry| entry.path());
    let mut prints: Vec<_> = paths.iter().cloned().chain(inside).filter_map(Fingerprint::of).collect();
    prints.sort();
    prints.dedup();
    prints
}

/// What of the files in force is lost among those that are there now, if anything is, and what to do about it. Whoever wants a
/// file to hold nothing says so in it.
pub(super) fn lost(
    paths: &[PathBuf],
    vanishing: Vanishing,
    in_force: &[Fingerprint],
    now: &[Fingerprint],
    confirmed: bool,
) -> Option<String> {
    in_force.iter().find_map(|before| {
        let path = &before.path;
        match now.iter().find(|found| found.path == *path) {
            Some(found) => (found.is_blank && !before.is_blank).then(|| emptied(path)),
            None if matches!(vanishing, Vanishing::Taken) => None,
            None if paths.contains(path) => Some(gone(path)),
            None => match vanishing {
                Vanishing::RefusedOf(members) if members(path) && !confirmed => Some(format!(
                    "{}; if it was taken away on purpose, ask for a reload (SIGHUP, `systemctl reload gapura`)",
                    gone(path)
                )),
                _ => None,
            },
        }
    })
}

/// Why the file or folder at `path`, which was there once, cannot be what is meant; [`None`] where it can.
pub(crate) fn loss(path: &Path) -> Option<String> {
    match fs::metadata(path) {
        Ok(file) => (file.is_file() && is_blank(path, file.len())).then(|| emptied(path)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Some(gone(path)),
        // Whoever reads it says why it cannot be read.
        Err(_) => None,
    }
}

fn gone(path: &Path) -> String {
    let remedy = match path.extension().and_then(|extension| extension.to_str()) {
        Some("redb") => "put it back from a backup, or import everybody anew with --replace",
        Some("toml" | "ftl") => "put it back; where it is to hold nothing, put one there with a comment in it",
        _ => "put it back",
    };
    format!("{} is not there any more; {remedy}", path.display())
}

fn emptied(path: &Path) -> String {
    format!("{} is empty; put its content back; where it is to hold nothing, write a comment into it", path.display())
}

fn is_blank(path: &Path, bytes: u64) -> bool {
    bytes == 0 || (bytes <= BLANK_BYTES_MAX && fs::read(path).is_ok_and(|content| content.trim_ascii().is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_happens_to_a_file_changes_its_fingerprint() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let look = |of: &Path| fingerprints(&[of.to_owned()]);
        let mut before = look(folder.path());
        let steps: [&dyn Fn(); 4] = [
            &|| fs::write(path("a"), "1").unwrap(),
            &|| fs::write(path("a"), "22").unwrap(),
            &|| fs::rename(path("a"), path("b")).unwrap(),
            &|| fs::remove_file(path("b")).unwrap(),
        ];
        for step in steps {
            step();
            let after = look(folder.path());
            assert!(after != before);
            before = after;
        }
        assert!(look(&path("nowhere")).is_empty());
    }

    #[test]
    fn what_is_gone_or_holds_nothing_any_more_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let paths = [folder.path().to_owned(), path("named.toml"), path("inside")];
        fs::create_dir(path("inside")).unwrap();
        let members = |path: &Path| path.extension().is_some_and(|extension| extension == "cedar");
        let (refused, members) = (Vanishing::Refused, Vanishing::RefusedOf(members));
        let write = |name: &str, text: &str| fs::write(path(name), text).unwrap();
        let all = || ["named.toml", "rule.cedar", "key.pem"].map(|name| write(name, "something"));
        all();
        let in_force = fingerprints(&paths);
        let lost = |vanishing, confirmed| lost(&paths, vanishing, &in_force, &fingerprints(&paths), confirmed);
        let has = |found: Option<String>, words: &str| {
            assert!(found.as_ref().is_some_and(|found| found.contains(words)), "{found:?}")
        };

        assert_eq!(lost(members, false), None);
        fs::remove_file(path("named.toml")).unwrap();
        for vanishing in [refused, members] {
            // Not even on request: an empty one says it better.
            has(lost(vanishing, true), "named.toml is not there any more; put it back; where it is to hold nothing");
        }
        assert_eq!(lost(Vanishing::Taken, false), None);
        for blank in ["", " \n\t\n"] {
            write("named.toml", blank);
            has(lost(Vanishing::Taken, true), "named.toml is empty");
        }
        write("named.toml", "#");
        assert_eq!(lost(refused, false), None);

        fs::remove_file(path("key.pem")).unwrap();
        assert_eq!(lost(members, false), None, "one file of a folder may go");
        fs::remove_file(path("rule.cedar")).unwrap();
        assert_eq!(lost(refused, false), None);
        has(lost(members, false), "rule.cedar is not there any more; put it back; if it was taken away on purpose");
        assert_eq!(lost(members, true), None);
        fs::remove_dir(path("inside")).unwrap();
        has(lost(members, true), "inside is not there any more; put it back");
    }
}
