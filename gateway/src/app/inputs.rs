//! Everything that the gateway reads from the site's folder, each piece checked when it is read.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use prometheus_client::registry::Registry;

use crate::access::{self, Calendar, CredentialKey, Directory, Doors, Passes, Policy, Snapshot, Zones};
use crate::clock::Clock;
use crate::config::Config;
use crate::log::{Log, LogReader};
use crate::site::{self, SiteFolder};
use crate::tls::{self, ServerFiles};
use crate::tokens::Tokens;
use crate::{forward, log};

/// The file of the directory, in the site's data folder.
const DIRECTORY: &str = "directory.redb";

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
            config.time_zone().map_err(|reason| anyhow!(reason))?,
            &config.access,
            config.scans.late_after_ms,
            config.scans.clock_tolerance_ms,
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
pub fn upstream_client(upstream: &forward::Config) -> Result<reqwest::Client> {
    let tls = if upstream.url.starts_with("https:") {
        Some(tls::upstream_client_config(&upstream.ca, &upstream.certificate, &upstream.key)?)
    } else {
        None
    };
    Ok(forward::client(upstream, tls)?)
}

/// What of people does not leave the site.
pub fn upstream_privacy(config: &Config) -> forward::Privacy {
    let mut privacy = forward::Privacy::default();
    if config.privacy.pseudonymise_upstream {
        // Nothing leaves as long as nobody gives pseudonyms.
        privacy.pseudonym = Some(Arc::new(|_| Err("nobody gives pseudonyms".into())));
    }
    privacy
}

/// Opens the site's log.
///
/// # Errors
/// When it is damaged or in use.
pub fn open_log(config: &Config, registry: &mut Registry, clock: &Clock) -> Result<(Log, LogReader)> {
    let path = config.folder().data().join("log.redb");
    Ok(Log::open(&path, &config.log, log::Metrics::new(registry), clock.clone())?)
}

/// The path of a site's directory.
pub fn directory(folder: &SiteFolder) -> PathBuf {
    folder.data().join(DIRECTORY)
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
