//! The file, what is read from it, and what one person at a time changes in it.
//!
//! Longer than 400 lines: each way of changing the directory is tried against the same people.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use minicbor::Encode;
use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use protocol::{CredentialHash, HealthStatus, Instant, Language, PersonClass};
use tempfile::TempDir;

use super::file::{PEOPLE, begin};
use super::*;
use crate::CredentialKey;
use base::file_error::FileError;

/// A record as it was written before there were groups, validity and ID numbers, and before credentials were sorted.
#[derive(Encode)]
struct Earlier {
    #[n(0)]
    name: Option<String>,
    #[n(1)]
    class: PersonClass,
    #[n(2)]
    opd: String,
    #[n(3)]
    status: Option<HealthStatus>,
    #[n(4)]
    status_until: Option<Instant>,
    #[n(5)]
    credentials: Vec<CredentialHash>,
}

/// A directory in a folder of its own.
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

    fn put(&self, person: &PersonRecord) -> Result<Put, String> {
        put_person(&self.path(), &self.key, &zone(), person, at(7)).map_err(|error| error.to_string())
    }

    fn read(&self) -> Directory {
        Directory::read(&self.path()).unwrap()
    }

    fn owner(&self, credential: &str) -> Option<String> {
        self.read().find(&self.key.hash(credential)).map(|person| person.id.to_owned())
    }
}

fn zone() -> TimeZone {
    TimeZone::get("Asia/Makassar").unwrap()
}

fn at(ms: i64) -> Instant {
    Instant::from_unix_ms(ms)
}

fn badges(codes: &[&str]) -> Vec<String> {
    codes.iter().map(|code| (*code).to_owned()).collect()
}

fn person(id: &str, codes: &[&str]) -> PersonRecord {
    PersonRecord { id: id.into(), class: "asn".into(), badges: badges(codes), ..PersonRecord::default() }
}

fn everything() -> PersonRecord {
    let some = |text: &str| Some(text.to_owned());
    PersonRecord {
        id: "V-1".into(),
        name: some("Made Secret"),
        class: "visitor".into(),
        opd: some("Dinas Kesehatan"),
        groups: badges(&["press", "contractor", "press"]),
        status: some("yellow"),
        status_since: some("2026-11-01"),
        status_until: some("2026-11-30"),
        valid_from: some("2026-11-23T08:00:00+08:00"),
        valid_until: some("2026-11-23T10:00:00+08:00"),
        host: some("P-1"),
        language: some("en"),
        badges: badges(&["SECRET-2", "SECRET-1"]),
        id_number: some("1987.01-02"),
        credentials: Vec::new(),
    }
}

fn directory_with(path: &Path, entry: &[u8]) {
    let database = open_to_write(path).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(PEOPLE).unwrap().insert("P-1", entry).unwrap();
    transaction.commit().unwrap();
}

fn earlier() -> Vec<u8> {
    let record = Earlier {
        name: Some("Wayan".into()),
        class: PersonClass::NonAsn,
        opd: "dinkes".into(),
        status: Some(HealthStatus::Yellow),
        status_until: Some(at(5)),
        credentials: vec![CredentialHash([2; 16]), CredentialHash([1; 16])],
    };
    minicbor::to_vec(record).unwrap()
}

