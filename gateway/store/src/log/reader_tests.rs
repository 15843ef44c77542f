//! What readers get, at every position and limit, and what they are told of a log that was tampered with.

use std::time::Duration;

use protocol::{DoorId, Event, Instant, ScanId};
use redb::{Database, ReadableTable};

use super::faulty_disk::{Call, Disk, Fault, clock, event, events, vault};
use super::segment::{Segment, link};
use super::store::{CHECKPOINTS, SEGMENTS};
use super::{Commit, Config, Log, LogError, LogReader, Metrics, SegmentFault, WalkEnd};
use protocol::api::{Problem, Severity};

/// A log with segments of these sizes.
fn log_of(disk: &Disk, sizes: &[u64]) -> (Log, LogReader) {
    let (mut log, reader) = disk.open().unwrap();
    for size in sizes {
        let events = events(log.next_number()..=log.next_number() + size - 1);
        log.commit(&Commit { events: &events, checkpoint: Some(b"state"), ..Commit::default() }).unwrap();
    }
    (log, reader)
}

/// Changes the database of a closed log.
fn tamper(disk: &Disk, change: impl FnOnce(&redb::WriteTransaction)) {
    let database: Database = disk.opener()().unwrap();
    let transaction = database.begin_write().unwrap();
    change(&transaction);
    transaction.commit().unwrap();
}

#[test]
fn reading_starts_anywhere_and_ends_at_either_limit() {
    let (_log, reader) = log_of(&Disk::default(), &[1, 3, 7, 1, 20, 2]);
    let all = events(1..=34);
    // As they are on disk.
    let sizes: Vec<usize> = reader
        .read_sealed(0, usize::MAX, usize::MAX)
        .unwrap()
        .iter()
        .map(|event| minicbor::to_vec(event).unwrap().len())
        .collect();
    let bytes = |event: &Event| sizes[usize::try_from(event.number - 1).unwrap()];
    for after in 0..=36u64 {
        for events_max in [0, 1, 2, 5, usize::MAX] {
            for bytes_max in [0, 1, 250, bytes(&all[20]) * 3, 2_000, usize::MAX] {
                let mut room = bytes_max;
                let mut expected: Vec<Event> = Vec::new();
                for event in all.iter().skip(usize::try_from(after).unwrap()).take(events_max.max(1)) {
                    let fits = room.checked_sub(bytes(event));
                    if fits.is_none() && !expected.is_empty() {
                        break;
                    }
                    room = fits.unwrap_or(0);
                    expected.push(event.clone());
                }
                let read = reader.read(after, events_max, bytes_max).unwrap();
                assert_eq!(read, expected, "after {after}, {events_max} events, {bytes_max} bytes");
            }
        }
        assert_eq!(reader.event(after).unwrap(), Some(event(after)).filter(|_| (1..=34).contains(&after)));
    }
    assert_eq!(reader.read(u64::MAX, 1, 1).unwrap(), []);
    assert_eq!(reader.event(u64::MAX).unwrap(), None);
}

#[test]
fn events_are_read_by_their_numbers_wherever_they_lie() {
    let disk = Disk::default();
    let (_log, reader) = log_of(&disk, &[3, 1, 4]);
    let numbers = |wanted: &[u64]| -> Vec<u64> {
        let events = reader.events(&wanted.iter().copied().collect()).unwrap();
        events.iter().map(|event| event.number).collect()
    };
    assert!(numbers(&[]).is_empty());
    assert_eq!(numbers(&[8, 1, 3, 5]), [1, 3, 5, 8]);
    // There is neither a number 0 nor a 9.
    assert_eq!(numbers(&[0, 4, 9, 100]), [4]);
    let one_by_one: Vec<_> = (1..=8).map(|number| reader.event(number).unwrap().unwrap()).collect();
    assert_eq!(reader.events(&(1..=8).collect()).unwrap(), one_by_one);
}

