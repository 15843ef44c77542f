//! What is answered, and when: after the commit, once per scan, for ever the same.

use std::collections::HashMap;

use protocol::{MalformedScan, Outcome};

use super::*;

#[test]
fn nothing_is_answered_before_the_commit_has_returned() {
    let mut bench = Bench::new();
    let stalled = bench.disk.stall();
    bench.scan(1);
    // Commits are tried again and again here: what is stalled stays stalled.
    bench.wait_for_commit();
    assert_eq!(bench.answers.try_recv().map(drop), Err(mpsc::error::TryRecvError::Empty));
    assert_eq!(bench.reader.last_event(), 0);
    drop(stalled);
    let decision = bench.kept(1);
    assert_eq!((decision.outcome, decision.open, decision.event), (Outcome::Granted, true, Some(1)));
    assert_eq!(bench.sequence(), [1]);
}

#[test]
fn what_comes_during_a_commit_is_the_next_batch() {
    let mut bench = Bench::new();
    let disk = bench.disk.clone();
    let stalled = disk.stall();
    bench.scan(1);
    bench.wait_for_commit();
    (2..=100).for_each(|seq| bench.scan(seq));
    drop(stalled);
    for seq in 1..=100 {
        assert_eq!(bench.kept(seq).event, Some(seq));
    }
    assert_eq!(bench.reader.verify().unwrap().segments, 2);
}

#[test]
fn a_batch_is_no_larger_than_allowed() {
    let mut bench = Bench::with(Config::default(), 10);
    let disk = bench.disk.clone();
    let stalled = disk.stall();
    bench.scan(1);
    bench.wait_for_commit();
    (2..=31).for_each(|seq| bench.scan(seq));
    drop(stalled);
    (1..=31).for_each(|seq| drop(bench.kept(seq)));
    assert_eq!(bench.reader.verify().unwrap().segments, 4);
}

#[test]
fn a_duplicate_in_the_same_batch_gets_the_same_decision() {
    let mut bench = Bench::new();
    let disk = bench.disk.clone();
    let stalled = disk.stall();
    bench.scan(1);
    bench.wait_for_commit();
    bench.scan_as(2, 1, 2);
    bench.scan_as(3, 1, 2);
    bench.scan_as(4, 1, 1);
    drop(stalled);
    let first = bench.kept(1);
    let second = bench.kept(2);
    assert_eq!(bench.kept(3), second);
    assert_eq!(bench.kept(4), first);
    assert_eq!(bench.sequence(), [1, 2]);
    assert_eq!(bench.metrics.duplicates.get(), 2);
}

#[test]
fn a_duplicate_in_a_later_batch_gets_the_same_decision() {
    let mut bench = Bench::new();
    bench.scan(1);
    let decision = bench.kept(1);
    bench.scan_as(2, 1, 1);
    assert_eq!(bench.kept(2), decision);
    // Another door counts for itself.
    bench.queue().submit(bench.arrival(3, &door(1), ScanId { epoch: 1, seq: 1 })).unwrap();
    assert_eq!(bench.kept(3).event, Some(2));
    assert_eq!(bench.metrics.recalled.get(), 1);
}

#[test]
fn a_duplicate_after_a_restart_gets_the_same_decision() {
    for checkpoint_events in [1, 3, 1000] {
        let mut bench = Bench::with(Config { checkpoint_events, ..Config::default() }, 1024);
        let decisions: Vec<_> = (1..=5)
            .map(|seq| {
                bench.scan(seq);
                bench.kept(seq)
            })
            .collect();
        bench.restart();
        for (seq, decision) in (1..).zip(decisions) {
            bench.scan(seq);
            assert_eq!(bench.kept(seq), decision);
        }
        assert_eq!(bench.sequence(), [1, 2, 3, 4, 5]);
    }
}

