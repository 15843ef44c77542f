//! What of the log can be read without keys: nothing that tells of people, and everything that proves that it is whole.

use protocol::{
    AssistAction, AssistRecord, CredentialHash, Direction, Event, EventKind, MalformedScan, PassRecord, Via,
};

use super::faulty_disk::{Call, Disk, Fault, clock, event, vault};
use super::segment::{Link, link};
use super::store::SEGMENTS;
use super::{Commit, Config, Log, LogError, LogReader, Metrics};
use crate::vault::{Vault, VaultError};
use protocol::api::Severity;

const CREDENTIAL: CredentialHash = CredentialHash(*b"CREDENTIAL-HASH-");
const PASS: CredentialHash = CredentialHash(*b"HASH-OF-THE-PASS");

/// What must not stand on the disk.
const TELLING: [&[u8]; 9] = [
    b"P-SECRET",
    b"P-NAMED",
    b"CREDENTIAL-HASH-",
    b"HASH-OF-THE-PASS",
    b"Contoh Satgas",
    b"left the badge at home",
    b"PAYLOAD-HEAD",
    b"P-OF-CHECKPOINT",
    b"helper:",
];

fn of_person(number: u64, person: &str) -> Event {
    let mut event = event(number);
    event.verdict.person = Some(person.into());
    if let EventKind::Scan(scan) = &mut event.subject {
        (scan.credential, scan.pass) = (CREDENTIAL, Some(PassRecord { id: PASS, one_time_until: None }));
    }
    event
}

fn malformed(number: u64) -> Event {
    let head = b"PAYLOAD-HEAD".to_vec();
    Event {
        subject: EventKind::Malformed(MalformedScan {
            id: None,
            payload_bytes: 12,
            payload_head: head,
            ..MalformedScan::default()
        }),
        ..event(number)
    }
}

fn word(number: u64, person: &str) -> Event {
    let mut event = event(number);
    event.verdict.person = Some(person.into());
    event.subject = EventKind::Assist(AssistRecord {
        action: AssistAction::Admit,
        helper: "Contoh Satgas".into(),
        reason: "left the badge at home".into(),
        person: Some("P-NAMED".into()),
        answers: None,
        direction: Direction::In,
        device: "lobby".parse().unwrap(),
        via: Via::Mqtt,
        id: Some("a-1".into()),
        credential: Some(CREDENTIAL),
        pass: Some(PassRecord { id: PASS, one_time_until: None }),
    });
    event
}

/// One of each kind, and another person's.
fn events() -> Vec<Event> {
    vec![
        of_person(1, "P-SECRET"),
        event(2),
        malformed(3),
        word(4, "P-SECRET"),
        word(5, "P-OTHER"),
        of_person(6, "P-OTHER"),
    ]
}

fn commit(log: &mut Log, events: &[Event]) {
    log.commit(&Commit { events, ..Commit::default() }).unwrap();
}

fn read(reader: &LogReader) -> Vec<Event> {
    reader.read(0, usize::MAX, usize::MAX).unwrap()
}

#[test]
fn nothing_that_tells_of_anybody_stands_in_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.redb");
    let metrics = || Metrics::new(&mut prometheus_client::registry::Registry::default());
    let vault = vault();
    let (mut log, reader) = Log::open(&path, &Config::default(), metrics(), clock(), vault.clone()).unwrap();
    let checkpoint = Some(b"P-OF-CHECKPOINT".as_slice());
    log.commit(&Commit { events: &events(), checkpoint, ..Commit::default() }).unwrap();
    for telling in TELLING {
        let file = std::fs::read(&path).unwrap();
        assert!(!file.windows(telling.len()).any(|found| found == telling), "{}", String::from_utf8_lossy(telling));
    }
    assert_eq!(read(&reader), events());
    assert_eq!(reader.event(4).unwrap(), Some(word(4, "P-SECRET")));
    let first = event(1);
    let mut found = Vec::new();
    let beginning = protocol::Instant::from_unix_ms(0);
    let keep = |event| {
        found.push(event);
        true
    };
    reader.find_newest_first(&first.door, first.scan_id().unwrap(), beginning, keep).unwrap();
    assert_eq!(found, [of_person(1, "P-SECRET")]);
    assert_eq!(reader.newest_checkpoint().unwrap(), Some((6, b"P-OF-CHECKPOINT".to_vec())));
    // Followers that need no names are told whose events are the same person's.
    let encrypted = reader.read_sealed(0, usize::MAX, usize::MAX).unwrap();
    let of = |nth: usize| encrypted[nth].encrypted.as_ref().unwrap().person.as_ref().unwrap().of;
    assert_eq!((of(0), Some(of(0))), (of(3), vault.number("P-SECRET").unwrap()));
    assert_ne!(of(0), of(5));
    assert!(encrypted.iter().all(|event| event.verdict.person.is_none()));
    assert_eq!(reader.read_sealed(4, 1, usize::MAX).unwrap(), encrypted[4..5]);
}

