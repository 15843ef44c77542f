//! The doors of a site: the list that the gateway reads, and the certificates of their readers.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use protocol::{DoorId, Instant, Mode};

use super::authority::Authority;
use super::certificates::{HandedOut, Order, hand_out, hand_out_one, take_back};
use super::error::SiteError;
use super::files::{self, Access};
use super::lock::Lock;
use super::{SiteFolder, hex, issued};
use crate::door_list::{Door, Doors, ModePlan, Zones};
use crate::identity::{Role, normalized_serial};
use crate::nearest::did_you_mean;
use crate::tls::Revoked;

/// A door to add.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewDoor {
    /// Its name.
    pub door: DoorId,
    /// The zone that it leads into.
    pub zone: String,
    /// Whether its decisions bind.
    pub mode: Mode,
    /// A certificate signing request made on its reader; without one, a key is made here.
    pub csr: Option<PathBuf>,
}

/// One door, as people see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DoorListing {
    /// Its name.
    pub door: DoorId,
    /// The zone that it leads into.
    pub zone: String,
    /// How far its decisions bind, where it says so itself.
    pub mode: Option<ModePlan>,
    /// The certificate that was issued last; `None` where none was.
    pub certificate: Option<DoorCertificate>,
}

/// A door's newest certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DoorCertificate {
    /// Its serial number in hex digits.
    pub serial: String,
    /// When it expires.
    pub not_after: Instant,
    /// Whether it is revoked.
    pub revoked: bool,
}

/// What follows a revocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterRevocation<'a> {
    /// The door stays without a certificate.
    Nothing,
    /// It gets a new one, for the key of this request or for a key made here.
    Reissue(Option<&'a Path>),
}

/// What a revocation did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DoorRevocation {
    /// How many certificates are revoked that were not before.
    pub newly_revoked: usize,
    /// The new certificate, if one was asked for.
    pub reissued: Option<HandedOut>,
}

/// The doors in the list at `path`.
///
/// # Errors
/// When the list cannot be read; names the line where it can.
pub fn read_doors(path: &Path) -> Result<Doors, SiteError> {
    parse(path, &files::read_text(path)?)
}

/// Adds one door to the list, and makes a certificate for its reader.
///
/// # Errors
/// As [`add_doors`].
pub fn add_door(folder: &SiteFolder, door: NewDoor, now: Instant) -> Result<HandedOut, SiteError> {
    let path = folder.door_certificate(&door.door);
    add_doors(folder, &[door], now)?.pop().ok_or(SiteError::Missing { path })
}

/// Adds doors at the end of the list, which keeps its comments, and makes a certificate for each reader, in the order
/// of `doors`. The list is replaced once, after all certificates are on disk: all doors are added, or none.
///
/// # Errors
/// When a door is in the list already or comes twice, a zone or a request is not valid, or a file cannot be written.
pub fn add_doors(folder: &SiteFolder, doors: &[NewDoor], now: Instant) -> Result<Vec<HandedOut>, SiteError> {
    let lock = Lock::wait(folder)?;
    let path = folder.doors_toml();
    let mut list = files::read_text(&path)?;
    let (mut known, zones) = (parse(&path, &list)?, Zones::read(&folder.zones_toml())?);
    if !list.is_empty() && !list.ends_with('\n') {
        list.push('\n');
    }
    for new in doors {
        check_zone(&new.zone)?;
        if !zones.may_be_entered(&new.zone) {
            let meant = did_you_mean(&new.zone, zones.iter().map(|(name, _)| name));
            return Err(SiteError::UndeclaredZone { zone: new.zone.clone(), path: folder.zones_toml(), meant });
        }
        let door = Door { zone: new.zone.clone(), mode: Some(ModePlan::always(new.mode)) };
        if known.insert(new.door.clone(), door).is_some() {
            return Err(SiteError::DoorExists { door: new.door.clone() });
        }
        list.push_str(&table_text(new));
    }
    parse(&path, &list)?;

    let authority = Authority::open(folder, &folder.site()?)?;
    let orders: Vec<Order<'_>> =
        doors.iter().map(|new| Order { role: Role::Door(new.door.clone()), csr: new.csr.as_deref() }).collect();
    let handed_out = hand_out(&lock, folder, &authority, &orders, now)?;
    files::sync_folder(&folder.doors())?;
    files::replace(&path, &list, Access::Plain)?;
    files::sync_folder(folder.root())?;
    Ok(handed_out)
}