#[test]
fn a_file_of_an_earlier_version_is_read_and_changed() {
    let site = Site::new();
    let nobody = site.read();
    assert_eq!((nobody.people(), nobody.credentials(), nobody.synced_at()), (0, 0, None));
    assert!(!site.path().exists());
    directory_with(&site.path(), &earlier());
    assert_eq!(std::fs::metadata(site.path()).unwrap().permissions().mode() & 0o777, 0o600);
    let directory = site.read();
    let known = Person {
        id: "P-1",
        class: PersonClass::NonAsn,
        opd: "dinkes",
        groups: &[],
        status: Some(HealthStatus::Yellow),
        status_since: None,
        status_until: Some(at(5)),
        valid_from: None,
        valid_until: None,
        host: None,
        language: None,
    };
    for credential in [CredentialHash([1; 16]), CredentialHash([2; 16])] {
        assert_eq!(directory.find(&credential), Some(known));
    }
    assert_eq!((directory.person("P-1"), directory.find(&CredentialHash([3; 16]))), (Some(known), None));
    assert_eq!((directory.people(), directory.credentials(), directory.synced_at()), (1, 2, None));
    assert!(!format!("{directory:?}").contains("Wayan"));

    // Nobody has noted whose badges these are: that is found out by the first change.
    let taken = PersonRecord { credentials: vec![format!("b3:{}", CredentialHash([2; 16]))], ..person("P-2", &[]) };
    assert_eq!(site.put(&taken).unwrap_err(), "credentials: belongs to P-1; take it from there first");
    let before = read_person(&site.path(), "P-1").unwrap().unwrap();
    assert_eq!(site.put(&before), Ok(Put::Unchanged));
    assert_eq!(site.put(&PersonRecord { credentials: Vec::new(), ..before }), Ok(Put::Changed));
    assert_eq!(site.put(&taken), Ok(Put::Added));
    assert_eq!(site.read().synced_at(), Some(at(7)));
}

#[test]
fn everything_about_a_person_is_kept_but_badges_and_id_number() {
    let site = Site::new();
    assert_eq!(site.put(&everything()), Ok(Put::Added));
    assert_eq!(site.put(&everything()), Ok(Put::Unchanged));
    let directory = site.read();
    let groups: Vec<Box<str>> = vec!["contractor".into(), "press".into()];
    let moment = |text: &str| Some(text.parse().unwrap());
    let known = Person {
        id: "V-1",
        class: PersonClass::Visitor,
        opd: "Dinas Kesehatan",
        groups: &groups,
        status: Some(HealthStatus::Yellow),
        status_since: moment("2026-11-01T00:00:00+08:00"),
        status_until: moment("2026-11-30T23:59:59.999+08:00"),
        valid_from: moment("2026-11-23T08:00:00+08:00"),
        valid_until: moment("2026-11-23T10:00:00+08:00"),
        host: Some("P-1"),
        language: Some(Language::En),
    };
    for credential in ["SECRET-1", "SECRET-2", "ID:19870102", "ID: 1987.01-02"] {
        assert_eq!(directory.find(&site.key.hash(credential)), Some(known), "{credential}");
    }
    assert_eq!((directory.people(), directory.credentials()), (1, 3));

    let written = read_person(&site.path(), "V-1").unwrap().unwrap();
    assert_eq!((written.credentials.len(), written.badges.len()), (2, 0));
    let json = serde_json::to_string(&written).unwrap();
    assert!(json.contains("Made Secret") && !json.contains("SECRET") && !json.contains("1987"), "{json}");
    assert_eq!(site.put(&serde_json::from_str(&json).unwrap()), Ok(Put::Unchanged));
    assert_eq!(format!("{written:?}"), "PersonRecord(…)");
}

