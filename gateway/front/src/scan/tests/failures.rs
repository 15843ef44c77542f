//! A log that fails: everybody is told, nothing is acknowledged, nothing is kept twice, and work goes on by itself.

use protocol::Outcome;

use super::*;
use store::log::Commit;
use store::log::faulty_disk::{Call, Fault};

const FAILS: Fault = Fault { call: Call::Sync, passes: 0, forgets: true };

fn patient() -> Config {
    Config { reopen_interval_ms: 10, ..Config::default() }
}

#[test]
fn a_failed_commit_acknowledges_nothing_and_is_made_good() {
    let mut bench = Bench::new();
    bench.scan(1);
    bench.kept(1);
    let disk = bench.disk.clone();
    let stalled = disk.stall();
    bench.scan(2);
    bench.wait_for_commit();
    (3..=20).for_each(|seq| bench.scan(seq));
    bench.disk.fail(FAILS);
    drop(stalled);
    // Those of the failed commit, and those that came meanwhile, all once.
    (2..=20).for_each(|seq| bench.held(seq));
    bench.scan(21);
    bench.held(21);
    wait_until("they are counted", || bench.metrics.held.get() == 20);
    bench.disk.mend();
    for seq in 2..=21 {
        assert_eq!(bench.kept(seq).event, Some(seq));
    }
    assert!(bench.silent());
    wait_until("none is counted", || bench.metrics.held.get() == 0);
    assert_eq!(bench.sequence(), (1..=21).collect::<Vec<_>>());
    bench.scan(22);
    assert_eq!(bench.kept(22).event, Some(22));
}

/// The policy changes while the log is away: a batch that was decided anew shows it, one that had landed does not.
#[test]
fn whether_the_failed_commit_has_landed_or_not_each_scan_is_kept_once_and_answered_in_order() {
    let (mut landed, mut decided_anew) = (0, 0);
    for passes in 0..8 {
        let mut bench = Bench::new();
        let disk = bench.disk.clone();
        let stalled = disk.stall();
        bench.scan(1);
        bench.wait_for_commit();
        (2..=30).for_each(|seq| bench.scan(seq));
        bench.disk.fail(Fault { call: Call::Sync, passes, forgets: false });
        drop(stalled);
        let mut answers: Vec<_> = (1..=30).map(|_| bench.answer()).collect();
        let held = answers.iter().filter(|answer| matches!(answer, Answer::Held { .. })).count();
        bench.close_the_doors();
        bench.disk.mend();
        answers.extend((0..held).map(|_| bench.answer()));
        let decisions: Vec<_> = answers.into_iter().filter_map(final_answer).collect();
        for (seq, (ticket, decision)) in (1..=30).zip(decisions) {
            assert_eq!((ticket, decision.event), (seq, Some(seq)));
            assert_eq!(Decision::of(&bench.reader.event(seq).unwrap().unwrap()), Some(decision.clone()));
            match decision.outcome {
                Outcome::Granted if usize::try_from(seq).unwrap() > 30 - held => landed += 1,
                Outcome::Granted => {}
                _ => decided_anew += 1,
            }
        }
        assert!(bench.silent());
        assert_eq!(bench.sequence(), (1..=30).collect::<Vec<_>>());
        bench.reader.verify().unwrap();
    }
    assert!(landed > 0 && decided_anew > 0, "{landed} have landed, {decided_anew} were decided anew");
}

fn final_answer(answer: Answer) -> Option<(u64, Decision)> {
    match answer {
        Answer::Committed { ticket, decision, .. } => Some((ticket, Decision::from_json(&decision.unwrap()).unwrap())),
        Answer::Held { .. } => None,
        Answer::Assisted { .. } | Answer::Refused { .. } => panic!("{answer:?}"),
    }
}

#[test]
fn while_the_log_does_not_work_scans_are_held_up_to_the_limit_and_then_refused() {
    let mut bench = Bench::with(Config { queue_events_max: 10, ..patient() }, 4);
    bench.disk.fail(FAILS);
    bench.scan(1);
    bench.held(1);
    for seq in 2..=10 {
        bench.scan(seq);
        bench.held(seq);
    }
    // Ten are held, ten wait, the rest is refused.
    (11..=20).for_each(|seq| bench.scan(seq));
    let refused = bench.queue().submit(bench.arrival(21, &door(0), ScanId { epoch: 1, seq: 21 })).unwrap_err();
    assert!(bench.silent());
    bench.disk.mend();
    for seq in 1..=20 {
        assert_eq!(bench.kept(seq).event, Some(seq));
    }
    bench.queue().submit(*refused).unwrap();
    bench.kept(21);
    assert_eq!(bench.sequence(), (1..=21).collect::<Vec<_>>());
}