#[test]
fn a_duplicate_beyond_the_recent_scans_of_its_own_batch_waits_for_the_commit() {
    let mut bench = Bench::new();
    let disk = bench.disk.clone();
    let stalled = disk.stall();
    bench.scan(1);
    bench.wait_for_commit();
    (2..=300).for_each(|seq| bench.scan(seq));
    bench.scan_as(1000, 1, 2);
    drop(stalled);
    let decisions: HashMap<u64, Decision> = (1..=300).map(|seq| (seq, bench.kept(seq))).collect();
    assert_eq!(bench.kept(1000), decisions[&2]);
    assert_eq!(bench.events().len(), 300);
}

#[test]
fn scans_that_were_forgotten_are_looked_up_and_kept_once() {
    let mut bench = Bench::new();
    let epochs = 200;
    let decisions: Vec<_> = (1..=epochs)
        .map(|epoch| {
            bench.scan_as(epoch.into(), epoch, 1);
            bench.kept(epoch.into())
        })
        .collect();
    for (epoch, decision) in (1..).zip(&decisions) {
        bench.scan_as(1, epoch, 1);
        assert_eq!(bench.kept(1), *decision);
    }
    // Never sent before: new, each once, however often they wait to be looked up at the same time.
    let disk = bench.disk.clone();
    let stalled = disk.stall();
    bench.queue().submit(bench.arrival(7, &door(1), ScanId { epoch: 1, seq: 1 })).unwrap();
    bench.wait_for_commit();
    for ticket in 0..60 {
        bench.scan_as(ticket, 1 + u32::try_from(ticket % 20).unwrap(), 2);
    }
    drop(stalled);
    let mut numbers: HashMap<u64, u64> = HashMap::new();
    for _ in 0..61 {
        let Answer::Committed { ticket, decision, .. } = bench.answer() else { panic!("not kept") };
        let number = Decision::from_json(&decision.unwrap()).unwrap().event.unwrap();
        if number > u64::from(epochs) + 1 {
            assert_eq!(*numbers.entry(ticket % 20).or_insert(number), number);
        }
    }
    assert_eq!((numbers.len(), bench.events().len()), (20, 221));
}

#[test]
fn a_resent_scan_is_answered_as_before_although_the_policy_has_changed() {
    let mut bench = Bench::new();
    bench.scan(1);
    let decision = bench.kept(1);
    bench.close_the_doors();
    bench.scan_as(2, 1, 1);
    assert_eq!(bench.kept(2), decision);
    bench.scan(3);
    assert_eq!(bench.kept(3).outcome, Outcome::Denied);
    bench.restart();
    bench.scan_as(4, 1, 1);
    assert_eq!(bench.kept(4), decision);
}

#[test]
fn a_payload_that_is_no_scan_is_kept_and_answered() {
    let mut bench = Bench::new();
    for (ticket, id) in [(1, Some(ScanId { epoch: 1, seq: 1 })), (2, None), (3, Some(ScanId { epoch: 1, seq: 1 }))] {
        let malformed =
            MalformedScan { id, payload_bytes: 3, payload_head: b"???".to_vec(), ..MalformedScan::default() };
        let mut arrival = bench.arrival(ticket, &door(0), ScanId { epoch: 0, seq: 0 });
        arrival.payload = Payload::Malformed { scan: malformed.into(), digest: [3; 32] };
        bench.queue().submit(arrival).unwrap();
        let Answer::Committed { ticket: of, decision, malformed, .. } = bench.answer() else { panic!("not kept") };
        assert_eq!((of, malformed, decision.is_some()), (ticket, true, id.is_some()));
    }
    assert_eq!((bench.events().len(), bench.metrics.malformed.get()), (2, 2));
}

