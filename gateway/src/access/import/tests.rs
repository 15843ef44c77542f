//! Imports: all rows or none, and every mistake with its line, without a name or a badge.

use std::path::PathBuf;

use tempfile::TempDir;

use super::*;
use crate::access::Directory;
use crate::access::testing::snapshot;

/// A directory that is imported into.
struct Site {
    folder: TempDir,
    key: CredentialKey,
}

impl Site {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), key: CredentialKey::new([7; 32]) }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("directory.redb")
    }

    fn import(&self, csv: &str) -> Result<ImportReport, String> {
        self.import_with(csv.as_bytes(), &ImportOptions::default())
    }

    fn import_with(&self, csv: &[u8], options: &ImportOptions) -> Result<ImportReport, String> {
        let zone = TimeZone::get("Asia/Makassar").unwrap();
        import_people(&self.path(), &self.key, &zone, csv, "people.csv", options, now())
            .map_err(|error| error.to_string())
    }

    fn read(&self) -> Directory {
        Directory::read(&self.path()).unwrap()
    }

    /// Whose badge this is.
    fn owner(&self, badge: &str) -> Option<String> {
        self.read().find(&self.key.hash(badge)).map(|person| person.id.to_owned())
    }
}

const GOOD: &str = "person,name,class,opd,badge,status,status_until\n\
    P-1,Wayan Secret,asn,dinkes,SECRET-1; SECRET-2,green,2026-12-31\n\
    P-2,,non-asn,,,yellow,2026-12-31T16:00:00+08:00\n\
    P-3,Made Secret,visitor,bkd,SECRET-3,,\n";

fn now() -> Instant {
    Instant::from_unix_ms(1_795_000_000_000)
}

fn report(added: usize, changed: usize, unchanged: usize) -> ImportReport {
    ImportReport { added, changed, unchanged, ..ImportReport::default() }
}

#[test]
fn people_are_added_changed_and_left_as_they_are() {
    let site = Site::new();
    assert_eq!(site.import(GOOD), Ok(report(3, 0, 0)));
    assert_eq!(site.import(GOOD), Ok(report(0, 0, 3)));
    assert_eq!(site.import(&GOOD.replace("yellow", "red")), Ok(report(0, 1, 2)));
    assert_eq!(site.import("class,person\nasn,P-9\n"), Ok(report(1, 0, 0)));
    let directory = site.read();
    let person = directory.find(&site.key.hash("SECRET-2")).unwrap();
    assert_eq!((person.id, person.class.as_str(), person.opd), ("P-1", "asn", "dinkes"));
    assert_eq!((directory.credentials(), site.owner("SECRET-3").as_deref()), (3, Some("P-3")));
    assert_eq!(site.owner("SECRET-1; SECRET-2"), None);
}

#[test]
fn a_badge_works_at_a_door_after_its_import() {
    let site = Site::new();
    site.import(GOOD).unwrap();
    let snapshot = snapshot(&[]);
    assert_eq!(site.read().find(&snapshot.key.hash("SECRET-1")).unwrap().id, "P-1");
}

#[test]
fn a_date_means_the_end_of_that_day_in_the_sites_zone() {
    let site = Site::new();
    for (until, means) in [
        ("2026-12-31", "2026-12-31T15:59:59.999Z"),
        ("2026-12-31T16:00:00+08:00", "2026-12-31T08:00:00.000Z"),
        ("2026-12-31T16:00:00Z", "2026-12-31T16:00:00.000Z"),
    ] {
        site.import(&format!("person,class,badge,status,status_until\nP-1,asn,B-1,green,{until}\n")).unwrap();
        let until = site.read().find(&site.key.hash("B-1")).unwrap().status_until;
        assert_eq!(until.unwrap().to_string(), means);
    }
}

