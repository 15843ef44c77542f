//! Imports: all rows or none, and every mistake with its line, without a name or a badge.
//!
//! Longer than 400 lines: each mistake in a file is tried against the same importer.

use std::path::PathBuf;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::testing::snapshot;
use crate::{Directory, PersonRecord, Put, export_people, list_people, put_person, read_person};

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

    fn import_ndjson(&self, lines: &str) -> Result<ImportReport, String> {
        let options = ImportOptions { format: PeopleFormat::Ndjson, ..ImportOptions::default() };
        self.import_with(lines.as_bytes(), &options)
    }

    fn export(&self, format: PeopleFormat) -> String {
        let mut out = Vec::new();
        export_people(&self.path(), format, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn import_with(&self, csv: &[u8], options: &ImportOptions) -> Result<ImportReport, String> {
        import_people(&self.path(), &self.key, &zone(), csv, "people.csv", options, now())
            .map_err(|error| error.to_string())
    }

    fn read(&self) -> Directory {
        Directory::read(&self.path()).unwrap()
    }

    fn ids(&self) -> Vec<String> {
        list_people(&self.path(), None, 99).unwrap().into_iter().map(|person| person.id).collect()
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

fn zone() -> TimeZone {
    TimeZone::get("Asia/Makassar").unwrap()
}

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
        (format!("P-4,Secret{},asn,,SECRET-9,,", long(123)), "name", "128 characters"),
        (format!("P-4,Secret,asn,{},SECRET-9,,", long(257)), "opd", "256 characters"),
        (format!("P-4,Secret,asn,,SECRET-9;{},,", long(257)), "badge", "256 characters"),
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

        // Closed on a later line, it would have three people in one name.
        let swallowing = "person,name,class\nP-1,\"Siti,asn\nP-2,x,asn\nP-3,Made\",asn\nP-4,Contoh,asn\n";
        let refused = site.import(swallowing).unwrap_err();
        assert!(
            refused.contains("2 bad rows") && refused.contains("line 2") && refused.contains("line 4"),
            "{refused}"
        );
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
    // Closed on a later line, it would have three people in one name.
    let swallowing = "person,name,class\nP-1,\"Siti,asn\nP-2,x,asn\nP-3,Made\",asn\nP-4,Contoh,asn\n";
    let refused = site.import(swallowing).unwrap_err();
    assert!(refused.contains("2 bad rows") && refused.contains("line 2") && refused.contains("line 4"), "{refused}");
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

/// Everything that can be said of a person, in either format.
const FULL_CSV: &str = "id,name,class,opd,groups,status,status_since,status_until,valid_from,valid_until,host,language,\
    badges,id_number\n\
    V-1,Made Secret,visitor,bkd,press;night,green,2026-11-01,2026-11-30,2026-11-23T08:00:00+08:00,\
    2026-11-23T10:00:00+08:00,P-1,en,SECRET-1;SECRET-2,1987.01-02\n";
const FULL_NDJSON: &str = r#"{"id":"V-1","name":"Made Secret","class":"visitor","opd":"bkd","groups":["press","night"],"status":"green","status_since":"2026-11-01","status_until":"2026-11-30","valid_from":"2026-11-23T08:00:00+08:00","valid_until":"2026-11-23T10:00:00+08:00","host":"P-1","language":"en","badges":["SECRET-2","SECRET-1"],"id_number":"ID: 1987 0102"}"#;

#[test]
fn both_formats_say_the_same_of_a_person() {
    let (one, other) = (Site::new(), Site::new());
    assert_eq!(one.import(FULL_CSV), Ok(report(1, 0, 0)));
    assert_eq!(one.import_ndjson(FULL_NDJSON), Ok(report(0, 0, 1)));
    assert_eq!(other.import_ndjson(&format!("\u{feff}\r\n{FULL_NDJSON}\r\n\n")), Ok(report(1, 0, 0)));
    assert_eq!(other.import(FULL_CSV), Ok(report(0, 0, 1)));
    for site in [one, other] {
        assert_eq!(site.owner("ID:19870102").as_deref(), Some("V-1"));
        assert_eq!(site.read().synced_at(), Some(now()));
    }
}

#[test]
fn every_mistake_in_a_line_of_json_is_named_and_nothing_is_imported() {
    for (line, field, words) in [
        (r#"["SECRET"]"#, "(all)", "must be a JSON object"),
        (r#""SECRET""#, "(all)", "must be a JSON object"),
        (r#"{"id":"P-2","class":"asn""#, "(all)", "is no JSON from character"),
        (r#"{"id":"P-2","class":"asn"} SECRET"#, "(all)", "nothing behind it"),
        (r#"{"id":"P-2","class":"asn","SECRET":1}"#, "(all)", "has a field that is unknown"),
        (r#"{"id":"P-2","class":"asn","name":7}"#, "name", "must be a text"),
        (r#"{"id":"P-2","class":null}"#, "class", "must be a text"),
        (r#"{"id":"P-2","class":"asn","badges":"SECRET"}"#, "badges", "must be a list of texts"),
        (r#"{"id":"P-2","class":"asn","groups":["a",7]}"#, "groups", "must be a list of texts"),
        (r#"{"class":"asn"}"#, "id", "1 to 64"),
        (r#"{"id":"P-2"}"#, "class", "asn, non-asn or visitor"),
        (r#"{"id":"P-1","class":"asn"}"#, "id", "same person as on line 1"),
        (r#"{"id":"P-2","class":"asn","status":"SECRET"}"#, "status", "green, yellow, red, black or empty"),
        (r#"{"id":"P-2","class":"asn","language":"SECRET"}"#, "language", "id, en or empty"),
        (r#"{"id":"P-2","class":"asn","valid_until":"SECRET"}"#, "valid_until", "2026-12-31"),
        (r#"{"id":"P-2","class":"asn","credentials":["SECRET"]}"#, "credentials", "32 hexadecimal digits"),
        (r#"{"id":"P-2","class":"asn","id_number":"SECRET!"}"#, "id_number", "letters and digits"),
        (r#"{"id":"P-2","class":"asn","badges":["B-1"]}"#, "badges", "also on line 1"),
        (r#"{"id":"P-2","class":"asn","id_number":"12.34"}"#, "id_number", "this number is also on line 1"),
    ] {
        let site = Site::new();
        let lines = format!(r#"{{"id":"P-1","class":"asn","badges":["B-1"],"id_number":"1234"}}{}{line}"#, "\n\n");
        let error = site.import_ndjson(&lines).unwrap_err();
        assert!(error.contains(&format!("\n  line 3, column {field}: ")) && error.contains(words), "{line}: {error}");
        assert!(!error.contains("SECRET"), "{error}");
        assert_eq!(site.read().people(), 0);
        // Closed on a later line, it would have three people in one name.
        let swallowing = "person,name,class\nP-1,\"Siti,asn\nP-2,x,asn\nP-3,Made\",asn\nP-4,Contoh,asn\n";
        let refused = site.import(swallowing).unwrap_err();
        assert!(
            refused.contains("2 bad rows") && refused.contains("line 2") && refused.contains("line 4"),
            "{refused}"
        );
        let skipping = ImportOptions { format: PeopleFormat::Ndjson, skip_bad: true, ..ImportOptions::default() };
        assert_eq!(site.import_with(lines.as_bytes(), &skipping).unwrap().added, 1);
        assert_eq!(site.ids(), ["P-1"]);
    }
    let long = format!(r#"{{"id":"P-1","name":"{}"}}"#, "x".repeat(70_000));
    let error = Site::new().import_ndjson(&long).unwrap_err();
    assert!(error.contains("line 1 has more than 65536 bytes"), "{error}");
}

#[test]
fn the_new_columns_mistakes_are_named_too() {
    let header =
        "person,class,groups,host,language,valid_from,valid_until,status_since,status_until,id_number,credentials";
    for (row, column, words) in [
        ("P-1,asn,Night,,,,,,,,", "groups", "16 words"),
        ("P-1,asn,,,fr,,,,,,", "language", "id, en or empty"),
        ("P-1,asn,,,,soon,,,,,", "valid_from", "2026-12-31"),
        ("P-1,asn,,,,2026-11-02,2026-11-01,,,,", "valid_until", "before it begins"),
        ("P-1,asn,,,,,,2026-11-02,2026-11-01,,", "status_until", "before it begins"),
        ("P-1,asn,,,,,,,,SECRET/1,", "id_number", "letters and digits"),
        ("P-1,asn,,,,,,,,,SECRET", "credentials", "32 hexadecimal digits"),
    ] {
        let error = Site::new().import(&format!("{header}\n{row}\n")).unwrap_err();
        assert!(error.contains(&format!("\n  line 2, column {column}: ")) && error.contains(words), "{row}: {error}");
        assert!(!error.contains("SECRET"), "{error}");
    }
}

#[test]
fn what_a_table_has_no_column_for_stays_as_it_is() {
    let site = Site::new();
    site.import(FULL_CSV).unwrap();
    let before = read_person(&site.path(), "V-1").unwrap().unwrap();
    assert_eq!(site.import("person,class,status\nV-1,visitor,red\nP-2,asn,green\n"), Ok(report(1, 1, 0)));
    let after = read_person(&site.path(), "V-1").unwrap().unwrap();
    // A new status does not keep the times of the old one.
    let red = PersonRecord { status: Some("red".into()), status_since: None, status_until: None, ..before.clone() };
    assert_eq!(serde_json::to_string(&after).unwrap(), serde_json::to_string(&red).unwrap());
    assert_eq!(site.owner("SECRET-1").as_deref(), Some("V-1"));
    assert_eq!(site.import("person,class,name,badge\nV-1,visitor,,\n"), Ok(report(0, 1, 0)));
    let after = read_person(&site.path(), "V-1").unwrap().unwrap();
    assert_eq!((after.name, after.credentials.len(), after.id_number.is_some()), (None, 0, true));
    // The badges that stay belong to somebody, although that person is in the file.
    site.import("person,class,badge\nP-2,asn,ID:77\n").unwrap();
    let error = site.import("person,class,id_number\nP-2,asn,\nP-3,asn,77\n").unwrap_err();
    assert!(error.contains("line 3, column id_number: this number"), "{error}");
    // A line of JSON says everything about a person.
    assert_eq!(site.import_ndjson(r#"{"id":"V-1","class":"visitor"}"#), Ok(report(0, 1, 0)));
    assert_eq!(read_person(&site.path(), "V-1").unwrap().unwrap().id_number, None);
}

#[test]
fn a_diff_names_people_and_fields_and_no_values() {
    let site = Site::new();
    site.import(GOOD).unwrap();
    let file = GOOD.replace("Wayan Secret", "Wayan Secreto").replace("SECRET-1; ", "").replace("P-3", "P-4");
    let options = ImportOptions { diff: true, dry_run: true, replace: true, ..ImportOptions::default() };
    let report = site.import_with(file.as_bytes(), &options).unwrap();
    let lines: Vec<_> = report.diff.iter().map(ToString::to_string).collect();
    assert_eq!(lines, ["~ P-1: name, badges", "- P-3", "+ P-4"]);
    assert!(!serde_json::to_string(&report).unwrap().to_lowercase().contains("secret"));
    assert_eq!((site.ids().len(), site.read().people()), (3, 3));
}

#[test]
fn whoever_is_not_in_a_file_that_replaces_is_removed() {
    let site = Site::new();
    site.import(GOOD).unwrap();
    let replacing = ImportOptions { replace: true, ..ImportOptions::default() };
    // A badge of somebody who goes is free.
    let csv = "person,class,badge\nP-1,asn,SECRET-1\nP-2,non-asn,\nP-4,asn,SECRET-3\n";
    let report = site.import_with(csv.as_bytes(), &replacing).unwrap();
    assert_eq!((report.added, report.changed, report.unchanged, report.removed), (1, 1, 1, 1));
    assert_eq!(site.ids(), ["P-1", "P-2", "P-4"]);
    assert_eq!((site.owner("SECRET-3").as_deref(), site.owner("SECRET-2")), (Some("P-4"), None));
    site.import("person,class,badge\nP-9,asn,SECRET-2\n").unwrap();
}

#[test]
fn more_than_half_is_removed_only_by_force() {
    let site = Site::new();
    site.import(GOOD).unwrap();
    let replacing = ImportOptions { replace: true, ..ImportOptions::default() };
    for dry_run in [true, false] {
        let options = ImportOptions { dry_run, ..replacing.clone() };
        let error = site.import_with(b"person,class\nP-1,asn\n", &options).unwrap_err();
        assert!(error.contains("would remove 2 of 3 people") && error.contains("--force"), "{error}");
        assert_eq!(site.ids().len(), 3);
    }
    let forced = ImportOptions { force: true, ..replacing };
    assert_eq!(site.import_with(b"person,class\nP-1,asn\n", &forced).unwrap().removed, 2);
    assert_eq!(site.ids(), ["P-1"]);
    assert_eq!(site.import_with(b"person,class\n", &forced).unwrap().removed, 1);
    assert_eq!(site.read().people(), 0);
}

#[test]
fn a_bad_row_removes_nobody() {
    let site = Site::new();
    site.import(GOOD).unwrap();
    let options = ImportOptions { replace: true, skip_bad: true, force: true, ..ImportOptions::default() };
    let report = site.import_with(b"person,class,badge\nP-1,what,\nP-2,non-asn,SECRET-1\n", &options).unwrap();
    assert_eq!((report.removed, report.bad_rows.len()), (1, 2));
    assert_eq!((site.ids(), site.owner("SECRET-1").as_deref()), (vec!["P-1".into(), "P-2".into()], Some("P-1")));
    let error = site.import_with(b"person,class\nP-1,asn\nP 2,asn\n", &options).unwrap_err();
    assert!(error.contains("do not say whom they are about"), "{error}");
    assert_eq!(site.ids().len(), 2);
}

#[test]
fn a_spreadsheet_takes_no_cell_for_a_formula() {
    let site = Site::new();
    let names = ["=1+1", "+1", "-1", "@a", "'=1", "''a", "'a", "a,b;c", "\"q\"", "two\nlines"];
    let people: Vec<_> = (0..).zip(names).map(|(n, name)| person(&format!("P-{n}"), name)).collect();
    for person in &people {
        put_person(&site.path(), &site.key, &zone(), person, now()).unwrap();
    }
    let csv = site.export(PeopleFormat::Csv);
    let header = "person,name,class,opd,groups,status,status_since,status_until,valid_from,valid_until,host,language,\
                  id_number,credentials\n";
    assert!(csv.starts_with(header), "{csv}");
    let cells: Vec<_> =
        csv::Reader::from_reader(csv.as_bytes()).records().map(|row| row.unwrap().get(1).unwrap().to_owned()).collect();
    assert_eq!(cells[..7], ["'=1+1", "'+1", "'-1", "'@a", "''=1", "'''a", "'a"]);
    let copy = Site::new();
    assert_eq!(copy.import(&csv), Ok(report(names.len(), 0, 0)));
    for (n, name) in (0..).zip(names) {
        let person = read_person(&copy.path(), &format!("P-{n}")).unwrap().unwrap();
        assert_eq!(person.name.as_deref(), Some(name));
    }
}

fn person(id: &str, name: &str) -> PersonRecord {
    PersonRecord { id: id.into(), name: Some(name.into()), class: "asn".into(), ..PersonRecord::default() }
}

fn any_person() -> impl Strategy<Value = PersonRecord> {
    let text = || proptest::option::of("\\PC{0,12}|[-=+@'][-=+@' ,;\"\n]{0,4}[a-z]?");
    let one_of = |words: &[&str]| {
        let words: Vec<_> = words.iter().map(|word| (*word).to_owned()).collect();
        proptest::option::of(proptest::sample::select(words))
    };
    let since = || one_of(&["2026-01-01", "2026-11-01T07:00:00.123+08:00", "1999-12-31T00:00:00Z"]);
    let until = || one_of(&["2026-12-31", "2027-11-01T07:00:00.001Z"]);
    let words = |pattern| proptest::collection::vec(pattern, 0..3);
    let texts = (text(), text(), text());
    let times = (since(), until(), since(), until());
    let chosen = (one_of(&["green", "yellow", "red", "black"]), one_of(&["id", "en"]), one_of(&["asn", "visitor"]));
    let credentials = (words("\\PC{1,6}"), proptest::option::of("[0-9A-Za-z][0-9. -]{0,5}"));
    (texts, times, chosen, words("[a-z0-9_-]{1,4}"), credentials).prop_map(
        |(texts, times, (status, language, class), groups, (badges, id_number))| PersonRecord {
            id: String::new(),
            name: texts.0,
            class: class.unwrap_or_else(|| "non-asn".into()),
            opd: texts.1,
            groups,
            status,
            status_since: times.0,
            status_until: times.1,
            valid_from: times.2,
            valid_until: times.3,
            host: texts.2,
            language,
            badges,
            id_number,
            credentials: Vec::new(),
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn an_export_imports_the_same_people(people in proptest::collection::vec(any_person(), 0..8)) {
        let site = Site::new();
        let mut count = 0;
        for (n, mut person) in (0..).zip(people) {
            person.id = format!("P-{n}");
            match put_person(&site.path(), &site.key, &zone(), &person, now()) {
                Ok(Put::Added) => count += 1,
                Ok(put) => prop_assert!(false, "{put:?}"),
                Err(error) => prop_assert!(error.to_string().contains("belongs to"), "{error}"),
            }
        }
        for format in [PeopleFormat::Csv, PeopleFormat::Ndjson] {
            let exported = site.export(format);
            let options = ImportOptions { format, replace: true, ..ImportOptions::default() };
            prop_assert_eq!(site.import_with(exported.as_bytes(), &options).unwrap(), report(0, 0, count));
            let copy = Site::new();
            prop_assert_eq!(copy.import_with(exported.as_bytes(), &options).unwrap(), report(count, 0, 0));
            prop_assert_eq!(copy.export(format), exported);
        }
    }
}

#[test]
fn a_quote_that_nobody_closes_spoils_its_own_line_only() {
    let site = Site::new();
    let csv = "person,name,class,badge\nP-1,\"Siti,asn,B-1\nP-2,\"Contoh, S.Kom.\",asn,B-2\nP-3,Contoh \"\"Tiga\"\",asn,B-3\n";
    let refused = site.import(csv).unwrap_err();
    assert!(
        refused.contains("1 bad rows") && refused.contains("line 2") && refused.contains("a quote is opened"),
        "{refused}"
    );
    // Closed on a later line, it would have three people in one name.
    let swallowing = "person,name,class\nP-1,\"Siti,asn\nP-2,x,asn\nP-3,Made\",asn\nP-4,Contoh,asn\n";
    let refused = site.import(swallowing).unwrap_err();
    assert!(refused.contains("2 bad rows") && refused.contains("line 2") && refused.contains("line 4"), "{refused}");
    let skipping = ImportOptions { skip_bad: true, ..ImportOptions::default() };
    assert_eq!(site.import_with(csv.as_bytes(), &skipping).unwrap().added, 2);
    assert_eq!(site.ids(), ["P-2", "P-3"]);
    let header = site.import("person,\"class\nP-1,asn\n").unwrap_err();
    assert!(header.contains("line 1: a quote is opened"), "{header}");
}

#[test]
fn what_a_spreadsheet_leaves_of_emptied_rows_is_passed_over() {
    let site = Site::new();
    let csv = "person;class;badge\nP-1;asn;B-1\n;;\n;\n ; ;;;\n\n\"\";;\nP-2;asn;B-2\n;;\n";
    assert_eq!(site.import(csv), Ok(report(2, 0, 0)));
    let named = site.import("person;class;badge\n;;B-3\n").unwrap_err();
    assert!(named.contains("line 2"), "{named}");
}

#[test]
fn a_mistyped_word_is_told_with_the_nearest_that_is_known() {
    let site = Site::new();
    for (csv, told) in [
        ("Person,class\nP-1,asn\n", "column 1 is unknown, the nearest is person"),
        ("person,class,statsu\nP-1,asn,green\n", "column 3 is unknown, the nearest is status"),
        ("person,class\nP-1,ASN\n", "must be asn, non-asn or visitor; the nearest is asn"),
        ("person,class,status\nP-1,asn,Gren\n", "green, yellow, red, black or empty; the nearest is green"),
        ("person,class,language\nP-1,asn,xx\n", "must be id, en or empty"),
        ("person,class,badge\nP-1,asn,]Q1\n", "nothing but what scanners put around one"),
    ] {
        let error = site.import(csv).unwrap_err();
        assert!(error.contains(told), "{error}");
    }
}

#[test]
fn an_office_may_have_a_long_name() {
    let site = Site::new();
    let office = |chars: usize| format!("person,class,opd\nP-1,asn,{}\n", "é".repeat(chars));
    assert_eq!(site.import(&office(256)), Ok(report(1, 0, 0)));
    assert!(site.import(&office(257)).unwrap_err().contains("may have 256 characters"));
}
