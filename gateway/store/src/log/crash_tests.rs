//! What is left of the log after a crash at any point, and after a disk that fails.

use super::faulty_disk::{Call, Disk, Done, Fault, event, events};
use super::{Commit, Log, LogError, LogReader};
use crate::file::OpenError;

const UPSTREAM: &str = "upstream";

/// Which of the writes since the last sync survive.
const SURVIVORS: [fn(usize) -> bool; 4] = [|_| false, |_| true, |nth| nth % 2 == 0, |nth| nth % 3 == 1];

fn commit(log: &mut Log, count: u64, checkpoint: Option<&[u8]>) -> Result<(), LogError> {
    let events = events(log.next_number()..=log.next_number() + count - 1);
    let cursors = [(UPSTREAM, log.next_number() + count - 1)];
    log.commit(&Commit { events: &events, cursors: &cursors, checkpoint, ..Commit::default() })
}

/// Checks that the log holds exactly the events up to `last`, and what was committed with the last of them.
fn assert_whole(reader: &LogReader, last: u64) {
    assert_eq!(reader.last_event(), last);
    assert_eq!(reader.verify().unwrap().events, last);
    assert_eq!(reader.read(0, usize::MAX, usize::MAX).unwrap(), events(1..=last));
    assert_eq!(reader.cursor(UPSTREAM).unwrap(), Some(last).filter(|last| *last > 0));
}

#[test]
fn after_a_crash_at_any_point_every_confirmed_event_is_there_once() {
    let disk = Disk::default();
    let (mut log, _reader) = disk.open().unwrap();
    let mut confirmed = vec![(disk.journal_len(), 0)];
    // Large enough that the file has to grow on the way.
    let checkpoint = vec![1; 300_000];
    for nth in 0..30 {
        commit(&mut log, [1, 2, 9, 1, 30][nth % 5], (nth % 7 == 3).then_some(checkpoint.as_slice())).unwrap();
        confirmed.push((disk.journal_len(), log.next_number() - 1));
    }
    let journal = disk.journal();
    assert!(journal[confirmed[0].0..].iter().any(|done| matches!(done, Done::SetLen(_))), "the file has grown");

    let mut synced = Vec::new();
    let mut unsynced: Vec<&Done> = Vec::new();
    for (cut, done) in journal.iter().enumerate() {
        if cut >= confirmed[0].0 {
            let next = confirmed.partition_point(|(at, _)| *at <= cut);
            let possible = [confirmed[next - 1].1, confirmed.get(next).map_or(0, |(_, last)| *last)];
            let subsets = if unsynced.is_empty() { 1 } else { SURVIVORS.len() };
            for survives in &SURVIVORS[..subsets] {
                let mut image = synced.clone();
                let left = unsynced.iter().enumerate().filter(|(nth, _)| survives(*nth));
                left.for_each(|(_, done)| done.apply(&mut image));
                let (mut log, reader) = disk.with(image).open().unwrap();
                let last = reader.last_event();
                assert!(possible.contains(&last), "cut {cut}: {last} is none of {possible:?}");
                assert_whole(&reader, last);
                commit(&mut log, 1, None).unwrap();
                assert_eq!(reader.event(last + 1).unwrap(), Some(event(last + 1)));
            }
        }
        unsynced.push(done);
        if matches!(done, Done::Sync) {
            unsynced.drain(..).for_each(|done| done.apply(&mut synced));
        }
    }
}

