//! What the audit trail keeps, and what it notices.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use protocol::Instant;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};

use super::record::WHAT_CHARS_MAX;
use super::testing::{self, Keys, on};
use super::*;
use crate::file::OpenError;
use crate::log::faulty_disk::{Call, Disk, Done, Fault};
use base::tokens::TokenRole;

fn at(day: i64) -> Instant {
    Instant::from_unix_ms(1_795_390_264_000 + day * 86_400_000)
}

fn asked(day: i64, person: Option<&str>, purpose: Option<&str>) -> AuditRecord {
    AuditRecord {
        at: at(day),
        token: "lobby-desk".parse().unwrap(),
        role: TokenRole::Tracer,
        what: "contacts".into(),
        query: "minutes=15".into(),
        status: 200,
        person: person.map(Into::into),
        purpose: purpose.map(Into::into),
    }
}

fn all(trail: &AuditTrail) -> Vec<StoredRecord> {
    trail.list(&Filter::default(), 0, usize::MAX).unwrap().rows
}

#[tokio::test]
async fn records_are_numbered_and_read_back_with_whom_and_why() {
    let keys = Arc::default();
    let (folder, trail) = testing::trail(&keys);
    assert_eq!(trail.record(asked(0, Some("P-1"), Some("cluster in the lobby"))).await.unwrap(), 1);
    assert_eq!(trail.record(asked(1, None, None)).await.unwrap(), 2);
    let rows = all(&trail);
    let first = StoredRecord {
        number: 1,
        at: at(0),
        token: "lobby-desk".into(),
        role: "tracer".into(),
        what: "contacts".into(),
        query: "minutes=15".into(),
        purpose: Some("cluster in the lobby".into()),
        person: Some("P-1".into()),
        status: 200,
        erased: false,
        broken: false,
    };
    assert!(rows[0] == first && rows[1].number == 2 && rows[1].person.is_none() && !rows[1].erased);

    // What tells of a person is not in the file, but in encrypted form.
    let bytes = std::fs::read(folder.path().join("audit.redb")).unwrap();
    for hidden in ["P-1", "cluster in the lobby"] {
        assert!(!bytes.windows(hidden.len()).any(|piece| piece == hidden.as_bytes()));
    }
    drop(trail);
    let reopened = until_open(&folder.path().join("audit.redb"), &keys);
    assert!(all(&reopened) == rows);
    assert_eq!(reopened.record(asked(2, None, None)).await.unwrap(), 3);
    assert!(all(&reopened).iter().all(|row| !row.broken));
}

/// The thread that writes lets the file go a moment later than the handle.
fn until_open(path: &std::path::Path, keys: &Arc<Keys>) -> AuditTrail {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    loop {
        let trail = AuditTrail::open(path, Arc::clone(keys) as Arc<dyn AuditCipher>).unwrap();
        match trail.problem() {
            None => return trail,
            Some(problem) => assert!(std::time::Instant::now() < deadline, "{}", problem.message),
        }
    }
}

#[tokio::test]
async fn after_the_keys_are_destroyed_the_record_stays_without_whom_and_why() {
    let keys = Arc::default();
    let (_folder, trail) = testing::trail(&keys);
    trail.record(asked(0, Some("P-1"), Some("why"))).await.unwrap();
    trail.record(asked(0, Some("P-2"), Some("why"))).await.unwrap();
    keys.destroy("P-1");
    let rows = all(&trail);
    assert!(rows[0].erased && rows[0].person.is_none() && rows[0].purpose.is_none() && !rows[0].broken);
    assert!(!rows[1].erased && rows[1].person.as_deref() == Some("P-2"));
    let json = serde_json::to_value(&rows[0]).unwrap();
    assert_eq!((&json["erased"], &json["status"], json.get("person")), (&true.into(), &200.into(), None));
}

#[tokio::test]
async fn of_a_stranger_only_the_purpose_is_kept_under_a_key_of_the_day() {
    let keys = Arc::default();
    let (_folder, trail) = testing::trail(&keys);
    trail.record(asked(0, Some("nobody"), Some("why"))).await.unwrap();
    trail.record(asked(0, Some("nobody"), None)).await.unwrap();
    let rows = all(&trail);
    assert!(rows[0].person.is_none() && rows[0].purpose.as_deref() == Some("why"));
    assert!(rows[1].purpose.is_none() && !rows[1].erased);
    assert!(keys.has("looks:2026-11-22"));
}