#[test]
fn files_as_spreadsheets_write_them_are_read() {
    for csv in [
        GOOD.replace('\n', "\r\n"),
        format!("\u{feff}{GOOD}"),
        GOOD.replace(';', "|").replace(',', ";").replace("SECRET-1| SECRET-2", "\"SECRET-1; SECRET-2\""),
        GOOD.replace("Wayan Secret", "\"Secret, \"\"Wayan\"\"\nof Ubud\""),
        GOOD.replace(',', " , "),
        GOOD.replace("P-2", "\nP-2"),
    ] {
        let site = Site::new();
        assert_eq!(site.import(&csv), Ok(report(3, 0, 0)), "{csv}");
        assert_eq!(site.owner("SECRET-2").as_deref(), Some("P-1"), "{csv}");
    }
}

#[test]
fn every_mistake_is_named_with_its_line_and_column_and_nothing_is_imported() {
    let long = |bytes: usize| "x".repeat(bytes);
    for (row, column, words) in [
        (",Secret,asn,,SECRET-9,,".to_owned(), "person", "1 to 64"),
        ("P 4,Secret,asn,,SECRET-9,,".to_owned(), "person", "letters"),
        (format!("{},Secret,asn,,SECRET-9,,", long(65)), "person", "1 to 64"),
        ("P-1,Secret,asn,,SECRET-9,,".to_owned(), "person", "same person as on line 2"),
        ("P-4,Secret,ASN,,SECRET-9,,".to_owned(), "class", "asn, non-asn or visitor"),
        ("P-4,Secret,,,SECRET-9,,".to_owned(), "class", "asn, non-asn or visitor"),
        ("P-4,Secret,asn,,SECRET-9,blue,".to_owned(), "status", "green, yellow, red, black or empty"),
        ("P-4,Secret,asn,,SECRET-9,green,soon".to_owned(), "status_until", "2026-12-31"),
        ("P-4,Secret,asn,,SECRET-9,green,2026-02-30".to_owned(), "status_until", "2026-12-31"),
        ("P-4,Secret,asn,,SECRET-9,green,2026-12-31T16:00:00".to_owned(), "status_until", "+08:00"),
        (format!("P-4,Secret{},asn,,SECRET-9,,", long(123)), "name", "128 bytes"),
        (format!("P-4,Secret,asn,{},SECRET-9,,", long(65)), "opd", "64 bytes"),
        (format!("P-4,Secret,asn,,SECRET-9;{},,", long(257)), "badge", "256 bytes"),
        ("P-4,Secret,asn,,SECRET-2,,".to_owned(), "badge", "also on line 2"),
        ("P-4,Secret,asn,,SECRET-9,".to_owned(), "(all)", "7 fields"),
        ("P-4,Secret,asn,,SECRET-9,,,".to_owned(), "(all)", "7 fields"),
    ] {
        let site = Site::new();
        let csv = format!("{GOOD}{row}\n");
        let error = site.import(&csv).unwrap_err();
        assert!(error.starts_with("people.csv: 1 bad rows, nothing was imported"), "{error}");
        assert!(error.contains(&format!("\n  line 5, column {column}: ")) && error.contains(words), "{row}: {error}");
        assert!(!error.contains("Secret") && !error.contains("SECRET"), "{error}");
        assert_eq!(site.read().credentials(), 0);
        assert!(column == "badge" || !site.path().exists());

        let skipping = ImportOptions { skip_bad: true, ..ImportOptions::default() };
        let report = site.import_with(csv.as_bytes(), &skipping).unwrap();
        assert_eq!((report.added, report.bad_rows.len(), report.bad_rows[0].line), (3, 1, 5));
        assert_eq!((site.owner("SECRET-9"), site.read().credentials()), (None, 3));
    }
}