#[test]
fn a_field_that_is_wrong_is_named_and_nothing_is_written() {
    let site = Site::new();
    let text = |text: &str| Some(text.to_owned());
    let long = |bytes: usize| Some("x".repeat(bytes));
    let good = everything;
    for (person, field, words) in [
        (PersonRecord { id: "P 1".into(), ..good() }, "id", "1 to 64 of letters"),
        (PersonRecord { id: "x".repeat(65), ..good() }, "id", "1 to 64 of letters"),
        (PersonRecord { class: "staff".into(), ..good() }, "class", "asn, non-asn or visitor"),
        (PersonRecord { class: String::new(), ..good() }, "class", "asn, non-asn or visitor"),
        (PersonRecord { name: long(129), ..good() }, "name", "128 characters"),
        (PersonRecord { opd: long(257), ..good() }, "opd", "256 characters"),
        (PersonRecord { host: long(65), ..good() }, "host", "64 characters"),
        (PersonRecord { groups: badges(&["Secret"]), ..good() }, "groups", "16 words"),
        (PersonRecord { groups: badges(&["a b"]), ..good() }, "groups", "a-z"),
        (PersonRecord { groups: (0..17).map(|n| format!("g{n}")).collect(), ..good() }, "groups", "16 words"),
        (PersonRecord { status: text("blue"), ..good() }, "status", "green, yellow, red, black"),
        (PersonRecord { status_since: text("soon"), ..good() }, "status_since", "2026-12-31"),
        (PersonRecord { status_until: text("2026-10-31"), ..good() }, "status_until", "before it begins"),
        (PersonRecord { valid_from: text("2026-02-30"), ..good() }, "valid_from", "2026-12-31"),
        (PersonRecord { valid_until: text("2026-11-23T07:59:00+08:00"), ..good() }, "valid_until", "before it begins"),
        (PersonRecord { language: text("fr"), ..good() }, "language", "id, en or empty"),
        (PersonRecord { badges: vec!["x".repeat(257)], ..good() }, "badges", "256 characters"),
        (PersonRecord { badges: (0..33).map(|n| n.to_string()).collect(), ..good() }, "badges", "32 for one person"),
        (PersonRecord { id_number: text("1987/SECRET"), ..good() }, "id_number", "letters and digits"),
        (PersonRecord { id_number: text(" - . "), ..good() }, "id_number", "letters and digits"),
        (PersonRecord { id_number: text("b3:12"), ..good() }, "id_number", "32 hexadecimal digits"),
        (PersonRecord { credentials: badges(&["SECRET"]), ..good() }, "credentials", "32 hexadecimal digits"),
        (PersonRecord { credentials: vec![format!("b3:+{}", "1".repeat(31))], ..good() }, "credentials", "b3:"),
    ] {
        let error = site.put(&person).unwrap_err();
        assert!(error.starts_with(&format!("{field}: ")) && error.contains(words), "{field}: {error}");
        assert!(!error.to_lowercase().contains("secret"), "{error}");
        assert!(!site.path().exists());
    }
}

#[test]
fn a_credential_has_one_owner_until_it_is_given_up() {
    let site = Site::new();
    site.put(&person("P-1", &["A", "ID: 12.34"])).unwrap();
    assert_eq!(site.put(&person("P-2", &["B", "A"])).unwrap_err(), "badges: belongs to P-1; take it from there first");
    let number = |number: &str| Some(number.to_owned());
    let typed = PersonRecord { id_number: number("1234"), ..person("P-2", &["B"]) };
    assert_eq!(site.put(&typed).unwrap_err(), "id_number: belongs to P-1; take it from there first");
    assert_eq!((site.owner("B"), site.read().people()), (None, 1));
    assert_eq!(site.put(&person("P-1", &["A"])), Ok(Put::Changed));
    assert_eq!(site.put(&typed), Ok(Put::Added));
    assert!(remove_person(&site.path(), "P-1", at(8)).unwrap());
    assert_eq!(site.put(&person("P-3", &["A"])), Ok(Put::Added));
    assert_eq!((site.owner("A").as_deref(), site.owner("ID:1234").as_deref()), (Some("P-3"), Some("P-2")));
}

#[test]
fn whoever_is_removed_is_gone() {
    let site = Site::new();
    assert!(!remove_person(&site.path(), "P-1", at(8)).unwrap());
    assert!(!site.path().exists());
    site.put(&person("P-1", &["A"])).unwrap();
    assert!(!remove_person(&site.path(), "P-2", at(8)).unwrap());
    assert_eq!(site.read().synced_at(), Some(at(7)));
    assert!(remove_person(&site.path(), "P-1", at(8)).unwrap());
    let directory = site.read();
    assert_eq!((directory.people(), directory.credentials(), directory.person("P-1")), (0, 0, None));
    assert_eq!((directory.synced_at(), read_person(&site.path(), "P-1").unwrap()), (Some(at(8)), None));
}