#[tokio::test]
async fn records_are_found_by_token_person_and_time_and_paged() {
    let keys = Arc::default();
    let (_folder, trail) = testing::trail(&keys);
    for day in 0..10 {
        let person = if day % 2 == 0 { "P-1" } else { "P-2" };
        trail.record(asked(day, Some(person), None)).await.unwrap();
    }
    let numbers = |filter: Filter, after, limit| {
        let page = trail.list(&filter, after, limit).unwrap();
        (page.rows.iter().map(|row| row.number).collect::<Vec<_>>(), page.last, page.more)
    };
    let none = Filter::default;
    assert_eq!(numbers(none(), 0, 3), (vec![1, 2, 3], 3, true));
    assert_eq!(numbers(none(), 8, 3), (vec![9, 10], 10, false));
    assert_eq!(numbers(none(), 10, 3), (vec![], 10, false));
    assert_eq!(numbers(Filter { person: Some("P-2".into()), ..none() }, 4, 2), (vec![6, 8], 8, true));
    assert_eq!(numbers(Filter { token: Some("other".into()), ..none() }, 0, 9), (vec![], 10, false));
    assert_eq!(numbers(Filter { from: Some(at(3)), to: Some(at(5)), ..none() }, 0, 9), (vec![4, 5], 10, false));
}

#[tokio::test]
async fn what_has_expired_is_gone_and_the_numbers_go_on() {
    let keys = Arc::default();
    let (folder, trail) = testing::trail(&keys);
    for day in 0..5 {
        trail.record(asked(day, None, None)).await.unwrap();
    }
    assert_eq!(trail.expire(at(3)).unwrap(), 3);
    assert_eq!(trail.expire(at(3)).unwrap(), 0);
    let rows = all(&trail);
    assert_eq!(rows.iter().map(|row| row.number).collect::<Vec<_>>(), [4, 5]);
    assert!(rows.iter().all(|row| !row.broken));
    assert_eq!(trail.expire(at(9)).unwrap(), 2);
    assert_eq!(trail.record(asked(10, None, None)).await.unwrap(), 6);
    drop(trail);
    let reopened = until_open(&folder.path().join("audit.redb"), &keys);
    let rows = all(&reopened);
    assert!(rows.len() == 1 && rows[0].number == 6 && !rows[0].broken);
}

#[tokio::test]
async fn a_row_that_was_taken_out_or_changed_shows_in_the_chain() {
    const RECORDS: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("looks");
    for tamper in [
        |table: &mut redb::Table<'_, u64, &'static [u8]>| drop(table.remove(2).unwrap()),
        |table: &mut redb::Table<'_, u64, &'static [u8]>| {
            let mut row = table.get(2).unwrap().unwrap().value().to_vec();
            let word = row.windows(10).position(|piece| piece == b"minutes=15").unwrap();
            row[word + 9] = b'0';
            table.insert(2, row.as_slice()).unwrap();
        },
        |table: &mut redb::Table<'_, u64, &'static [u8]>| drop(table.remove(1).unwrap()),
    ] {
        let keys = Arc::default();
        let (folder, trail) = testing::trail(&keys);
        for day in 0..4 {
            trail.record(asked(day, None, None)).await.unwrap();
        }
        let path = folder.path().join("audit.redb");
        drop(trail);
        drop(until_open(&path, &keys));
        let database = loop {
            if let Ok(database) = Database::open(&path) {
                break database;
            }
        };
        let transaction = database.begin_write().unwrap();
        tamper(&mut transaction.open_table(RECORDS).unwrap());
        transaction.commit().unwrap();
        assert!(database.begin_read().is_ok());
        drop(database);
        let rows = all(&until_open(&path, &keys));
        assert_eq!(rows.iter().filter(|row| row.broken).count(), 1);
        assert!(!rows.last().unwrap().broken);
    }
}

#[tokio::test]
async fn long_texts_are_cut() {
    let keys = Arc::default();
    let (_folder, trail) = testing::trail(&keys);
    let long = "ä".repeat(1_000);
    let long = AuditRecord { query: long.clone(), what: long.clone(), ..asked(0, Some(&long), Some(&long)) };
    trail.record(long).await.unwrap();
    let row = all(&trail).remove(0);
    let chars = |text: &str| text.chars().count();
    assert_eq!((chars(&row.query), chars(&row.what)), (QUERY_CHARS_MAX, WHAT_CHARS_MAX));
    assert_eq!(chars(row.purpose.as_deref().unwrap()), PURPOSE_CHARS_MAX);
    assert_eq!(chars(row.person.as_deref().unwrap()), PERSON_CHARS_MAX);
}

#[tokio::test]
async fn a_record_that_cannot_be_encrypted_fails_alone() {
    let keys: Arc<Keys> = Arc::default();
    let (_folder, trail) = testing::trail(&keys);
    keys.broken.store(true, Ordering::Release);
    let (encrypted, open) = tokio::join!(trail.record(asked(0, Some("P-1"), None)), trail.record(asked(0, None, None)));
    assert!(matches!(encrypted, Err(AuditError::Encrypting(_))) && open.unwrap() == 1);
    // Alone: one that is kept in a later batch takes the problem back.
    trail.record(asked(0, Some("P-1"), None)).await.unwrap_err();
    assert!(trail.problem().unwrap().message.contains("cannot be encrypted: the disk is full"));
    assert_eq!(all(&trail).len(), 1);
}

