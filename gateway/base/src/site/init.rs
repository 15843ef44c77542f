//! Makes a new site: a folder with everything that the gateway needs to start.

use std::fs;
use std::io;
use std::path::{Component, Path};

use jiff::tz::{Offset, TimeZone};
use protocol::{Instant, SiteId};

use super::authority::{Authority, DAY_MS, Validity, new_authority};
use super::error::SiteError;
use super::files::{self, Access, create, create_folder, failed, make_private, sync_folder};
use super::tokens::new_token;
use super::x509::alternative_names;
use super::{AUTHORITY_DAYS, CERTIFICATE_DAYS, Secret, SiteFolder, hex, issued, random};

/// What a new site is made from.
#[derive(Clone, Debug)]
pub struct InitOptions<'a> {
    /// The site's name.
    pub site: SiteId,
    /// Its time zone, an IANA name.
    pub time_zone: String,
    /// DNS names and addresses under which doors reach the gateway, besides the local ones.
    pub host_names: Vec<String>,
    /// The files of the policy folder: name and content.
    pub policy_files: &'a [(&'a str, &'a str)],
}

/// A site that was made.
#[derive(Clone, Debug)]
pub struct Initialized {
    /// Where it is.
    pub folder: SiteFolder,
    /// The administrator's token: 32 random bytes in base64url. Only the BLAKE3 hash of this text is kept, so it can be
    /// shown once and never again.
    pub admin_token: Secret,
}

/// Marks a folder in which a site is being made. No command runs a site without its configuration, and nothing of an unfinished
/// one is worth keeping.
const UNFINISHED: &str = ".unfinished-init";

/// What is made in the folder.
const MADE: [&str; 10] =
    ["gapura.toml", "doors.toml", "zones.toml", "calendar.toml", "policy", "pki", "doors", "secrets", "data", "trust"];

/// Days before a site is made on which its readers may have made scans already, which they send when they are connected.
const READERS_BEFORE_DAYS: i64 = 31;

/// The configuration of a new site, with `{site}`, `{time_zone}` and `{since}` to be filled in.
const GAPURA_TOML: &str = include_str!("../../../../deploy/gapura.toml");

const ZONES_TOML: &str = include_str!("../../../../deploy/zones.toml");

const CALENDAR_TOML: &str = include_str!("../../../../deploy/calendar.toml");

const DOORS_TOML: &str = "\
# The doors of this site, one table each.
#
# [main-in]             the door's name, also in its topics and its certificate: 1 to 32 of a-z, 0-9 and -
# zone = \"main\"         where it leads
# mode = \"observe\"      off: everybody passes, nobody is judged; observe: everybody passes, decisions are only kept;
#                       warn: everybody passes, the display warns; enforce: the decision binds; absent: as zones.toml says
#                       of its zone. With days: mode = [{ mode = \"observe\" }, { mode = \"warn\", from = \"2026-12-01\" }]
#
# `gapura door add` adds a table here and makes the certificate of the door's reader.
";

/// Makes a site in `dir`, which must be empty or absent; its parent must exist. Nothing is ever overwritten, but for what an
/// earlier call left unfinished.
///
/// # Errors
/// When `dir` is not empty, an option is not valid, or a file cannot be made. What was made until then is taken away by the next
/// call.
pub fn init(dir: &Path, options: &InitOptions<'_>, now: Instant) -> Result<Initialized, SiteError> {
    check(options)?;
    clear_unfinished(dir)?;
    make_root(dir)?;
    create(&dir.join(UNFINISHED), "`gapura init` was interrupted: call it again\n", Access::Plain)?;
    sync_folder(dir)?;
    let made = fill(dir, options, now)?;
    files::remove(&dir.join(UNFINISHED))?;
    sync_folder(dir)?;
    Ok(made)
}

/// Takes away what an earlier call has made, if it did not get to its end.
fn clear_unfinished(dir: &Path) -> Result<(), SiteError> {
    let marker = dir.join(UNFINISHED);
    if !marker.is_file() {
        return Ok(());
    }
    let entries =
        fs::read_dir(dir).and_then(Iterator::collect::<io::Result<Vec<_>>>).map_err(failed("look into", dir))?;
    let made: Vec<_> = entries.iter().map(fs::DirEntry::path).filter(|path| *path != marker).collect();
    let is_made = |path: &Path| path.file_name().is_some_and(|name| MADE.iter().any(|made| name == *made));
    // Once something is kept there, somebody uses it.
    let is_used = fs::read_dir(dir.join("data")).is_ok_and(|mut data| data.next().is_some());
    if is_used || !made.iter().all(|path| is_made(path)) {
        return Err(SiteError::NotEmpty { path: dir.to_owned() });
    }
    for path in made {
        let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.map_err(failed("remove", &path))?;
    }
    // Last, so that a call that is interrupted here is known as well.
    files::remove(&marker)
}