#[test]
fn a_scan_hears_once_that_it_is_held_however_often_its_commit_fails() {
    // The log opens again each time and takes its checkpoint, but never a batch of this size.
    let mut bench = Bench::with(patient(), 2000);
    let disk = bench.disk.clone();
    let stalled = disk.stall();
    bench.scan(1);
    bench.wait_for_commit();
    (2..=1500).for_each(|seq| bench.scan(seq));
    drop(stalled);
    bench.kept(1);
    (2..=1500).for_each(|seq| bench.held(seq));
    for _ in 0..4 {
        let written = disk.journal_len();
        wait_until("the log is tried again", || disk.journal_len() > written);
    }
    bench.stop();
    assert!(bench.silent());
    assert_eq!(bench.reader.last_event(), 1);
}

#[test]
fn a_scan_that_was_held_too_long_opens_no_door() {
    let mut bench = Bench::new();
    bench.disk.fail(FAILS);
    bench.scan(1);
    bench.held(1);
    bench.now_ms.fetch_add(30_001, Ordering::Relaxed);
    bench.scan(2);
    bench.held(2);
    bench.disk.mend();
    let late = bench.kept(1);
    assert_eq!((late.open, late.reason.as_str()), (false, "late-scan"));
    assert!(bench.kept(2).open);
}

#[test]
fn the_spine_ends_when_nobody_hands_in_anything_any_more() {
    let mut bench = Bench::new();
    bench.scan(1);
    bench.stop();
    bench.kept(1);
    let (_log, reader) = bench.disk.open().unwrap();
    let (covers, _) = reader.newest_checkpoint().unwrap().unwrap();
    assert_eq!(covers, 1);
}

#[test]
fn the_spine_ends_also_while_the_log_does_not_work_and_then_acknowledges_nothing() {
    // With three held the fourth stays in the queue, with room for more it is held as well.
    for (queue_events_max, held) in [(3, 3), (100, 4)] {
        let mut bench = Bench::with(Config { queue_events_max, ..patient() }, 4);
        bench.disk.fail(FAILS);
        for seq in 1..=4 {
            bench.scan(seq);
            if seq <= held {
                bench.held(seq);
            }
        }
        bench.stop();
        assert!(bench.silent());
        bench.disk.mend();
        bench.start();
        assert_eq!(bench.reader.last_event(), 0);
        for seq in 1..=4 {
            bench.scan(seq);
            assert_eq!(bench.kept(seq).event, Some(seq));
        }
    }
}

#[test]
fn a_checkpoint_is_kept_after_so_many_events_counted_over_restarts() {
    let mut bench = Bench::with(Config { checkpoint_events: 10, ..patient() }, 1);
    let checkpoint = |bench: &Bench| bench.reader.newest_checkpoint().unwrap().map(|(covers, _)| covers);
    for seq in 1..=9 {
        bench.scan(seq);
        bench.kept(seq);
    }
    assert_eq!(checkpoint(&bench), None);
    bench.scan(10);
    bench.kept(10);
    assert_eq!(checkpoint(&bench), Some(10));
    // Two ends without a last checkpoint, as after a power cut, do not make the next start read ever more.
    for seq in 11..=19 {
        bench.scan(seq);
        bench.kept(seq);
        if seq % 3 == 0 {
            bench.disk.fail(FAILS);
            bench.stop();
            bench.disk.mend();
            bench.start();
            assert_eq!(checkpoint(&bench), Some(10));
        }
    }
    bench.scan(20);
    bench.kept(20);
    assert_eq!(checkpoint(&bench), Some(20));
}

#[test]
fn a_damaged_checkpoint_costs_time_only() {
    let disk = Disk::default();
    let (mut log, reader) = disk.open().unwrap();
    let mut state = State::default();
    for number in 1..=40 {
        let event = store::log::faulty_disk::event(number);
        state.remember(&event);
        let good = state.to_checkpoint();
        let checkpoint: Option<&[u8]> = match number {
            10 | 20 => Some(&good),
            30 => Some(b"no checkpoint"),
            _ => None,
        };
        log.commit(&Commit { events: &[event], checkpoint, ..Commit::default() }).unwrap();
    }
    let comparable = |state: &State| minicbor::decode::<State>(&state.to_checkpoint()).unwrap();
    let rebuilt = State::rebuild(&reader, PRESENCE_MS).unwrap();
    assert_eq!(comparable(&rebuilt), comparable(&state));
    assert_eq!(rebuilt.events_since_checkpoint(), 20);
    // Its bytes on the disk are not those that were written.
    let needle = disk.vault.seal_checkpoint(30, b"no checkpoint").unwrap();
    disk.tamper(|file| {
        let at: Vec<_> =
            file.windows(needle.len()).enumerate().filter(|(_, found)| *found == needle).map(|(at, _)| at).collect();
        assert!(!at.is_empty());
        at.into_iter().for_each(|at| file[at] ^= 1);
    });
    drop(log);
    let (_log, reader) = disk.open().unwrap();
    assert_eq!(comparable(&State::rebuild(&reader, PRESENCE_MS).unwrap()), comparable(&state));
}
