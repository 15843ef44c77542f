//! Tokens as a file: made and shown once, listed, and taken out again.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use protocol::{DoorId, Instant};

use super::doors::must_be_listed;
use super::error::SiteError;
use super::files::{self, Access};
use super::lock::Lock;
use super::{Secret, SiteFolder, random};
use crate::tokens::{ADMIN, Token, TokenRole, Tokens};

const HEADER: &str = "\
# The access tokens of this site, one table each: their BLAKE3 hashes, not the tokens.
# Made by `gapura token add` and taken out by `gapura token revoke`; the gateway reads this file again when it changes.
";

/// Stands in the file of the administrator's token where that was revoked.
const REVOKED: &str = "revoked";

/// A token to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewToken {
    /// Its name.
    pub name: DoorId,
    /// What its bearer may do.
    pub role: TokenRole,
    /// When it ends; never, where absent.
    pub until: Option<Instant>,
    /// The doors that a helper may act at; all, where empty.
    pub doors: Vec<DoorId>,
}

/// A token that nobody can guess, 32 random bytes in base64url, and its hash.
pub(super) fn new_token() -> Result<(Secret, blake3::Hash), SiteError> {
    let token = URL_SAFE_NO_PAD.encode(random::<32>()?);
    let hash = blake3::hash(token.as_bytes());
    Ok((Secret(token), hash))
}

/// Makes a token and adds it to the file, of which only its hash is kept: the token is shown once and never again.
///
/// # Errors
/// When the name is taken, a door is not in the list, or the file cannot be read or written.
pub fn add_token(folder: &SiteFolder, new: NewToken, now: Instant) -> Result<Secret, SiteError> {
    let _lock = Lock::wait(folder)?;
    let path = folder.tokens_toml();
    let mut list = read(&path)?.unwrap_or_else(|| HEADER.to_owned());
    if new.name.as_str() == ADMIN || parse(&path, &list)?.has(&new.name) {
        return Err(SiteError::TokenExists { name: new.name });
    }
    for door in &new.doors {
        must_be_listed(folder, door)?;
    }
    if new.until.is_some_and(|until| until <= now) {
        return Err(SiteError::TokenEnded { name: new.name });
    }
    let (secret, hash) = new_token()?;
    let doors = (!new.doors.is_empty()).then_some(new.doors);
    let token = Token { name: new.name, role: new.role, hash, until: new.until, doors };
    if !list.ends_with('\n') {
        list.push('\n');
    }
    list.push_str(&format!("\n{}", token.to_toml()));
    parse(&path, &list)?;
    write(folder, &path, &list)?;
    Ok(secret)
}

/// Makes a token anew under the same name, with the same role, end and doors; the one before is refused within a second. That of
/// the administrator is made anew also where it was revoked.
///
/// # Errors
/// When there is none of that name, or the file cannot be read or written.
pub fn renew_token(folder: &SiteFolder, name: &DoorId) -> Result<Secret, SiteError> {
    let _lock = Lock::wait(folder)?;
    let (secret, hash) = new_token()?;
    if name.as_str() == ADMIN {
        write_admin(folder, hash.to_hex().as_str())?;
        return Ok(secret);
    }
    let path = folder.tokens_toml();
    let (list, before) = without(&path, name)?;
    let token = Token { hash, ..before };
    let list = format!("{}\n\n{}", list.trim_end(), token.to_toml());
    parse(&path, &list)?;
    write(folder, &path, &list)?;
    Ok(secret)
}

/// The hash of the administrator's token; [`None`] where it was revoked.
///
/// # Errors
/// When the file cannot be read, or holds neither.
pub fn admin_token(folder: &SiteFolder) -> Result<Option<blake3::Hash>, SiteError> {
    let path = folder.admin_token();
    let text = files::read_text(&path)?;
    match text.trim() {
        REVOKED => Ok(None),
        digits => blake3::Hash::from_hex(digits).map(Some).map_err(|_| SiteError::AdminToken { path }),
    }
}

fn write_admin(folder: &SiteFolder, content: &str) -> Result<(), SiteError> {
    let path = folder.admin_token();
    files::replace(&path, format!("{content}\n"), Access::Secret)?;
    files::sync_folder(&folder.secrets())
}

/// The list without the table of a token, and that token.
fn without(path: &Path, name: &DoorId) -> Result<(String, Token), SiteError> {
    let list = read(path)?.unwrap_or_default();
    let before = parse(path, &list)?;
    let Some(token) = before.iter().find(|token| token.name == *name).cloned() else {
        return Err(SiteError::UnknownToken { name: name.clone(), path: path.to_owned() });
    };
    let list = without_table(&list, name);
    let after = parse(path, &list)?;
    let expected = before.iter().filter(|token| token.name != *name);
    // A file that was laid out by hand in another way than one table after the other.
    if !after.iter().eq(expected) {
        return Err(SiteError::TokenLayout { name: name.clone(), path: path.to_owned() });
    }
    Ok((list, token))
}

/// The tokens in the file, by name; the administrator's, which has a file of its own, is not among them.
///
/// # Errors
/// When the file cannot be read; names the line where it can.
pub fn list_tokens(folder: &SiteFolder) -> Result<Tokens, SiteError> {
    let path = folder.tokens_toml();
    parse(&path, &read(&path)?.unwrap_or_default())
}

/// Takes a token out of the file, which keeps its comments; the administrator's can be made anew. A gateway that runs refuses it
/// within a second.
///
/// # Errors
/// When there is none of that name, or the file cannot be read or written.
pub fn revoke_token(folder: &SiteFolder, name: &DoorId) -> Result<(), SiteError> {
    let _lock = Lock::wait(folder)?;
    if name.as_str() == ADMIN {
        return write_admin(folder, REVOKED);
    }
    let path = folder.tokens_toml();
    let (list, _) = without(&path, name)?;
    write(folder, &path, &list)
}

/// `list` without the lines from a table's header to the last of its settings.
fn without_table(list: &str, name: &DoorId) -> String {
    let header = format!("[{name}]");
    let is_header = |line: &str| line.trim_start().starts_with('[');
    let (mut kept, mut aside, mut inside) = (Vec::new(), Vec::new(), false);
    for line in list.lines() {
        if is_header(line) {
            inside = line.trim() == header;
        } else if inside && line.trim_start().starts_with('#') {
            // A comment at the table's end belongs to the next one.
            aside.push(line);
            continue;
        }
        if inside {
            aside.clear();
        } else {
            kept.append(&mut aside);
            kept.push(line);
        }
    }
    kept.append(&mut aside);
    kept.into_iter().map(|line| format!("{line}\n")).collect()
}

fn parse(path: &Path, list: &str) -> Result<Tokens, SiteError> {
    Tokens::parse(list).map_err(|source| SiteError::TokenList { path: path.to_owned(), source: Box::new(source) })
}

/// The file's text; `None` where no token was ever made.
fn read(path: &Path) -> Result<Option<String>, SiteError> {
    match files::read_text(path) {
        Err(SiteError::Missing { .. }) => Ok(None),
        read => read.map(Some),
    }
}

fn write(folder: &SiteFolder, path: &Path, list: &str) -> Result<(), SiteError> {
    files::replace(path, list, Access::Secret)?;
    files::sync_folder(folder.root())
}