#[test]
fn whoever_is_erased_has_left_nothing_in_the_folder() {
    let site = Site::new();
    let traces = |text: &str| {
        let files =
            std::fs::read_dir(site.folder.path()).unwrap().map(|entry| std::fs::read(entry.unwrap().path()).unwrap());
        files.filter(|bytes| bytes.windows(text.len()).any(|piece| piece == text.as_bytes())).count()
    };
    for number in 1..=50 {
        let (id, badge) = (format!("P-{number:04}"), format!("B-{number:04}"));
        site.put(&PersonRecord { name: Some(format!("Contoh {number:04}")), ..person(&id, &[&badge]) }).unwrap();
    }
    // Removed only, the name stays in a page that is free.
    remove_person(&site.path(), "P-0007", at(8)).unwrap();
    assert_eq!(traces("Contoh 0007"), 1);
    std::fs::write(site.path().with_extension("redb.new"), "left by an erasure that was cut off").unwrap();
    assert_eq!(erase_person(&site.path(), "P-0007", at(9)).unwrap(), None);
    assert_eq!(erase_person(&site.path(), "P-0008", at(9)).unwrap(), Some(vec![site.key.hash("B-0008")]));
    for id in ["0007", "0008"] {
        assert_eq!((traces(&format!("P-{id}")), traces(&format!("Contoh {id}"))), (0, 0));
        assert_eq!(site.owner(&format!("B-{id}")), None);
    }
    assert_eq!((traces("P-0009"), site.owner("B-0009").as_deref()), (1, Some("P-0009")));
    assert_eq!((site.read().people(), site.read().synced_at()), (48, Some(at(9))));
    assert_eq!(std::fs::metadata(site.path()).unwrap().permissions().mode() & 0o777, 0o600);
    site.put(&person("P-0051", &["B-0008"])).unwrap();
    assert_eq!(std::fs::read_dir(site.folder.path()).unwrap().count(), 1);
}

#[test]
fn groups_offices_and_names_are_found_for_many_at_once() {
    let site = Site::new();
    for (id, class, opd, groups, name) in [
        ("P-1", "asn", "dinkes", &["night", "press"][..], Some("Contoh Satu")),
        ("P-2", "non-asn", "", &["press"][..], None),
        ("P-3", "visitor", "dinkes", &[][..], Some("Contoh Tiga")),
        ("P-4", "asn", "dinkes", &["other"][..], None),
    ] {
        let (class, opd, name) = (class.into(), Some(opd.into()), name.map(Into::into));
        site.put(&PersonRecord { class, opd, groups: badges(groups), name, ..person(id, &[]) }).unwrap();
    }
    let directory = site.read();
    let members =
        |groups: &[&str]| directory.members(groups).map(|(id, group)| format!("{id} {group}")).collect::<Vec<_>>();
    assert_eq!(members(&["press", "night"]), ["P-1 press", "P-2 press"]);
    assert_eq!(members(&["night", "press"]), ["P-1 night", "P-2 press"]);
    assert!(members(&[]).is_empty());
    assert_eq!(directory.staff().collect::<Vec<_>>(), [("P-1", "dinkes"), ("P-2", ""), ("P-4", "dinkes")]);
    let names = names_of(&site.path(), ["P-3", "P-2", "P-9", "P-1"]).unwrap();
    let expected = [("P-1", "Contoh Satu".to_owned()), ("P-3", "Contoh Tiga".to_owned())];
    assert_eq!(BTreeMap::from_iter(names), BTreeMap::from(expected));
    assert!(names_of(Path::new("nowhere.redb"), ["P-1"]).unwrap().is_empty());
}

#[test]
fn people_are_listed_in_pages_by_id() {
    let site = Site::new();
    let list = |after: Option<&str>, limit| {
        let people = list_people(&site.path(), after, limit).unwrap();
        people.into_iter().map(|person| person.id).collect::<Vec<_>>()
    };
    assert_eq!(list(None, 9), Vec::<String>::new());
    for id in ["P-2", "P-1", "P-10", "V-1"] {
        site.put(&person(id, &[])).unwrap();
    }
    assert_eq!(list(None, 9), ["P-1", "P-10", "P-2", "V-1"]);
    assert_eq!(list(None, 2), ["P-1", "P-10"]);
    assert_eq!(list(Some("P-10"), 2), ["P-2", "V-1"]);
    assert_eq!(list(Some("P-11"), 1), ["P-2"]);
    assert_eq!((list(Some("V-1"), 2).len(), list(None, 0).len()), (0, 0));
}