#[test]
fn a_file_that_is_wrong_as_a_whole_says_so_and_repeats_nothing_of_it() {
    for (csv, words) in [
        ("person,name\nP-1,Secret\n".as_bytes(), "column class is missing"),
        (b"", "column person is missing"),
        (b"person,class,class\n", "column class is there twice"),
        (b"person,class,Secret\n", "the name of column 3 is unknown; known are person, name"),
        (b"P-1,Wayan Secret,asn\n", "the name of column 1 is unknown"),
        (b"person,class\nP-1,\xff\n", "UTF-8"),
    ] {
        let error = Site::new().import_with(csv, &ImportOptions::default()).unwrap_err();
        assert!(error.starts_with("people.csv: ") && error.contains(words), "{error}");
        assert!(!error.contains("Secret"), "{error}");
    }
}

#[test]
fn every_bad_row_is_listed() {
    let rows: String = (0..1_005).map(|number| format!("P-{number},what\n")).collect();
    let error = Site::new().import(&format!("person,class\n{rows}")).unwrap_err();
    assert!(error.contains("people.csv: 1005 bad rows"), "{error}");
    assert_eq!(error.lines().count(), 1 + 1_005);
    assert!(error.contains("\n  line 1006, column class: "), "{error}");
}

#[test]
fn a_dry_run_counts_and_writes_nothing() {
    let site = Site::new();
    let dry = ImportOptions { dry_run: true, ..ImportOptions::default() };
    assert_eq!(site.import_with(GOOD.as_bytes(), &dry), Ok(report(3, 0, 0)));
    assert!(!site.path().exists());
    site.import(GOOD).unwrap();
    assert_eq!(
        site.import_with(GOOD.replace("P-3", "P-4").replace("SECRET-3", "B").as_bytes(), &dry),
        Ok(report(1, 0, 2))
    );
    assert_eq!(site.owner("B"), None);
}

#[test]
fn a_badge_has_one_owner_and_may_change_hands() {
    let site = Site::new();
    let people = |rows: &str| format!("person,class,badge\n{rows}");
    site.import(&people("P-1,asn,A\nP-2,asn,B\n")).unwrap();
    let error = site.import(&people("P-3,asn,C\nP-4,asn,A\n")).unwrap_err();
    assert!(error.contains("line 3, column badge: a badge of this row belongs to P-1"), "{error}");
    assert_eq!(site.owner("C"), None);
    // The same file gives it away.
    site.import(&people("P-4,asn,A;A\nP-1,asn,\n")).unwrap();
    assert_eq!(site.owner("A").as_deref(), Some("P-4"));
    site.import(&people("P-4,asn,B\nP-2,asn,A\n")).unwrap();
    assert_eq!((site.owner("A").as_deref(), site.owner("B").as_deref()), (Some("P-2"), Some("P-4")));
    // Where the row that gives it away is left out, so is the one that takes it, and whoever depends on that one.
    let skipping = ImportOptions { skip_bad: true, ..ImportOptions::default() };
    let report = site
        .import_with(people("P-5,asn,A\nP-2,what,\nP-4,asn,A\nP-6,asn,B\nP-7,asn,D\n").as_bytes(), &skipping)
        .unwrap();
    let lines: Vec<_> = report.bad_rows.iter().map(|row| row.line).collect();
    assert_eq!((report.added, lines), (1, vec![2, 3, 4, 5]));
    assert_eq!((site.owner("A").as_deref(), site.owner("B").as_deref()), (Some("P-2"), Some("P-4")));
}

#[test]
fn a_directory_in_use_or_out_of_reach_is_an_error_that_says_what_to_do() {
    let site = Site::new();
    let in_use = directory::open_to_write(&site.path()).unwrap();
    let error = site.import(GOOD).unwrap_err();
    assert!(error.ends_with("directory.redb: is in use by another process; try again"), "{error}");
    drop(in_use);
    site.import(GOOD).unwrap();
    let missing = Site { folder: tempfile::tempdir().unwrap(), key: CredentialKey::new([7; 32]) };
    std::fs::remove_dir(missing.folder.path()).unwrap();
    let error = missing.import(GOOD).unwrap_err();
    assert!(error.contains("cannot be opened") && error.contains("check its folder"), "{error}");
}
