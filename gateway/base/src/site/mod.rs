//! The site's folder: its configuration, its certificate authority, its doors and their certificates.
//!
//! ```text
//! gapura.toml           the configuration; relative paths start here
//! doors.toml            one table per door
//! zones.toml            one table per zone, where zones lie in each other, have limits or modes
//! calendar.toml         holidays and working hours
//! tokens.toml           one table per access token, without the token
//! policy/               who may pass
//! policy-candidate/     who may pass from some day on; tried on live scans, never binding
//! trust/passes/         keys that may sign staff and visitor passes
//! trust/health/         certificates that may sign health certificates
//! trust/revoked.toml    passes, subjects and keys that do not count any more
//! pki/ca.pem, ca.key    the site's certificate authority
//! pki/gateway.pem, .key the gateway's own certificate
//! pki/crl.pem           what the authority has revoked
//! pki/issued.csv        what it has issued: serial, role, not_after, issued_at
//! pki/lock              held while a command changes the folder
//! doors/{door}.pem, .key        for the reader of a door
//! monitors/{monitor}.pem, .key  for a monitor
//! helpers/{helper}.pem, .key    for the device of a helper
//! secrets/badge.key     key of the hashes that badge codes are kept as, 64 hex digits
//! secrets/admin.token   BLAKE3 hash of the administrator's token, 64 hex digits
//! data/                 the log and its ledgers
//! ```
//!
//! The folder and everything secret in it belong to one user alone. Files are replaced whole, never changed in place,
//! so the gateway may read them at any moment.

mod authority;
mod certificates;
mod doors;
mod error;
mod files;
mod init;
mod issued;
mod lock;
mod request;
mod revocation;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;
mod tokens;
mod x509;

use std::fmt;
use std::path::{Path, PathBuf};

use protocol::{DoorId, SiteId};
use serde::Deserialize;

pub use self::authority::{Authority, Issued, Validity, check_site_of_certificates};
pub use self::certificates::{HandedOut, add_helper, add_monitor, renew_gateway, revoke_helper, revoke_monitor};
pub use self::doors::{
    AfterRevocation, DoorCertificate, DoorListing, DoorRevocation, NewDoor, add_door, add_doors, list_doors,
    read_doors, reissue_door, revoke_door,
};
pub use self::error::SiteError;
pub use self::init::{InitOptions, Initialized, init};
pub use self::tokens::{NewToken, add_token, admin_token, list_tokens, renew_token, revoke_token};

/// Days that the site's authority is valid.
pub const AUTHORITY_DAYS: u32 = 3653;

/// Days that the gateway's and the doors' certificates are valid, the most that common TLS clients accept.
pub const CERTIFICATE_DAYS: u32 = 825;

/// A text that must not be seen: a private key or a token.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text itself, to be written to a private file or shown to its owner once.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Where a site keeps what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteFolder {
    root: PathBuf,
}