fn fill(dir: &Path, options: &InitOptions<'_>, now: Instant) -> Result<Initialized, SiteError> {
    let folder = SiteFolder::new(dir);
    let (trust, policy) = (folder.trust(), folder.policy());
    let folders = [&policy, &folder.pki(""), &folder.doors(), &folder.secrets(), &folder.data(), &trust];
    folders
        .into_iter()
        .chain([&trust.join("passes"), &trust.join("health")])
        .try_for_each(|path| create_folder(path))?;

    let since = Instant::from_unix_ms(now.unix_ms().saturating_sub(READERS_BEFORE_DAYS * DAY_MS));
    let since = Offset::UTC.to_datetime(since.timestamp()).date().to_string();
    let filled_in = [("{site}", options.site.as_str()), ("{time_zone}", &options.time_zone), ("{since}", &since)];
    let configuration = filled_in.iter().fold(GAPURA_TOML.to_owned(), |text, (name, value)| text.replace(name, value));
    create(&folder.doors_toml(), DOORS_TOML, Access::Plain)?;
    create(&folder.zones_toml(), ZONES_TOML, Access::Plain)?;
    create(&folder.calendar_toml(), CALENDAR_TOML, Access::Plain)?;
    for (name, content) in options.policy_files {
        let path = policy.join(name);
        if let Some(inside) = path.parent().filter(|inside| !inside.is_dir()) {
            create_folder(inside)?;
        }
        create(&path, content, Access::Plain)?;
    }

    let (certificate, key, list) = new_authority(&options.site, Validity::days(now, AUTHORITY_DAYS))?;
    create(&folder.ca_certificate(), certificate, Access::Plain)?;
    create(&folder.ca_key(), key.reveal(), Access::Secret)?;
    create(&folder.crl(), list, Access::Plain)?;
    create(&folder.issued(), issued::HEADER, Access::Plain)?;
    let authority = Authority::open(&folder, &options.site)?;
    let gateway = authority.issue_gateway(&options.host_names, Validity::days(now, CERTIFICATE_DAYS))?;
    create(&folder.gateway_certificate(), gateway.certificate_pem, Access::Plain)?;
    create(&folder.gateway_key(), gateway.key_pem.reveal(), Access::Secret)?;

    create(&folder.badge_key(), hex(&random::<32>()?) + "\n", Access::Secret)?;
    let (admin_token, hash) = new_token()?;
    create(&folder.admin_token(), format!("{}\n", hash.to_hex()), Access::Secret)?;

    // Last: without it no command takes the folder for a site.
    create(&folder.gapura_toml(), configuration, Access::Plain)?;
    for path in [policy, trust, folder.pki(""), folder.secrets(), dir.to_owned()] {
        sync_folder(&path)?;
    }
    Ok(Initialized { folder, admin_token })
}

fn check(options: &InitOptions<'_>) -> Result<(), SiteError> {
    TimeZone::get(&options.time_zone)
        .map_err(|source| SiteError::TimeZone { name: options.time_zone.clone(), source })?;
    alternative_names(None, &options.host_names)?;
    for (name, _) in options.policy_files {
        let written: Vec<_> = Path::new(name).components().collect();
        let plain = written.iter().all(|component| matches!(component, Component::Normal(_)));
        if !plain || !(1..=2).contains(&written.len()) || name.ends_with('/') {
            return Err(SiteError::PolicyName { name: (*name).to_owned() });
        }
    }
    Ok(())
}

fn make_root(dir: &Path) -> Result<(), SiteError> {
    match fs::read_dir(dir).map(|mut entries| entries.next().is_none()) {
        Ok(true) => make_private(dir),
        Ok(false) => Err(SiteError::NotEmpty { path: dir.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => create_folder(dir),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            Err(SiteError::NotAFolder { path: dir.to_owned() })
        }
        Err(error) => Err(failed("look into", dir)(error)),
    }
}
