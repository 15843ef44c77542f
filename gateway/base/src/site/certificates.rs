//! Certificates as files: handed out to readers, monitors and helpers, taken back, and the gateway's own renewed.

use std::fs;
use std::path::{Path, PathBuf};

use protocol::{DoorId, Instant};

use super::authority::{Authority, Signed, Validity};
use super::error::SiteError;
use super::files::{self, Access};
use super::issued::{self, Row};
use super::lock::Lock;
use super::request::requested_key;
use super::x509::{host_names, new_key};
use super::{CERTIFICATE_DAYS, Secret, SiteFolder};
use crate::identity::{Identity, Role};
use crate::tls::files::{certificates, parsed, private_key};
use crate::tls::{Content, TlsFile};

/// A certificate that was handed out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandedOut {
    /// Whose it is.
    pub role: Role,
    /// The certificate's file.
    pub certificate: PathBuf,
    /// The private key's file; `None` when the key stays on the device.
    pub key: Option<PathBuf>,
    /// When it expires.
    pub not_after: Instant,
}

/// A certificate to hand out.
pub(super) struct Order<'a> {
    pub(super) role: Role,
    /// A request made on the device; without one, a key is made here.
    pub(super) csr: Option<&'a Path>,
}

/// Makes a certificate for a monitor, `monitors/{name}.pem` and `.key`. An earlier one stays valid.
///
/// # Errors
/// When the site's authority cannot be used, `csr` is no valid request, or a file cannot be written.
pub fn add_monitor(
    folder: &SiteFolder,
    name: &DoorId,
    csr: Option<&Path>,
    now: Instant,
) -> Result<HandedOut, SiteError> {
    add(folder, Order { role: Role::Monitor(name.clone()), csr }, now)
}

/// Revokes every certificate that was issued for a monitor, and tells how many were not revoked before.
///
/// # Errors
/// When there is none, or the revocation list cannot be read or written.
pub fn revoke_monitor(folder: &SiteFolder, name: &DoorId, now: Instant) -> Result<usize, SiteError> {
    revoke(folder, &Role::Monitor(name.clone()), now)
}

/// Makes a certificate for the device of a helper, `helpers/{name}.pem` and `.key`. An earlier one stays valid.
///
/// # Errors
/// When the site's authority cannot be used, `csr` is no valid request, or a file cannot be written.
pub fn add_helper(
    folder: &SiteFolder,
    name: &DoorId,
    csr: Option<&Path>,
    now: Instant,
) -> Result<HandedOut, SiteError> {
    add(folder, Order { role: Role::Helper(name.clone()), csr }, now)
}

/// Revokes every certificate that was issued for the device of a helper, and tells how many were not revoked before.
///
/// # Errors
/// When there is none, or the revocation list cannot be read or written.
pub fn revoke_helper(folder: &SiteFolder, name: &DoorId, now: Instant) -> Result<usize, SiteError> {
    revoke(folder, &Role::Helper(name.clone()), now)
}

fn add(folder: &SiteFolder, order: Order<'_>, now: Instant) -> Result<HandedOut, SiteError> {
    let lock = Lock::wait(folder)?;
    let authority = Authority::open(folder, &folder.site()?)?;
    hand_out_one(&lock, folder, &authority, order, now)
}

fn revoke(folder: &SiteFolder, role: &Role, now: Instant) -> Result<usize, SiteError> {
    let lock = Lock::wait(folder)?;
    let authority = Authority::open(folder, &folder.site()?)?;
    take_back(&lock, folder, &authority, role, now)
}

/// Issues the gateway's certificate again, for the key that it has, under the names that it has and `host_names`.
/// The authority's revocation list is signed anew as well. The one before stays valid; a gateway that runs takes the new one when it reloads its certificates.
///
/// # Errors
/// When the site's authority or the gateway's key cannot be used, or a file cannot be written.
pub fn renew_gateway(folder: &SiteFolder, host_names: &[String], now: Instant) -> Result<HandedOut, SiteError> {
    let lock = Lock::wait(folder)?;
    let authority = Authority::open(folder, &folder.site()?)?;
    let path = folder.gateway_certificate();
    let key = rcgen::KeyPair::try_from(&private_key(&folder.gateway_key())?)
        .map_err(|source| SiteError::Sign { what: "a certificate for the gateway's key", source })?;
    let mut names = host_names_of(&path)?;
    names.extend_from_slice(host_names);
    let signed = authority.sign_gateway(&key, &names, Validity::days(now, CERTIFICATE_DAYS))?;
    let not_after = signed.row.not_after;
    authority.renew_list(&lock, now)?;
    issued::append(&lock, folder, &[signed.row])?;
    files::replace(&path, &signed.certificate_pem, Access::Plain)?;
    files::sync_folder(&folder.pki(""))?;
    Ok(HandedOut { role: Role::Gateway, certificate: path, key: Some(folder.gateway_key()), not_after })
}

