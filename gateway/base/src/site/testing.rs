//! A site in a temporary folder, for tests.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "only tests have this module")]

use std::fs;
use std::path::PathBuf;

use protocol::{Instant, Mode, SiteId};
use tempfile::TempDir;

use super::{Authority, InitOptions, Issued, NewDoor, SiteFolder, add_doors, init, x509};

/// A site, until it is dropped.
pub struct Site {
    pub folder: SiteFolder,
    pub id: SiteId,
    place: TempDir,
}

impl Site {
    /// One with these doors, all into the zone `main`.
    pub fn with_doors(doors: &[&str]) -> Self {
        let place = TempDir::new().unwrap();
        let id: SiteId = "regency".parse().unwrap();
        let options = InitOptions {
            site: id.clone(),
            time_zone: "Asia/Makassar".to_owned(),
            host_names: vec!["gate.regency.example".to_owned(), "192.0.2.7".to_owned()],
            policy_files: &[("policy.cedar", "// none\n")],
        };
        let folder = init(&place.path().join("site"), &options, now()).unwrap().folder;
        let doors: Vec<NewDoor> = doors.iter().map(|door| new_door(door)).collect();
        add_doors(&folder, &doors, now()).unwrap();
        Self { folder, id, place }
    }

    pub fn authority(&self) -> Authority {
        Authority::open(&self.folder, &self.id).unwrap()
    }

    /// Writes a pair of files outside the site.
    pub fn put(&self, name: &str, issued: &Issued) -> (PathBuf, PathBuf) {
        let certificate = self.write(&format!("{name}.pem"), &issued.certificate_pem);
        (certificate, self.write(&format!("{name}.key"), issued.key_pem.reveal()))
    }

    /// Writes a file outside the site.
    pub fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.place.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }
}

/// A door into the zone `main` that only observes, with a key made here.
pub fn new_door(door: &str) -> NewDoor {
    NewDoor { door: door.parse().unwrap(), zone: "main".to_owned(), mode: Mode::Observe, csr: None }
}

/// What TLS takes for now as well.
pub fn now() -> Instant {
    jiff::Timestamp::now().into()
}

/// A section of PEM text.
pub fn pem(label: &str, der: &[u8]) -> String {
    x509::pem(label, der)
}