#[test]
fn a_flipped_byte_is_named_by_verify_and_by_read() {
    let disk = Disk::default();
    drop(log_of(&disk, &[2, 3, 4]));
    disk.tamper(|file| {
        // Old copies of a page may be about: the byte is flipped in each copy of the segment.
        let start = [b"GPLS".as_slice(), &[0, 1, 0, 0, 0, 3], &3u64.to_be_bytes()].concat();
        let found: Vec<_> = (0..file.len()).filter(|at| file[*at..].starts_with(&start)).collect();
        assert!(!found.is_empty());
        found.iter().for_each(|at| file[at + 100] ^= 1);
    });
    let (_log, reader) = disk.open().unwrap();
    let named = |error| matches!(error, LogError::Damaged { segment: 3, fault: SegmentFault::SealBroken });
    assert!(named(reader.verify().unwrap_err()));
    assert!(named(reader.read(0, 10, usize::MAX).unwrap_err()));
    assert!(named(reader.event(4).unwrap_err()));
    assert!(named(find(&reader, &event(1).door, event(1).scan_id().unwrap()).unwrap_err()));
    assert_eq!(reader.read(0, 2, usize::MAX).unwrap(), events(1..=2));
    assert_eq!(reader.read(5, 10, usize::MAX).unwrap(), events(6..=9));
    assert!(reader.verify().unwrap_err().to_string().contains("event 3"));
}

#[test]
fn a_segment_that_is_gone_is_missed_and_not_passed_over() {
    for (taken, missing) in [(1, 1), (3, 3)] {
        let disk = Disk::default();
        drop(log_of(&disk, &[2, 3, 4]));
        tamper(&disk, |transaction| {
            transaction.open_table(SEGMENTS).unwrap().remove(taken).unwrap();
        });
        let (_log, reader) = disk.open().unwrap();
        for error in
            [reader.verify().err(), reader.read(missing - 1, 10, usize::MAX).err(), reader.event(missing).err()]
        {
            assert!(matches!(error, Some(LogError::Missing { number }) if number == missing), "{error:?}");
        }
    }
}

#[test]
fn a_segment_that_was_replaced_breaks_the_chain() {
    let disk = Disk::default();
    drop(log_of(&disk, &[2, 3, 4]));
    let mut forged = events(3..=5);
    forged[0].verdict.reason = "forged".into();
    tamper(&disk, |transaction| {
        let mut segments = transaction.open_table(SEGMENTS).unwrap();
        let previous = Segment::read(1, segments.get(1).unwrap().unwrap().value()).unwrap().link;
        segments.insert(3, link(&forged, previous).unwrap().0.as_slice()).unwrap();
    });
    let (_log, reader) = disk.open().unwrap();
    let error = reader.verify().unwrap_err();
    assert!(matches!(error, LogError::Damaged { segment: 6, fault: SegmentFault::ChainBroken }), "{error:?}");
}

#[test]
fn a_damaged_checkpoint_is_passed_over() {
    let disk = Disk::default();
    drop(log_of(&disk, &[2, 3]));
    tamper(&disk, |transaction| {
        let mut checkpoints = transaction.open_table(CHECKPOINTS).unwrap();
        checkpoints.insert(5, b"short".as_slice()).unwrap();
    });
    let (_log, reader) = disk.open().unwrap();
    let Err(LogError::DamagedCheckpoint { covers }) = reader.newest_checkpoint() else { panic!() };
    assert_eq!(covers, 5);
    assert_eq!(reader.older_checkpoint(covers).unwrap(), Some((2, b"state".to_vec())));
}

/// The newest event of a scan.
fn find(reader: &LogReader, door: &DoorId, id: ScanId) -> Result<(Vec<Event>, WalkEnd), LogError> {
    let (mut found, beginning) = (Vec::new(), Instant::from_unix_ms(0));
    let end = reader.find_newest_first(door, id, beginning, |event| {
        found.push(event);
        true
    })?;
    Ok((found, end))
}