#[test]
fn reading_leaves_the_file_as_it_is() {
    let site = Site::new();
    directory_with(&site.path(), &earlier());
    let fingerprint = || {
        let file = std::fs::metadata(site.path()).unwrap();
        (file.ino(), file.mtime(), file.mtime_nsec(), file.len())
    };
    let before = fingerprint();
    // Whatever the file system's grain of time.
    std::thread::sleep(std::time::Duration::from_millis(20));
    site.read();
    list_people(&site.path(), None, 9).unwrap();
    assert_eq!(fingerprint(), before);
}

#[test]
fn a_file_in_use_is_told_from_a_damaged_one() {
    let site = Site::new();
    let path = site.path();
    let in_use = open_to_write(&path).unwrap();
    let errors: [FileError; 3] = [
        Directory::read(&path).map(drop).unwrap_err(),
        open_to_write(&path).map(drop).unwrap_err(),
        remove_person(&path, "P-1", at(8)).map(drop).unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.to_string(), format!("{}: is in use by another process; try again", path.display()));
    }
    drop(in_use);
    assert_eq!(site.read().credentials(), 0);
    directory_with(&path, b"no entry");
    let error = Directory::read(&path).unwrap_err().to_string();
    assert!(error.contains("damaged") && error.contains("import it anew"), "{error}");
    std::fs::write(&path, "no directory at all").unwrap();
    let error = Directory::read(&path).unwrap_err().to_string();
    assert!(error.contains("is no directory") && error.contains("import it anew"), "{error}");
}

#[test]
fn a_directory_that_cannot_be_used_is_replaced_by_an_import_of_everybody() {
    let site = Site::new();
    let (path, aside) = (site.path(), site.path().with_extension("redb.damaged"));
    let import = |people: &str, replace| {
        let options = crate::ImportOptions { replace, ..crate::ImportOptions::default() };
        crate::import_people(&path, &site.key, &zone(), people.as_bytes(), "people.csv", &options, at(9))
    };
    let good = "person,class,badge\nP-1,asn,A\nP-2,asn,B\n";
    let damages: [&dyn Fn(); 2] =
        [&|| std::fs::write(&path, "no directory at all").unwrap(), &|| directory_with(&path, b"no entry")];
    for damage in damages {
        std::fs::remove_file(&path).unwrap_or_default();
        damage();
        // Not by a few people, and not by rows that are wrong.
        assert!(import(good, false).is_err());
        assert!(import("person,class,badge\nP-1,asn,A\nP-2,asn,A\n", true).is_err());
        assert!(Directory::read(&path).is_err() && !aside.exists());
        let report = import(good, true).unwrap();
        assert_eq!((report.added, report.set_aside.as_deref()), (2, aside.to_str()));
        assert_eq!(site.read().credentials(), 2);
        std::fs::remove_file(&aside).unwrap();
        assert_eq!(import(good, true).unwrap().set_aside, None);
    }
}

#[test]
fn a_file_in_use_for_a_moment_is_waited_for() {
    let site = Site::new();
    site.put(&person("P-1", &["A"])).unwrap();
    let in_use = open_to_write(&site.path()).unwrap();
    std::thread::scope(|threads| {
        let putting = threads.spawn(|| {
            loop {
                // The wait is short in tests.
                match site.put(&person("P-2", &["B"])) {
                    Err(error) if error.contains("is in use") => {}
                    put => return put,
                }
            }
        });
        assert!(!putting.is_finished());
        drop(in_use);
        assert_eq!(putting.join().unwrap(), Ok(Put::Added));
    });
    assert_eq!(site.owner("A").as_deref(), Some("P-1"));
}

#[test]
fn an_interrupted_import_leaves_what_was_there_and_is_mended_by_the_next_read() {
    let site = Site::new();
    let copy = site.folder.path().join("copy.redb");
    for known in [&[][..], &["P-1"]] {
        for id in known {
            site.put(&person(id, &["A"])).unwrap();
        }
        let importing = open_to_write(&site.path()).unwrap();
        let transaction = begin(&site.path(), &importing).unwrap();
        {
            let path = site.path();
            let mut tables = Tables::open(&path, &transaction).unwrap();
            let bytes = encode(&site.path(), &Record::of(PersonClass::Asn)).unwrap();
            for number in 0..20_000 {
                tables.put(&format!("Q-{number:05}"), &bytes).unwrap();
            }
            tables.strike("P-1").unwrap();
        }
        // What a kill leaves behind: the pages that did not fit the cache are on disk.
        std::fs::copy(site.path(), &copy).unwrap();
        transaction.abort().unwrap();
        let directory = Directory::read(&copy).unwrap();
        assert_eq!(directory.people(), known.len());
        assert_eq!(directory.find(&site.key.hash("A")).map(|person| person.id), known.first().copied());
    }
}