#[test]
fn passes_that_do_not_count_are_counted_by_their_reason() {
    let mut bench = Bench::new();
    let now = Instant::from_unix_ms(NOW_MS);
    let shown = [
        ("door-0", "GP1:no base45 at all!", now),
        ("door-1", "HC1:ABC", now),
        ("watch", "GP1:nor is this!", now),
        ("door-0", "nobody", now),
        ("door-0", "GP1:late and no pass!", Instant::from_unix_ms(NOW_MS - 3_600_000)),
    ];
    for ((at, credential, scanned_at), ticket) in shown.into_iter().zip(1..) {
        let id = ScanId { epoch: 1, seq: ticket };
        let mut arrival = bench.arrival(ticket, &at.parse().unwrap(), id);
        arrival.payload = Payload::Scan(Scan::new(id, scanned_at, Direction::In, credential).unwrap());
        bench.queue().submit(arrival).unwrap();
        bench.kept(ticket);
    }
    let mut registry = Registry::default();
    registry.register("faults", "", bench.metrics.pass_faults.clone());
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    let series = |of: &str| text.lines().filter(|line| line.starts_with("faults_total{") && line.ends_with(of)).count();
    assert_eq!((series(" 0"), series(" 1"), series(" 2")), (18, 1, 1), "{text}");
    assert!(text.contains("{reason=\"pass-not-base45\"} 2") && text.contains("{reason=\"pass-not-compressed\"} 1"));
    assert!(text.contains("{reason=\"pass-used\"} 0") && text.contains("{reason=\"pass-replayed\"} 0"));
}

#[test]
fn when_too_many_wait_to_be_looked_up_the_arrival_is_given_back() {
    let mut bench = Bench::with(Config { recall_scans_max: 1, ..Config::default() }, 1024);
    bench.scan(1);
    let decision = bench.kept(1);
    // The lookups are all asked for at once, behind the same commit.
    let disk = bench.disk.clone();
    let stalled = disk.stall();
    bench.scan(2);
    bench.wait_for_commit();
    (100..400).for_each(|ticket| bench.scan_as(ticket, 1, 1));
    drop(stalled);
    bench.kept(2);
    let (mut answered, mut waiting) = (0, 300);
    while waiting > 0 {
        match bench.answer() {
            Answer::Committed { decision: again, .. } => {
                assert_eq!(Decision::from_json(&again.unwrap()).unwrap(), decision);
                answered += 1;
                waiting -= 1;
            }
            Answer::Refused { arrival, reason: "recall-full" } => {
                assert_eq!(arrival.scan_id(), Some(ScanId { epoch: 1, seq: 1 }));
                bench.queue().submit(*arrival).unwrap();
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((answered, bench.events().len()), (300, 2));
    assert!(bench.metrics.refused.get() > 0);
}

#[test]
fn a_full_queue_gives_the_arrival_back() {
    let bench = &mut Bench::idle(Config { queue_events_max: 2, ..Config::default() }, 1024);
    let work = bench.open();
    (1..=2).for_each(|seq| bench.scan(seq));
    assert_eq!(bench.queue().downgrade().waiting(), 2);
    let refused = bench.queue().submit(bench.arrival(3, &door(0), ScanId { epoch: 1, seq: 3 })).unwrap_err();
    assert_eq!(refused.reply.ticket, 3);
    bench.work(work);
    (1..=2).for_each(|seq| drop(bench.kept(seq)));
    bench.queue().submit(*refused).unwrap();
    bench.kept(3);
}

#[test]
fn the_figures_follow_what_is_kept() {
    let mut bench = Bench::new();
    for seq in [1, 2, 5] {
        bench.scan(seq);
        bench.kept(seq);
    }
    bench.stop();
    let status = bench.status.doors()[&door(0)].clone();
    assert_eq!((status.scans, status.missing_scans), (3, 2));
    assert_eq!(status.last_scan_at, Some(Instant::from_unix_ms(NOW_MS)));
    let soon = Instant::from_unix_ms(NOW_MS + 1000);
    let scans = bench.status.scans(4, soon);
    assert_eq!((scans.kept, scans.per_second, scans.waiting), (3, 0.3, 4));
    assert!(scans.latency_ms.is_some());
    assert!(bench.status.scans(0, Instant::from_unix_ms(NOW_MS + 61_000)).latency_ms.is_none());
    bench.start();
    assert_eq!(bench.status.doors()[&door(0)].missing_scans, 2);
}
