//! Certificates that are not good enough, and what the gateway counts them as.

use std::fs;
use std::path::PathBuf;

use base::identity::Role;
use base::site::{Authority, SiteFolder, Validity};
use protocol::Instant;

use crate::harness::{SITE, Site};

const HOUR_MS: i64 = 3_600_000;

/// What is wrong with a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// There is none.
    Absent,
    /// It was good until yesterday.
    Expired,
    /// It is good from the day after tomorrow.
    NotYetValid,
    /// It is of another site's authority, under the same names.
    OtherSite,
    /// It has been revoked.
    Revoked,
}

impl Flaw {
    /// The label of `doors_tls_failures`.
    pub fn counted_as(self) -> &'static str {
        match self {
            Self::Absent => "no_certificate",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::OtherSite => "unknown_ca",
            Self::Revoked => "revoked",
        }
    }
}

/// Writes a certificate for `door` that has this flaw, and its key, as `issued/{name}.pem` and `.key` beside the site;
/// the path of the certificate. A gateway that runs learns of a revocation when it is told to reload.
pub fn issue_with(site: &Site, door: &str, flaw: Flaw, name: &str) -> PathBuf {
    let role = Role::Door(door.parse().unwrap());
    let days = |from: i64, until: i64| Validity { from: in_hours(24 * from), until: in_hours(24 * until) };
    match flaw {
        Flaw::Absent | Flaw::Revoked => issue(site, site, &role, days(0, 1), flaw, name),
        Flaw::Expired => issue(site, site, &role, days(-2, -1), flaw, name),
        Flaw::NotYetValid => issue(site, site, &role, days(2, 3), flaw, name),
        Flaw::OtherSite => issue(site, &Site::make(&[door]), &role, days(0, 1), flaw, name),
    }
}

/// Writes a good certificate for `role`, as [`issue_with`] does.
pub fn issue_today(site: &Site, role: &Role, name: &str) {
    issue(site, site, role, Validity { from: in_hours(0), until: in_hours(24) }, Flaw::Absent, name);
}

fn issue(site: &Site, of: &Site, role: &Role, validity: Validity, flaw: Flaw, name: &str) -> PathBuf {
    let authority = Authority::open(&SiteFolder::new(of.root()), &SITE.parse().unwrap()).unwrap();
    let issued = authority.issue(role, validity).unwrap();
    if flaw == Flaw::Revoked {
        assert!(authority.revoke(&issued.serial, in_hours(0)).unwrap());
    }
    let folder = site.beside("issued");
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join(format!("{name}.pem"));
    fs::write(&path, &issued.certificate_pem).unwrap();
    fs::write(path.with_extension("key"), issued.key_pem.reveal()).unwrap();
    path
}

fn in_hours(hours: i64) -> Instant {
    let now: Instant = jiff::Timestamp::now().into();
    Instant::from_unix_ms(now.unix_ms() + hours * HOUR_MS)
}