#[test]
fn every_scan_under_a_number_is_shown_as_far_back_as_is_asked() {
    let at = |number| Instant::from_unix_ms(1_795_390_000_000 + number as i64 * 1_000);
    let (mut log, reader) = log_of(&Disk::default(), &[]);
    for number in 1..=40 {
        let event =
            Event { number, decided_at: at(number), door: event(1).door, subject: event(1).subject, ..event(number) };
        log.commit(&Commit { events: &[event], ..Commit::default() }).unwrap();
    }
    let (door, id) = (event(1).door, event(1).scan_id().unwrap());
    for (since, until, numbers, end) in [
        (at(0), 0, (1..=40).collect::<Vec<u64>>(), WalkEnd::Start),
        (at(31), 0, (30..=40).collect(), WalkEnd::Before),
        (at(31), 38, (38..=40).collect(), WalkEnd::Found),
        (at(99), 0, vec![40], WalkEnd::Before),
    ] {
        let mut shown = Vec::new();
        let found = |event: Event| {
            shown.push(event.number);
            event.number == until
        };
        assert_eq!(reader.find_newest_first(&door, id, since, found).unwrap(), end);
        shown.reverse();
        assert_eq!(shown, numbers);
    }
}

#[test]
fn scans_are_found_however_far_back_they_are() {
    let segments = 2 * super::reader::WALK_SEGMENTS + 3;
    let (_log, reader) = log_of(&Disk::default(), &vec![2; segments]);
    for number in [1, 2, 5, reader.last_event()] {
        let wanted = event(number);
        let found = find(&reader, &wanted.door, wanted.scan_id().unwrap()).unwrap();
        assert_eq!(found, (vec![wanted], WalkEnd::Found));
    }
    let elsewhere = "door-elsewhere".parse().unwrap();
    assert_eq!(find(&reader, &elsewhere, event(1).scan_id().unwrap()).unwrap(), (vec![], WalkEnd::Start));
    assert_eq!(reader.verify().unwrap().segments, u64::try_from(segments).unwrap());
}

#[tokio::test]
async fn a_reader_waits_for_news_and_learns_that_the_writer_is_gone() {
    let (mut log, reader) = log_of(&Disk::default(), &[2]);
    reader.wait_beyond(1).await.unwrap();
    let waiting = tokio::spawn({
        let reader = reader.clone();
        async move {
            reader.wait_beyond(2).await.unwrap();
            reader.read(2, 10, usize::MAX).unwrap()
        }
    });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    log.commit(&Commit { events: &[event(3)], ..Commit::default() }).unwrap();
    assert_eq!(waiting.await.unwrap(), [event(3)]);
    drop(log);
    assert!(matches!(reader.wait_beyond(3).await, Err(LogError::Closed)));
}

#[test]
fn what_is_wrong_is_said_and_then_no_more() {
    let disk = Disk::default();
    let (mut log, reader) = log_of(&disk, &[2]);
    let now = clock().now();
    let critical = |problems: &[Problem]| problems.iter().any(|problem| problem.severity == Severity::Critical);
    assert!(!critical(&reader.problems(now)));
    disk.fail(Fault { call: Call::Write, passes: 0, forgets: false });
    log.commit(&Commit::default()).unwrap_err();
    assert_eq!(reader.problems(now)[0].since, Some(now));
    disk.mend();
    log.reopen().unwrap();
    assert!(critical(&reader.problems(now)), "nothing is proved before a commit succeeds");
    log.commit(&Commit::default()).unwrap();
    assert!(!critical(&reader.problems(now)));

    assert_eq!(reader.commit_running_for(now), None);
    reader.store().commit_started.set(now);
    let later = Instant::from_unix_ms(now.unix_ms() + 7_000);
    assert_eq!(reader.commit_running_for(later), Some(Duration::from_secs(7)));
    assert!(!critical(&reader.problems(now)) && critical(&reader.problems(later)));
}

#[test]
fn figures_tell_the_file_and_its_disk() {
    let folder = tempfile::tempdir().unwrap();
    let metrics = Metrics::new(&mut prometheus_client::registry::Registry::default());
    let config = Config { disk_free_bytes_min: u64::MAX, ..Default::default() };
    let (mut log, reader) = Log::open(&folder.path().join("log.redb"), &config, metrics, clock(), vault()).unwrap();
    log.commit(&Commit { events: &[event(1)], ..Commit::default() }).unwrap();
    let figures = reader.figures();
    assert!(figures.file_bytes > 0 && figures.disk_free_bytes > 0);
    assert_eq!((figures.last_event, figures.last_commit_at), (1, Some(clock().now())));
    let problems = reader.problems(clock().now());
    assert!(matches!(&problems[..], [Problem { severity: Severity::Warning, what, .. }] if what == "disk"));
}