#[test]
fn a_record_is_told_to_be_kept_after_the_sync_only_and_the_file_heals() {
    let (disk, runtime) = (Disk::default(), runtime());
    let trail = on(&disk);
    let record = |day| {
        let trail = trail.clone();
        runtime.spawn(async move { trail.record(asked(day, None, None)).await })
    };
    let wait = |recording: tokio::task::JoinHandle<Result<u64, AuditError>>| runtime.block_on(recording).unwrap();
    assert_eq!(wait(record(0)).unwrap(), 1);

    let stalled = disk.stall();
    let (before, recording) = (disk.journal_len(), record(1));
    runtime.block_on(async {
        while disk.journal_len() == before {
            tokio::task::yield_now().await
        }
    });
    assert!(!recording.is_finished());
    drop(stalled);
    assert_eq!(wait(recording).unwrap(), 2);

    disk.fail(Fault { call: Call::Sync, passes: 0, forgets: true });
    for _ in 0..3 {
        wait(record(2)).unwrap_err();
    }
    disk.mend();
    assert_eq!(wait(record(3)).unwrap(), 3);
    assert!(all(&trail).iter().all(|row| !row.broken));
}

#[test]
fn records_that_come_together_share_a_sync() {
    let (disk, runtime) = (Disk::default(), runtime());
    let trail = on(&disk);
    let stalled = disk.stall();
    let mut recordings: Vec<_> = (0..60).map(|day| Box::pin(trail.record(asked(day, None, None)))).collect();
    // Asked once, each is in the queue.
    runtime.block_on(async {
        for recording in &mut recordings {
            assert!(is_pending(recording).await);
        }
    });
    let before = disk.journal_len();
    drop(stalled);
    let mut numbers: Vec<_> = recordings.into_iter().map(|recording| runtime.block_on(recording).unwrap()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=60).collect::<Vec<_>>());
    let syncs = disk.journal()[before..].iter().filter(|done| matches!(done, Done::Sync)).count();
    assert!(syncs < 30, "{syncs} syncs for 60 records");
}

/// Polls once; whether it is not ready.
async fn is_pending<F: Future + Unpin>(future: &mut F) -> bool {
    std::future::poll_fn(|context| std::task::Poll::Ready(std::pin::Pin::new(&mut *future).poll(context).is_pending()))
        .await
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}

#[tokio::test]
async fn another_file_is_left_alone_and_said_to_be_a_problem_until_it_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.redb");
    let database = Database::create(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(TableDefinition::<u64, u64>::new("segments")).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let trail = AuditTrail::open(&path, Arc::<Keys>::default()).unwrap();
    assert!(trail.problem().unwrap().message.contains("is not an audit trail of this gateway"));
    assert!(
        matches!(trail.record(asked(0, None, None)).await, Err(AuditError::Open(error)) if matches!(*error, OpenError::Foreign { .. }))
    );
    assert_eq!(trail.problem().unwrap().since, Some(at(0)));
    assert!(
        matches!(trail.record(asked(1, None, None)).await, Err(AuditError::Open(error)) if matches!(*error, OpenError::Foreign { .. }))
    );
    assert_eq!(trail.problem().unwrap().since, Some(at(0)));

    std::fs::remove_file(&path).unwrap();
    assert_eq!(trail.record(asked(2, None, None)).await.unwrap(), 1);
    assert_eq!(trail.problem(), None);
}

#[tokio::test]
async fn a_file_under_its_old_name_is_taken_over_once() {
    let keys = Arc::<Keys>::default();
    let (folder, trail) = testing::trail(&keys);
    let (path, old) = (folder.path().join("audit.redb"), folder.path().join("looks.redb"));
    trail.record(asked(0, Some("P-1"), Some("why"))).await.unwrap();
    drop(trail);
    drop(until_open(&path, &keys));
    std::fs::rename(&path, &old).unwrap();
    let trail = until_open(&path, &keys);
    assert!(path.exists() && !old.exists());
    assert_eq!(trail.record(asked(1, None, None)).await.unwrap(), 2);
    let rows = all(&trail);
    assert_eq!((rows[0].person.as_deref(), rows.iter().any(|row| row.broken)), (Some("P-1"), false));
    // Whoever has both keeps both: which is the right one is not for a program to say.
    std::fs::write(&old, b"something else").unwrap();
    drop(trail);
    assert_eq!(all(&until_open(&path, &keys)).len(), 2);
    assert_eq!(std::fs::read(&old).unwrap(), b"something else");
}
