//! Everything that the gateway reads from the site's folder, each piece checked when it is read.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use prometheus_client::registry::Registry;

use crate::config::Config;
use access::{self, Calendar, CredentialKey, Directory, Doors, Passes, Policy, Snapshot, Zones};
use base::clock::Clock;
use base::site::{self, SiteFolder};
use base::tls::{self, ServerFiles};
use base::tokens::Tokens;
use store::log;
use store::log::{Log, LogReader};
use store::vault::Vault;

/// The file of the directory, in the site's data folder.
const DIRECTORY: &str = "directory.redb";
/// The file of the audit trail, in the site's data folder.
const AUDIT: &str = "audit.redb";

/// The file of the vault of keys, in the site's data folder.
const VAULT: &str = "vault.redb";

/// Keys that are in use are remembered besides.
const VAULT_CACHE_BYTES: usize = 8 << 20;

/// What decisions are made from, read from the site's files.
///
/// # Errors
/// Names the file that cannot be used.
pub fn read_snapshot(config: &Config) -> Result<Snapshot> {
    let folder = config.folder();
    Ok(Snapshot {
        directory: Arc::new(Directory::read(&folder.data().join(DIRECTORY))?),
        policy: Arc::new(Policy::read(&folder.policy())?),
        shadow: read_candidate(&folder)?,
        doors: Arc::new(Doors::read(&folder.doors_toml())?),
        zones: Arc::new(Zones::read(&folder.zones_toml())?),
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
/// Names the file that cannot be used.
pub fn door_tls(folder: &SiteFolder) -> Result<(Arc<rustls::ServerConfig>, tls::Revoked)> {
    Ok(tls::door_server_config(&ServerFiles {
        certificate: &folder.gateway_certificate(),
        key: &folder.gateway_key(),
        client_ca: &folder.ca_certificate(),
        crl: &folder.crl(),
    })?)
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
    let path = config.folder().data().join("log.redb");
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
    let path = folder.admin_token();
    let text = std::fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))?;
    let admin = blake3::Hash::from_hex(text.trim())
        .with_context(|| format!("{} must hold the token's BLAKE3 hash, 64 hexadecimal digits", path.display()))?;
    Ok(site::list_tokens(folder)?.with_admin(admin)?)
}