#[test]
fn a_disk_that_fails_leaves_a_log_that_goes_on_once_it_is_mended() {
    let mut landed = [0, 0];
    for (call, passes_max) in [(Call::SetLen, 1), (Call::Write, 8), (Call::Sync, 5)] {
        for (passes, forgets) in (0..=passes_max).flat_map(|passes| [(passes, false), (passes, true)]) {
            let disk = Disk::default();
            let (mut log, reader) = disk.open().unwrap();
            commit(&mut log, 5, None).unwrap();
            disk.fail(Fault { call, passes, forgets });
            let mut confirmed = 5;
            let error = loop {
                // Ever larger, so that the file has to grow.
                let checkpoint = vec![1; usize::try_from(confirmed).unwrap() * 40_000];
                match commit(&mut log, 3, Some(&checkpoint)) {
                    Ok(()) => confirmed += 3,
                    Err(error) => break error,
                }
                assert!(confirmed < 100, "{call:?} never fails");
            };
            assert!(matches!(error, LogError::Write(_)), "{error:?}");
            assert_eq!(reader.last_event(), confirmed);
            assert!(matches!(commit(&mut log, 1, None), Err(LogError::NeedsReopen)));
            disk.mend();
            assert!(matches!(commit(&mut log, 1, None), Err(LogError::NeedsReopen)));

            log.reopen().unwrap();
            let last = reader.last_event();
            assert!(last == confirmed || last == confirmed + 3, "{call:?} {passes}: {last}, confirmed {confirmed}");
            landed[usize::from(last > confirmed)] += 1;
            assert_eq!(log.next_number(), last + 1);
            assert_whole(&reader, last);
            commit(&mut log, 2, None).unwrap();
            assert_whole(&reader, last + 2);
            drop(log);
            assert_whole(&disk.open().unwrap().1, last + 2);
        }
    }
    assert!(landed.iter().all(|cases| *cases > 0), "both kinds of failed commits are met: {landed:?}");
}

#[test]
fn while_the_disk_still_fails_reopening_fails_and_may_be_tried_again() {
    let disk = Disk::default();
    let (mut log, reader) = disk.open().unwrap();
    commit(&mut log, 5, None).unwrap();
    disk.fail(Fault { call: Call::Write, passes: 0, forgets: false });
    commit(&mut log, 1, None).unwrap_err();
    disk.fail(Fault { call: Call::Read, passes: 0, forgets: false });
    for _ in 0..3 {
        assert!(matches!(log.reopen(), Err(LogError::Open(OpenError::Unusable { .. }))));
        assert!(matches!(reader.read(0, 1, 1), Err(LogError::Reopening)));
    }
    disk.mend();
    log.reopen().unwrap();
    assert_whole(&reader, 5);
}

#[test]
fn a_read_that_fails_does_not_end_the_log() {
    let disk = Disk::default();
    let (mut log, _) = disk.open().unwrap();
    for _ in 0..20 {
        commit(&mut log, 20, None).unwrap();
    }
    drop(log);
    let (mut log, reader) = disk.open().unwrap();
    disk.fail(Fault { call: Call::Read, passes: 0, forgets: false });
    assert!(matches!(reader.read(0, 1, 1), Err(LogError::Read(_))));
    assert!(matches!(reader.read(0, 1, 1), Err(LogError::Reopening)));
    disk.mend();
    // The database is in doubt of its disk until it is opened again.
    assert!(matches!(commit(&mut log, 1, None), Err(LogError::Write(_))));
    log.reopen().unwrap();
    commit(&mut log, 1, None).unwrap();
    assert_whole(&reader, 401);
}

#[test]
fn a_disk_that_loses_what_it_has_synced_is_found_out() {
    let disk = Disk::default();
    let (mut log, _reader) = disk.open().unwrap();
    commit(&mut log, 5, None).unwrap();
    let mut earlier = Vec::new();
    disk.tamper(|file| earlier.clone_from(file));
    commit(&mut log, 5, None).unwrap();
    disk.fail(Fault { call: Call::Sync, passes: 0, forgets: false });
    commit(&mut log, 1, None).unwrap_err();
    disk.mend();
    disk.tamper(|file| *file = earlier);
    for _ in 0..2 {
        assert!(matches!(log.reopen(), Err(LogError::EventsLost { confirmed: 10, found: 5 })));
        assert!(matches!(commit(&mut log, 1, None), Err(LogError::NeedsReopen)));
    }
}