#[test]
fn a_change_that_is_not_committed_changes_nothing() {
    let site = Site::new();
    site.put(&person("P-1", &["A"])).unwrap();
    {
        let database = open_to_write(&site.path()).unwrap();
        let transaction = begin(&site.path(), &database).unwrap();
        let path = site.path();
        let mut tables = Tables::open(&path, &transaction).unwrap();
        tables.take(&site.key.hash("A")).unwrap();
        tables.strike("P-1").unwrap();
    }
    assert_eq!(site.owner("A").as_deref(), Some("P-1"));
    assert!(site.put(&person("P-2", &["A"])).is_err());
}

fn any_record() -> impl Strategy<Value = Record> {
    let moment = || option::of((-9_000_000_000_000..9_000_000_000_000i64).prop_map(at));
    let class = prop::sample::select(PersonClass::ALL.to_vec());
    let status = option::of(prop::sample::select(HealthStatus::ALL.to_vec()));
    let language = option::of(prop::sample::select(Language::ALL.to_vec()));
    let groups = btree_set("[a-c]{1,2}", 0..4).prop_map(|groups| groups.into_iter().collect::<Vec<_>>());
    let texts = ("[a-z ]{0,3}", option::of("\\PC{1,8}"), groups);
    (class, status, language, (moment(), moment(), moment(), moment()), texts, vec(any::<[u8; 2]>(), 0..3)).prop_map(
        |(class, status, language, (status_since, status_until, valid_from, valid_until), texts, credentials)| Record {
            opd: texts.0,
            host: texts.1,
            groups: Some(texts.2).filter(|groups| !groups.is_empty()),
            status,
            status_since,
            status_until,
            valid_from,
            valid_until,
            language,
            credentials: credentials.iter().map(|two| hash_of(*two)).collect(),
            id_number: credentials.first().map(|[one, other]| hash_of([*other, *one])),
            ..Record::of(class)
        },
    )
}

fn hash_of([one, other]: [u8; 2]) -> CredentialHash {
    let mut hash = [0; 16];
    (hash[0], hash[15]) = (one, other);
    CredentialHash(hash)
}

proptest! {
    #[test]
    fn finding_agrees_with_a_plain_map(
        people in btree_map("[a-zA-Z0-9._-]{1,6}", any_record(), 0..40),
        strangers in vec(any::<[u8; 2]>(), 10),
    ) {
        let directory = Directory::of(people.iter().map(|(id, record)| (id.as_str(), record.clone())));
        let mut owners = BTreeMap::new();
        for (id, record) in &people {
            for credential in record.all_credentials() {
                owners.entry(credential).or_insert(id.as_str());
            }
            let groups: Vec<Box<str>> =
                record.groups.iter().flatten().map(|group| group.as_str().into()).collect();
            let expected = Person {
                id,
                class: record.class,
                opd: &record.opd,
                groups: &groups,
                status: record.status,
                status_since: record.status_since,
                status_until: record.status_until,
                valid_from: record.valid_from,
                valid_until: record.valid_until,
                host: record.host.as_deref(),
                language: record.language,
            };
            prop_assert_eq!(directory.person(id), Some(expected));
        }
        let strangers = strangers.into_iter().map(hash_of);
        for credential in owners.keys().copied().chain(strangers).collect::<Vec<_>>() {
            let found = directory.find(&credential).map(|person| person.id);
            prop_assert_eq!(found, owners.get(&credential).copied());
        }
        prop_assert_eq!((directory.people(), directory.credentials()), (people.len(), owners.len()));
        prop_assert!(directory.person("not there").is_none());
    }
}
