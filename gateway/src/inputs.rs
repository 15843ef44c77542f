//! Everything that the gateway reads from the site's folder, each piece checked when it is read.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use prometheus_client::registry::Registry;

use crate::config::Config;
use crate::known_files::KnownFiles;
use access::{self, Calendar, CredentialKey, Directory, Doors, Passes, Policy, Snapshot};
use base::clock::Clock;
use base::door_list::read_places;
use base::nearest::did_you_mean;
use base::owner::strays;
use base::site::{self, SiteFolder};
use base::tls::{self, ServerFiles};
use base::tokens::Tokens;
use store::log;
use store::log::{Log, LogReader};
use store::vault::{self, Vault};

/// The file of the directory, in the site's data folder.
const DIRECTORY: &str = "directory.redb";
/// The file of the audit trail, in the site's data folder.
const AUDIT: &str = "audit.redb";

/// The file of the vault of keys, in the site's data folder.
const VAULT: &str = "vault.redb";
/// The file of the log, in the site's data folder.
const LOG: &str = "log.redb";

/// Keys that are in use are remembered besides.
const VAULT_CACHE_BYTES: usize = 8 << 20;

/// What decisions are made from, read from the site's files.
///
/// # Errors
/// Names the file that cannot be used, or was there once and is lost.
pub fn read_snapshot(config: &Config) -> Result<Snapshot> {
    let folder = config.folder();
    known_files(&folder).check()?;
    let (doors, zones) = read_places(&folder.doors_toml(), &folder.zones_toml())?;
    Ok(Snapshot {
        directory: Arc::new(Directory::read(&folder.data().join(DIRECTORY))?),
        policy: Arc::new(Policy::read(&folder.policy())?),
        shadow: read_candidate(&folder)?,
        doors: Arc::new(doors),
        zones: Arc::new(zones),
        calendar: Arc::new(Calendar::read(&folder.calendar_toml())?),
        passes: Arc::new(Passes::read(&folder.trust(), config.health.clone())?),
        key: Arc::new(CredentialKey::read(&folder.badge_key())?),
        rules: access::Rules::new(
            config.time_zone()?,
            &config.access,
            config.scans.late_after_ms,
            config.scans.clock_tolerance_ms,
            config.since()?,
        ),
    })
}

/// The files and folders of a site that may be missing: without them it has no zones, no holidays, no tokens, and so on. Those
/// that were there once may not.
pub(crate) fn known_files(folder: &SiteFolder) -> KnownFiles {
    let (texts, trust) = (folder.policy().join("texts"), folder.trust());
    let optional = vec![
        folder.doors_toml(),
        folder.zones_toml(),
        folder.calendar_toml(),
        folder.tokens_toml(),
        texts.join("id.ftl"),
        texts.join("en.ftl"),
        trust.join("passes"),
        trust.join("health"),
        trust.join("revoked.toml"),
        directory(folder),
    ];
    KnownFiles::new(folder, optional)
}

/// The candidate for the next policy set, where its folder is there.
///
/// # Errors
/// Names the file that cannot be used.
pub fn read_candidate(folder: &SiteFolder) -> Result<Option<Arc<Policy>>> {
    let candidate = folder.policy_candidate();
    Ok(if candidate.is_dir() { Some(Arc::new(Policy::read(&candidate)?)) } else { None })
}

/// TLS for the doors' port, from the site's own files.
///
/// # Errors
/// Names the file that cannot be used, or is another site's.
pub fn door_tls(config: &Config) -> Result<(Arc<rustls::ServerConfig>, tls::Revoked)> {
    let folder = config.folder();
    let made = tls::door_server_config(&ServerFiles {
        certificate: &folder.gateway_certificate(),
        key: &folder.gateway_key(),
        client_ca: &folder.ca_certificate(),
        crl: &folder.crl(),
    })?;
    site::check_site_of_certificates(&folder, &config.site.name)?;
    Ok(made)
}

/// TLS for HTTP: with the site's own certificate wherever it is reachable from other machines.
///
/// # Errors
/// Names the file that cannot be used.
pub fn http_tls(config: &Config) -> Result<Option<Arc<rustls::ServerConfig>>> {
    let folder = config.folder();
    let (certificate, key) = match (&config.http.certificate, &config.http.key) {
        (Some(certificate), Some(key)) => (certificate.clone(), key.clone()),
        _ if config.http.listen.ip().is_loopback() => return Ok(None),
        _ => (folder.gateway_certificate(), folder.gateway_key()),
    };
    Ok(Some(tls::http_server_config(&certificate, &key)?))
}

/// The client that posts batches upstream.
///
/// # Errors
/// Names the file or the setting that cannot be used.
pub fn upstream_client(upstream: &upstream::Config) -> Result<reqwest::Client> {
    let tls = if upstream.url.starts_with("https:") {
        Some(tls::upstream_client_config(&upstream.ca, &upstream.certificate, &upstream.key)?)
    } else {
        None
    };
    Ok(upstream::client(upstream, tls)?)
}