#[test]
fn an_erased_person_is_gone_and_the_log_is_whole_also_when_it_is_opened_again() {
    let disk = Disk::default();
    let (mut log, reader) = disk.open().unwrap();
    commit(&mut log, &events());
    let verified = reader.verify().unwrap();
    disk.vault.destroy(&["P-SECRET"]).unwrap();
    let check = |reader: &LogReader| {
        let read = read(reader);
        let erased: Vec<_> = read.iter().filter(|event| event.is_erased()).map(|event| event.number).collect();
        assert_eq!(erased, [1, 3, 4]);
        assert!(read.iter().all(|event| !event.is_erased() || event.verdict.person.is_none()));
        // The helper's own name is the helper's.
        let EventKind::Assist(said) = &read[3].subject else { panic!() };
        assert_eq!((said.helper.as_str(), said.reason.as_str(), &said.person), ("Contoh Satgas", "", &None));
        assert_eq!((&read[1], &read[4], &read[5]), (&event(2), &word(5, "P-OTHER"), &of_person(6, "P-OTHER")));
        assert_eq!(reader.verify().unwrap(), verified);
    };
    check(&reader);
    drop(log);
    let (mut log, reader) = disk.open().unwrap();
    check(&reader);
    commit(&mut log, &[of_person(7, "P-SECRET")]);
    assert_eq!(reader.event(7).unwrap(), Some(of_person(7, "P-SECRET")), "somebody new");
    assert!(reader.event(1).unwrap().unwrap().is_erased());
}

#[test]
fn segments_from_before_are_read_and_others_follow_them() {
    let disk = Disk::default();
    drop(disk.open().unwrap());
    let plain = [of_person(1, "P-SECRET"), malformed(2)];
    let database = disk.opener()().unwrap();
    let transaction = database.begin_write().unwrap();
    let segment = link(&plain, Link::default()).unwrap().0;
    transaction.open_table(SEGMENTS).unwrap().insert(1, segment.as_slice()).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let (mut log, reader) = disk.open().unwrap();
    assert_eq!(reader.look_for_lost_keys().unwrap(), None, "there never were any");
    commit(&mut log, &[word(3, "P-SECRET")]);
    assert_eq!(read(&reader), [plain.as_slice(), &[word(3, "P-SECRET")]].concat());
    assert_eq!(reader.verify().unwrap().events, 3);
}

#[test]
fn keys_for_a_commit_that_fails_do_no_harm() {
    let disk = Disk::default();
    let (mut log, reader) = disk.open().unwrap();
    disk.fail(Fault { call: Call::Sync, passes: 0, forgets: true });
    log.commit(&Commit { events: &events(), ..Commit::default() }).unwrap_err();
    let number = disk.vault.number("P-SECRET").unwrap();
    assert!(number.is_some());
    disk.mend();
    log.reopen().unwrap();
    assert_eq!(read(&reader), []);
    // The numbers of the events are given to others.
    let others = [of_person(1, "P-OTHER"), of_person(2, "P-SECRET")];
    commit(&mut log, &others);
    assert_eq!(read(&reader), others);
    assert_eq!(disk.vault.number("P-SECRET").unwrap(), number);
    reader.verify().unwrap();
}

#[test]
fn a_vault_that_fails_is_a_failed_commit_and_nothing_is_written() {
    let keys = Disk::default();
    let mut disk = Disk::default();
    disk.vault = keys.open_vault();
    let (mut log, reader) = disk.open().unwrap();
    commit(&mut log, &[of_person(1, "P-SECRET")]);
    keys.fail(Fault { call: Call::Sync, passes: 0, forgets: true });
    // Keys that are there are enough.
    commit(&mut log, &[of_person(2, "P-SECRET")]);
    let written = disk.journal_len();
    let refused = log.commit(&Commit { events: &[of_person(3, "P-OTHER")], ..Commit::default() });
    assert!(matches!(refused, Err(LogError::Vault(VaultError::Write { .. }))), "{refused:?}");
    assert_eq!(disk.journal_len(), written);
    assert!(matches!(log.commit(&Commit::default()), Err(LogError::NeedsReopen)));
    assert_eq!(reader.problems(clock().now())[0].severity, Severity::Critical);
    log.reopen().unwrap_err();
    keys.mend();
    log.reopen().unwrap();
    assert_eq!(log.next_number(), 3);
    commit(&mut log, &[of_person(3, "P-OTHER")]);
    assert_eq!(read(&reader), [of_person(1, "P-SECRET"), of_person(2, "P-SECRET"), of_person(3, "P-OTHER")]);
    assert!(!reader.problems(clock().now()).iter().any(|problem| problem.severity == Severity::Critical));
}

#[test]
fn a_log_whose_vault_was_lost_works_and_says_so() {
    let mut disk = Disk::default();
    let (mut log, _) = disk.open().unwrap();
    commit(&mut log, &events());
    drop(log);
    let is_said = |reader: &LogReader| {
        let problems = reader.problems(clock().now());
        problems.iter().any(|problem| (problem.severity, problem.what.as_str()) == (Severity::Warning, "vault"))
    };
    disk.vault = Vault::in_memory().unwrap();
    let (mut log, reader) = disk.open().unwrap();
    assert!(!is_said(&reader));
    assert_eq!(reader.look_for_lost_keys().unwrap(), Some(6));
    assert!(is_said(&reader));
    assert!(read(&reader).iter().all(|event| event.verdict.person.is_none() && event.encrypted.is_some()));
    assert_eq!(reader.verify().unwrap().events, 6);
    commit(&mut log, &[of_person(7, "P-SECRET")]);
    assert_eq!(reader.event(7).unwrap(), Some(of_person(7, "P-SECRET")));
    assert_eq!(reader.look_for_lost_keys().unwrap(), Some(6), "it does not move on");
}