/// Makes a new certificate for the reader of a door that is in the list, for the key of the request in `csr` or for a
/// key made here. Earlier certificates stay valid until they expire or are revoked.
///
/// # Errors
/// When there is no such door, `csr` is no valid request, or a file cannot be written.
pub fn reissue_door(
    folder: &SiteFolder,
    door: &DoorId,
    csr: Option<&Path>,
    now: Instant,
) -> Result<HandedOut, SiteError> {
    let lock = Lock::wait(folder)?;
    must_be_listed(folder, door)?;
    let authority = Authority::open(folder, &folder.site()?)?;
    hand_out_one(&lock, folder, &authority, Order { role: Role::Door(door.clone()), csr }, now)
}

/// Every door in the list, by name, with the certificate that was issued for it last.
///
/// # Errors
/// When the list, the list of certificates or the revocation list cannot be read.
pub fn list_doors(folder: &SiteFolder) -> Result<Vec<DoorListing>, SiteError> {
    let doors = read_doors(&folder.doors_toml())?;
    let revoked = Revoked::read(&folder.ca_certificate(), &folder.crl())?;
    let mut newest = HashMap::new();
    for row in issued::read(folder)? {
        newest.insert(row.role.clone(), row);
    }
    let listing = doors.iter().map(|(door, Door { zone, mode })| {
        let certificate = newest.remove(&Role::Door(door.clone()).to_string()).map(|row| DoorCertificate {
            serial: hex(&row.serial()),
            not_after: row.not_after,
            revoked: revoked.contains(&normalized_serial(&row.serial())),
        });
        DoorListing { door: door.clone(), zone: zone.clone(), mode: mode.clone(), certificate }
    });
    let mut listing: Vec<_> = listing.collect();
    listing.sort_by(|left, right| left.door.cmp(&right.door));
    Ok(listing)
}

/// Revokes every certificate that was ever issued for a door. The door stays in the list, so that its scans and its
/// place are known; it may also be one that was taken from the list by hand.
///
/// # Errors
/// When none was issued, or the revocation list cannot be read or written; then nothing is revoked. When only the new
/// certificate cannot be made, the old ones are revoked all the same.
pub fn revoke_door(
    folder: &SiteFolder,
    door: &DoorId,
    after: AfterRevocation<'_>,
    now: Instant,
) -> Result<DoorRevocation, SiteError> {
    let lock = Lock::wait(folder)?;
    let authority = Authority::open(folder, &folder.site()?)?;
    let role = Role::Door(door.clone());
    if let AfterRevocation::Reissue(_) = after {
        must_be_listed(folder, door)?;
    }
    let newly_revoked = take_back(&lock, folder, &authority, &role, now)?;
    let reissued = match after {
        AfterRevocation::Nothing => None,
        AfterRevocation::Reissue(csr) => Some(hand_out_one(&lock, folder, &authority, Order { role, csr }, now)?),
    };
    Ok(DoorRevocation { newly_revoked, reissued })
}

fn parse(path: &Path, list: &str) -> Result<Doors, SiteError> {
    Doors::parse(list).map_err(|source| SiteError::DoorList { path: path.to_owned(), source: Box::new(source) })
}

pub(super) fn must_be_listed(folder: &SiteFolder, door: &DoorId) -> Result<(), SiteError> {
    let path = folder.doors_toml();
    if read_doors(&path)?.get(door).is_some() {
        Ok(())
    } else {
        Err(SiteError::UnknownDoor { door: door.clone(), path })
    }
}

/// Both names need no quoting: see [`check_zone`] and [`DoorId`].
fn table_text(new: &NewDoor) -> String {
    format!("\n[{}]\nzone = \"{}\"\nmode = \"{}\"\n", new.door, new.zone, new.mode)
}

fn check_zone(zone: &str) -> Result<(), SiteError> {
    match zone.parse::<DoorId>() {
        Ok(_) => Ok(()),
        Err(_) => Err(SiteError::Zone { name: zone.chars().take(64).collect() }),
    }
}