/// Opens the site's vault of keys. One that is not there is made: doors must work, also without the keys of old events.
///
/// # Errors
/// When it is damaged or in use.
pub fn open_vault(config: &Config) -> Result<Vault> {
    Ok(Vault::open(&config.folder().data().join(VAULT), VAULT_CACHE_BYTES)?)
}

/// Opens the site's log, and says when keys of its events were lost.
///
/// # Errors
/// When it is damaged or in use.
pub fn open_log(config: &Config, registry: &mut Registry, clock: &Clock, vault: &Vault) -> Result<(Log, LogReader)> {
    let (log, reader) = open_log_with(config, registry, clock, vault.clone())?;
    match reader.look_for_lost_keys() {
        Ok(None) => {}
        Ok(Some(through)) => tracing::error!(
            through,
            "vault.redb was missing: events up to this number do not tell who they are about; put the file back from a backup"
        ),
        Err(error) => tracing::error!(%error, "whether keys of old events were lost is not known"),
    }
    Ok((log, reader))
}

/// Opens the site's log for a command that only reads it. Where there is no vault none is made, and events do not tell who they are about.
///
/// # Errors
/// When one of them is damaged or in use.
pub fn open_log_read_only(config: &Config, keys: Keys) -> Result<(Log, LogReader)> {
    let path = config.folder().data().join(VAULT);
    let vault = match keys {
        Keys::Wanted if path.exists() => open_vault(config)?,
        Keys::Wanted => {
            tracing::warn!(path = %path.display(), "there is no vault of keys: events do not tell who they are about");
            Vault::in_memory()?
        }
        Keys::NotNeeded => Vault::in_memory()?,
    };
    open_log_with(config, &mut Registry::default(), &Clock::system(), vault)
}

/// Whether a command needs to know who the log's events are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// The vault is opened, where there is one.
    Wanted,
    /// The vault is left alone.
    NotNeeded,
}

fn open_log_with(config: &Config, registry: &mut Registry, clock: &Clock, vault: Vault) -> Result<(Log, LogReader)> {
    let path = config.folder().data().join(LOG);
    Ok(Log::open(&path, &config.log, log::Metrics::new(registry), clock.clone(), vault)?)
}

/// The path of a site's directory.
pub fn directory(folder: &SiteFolder) -> PathBuf {
    folder.data().join(DIRECTORY)
}

/// The file of the audit trail.
pub fn audit(folder: &SiteFolder) -> PathBuf {
    folder.data().join(AUDIT)
}

/// The site's access tokens, the administrator's among them.
///
/// # Errors
/// Names the file that cannot be used.
pub fn tokens(folder: &SiteFolder) -> Result<Tokens> {
    let tokens = site::list_tokens(folder)?;
    Ok(match site::admin_token(folder)? {
        Some(admin) => tokens.with_admin(admin)?,
        None => tokens,
    })
}

/// Checks that every door at which a token may act is one of the site's.
///
/// # Errors
/// Names the token, and the door that was probably meant.
pub fn check_doors_of_tokens(folder: &SiteFolder, tokens: &Tokens, doors: &Doors) -> Result<()> {
    let named = tokens.iter().flat_map(|token| token.doors.iter().flatten().map(move |door| (&token.name, door)));
    let Some((name, door)) = named.into_iter().find(|(_, door)| doors.get(door).is_none()) else { return Ok(()) };
    let meant = did_you_mean(door.as_str(), doors.iter().map(|(name, _)| name.as_str()));
    let list = folder.tokens_toml();
    bail!("{}: the token {name} names the door {door}, which doors.toml does not list{meant}", list.display())
}

/// Checks that log, vault and audit trail would open, without changing them. Those that are not there are made by a start.
///
/// # Errors
/// Names the file that would not.
pub fn probe_data(folder: &SiteFolder) -> Result<()> {
    let data = folder.data();
    log::probe(&data.join(LOG))?;
    vault::probe(&data.join(VAULT))?;
    store::audit::probe(&data.join(AUDIT))?;
    let folder = data.read_dir().with_context(|| format!("{} cannot be listed", data.display()))?;
    // Whoever may do everything, as root, does not notice what the gateway may not do.
    match folder.flatten().find_map(|entry| strays(&entry.path())) {
        Some(stray) => bail!("{stray}"),
        None => Ok(()),
    }
}

/// The keys and secrets that others than their owner may read, each with what to do.
pub fn exposed_keys(config: &Config) -> Vec<String> {
    let folder = config.folder();
    let own = [folder.ca_key(), folder.gateway_key(), folder.badge_key(), folder.admin_token()];
    let upstream = config.upstream.iter().map(|upstream| upstream.key.clone());
    // Others' keys may be shared with a group on purpose.
    let shared = config.http.key.iter().cloned().chain(upstream).map(|path| (path, 0o037));
    let keys = own.into_iter().map(|path| (path, 0o077)).chain(shared);
    let exposed = keys.filter_map(|(path, forbidden)| {
        let mode = std::fs::metadata(&path).ok()?.permissions().mode() & 0o777;
        (mode & forbidden != 0).then(|| {
            let path = path.display();
            format!("{path} has mode {mode:04o}, so others may use it; make it its owner's alone: chmod 600 {path}")
        })
    });
    exposed.collect()
}