/// Signs a certificate for each order, lists them all, then writes their files, which take the place of earlier ones.
pub(super) fn hand_out(
    lock: &Lock,
    folder: &SiteFolder,
    authority: &Authority,
    orders: &[Order<'_>],
    now: Instant,
) -> Result<Vec<HandedOut>, SiteError> {
    let mut made = Vec::with_capacity(orders.len());
    for order in orders {
        made.push(make(authority, order, now)?);
    }
    let rows: Vec<Row> = made.iter().map(|(signed, _)| signed.row.clone()).collect();
    issued::append(lock, folder, &rows)?;
    let mut handed_out = Vec::with_capacity(orders.len());
    for (order, (signed, secret)) in orders.iter().zip(made) {
        let (certificate, key) = paths(folder, &order.role);
        let key = match secret {
            Some(secret) => {
                files::replace(&key, secret.reveal(), Access::Secret)?;
                Some(key)
            }
            None => {
                // A key of an earlier certificate would be taken for this one's.
                files::remove(&key)?;
                None
            }
        };
        files::replace(&certificate, &signed.certificate_pem, Access::Plain)?;
        handed_out.push(HandedOut { role: order.role.clone(), certificate, key, not_after: signed.row.not_after });
    }
    Ok(handed_out)
}

/// As [`hand_out`], for one order.
pub(super) fn hand_out_one(
    lock: &Lock,
    folder: &SiteFolder,
    authority: &Authority,
    order: Order<'_>,
    now: Instant,
) -> Result<HandedOut, SiteError> {
    let (certificate, _) = paths(folder, &order.role);
    if let (Role::Monitor(_) | Role::Helper(_), Some(folder)) = (&order.role, certificate.parent())
        && !folder.exists()
    {
        files::create_folder(folder)?;
    }
    let mut handed_out = hand_out(lock, folder, authority, &[order], now)?;
    if let Some(parent) = certificate.parent() {
        files::sync_folder(parent)?;
    }
    handed_out.pop().ok_or(SiteError::Missing { path: certificate })
}

/// Revokes every certificate of `role`, and tells how many were not revoked before.
pub(super) fn take_back(
    lock: &Lock,
    folder: &SiteFolder,
    authority: &Authority,
    role: &Role,
    now: Instant,
) -> Result<usize, SiteError> {
    let name = role.to_string();
    let rows = issued::read(folder)?;
    let mut serials: Vec<Vec<u8>> = rows.iter().filter(|row| row.role == name).map(Row::serial).collect();
    // One that is not in the list, because the list was restored from a backup, may still lie here.
    serials.extend(serial_in_folder(folder, role));
    if serials.is_empty() {
        return Err(SiteError::NoCertificate { role: name });
    }
    authority.revoke_all(lock, &serials, now)
}

fn make(authority: &Authority, order: &Order<'_>, now: Instant) -> Result<(Signed, Option<Secret>), SiteError> {
    let validity = Validity::days(now, CERTIFICATE_DAYS);
    let Some(path) = order.csr else {
        let key = new_key()?;
        let signed = authority.sign(&key, &order.role, validity)?;
        return Ok((signed, Some(Secret(key.serialize_pem()))));
    };
    let key = requested_key(&files::read_bytes(path)?, &path.display().to_string())?;
    Ok((authority.sign(&key, &order.role, validity)?, None))
}

fn paths(folder: &SiteFolder, role: &Role) -> (PathBuf, PathBuf) {
    match role {
        Role::Door(door) => (folder.door_certificate(door), folder.door_key(door)),
        Role::Monitor(name) => (folder.monitor_certificate(name), folder.monitor_key(name)),
        Role::Helper(name) => (folder.helper_certificate(name), folder.helper_key(name)),
        Role::Gateway => (folder.gateway_certificate(), folder.gateway_key()),
    }
}

fn serial_in_folder(folder: &SiteFolder, role: &Role) -> Option<Vec<u8>> {
    let (path, _) = paths(folder, role);
    if !fs::exists(&path).unwrap_or(false) {
        return None;
    }
    let chain = certificates(&path, Content::Certificate).ok()?;
    let identity = Identity::of(&folder.site().ok()?, chain.first()?).ok()?;
    (identity.role == *role).then_some(identity.serial)
}

fn host_names_of(certificate: &Path) -> Result<Vec<String>, SiteError> {
    let file = TlsFile { content: Content::Certificate, path: certificate.to_owned() };
    let chain = certificates(certificate, file.content)?;
    match chain.first() {
        Some(first) => Ok(host_names(&parsed(&file, first)?)),
        None => Ok(Vec::new()),
    }
}
