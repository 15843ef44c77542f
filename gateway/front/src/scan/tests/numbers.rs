//! Scans under numbers that were used before: a resend is answered again, anything else is a scan of its own.

use proptest::prelude::*;
use protocol::{Assist, AssistAction, EventKind, MalformedScan, Mark, Outcome, Via};

use super::super::{AssistRequest, Erased};
use super::*;

/// A scan of `door-0`, epoch 1, as its reader made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Made {
    seq: u64,
    credential: &'static str,
    after_ms: i64,
    direction: Direction,
}

const GREEN: Made = Made { seq: 1, credential: "green", after_ms: 0, direction: Direction::In };

impl Bench {
    fn send(&self, ticket: u64, made: Made) {
        let id = ScanId { epoch: 1, seq: made.seq };
        let mut arrival = self.arrival(ticket, &door(0), id);
        let at = Instant::from_unix_ms(NOW_MS + made.after_ms);
        arrival.payload = Payload::Scan(Scan::new(id, at, made.direction, made.credential).unwrap());
        self.queue().submit(arrival).unwrap();
    }

    fn sent(&mut self, made: Made) -> Decision {
        self.send(77, made);
        self.kept(77)
    }

    fn marks(&self) -> Vec<Vec<Mark>> {
        self.events().into_iter().map(|event| event.marks.0).collect()
    }
}

#[test]
fn a_used_number_lets_no_stranger_in() {
    for restarts in [false, true] {
        let mut bench = Bench::new();
        let first = bench.sent(GREEN);
        assert_eq!((first.outcome, first.open), (Outcome::Granted, true));
        if restarts {
            bench.restart();
        }
        for (other, outcome) in [
            (Made { credential: "STRANGER", ..GREEN }, Outcome::Denied),
            (Made { after_ms: 1, ..GREEN }, Outcome::Granted),
            (Made { direction: Direction::Out, ..GREEN }, Outcome::Recorded),
        ] {
            let own = bench.sent(other);
            assert_eq!(own.outcome, outcome, "{other:?}");
            assert_ne!(own.event, first.event);
            if restarts {
                bench.restart();
            }
            assert_eq!((bench.sent(other), bench.sent(GREEN)), (own, first.clone()), "{other:?}");
        }
        let reused = vec![Mark::NumberReused];
        assert_eq!(bench.marks(), [vec![], reused.clone(), reused.clone(), reused]);
        let door = bench.status.doors()[&door(0)].clone();
        assert_eq!((door.highest, door.missing_scans), (Some(ScanId { epoch: 1, seq: 1 }), 0));
        assert!(door.reused_numbers.is_some() || restarts);
    }
}

#[test]
fn a_reader_that_begins_at_one_again_loses_nothing() {
    let mut bench = Bench::with(Config { checkpoint_events: 100, ..Config::default() }, 1024);
    let made = |seq: u64, boot: u64| Made { seq, after_ms: (boot * 1_000 + seq) as i64, ..GREEN };
    for boot in 0..3 {
        for seq in 1..=300 {
            let decision = bench.sent(made(seq, boot));
            assert_eq!((decision.open, decision.event), (true, Some(boot * 300 + seq)));
        }
        bench.restart();
    }
    let marks = bench.marks();
    assert!(marks[..300].iter().all(Vec::is_empty) && marks[300..].iter().all(|marks| marks == &[Mark::NumberReused]));
    // Each is still known by itself.
    assert_eq!([0, 1, 2].map(|boot| bench.sent(made(7, boot)).event), [Some(7), Some(307), Some(607)]);
}

#[test]
fn a_malformed_payload_under_a_used_number_is_one_of_its_own() {
    let mut bench = Bench::new();
    let first = bench.sent(GREEN);
    let malformed = |bench: &mut Bench, digest: u8| {
        let id = ScanId { epoch: 1, seq: 1 };
        let mut arrival = bench.arrival(77, &door(0), id);
        let scan = MalformedScan { id: Some(id), payload_bytes: 9, ..MalformedScan::default() };
        arrival.payload = Payload::Malformed { scan: scan.into(), digest: [digest; 32] };
        bench.queue().submit(arrival).unwrap();
        bench.kept(77)
    };
    let broken = malformed(&mut bench, 1);
    assert_eq!((broken.outcome, broken.open), (Outcome::Denied, false));
    let other = malformed(&mut bench, 2);
    bench.restart();
    assert_eq!((malformed(&mut bench, 1), malformed(&mut bench, 2), bench.sent(GREEN)), (broken, other, first));
    assert_eq!(bench.events().len(), 3);
}