impl SiteFolder {
    /// The site in the folder `root`, whether or not it is there.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The site whose configuration is the file `gapura_toml`.
    pub fn of_configuration(gapura_toml: &Path) -> Self {
        match gapura_toml.parent() {
            Some(parent) if parent != Path::new("") => Self::new(parent),
            _ => Self::new("."),
        }
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The configuration.
    pub fn gapura_toml(&self) -> PathBuf {
        self.root.join("gapura.toml")
    }

    /// The list of doors.
    pub fn doors_toml(&self) -> PathBuf {
        self.root.join("doors.toml")
    }

    /// The list of access tokens; absent until one is made.
    pub fn tokens_toml(&self) -> PathBuf {
        self.root.join("tokens.toml")
    }

    /// The folder of the access policy.
    pub fn policy(&self) -> PathBuf {
        self.root.join("policy")
    }

    /// The zones.
    pub fn zones_toml(&self) -> PathBuf {
        self.root.join("zones.toml")
    }

    /// The holidays.
    pub fn calendar_toml(&self) -> PathBuf {
        self.root.join("calendar.toml")
    }

    /// The folder of the candidate for the next policy.
    pub fn policy_candidate(&self) -> PathBuf {
        self.root.join("policy-candidate")
    }

    /// The folder of the keys that may sign passes, and of what is revoked.
    pub fn trust(&self) -> PathBuf {
        self.root.join("trust")
    }

    /// The folder of the log and its ledgers.
    pub fn data(&self) -> PathBuf {
        self.root.join("data")
    }

    /// The authority's certificate.
    pub fn ca_certificate(&self) -> PathBuf {
        self.pki("ca.pem")
    }

    /// The authority's private key.
    pub fn ca_key(&self) -> PathBuf {
        self.pki("ca.key")
    }

    /// The gateway's certificate.
    pub fn gateway_certificate(&self) -> PathBuf {
        self.pki("gateway.pem")
    }

    /// The gateway's private key.
    pub fn gateway_key(&self) -> PathBuf {
        self.pki("gateway.key")
    }

    /// The authority's revocation list.
    pub fn crl(&self) -> PathBuf {
        self.pki("crl.pem")
    }

    /// The list of every certificate that the authority has issued.
    pub fn issued(&self) -> PathBuf {
        self.pki("issued.csv")
    }

    /// A door's certificate.
    pub fn door_certificate(&self, door: &DoorId) -> PathBuf {
        self.doors().join(format!("{door}.pem"))
    }

    /// A door's private key; absent where the key was made on the device.
    pub fn door_key(&self, door: &DoorId) -> PathBuf {
        self.doors().join(format!("{door}.key"))
    }

    /// A monitor's certificate.
    pub fn monitor_certificate(&self, name: &DoorId) -> PathBuf {
        self.monitors().join(format!("{name}.pem"))
    }

    /// A monitor's private key; absent where the key was made on the device.
    pub fn monitor_key(&self, name: &DoorId) -> PathBuf {
        self.monitors().join(format!("{name}.key"))
    }

    /// The certificate of a helper's device.
    pub fn helper_certificate(&self, name: &DoorId) -> PathBuf {
        self.helpers().join(format!("{name}.pem"))
    }

    /// The private key of a helper's device; absent where the key was made on the device.
    pub fn helper_key(&self, name: &DoorId) -> PathBuf {
        self.helpers().join(format!("{name}.key"))
    }

    /// The key of the hashes that badge codes are kept as.
    pub fn badge_key(&self) -> PathBuf {
        self.secrets().join("badge.key")
    }

    /// The hash of the administrator's token.
    pub fn admin_token(&self) -> PathBuf {
        self.secrets().join("admin.token")
    }

    /// The site's name, from the configuration.
    ///
    /// # Errors
    /// When the configuration cannot be read or has no valid `name` in its section `[site]`.
    pub fn site(&self) -> Result<SiteId, SiteError> {
        #[derive(Deserialize)]
        struct Configuration {
            site: Section,
        }
        #[derive(Deserialize)]
        struct Section {
            name: SiteId,
        }
        let path = self.gapura_toml();
        let text = files::read_text(&path)?;
        let configuration: Configuration =
            toml::from_str(&text).map_err(|source| SiteError::Configuration { path, source: Box::new(source) })?;
        Ok(configuration.site.name)
    }

    fn pki(&self, name: &str) -> PathBuf {
        self.root.join("pki").join(name)
    }

    fn doors(&self) -> PathBuf {
        self.root.join("doors")
    }

    fn monitors(&self) -> PathBuf {
        self.root.join("monitors")
    }

    fn helpers(&self) -> PathBuf {
        self.root.join("helpers")
    }

    fn secrets(&self) -> PathBuf {
        self.root.join("secrets")
    }

    fn lock(&self) -> PathBuf {
        self.pki("lock")
    }
}

/// Lower-case hex digits of `bytes`.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes that `digits` spell, two each.
fn from_hex(digits: &str) -> Option<Vec<u8>> {
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    digits
        .as_bytes()
        .chunks(2)
        .map(|pair| std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok()))
        .collect()
}

/// `N` bytes that nobody can guess.
fn random<const N: usize>() -> Result<[u8; N], SiteError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|source| SiteError::Random { source })?;
    Ok(bytes)
}
