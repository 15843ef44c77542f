//! Whose a file is: a new one belongs to whom its folder belongs to, whoever makes it, and one that is denied names its owner.

use std::fmt;
use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::Path;

use rustix::process::geteuid;

/// Where accounts have their names.
const ACCOUNTS: &str = "/etc/passwd";

/// Reading and writing for the group, in a folder's mode and in a file's.
const OF_GROUP: u32 = 0o060;

/// Gives the new file at `path` to the owner and the group of its folder, which only root can.
///
/// # Errors
/// What the system says, but not that it does not let this user give files away.
pub fn take_after_folder(file: &File, path: &Path) -> io::Result<()> {
    let (folder, made) = (fs::metadata(folder_of(path))?, file.metadata()?);
    if (made.uid(), made.gid()) == (folder.uid(), folder.gid()) {
        return Ok(());
    }
    match fchown(file, Some(folder.uid()), Some(folder.gid())) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(()),
        given => given,
    }
}

/// Lets the group use the new file at `path` where it may use the folder.
///
/// # Errors
/// What the system says.
pub fn share_like_folder(file: &File, path: &Path) -> io::Result<()> {
    let (folder, mode) = (fs::metadata(folder_of(path))?.mode(), file.metadata()?.mode());
    if folder & OF_GROUP == OF_GROUP { file.set_permissions(Permissions::from_mode(mode | OF_GROUP)) } else { Ok(()) }
}

/// The folder that holds `path`.
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// What the system said of the file at `path`, with whose it is and what to do where permission was denied.
pub fn why(path: &Path, error: &io::Error) -> String {
    format!("{error}{}", whose(path, error))
}

/// Whose the file at `path` is and what to do, to follow on what the system said; empty unless permission was denied.
pub fn whose(path: &Path, error: &io::Error) -> impl fmt::Display {
    if error.kind() == ErrorKind::PermissionDenied { denied(path).unwrap_or_default() } else { String::new() }
}

/// Why this user may not use `path`: itself, or the innermost folder around it that can be looked at.
fn denied(path: &Path) -> Option<String> {
    let (path, file) = path.ancestors().find_map(|path| Some((path, fs::metadata(path).ok()?)))?;
    let folder = path.parent().and_then(|folder| fs::metadata(folder).ok());
    let (owner, me) = (name_of(file.uid()), name_of(geteuid().as_raw()));
    let facts =
        format!("; {} belongs to {owner} (mode {:04o}), and this runs as {me}", path.display(), file.mode() & 0o7777);
    let remedy = match folder {
        Some(folder) if folder.uid() != file.uid() && file.is_file() => {
            format!("give it to the owner of its folder: chown {}: {}", name_of(folder.uid()), path.display())
        }
        _ if owner == me => format!("let its owner use it: chmod u+rwX {}", path.display()),
        _ => format!("run this as {owner}: sudo -u {owner} …"),
    };
    Some(format!("{facts}; {remedy}"))
}

/// The name of an account, or its number.
fn name_of(uid: u32) -> String {
    let accounts = fs::read_to_string(ACCOUNTS).unwrap_or_default();
    let name = accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, _, number) = (fields.next()?, fields.next()?, fields.next()?);
        (number.parse() == Ok(uid)).then(|| name.to_owned())
    });
    name.unwrap_or_else(|| uid.to_string())
}

/// Whether a file belongs to another than its folder; then what to do.
pub fn strays(path: &Path) -> Option<String> {
    let (file, folder) = (fs::metadata(path).ok()?, fs::metadata(path.parent()?).ok()?);
    (file.uid() != folder.uid()).then(|| {
        let (path, owner, keeper) = (path.display(), name_of(file.uid()), name_of(folder.uid()));
        format!("{path} belongs to {owner} and its folder to {keeper}, who may not use it; chown {keeper}: {path}")
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::chown;

    use super::*;

    /// An account that owns nothing here.
    const OTHER: u32 = 54_321;

    #[test]
    fn a_new_file_belongs_to_whom_its_folder_belongs_to() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let root = geteuid().is_root();
        if root {
            chown(folder.path(), Some(OTHER), Some(OTHER)).unwrap();
        }
        let file = File::create(&path).unwrap();
        file.set_permissions(Permissions::from_mode(0o600)).unwrap();
        take_after_folder(&file, &path).unwrap();
        share_like_folder(&file, &path).unwrap();
        let (made, of) = (file.metadata().unwrap(), fs::metadata(folder.path()).unwrap());
        assert_eq!((made.uid(), made.gid(), made.mode() & 0o777), (of.uid(), of.gid(), 0o600));
        assert_eq!(strays(&path), None);
        // Where the group works together in the folder, its members all use the file.
        fs::set_permissions(folder.path(), Permissions::from_mode(0o2770)).unwrap();
        share_like_folder(&file, &path).unwrap();
        assert_eq!(file.metadata().unwrap().mode() & 0o777, 0o660);
        if root {
            chown(&path, Some(0), Some(0)).unwrap();
            let said = strays(&path).unwrap();
            let expected = format!("belongs to root and its folder to {OTHER}, who may not use it; chown {OTHER}: ");
            assert!(said.contains(&expected), "{said}");
        }
    }

    #[test]
    fn what_is_denied_names_its_owner_and_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "x").unwrap();
        let said = why(&path, &io::Error::from(ErrorKind::PermissionDenied));
        let me = name_of(geteuid().as_raw());
        assert!(said.contains(&format!("file belongs to {me} (mode 0")) && said.contains("chmod u+rwX"), "{said}");
        if geteuid().is_root() {
            assert_eq!(me, "root");
            chown(folder.path(), Some(OTHER), None).unwrap();
            let said = why(&path, &io::Error::from(ErrorKind::PermissionDenied));
            assert!(said.contains(&format!("give it to the owner of its folder: chown {OTHER}: ")), "{said}");
            chown(&path, Some(OTHER), None).unwrap();
            let said = why(&path, &io::Error::from(ErrorKind::PermissionDenied));
            assert!(said.contains(&format!("belongs to {OTHER}")) && said.contains("run this as"), "{said}");
        }
        // A folder that cannot be looked into hides what is in it: it is named itself.
        let inside = folder.path().join("nowhere/file");
        let said = why(&inside, &io::Error::from(ErrorKind::PermissionDenied));
        assert!(said.contains(&format!("{} belongs", folder.path().display())), "{said}");
        assert_eq!(why(&path, &io::Error::from(ErrorKind::NotFound)), "entity not found");
    }
}