#[test]
fn a_decision_that_is_told_again_late_opens_nothing() {
    for restarts in [false, true] {
        let mut bench = Bench::new();
        let first = bench.sent(GREEN);
        let late_after_ms = i64::try_from(bench.config.late_after_ms).unwrap();
        if restarts {
            bench.restart();
        }
        bench.now_ms.fetch_add(late_after_ms, Ordering::Relaxed);
        assert_eq!(bench.sent(GREEN), first);
        bench.now_ms.fetch_add(1, Ordering::Relaxed);
        let mut shut = first;
        shut.open = false;
        assert_eq!(bench.sent(GREEN), shut);
        // A clock that was set back tells as little.
        bench.now_ms.fetch_sub(2 * late_after_ms + 2, Ordering::Relaxed);
        assert_eq!(bench.sent(GREEN), shut);
    }
}

#[test]
fn where_keys_are_gone_a_resend_is_recorded_and_opens_nothing() {
    for restarts in [false, true] {
        let mut bench = Bench::new();
        bench.sent(GREEN);
        bench.disk.vault.destroy(&["green"]).unwrap();
        let credential = bench.snapshot.load().key.hash("green");
        let erased = Erased { person: "green".into(), credentials: vec![credential] };
        let queue = bench.queue().clone();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(queue.forget(erased)).unwrap();
        drop(queue);
        if restarts {
            bench.restart();
        }
        let again = bench.sent(GREEN);
        assert_eq!((again.outcome, again.open, again.event), (Outcome::Recorded, false, Some(2)));
        assert_eq!(again.reason, "resend-unverified");
        // From now on it is known again, and another is still another.
        assert_eq!(bench.sent(GREEN), again);
        assert_eq!(bench.sent(Made { after_ms: 5, ..GREEN }).outcome, Outcome::Granted);
        assert_eq!(bench.marks(), [vec![], vec![Mark::ResendUnverified], vec![Mark::NumberReused]]);
    }
}

#[test]
fn a_helper_means_the_newest_scan_that_waits_under_a_number_or_the_event_that_is_named() {
    let mut bench = Bench::new();
    let yellow = |after_ms| Made { credential: "yellow", after_ms, ..GREEN };
    let events = [0, 1, 2].map(|after_ms| bench.sent(yellow(after_ms)).event);
    assert_eq!(events, [Some(1), Some(2), Some(3)]);
    let mut admit = |event: Option<u64>| {
        let id = ScanId { epoch: 1, seq: 1 };
        let mut assist = Assist::new(AssistAction::Admit, "Contoh Satgas", "known by sight", None, Some(id)).unwrap();
        assist.event = event;
        let request = AssistRequest { assist, device: "lobby".parse().unwrap(), via: Via::Mqtt };
        let now = Instant::from_unix_ms(NOW_MS);
        let reply = ReplyTo { answers: bench.inbox.clone(), ticket: 5 };
        bench.queue().submit(Arrival::assist(door(0), request, now, reply)).unwrap();
        let Answer::Assisted { decision, .. } = bench.answer() else { panic!("not kept") };
        let kept = bench.events().into_iter().find(|kept| Some(kept.number) == decision.event).unwrap();
        let EventKind::Assist(record) = kept.subject else { panic!("an assist request") };
        (decision.reason, record.answers.and_then(|answers| answers.event))
    };
    let admitted = |event| ("helper-admitted".to_owned(), Some(event));
    assert_eq!(admit(Some(1)), admitted(1));
    assert_eq!(admit(None), admitted(3));
    // The next one is another person's.
    assert_eq!(admit(None), admitted(2));
    assert_eq!(admit(Some(9)).0, "assist-unknown-scan");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Whatever is sent and resent in whatever order, over restarts: each scan has one event and one outcome.
    #[test]
    fn every_scan_has_one_event_however_often_its_number_is_used(
        sends in proptest::collection::vec(
            (1..6u64, 0..3usize, 0..3i64, any::<bool>(), prop::bool::weighted(0.05)), 1..60,
        ),
        checkpoint_events in 1..40u64,
    ) {
        let mut bench = Bench::with(Config { checkpoint_events, ..Config::default() }, 1024);
        let mut known: std::collections::HashMap<Made, Decision> = std::collections::HashMap::new();
        for (seq, who, after_ms, inwards, restarts) in sends {
            if restarts {
                bench.restart();
            }
            let credential = ["green", "yellow", "STRANGER"][who];
            let direction = if inwards { Direction::In } else { Direction::Out };
            let made = Made { seq, credential, after_ms, direction };
            let decision = bench.sent(made);
            if let Some(before) = known.get(&made) {
                prop_assert_eq!(before, &decision);
            } else {
                prop_assert_eq!(decision.event, Some(known.len() as u64 + 1));
                let used = known.keys().any(|made| made.seq == seq);
                prop_assert_eq!(bench.events().last().unwrap().is_marked(Mark::NumberReused), used);
                prop_assert!(credential != "STRANGER" || !inwards || !decision.open);
                known.insert(made, decision);
            }
        }
        prop_assert_eq!(bench.events().len(), known.len());
    }
}
