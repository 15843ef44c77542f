//! What the record of looks keeps, and what it notices.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use protocol::Instant;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};

use super::testing::{Keys, looks, on};
use super::*;
use crate::log::faulty_disk::{Call, Disk, Done, Fault};

fn at(day: i64) -> Instant {
    Instant::from_unix_ms(1_795_390_264_000 + day * 86_400_000)
}

fn look(day: i64, person: Option<&str>, purpose: Option<&str>) -> Look {
    Look {
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

fn all(looks: &Looks) -> Vec<Row> {
    looks.list(&Filter::default(), 0, usize::MAX).unwrap().rows
}

#[tokio::test]
async fn looks_are_numbered_and_read_back_with_whom_and_why() {
    let keys = Arc::default();
    let (folder, looks) = looks(&keys);
    assert_eq!(looks.record(look(0, Some("P-1"), Some("cluster in the lobby"))).await.unwrap(), 1);
    assert_eq!(looks.record(look(1, None, None)).await.unwrap(), 2);
    let rows = all(&looks);
    let first = Row {
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

    // What tells of a person is not in the file, but in sealed form.
    let bytes = std::fs::read(folder.path().join("looks.redb")).unwrap();
    for hidden in ["P-1", "cluster in the lobby"] {
        assert!(!bytes.windows(hidden.len()).any(|piece| piece == hidden.as_bytes()));
    }
    drop(looks);
    let reopened = until_open(&folder.path().join("looks.redb"), &keys);
    assert!(all(&reopened) == rows);
    assert_eq!(reopened.record(look(2, None, None)).await.unwrap(), 3);
    assert!(all(&reopened).iter().all(|row| !row.broken));
}

/// The thread that writes lets the file go a moment later than the handle.
fn until_open(path: &std::path::Path, keys: &Arc<Keys>) -> Looks {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    loop {
        let looks = Looks::open(path, Arc::clone(keys) as Arc<dyn Sealer>).unwrap();
        match looks.problem() {
            None => return looks,
            Some(problem) => assert!(std::time::Instant::now() < deadline, "{}", problem.message),
        }
    }
}

#[tokio::test]
async fn after_the_keys_are_destroyed_the_look_stays_without_whom_and_why() {
    let keys = Arc::default();
    let (_folder, looks) = looks(&keys);
    looks.record(look(0, Some("P-1"), Some("why"))).await.unwrap();
    looks.record(look(0, Some("P-2"), Some("why"))).await.unwrap();
    keys.destroy("P-1");
    let rows = all(&looks);
    assert!(rows[0].erased && rows[0].person.is_none() && rows[0].purpose.is_none() && !rows[0].broken);
    assert!(!rows[1].erased && rows[1].person.as_deref() == Some("P-2"));
    let json = serde_json::to_value(&rows[0]).unwrap();
    assert_eq!((&json["erased"], &json["status"], json.get("person")), (&true.into(), &200.into(), None));
}

#[tokio::test]
async fn of_a_stranger_only_the_purpose_is_kept_under_a_key_of_the_day() {
    let keys = Arc::default();
    let (_folder, looks) = looks(&keys);
    looks.record(look(0, Some("nobody"), Some("why"))).await.unwrap();
    looks.record(look(0, Some("nobody"), None)).await.unwrap();
    let rows = all(&looks);
    assert!(rows[0].person.is_none() && rows[0].purpose.as_deref() == Some("why"));
    assert!(rows[1].purpose.is_none() && !rows[1].erased);
    assert!(keys.has("looks:2026-11-22"));
}

#[tokio::test]
async fn looks_are_found_by_token_person_and_time_and_paged() {
    let keys = Arc::default();
    let (_folder, looks) = looks(&keys);
    for day in 0..10 {
        let person = if day % 2 == 0 { "P-1" } else { "P-2" };
        looks.record(look(day, Some(person), None)).await.unwrap();
    }
    let numbers = |filter: Filter, after, limit| {
        let page = looks.list(&filter, after, limit).unwrap();
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
    let (folder, looks) = looks(&keys);
    for day in 0..5 {
        looks.record(look(day, None, None)).await.unwrap();
    }
    assert_eq!(looks.expire(at(3)).unwrap(), 3);
    assert_eq!(looks.expire(at(3)).unwrap(), 0);
    let rows = all(&looks);
    assert_eq!(rows.iter().map(|row| row.number).collect::<Vec<_>>(), [4, 5]);
    assert!(rows.iter().all(|row| !row.broken));
    assert_eq!(looks.expire(at(9)).unwrap(), 2);
    assert_eq!(looks.record(look(10, None, None)).await.unwrap(), 6);
    drop(looks);
    let reopened = until_open(&folder.path().join("looks.redb"), &keys);
    let rows = all(&reopened);
    assert!(rows.len() == 1 && rows[0].number == 6 && !rows[0].broken);
}

#[tokio::test]
async fn a_row_that_was_taken_out_or_changed_shows_in_the_chain() {
    const LOOKS: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("looks");
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
        let (folder, looks) = looks(&keys);
        for day in 0..4 {
            looks.record(look(day, None, None)).await.unwrap();
        }
        let path = folder.path().join("looks.redb");
        drop(looks);
        drop(until_open(&path, &keys));
        let database = loop {
            if let Ok(database) = Database::open(&path) {
                break database;
            }
        };
        let transaction = database.begin_write().unwrap();
        tamper(&mut transaction.open_table(LOOKS).unwrap());
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
    let (_folder, looks) = looks(&keys);
    let long = "ä".repeat(1_000);
    let long = Look { query: long.clone(), what: long.clone(), ..look(0, Some(&long), Some(&long)) };
    looks.record(long).await.unwrap();
    let row = all(&looks).remove(0);
    let chars = |text: &str| text.chars().count();
    assert_eq!((chars(&row.query), chars(&row.what)), (QUERY_CHARS_MAX, WHAT_CHARS_MAX));
    assert_eq!(chars(row.purpose.as_deref().unwrap()), PURPOSE_CHARS_MAX);
    assert_eq!(chars(row.person.as_deref().unwrap()), PERSON_CHARS_MAX);
}

#[tokio::test]
async fn a_look_that_cannot_be_sealed_fails_alone() {
    let keys: Arc<Keys> = Arc::default();
    let (_folder, looks) = looks(&keys);
    keys.broken.store(true, Ordering::Release);
    let (sealed, open) = tokio::join!(looks.record(look(0, Some("P-1"), None)), looks.record(look(0, None, None)));
    assert!(matches!(sealed, Err(LooksError::Sealing(_))) && open.unwrap() == 1);
    assert!(looks.problem().unwrap().message.contains("cannot be sealed: the disk is full"));
    assert_eq!(all(&looks).len(), 1);
}

#[test]
fn a_look_is_told_to_be_kept_after_the_sync_only_and_the_file_heals() {
    let (disk, runtime) = (Disk::default(), runtime());
    let looks = on(&disk);
    let record = |day| {
        let looks = looks.clone();
        runtime.spawn(async move { looks.record(look(day, None, None)).await })
    };
    let wait = |recording: tokio::task::JoinHandle<Result<u64, LooksError>>| runtime.block_on(recording).unwrap();
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
    assert!(all(&looks).iter().all(|row| !row.broken));
}

#[test]
fn looks_that_come_together_share_a_sync() {
    let (disk, runtime) = (Disk::default(), runtime());
    let looks = on(&disk);
    let stalled = disk.stall();
    let mut recordings: Vec<_> = (0..60).map(|day| Box::pin(looks.record(look(day, None, None)))).collect();
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
    assert!(syncs < 30, "{syncs} syncs for 60 looks");
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
    let path = folder.path().join("looks.redb");
    let database = Database::create(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(TableDefinition::<u64, u64>::new("segments")).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let looks = Looks::open(&path, Arc::<Keys>::default()).unwrap();
    assert!(looks.problem().unwrap().message.contains("is not a record of looks of this gateway"));
    assert!(
        matches!(looks.record(look(0, None, None)).await, Err(LooksError::Open(error)) if matches!(*error, OpenError::Foreign { .. }))
    );
    assert_eq!(looks.problem().unwrap().since, Some(at(0)));
    assert!(
        matches!(looks.record(look(1, None, None)).await, Err(LooksError::Open(error)) if matches!(*error, OpenError::Foreign { .. }))
    );
    assert_eq!(looks.problem().unwrap().since, Some(at(0)));

    std::fs::remove_file(&path).unwrap();
    assert_eq!(looks.record(look(2, None, None)).await.unwrap(), 1);
    assert_eq!(looks.problem(), None);
}
