//! What the ledgers' tests start from: days of a site, tokens for each role, and what is to be found in all its files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use reqwest::Response;
use serde_json::Value;

use super::site::Site;

/// The days of a site at which it is about noon, so that no day ends while a test runs.
#[derive(Clone, Debug)]
pub struct Days {
    zone: TimeZone,
    today: Date,
}

impl Days {
    /// Moves the site, which does not run, to where it is about noon.
    pub fn at_noon(site: &Site) -> Self {
        let hour = TimeZone::UTC.to_datetime(Timestamp::now()).hour();
        // The signs of these names are the other way round: Etc/GMT+3 is three hours behind UTC.
        let name = format!("Etc/GMT{:+}", hour - 12);
        let text = fs::read_to_string(site.configuration()).unwrap();
        let changed = text.replace("time_zone = \"Asia/Makassar\"", &format!("time_zone = \"{name}\""));
        assert_ne!(text, changed, "the site's time zone is set");
        fs::write(site.configuration(), changed).unwrap();
        let zone = TimeZone::get(&name).unwrap();
        let today = zone.to_datetime(Timestamp::now()).date();
        Self { zone, today }
    }

    /// The day so many days ago.
    pub fn ago(&self, days: i64) -> Date {
        self.today.checked_sub(Span::new().days(days)).unwrap()
    }

    /// A time of the day so many days ago.
    pub fn at(&self, days_ago: i64, hour: i8, minute: i8) -> Timestamp {
        self.zone.to_timestamp(self.ago(days_ago).at(hour, minute, 0, 0)).unwrap()
    }
}

/// A new token with this role, and the role's name.
pub fn token_of(site: &Site, role: &str) -> String {
    let said = site.must(&["token", "add", role, "--role", role, "--json"]);
    let said: Value = serde_json::from_str(said.trim()).unwrap();
    said["token"].as_str().unwrap().to_owned()
}

/// The lines of JSON of an answer.
pub async fn lines(answer: Response) -> Vec<Value> {
    assert!(answer.status().is_success(), "{answer:?}");
    answer.text().await.unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Every file of a folder and the folders in it, with what is in it.
pub fn everything(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(everything(&path));
        } else {
            // Whatever is put in the place of another in this moment is found under its new name.
            files.extend(fs::read(&path).ok().map(|content| (path, content)));
        }
    }
    files
}

/// From now on the site's programs believe that it is so many days later. It takes a C compiler, as the build does.
pub fn days_later(site: &mut Site, days: i64) {
    let (source, library) =
        (concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/harness/shift.c"), site.beside("shift.so"));
    if !library.exists() {
        let compiled = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(source).status().unwrap();
        assert!(compiled.success());
    }
    site.set("LD_PRELOAD", library.display());
    site.set("E2E_CLOCK_SHIFT_SECONDS", days * 86_400);
}

/// Sets something of a section that the configuration has already.
pub fn set(site: &Site, section: &str, lines: &str) {
    let text = fs::read_to_string(site.configuration()).unwrap();
    let changed = text.replace(&format!("[{section}]\n"), &format!("[{section}]\n{lines}\n"));
    assert_ne!(text, changed, "there is a section [{section}]");
    fs::write(site.configuration(), changed).unwrap();
}
