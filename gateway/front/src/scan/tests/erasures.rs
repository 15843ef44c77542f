//! Somebody is erased: the spine forgets them, and no checkpoint brings them back.

use proptest::prelude::*;
use protocol::{AnsweredScan, AssistAction, AssistRecord, CredentialHash, EventKind, Outcome, PassRecord, Via};

use super::*;
use crate::scan::Erased;
use store::log::CommitError;
use store::log::faulty_disk::{self, Call, Fault};
use store::log::{Commit, LogError};

const ERASED: &str = "P-0";

/// Somebody's own badge; that of `P-0` was seen before the directory knew it, too.
fn badge(person: u8) -> CredentialHash {
    CredentialHash([person + 1; 16])
}

fn pass_of(person: u8) -> PassRecord {
    PassRecord {
        id: CredentialHash([person + 101; 16]),
        one_time_until: Some(Instant::from_unix_ms(NOW_MS + 90_000_000)),
    }
}

/// A scan or an assist request of a few people at a few doors: granted, late, waiting for a helper, or denied.
fn event(number: u64, (person, known, kind, zone, enters, with_pass): (u8, bool, u8, u8, bool, bool)) -> Event {
    let mut event = faulty_disk::event(number);
    event.decided_at = Instant::from_unix_ms(NOW_MS + i64::try_from(number).unwrap() * 1_000);
    event.door = door(u64::from(zone));
    event.verdict.zone = Some(format!("zone-{zone}"));
    event.verdict.person = known.then(|| format!("P-{person}"));
    let direction = if enters { Direction::In } else { Direction::Out };
    let pass = with_pass.then(|| pass_of(person));
    let (outcome, open) = match kind {
        0 => (Outcome::Recorded, false),
        1 => (Outcome::Assist, false),
        2 => (Outcome::Denied, false),
        _ => (Outcome::Granted, true),
    };
    (event.verdict.outcome, event.verdict.open) = (outcome, open);
    match &mut event.subject {
        EventKind::Scan(scan) if kind < 5 => {
            (scan.direction, scan.credential, scan.pass) = (direction, badge(person), pass)
        }
        subject => {
            let id = ScanId { epoch: 1, seq: number.saturating_sub(3) };
            event.verdict.reason = if kind == 5 { "helper-admitted" } else { "assist-unknown-person" }.into();
            *subject = EventKind::Assist(AssistRecord {
                action: AssistAction::Admit,
                helper: "Contoh Satgas".into(),
                reason: "known by sight".into(),
                person: (known || kind > 5).then(|| format!("P-{person}")),
                answers: Some(AnsweredScan { id, event: None }),
                direction,
                device: "lobby".parse().unwrap(),
                via: Via::Mqtt,
                id: None,
                credential: (kind == 5).then(|| badge(person)),
                pass,
            });
        }
    }
    event
}

fn erased() -> Erased {
    Erased { person: ERASED.into(), credentials: vec![badge(0), pass_of(0).id] }
}

/// What a checkpoint keeps of it.
fn kept(state: &State) -> State {
    minicbor::decode(&state.to_checkpoint()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn forgetting_somebody_comes_to_the_same_as_a_log_without_their_keys(
        steps in proptest::collection::vec((0..3u8, any::<bool>(), 0..7u8, 0..2u8, any::<bool>(), any::<bool>()), 1..40),
        checkpoint_at in 0..40usize,
    ) {
        let disk = Disk::default();
        let (mut log, reader) = disk.open().unwrap();
        let mut state = State::default();
        for (nth, step) in steps.into_iter().enumerate() {
            let event = event(log.next_number(), step);
            state.remember(&event);
            let checkpoint = (nth == checkpoint_at).then(|| state.to_checkpoint());
            log.commit(&Commit { events: &[event], checkpoint: checkpoint.as_deref(), ..Commit::default() }).unwrap();
        }
        let carrier = format!("~{}", badge(0));
        disk.vault.destroy(&[ERASED, &carrier]).unwrap();
        let old = reader.newest_checkpoint();
        let unreadable = matches!(old, Ok(None) | Err(LogError::DamagedCheckpoint { .. }));
        prop_assert!(unreadable);
        state.forget(&erased());
        let rebuilt = State::rebuild(&reader, PRESENCE_MS).unwrap();
        prop_assert_eq!(kept(&rebuilt), kept(&state));
        prop_assert_eq!(rebuilt.presence().occupancy(), state.presence().occupancy());
    }
}

#[tokio::test]
async fn the_spine_forgets_and_keeps_a_checkpoint_at_once_and_older_ones_cannot_be_read() {
    let mut bench = Bench::with(Config { checkpoint_events: 2, reopen_interval_ms: 10, ..Config::default() }, 1);
    for seq in 1..=5 {
        bench.scan(seq);
    }
    let decisions: Vec<_> = (1..=5).map(|seq| bench.kept(seq)).collect();
    let event = bench.reader.event(1).unwrap().unwrap();
    let person = event.verdict.person.clone().unwrap();
    let zone = event.verdict.zone.clone().unwrap();
    let EventKind::Scan(scan) = &event.subject else { panic!() };
    let credentials = vec![scan.credential];
    let inside = |bench: &Bench| bench.status.occupancy().zones().any(|seen| seen == zone);
    // The status is told right behind the doors.
    wait_until("the person is inside", || inside(&bench));
    assert_eq!(bench.reader.newest_checkpoint().unwrap().map(|(covers, _)| covers), Some(4));

    bench.disk.vault.destroy(&[&person]).unwrap();
    bench.queue().forget(Erased { person: person.clone(), credentials }).await.unwrap();
    assert!(!inside(&bench));
    let (covers, checkpoint) = bench.reader.newest_checkpoint().unwrap().unwrap();
    assert_eq!(covers, 5);
    let told = minicbor::decode::<State>(&checkpoint).unwrap().presence().clone().restored(PRESENCE_MS);
    assert_eq!(told.occupancy().zones().count(), 0);
    assert!(matches!(bench.reader.older_checkpoint(5), Err(LogError::DamagedCheckpoint { covers: 4 })));
    // Nobody can tell any more whether this is the same scan: it is recorded once, opens nothing and moves nobody.
    bench.scan(3);
    let again = bench.kept(3);
    assert_eq!((again.outcome, again.open, again.event), (Outcome::Recorded, false, Some(6)));
    assert_ne!(again.event, decisions[2].event);
    for _ in 0..2 {
        bench.scan(3);
        assert_eq!(bench.kept(3), again);
        bench.restart();
        assert!(!inside(&bench));
    }
    bench.reader.verify().unwrap();
    // Whoever comes again is seen again.
    bench.scan(6);
    bench.kept(6);
    wait_until("the person is inside again", || inside(&bench));
}

#[tokio::test]
async fn whoever_wants_somebody_forgotten_hears_when_it_could_not_be_done() {
    let mut bench = Bench::new();
    bench.scan(1);
    bench.kept(1);
    bench.disk.fail(Fault { call: Call::Sync, passes: 0, forgets: true });
    // The first one fails with its checkpoint, the second finds that the log does not work.
    for _ in 0..2 {
        bench.queue().forget(erased()).await.unwrap_err();
    }
    bench.disk.mend();
    let mut done = Err(CommitError::Failed);
    while done.is_err() {
        done = bench.queue().forget(erased()).await;
    }
    assert_eq!(bench.reader.newest_checkpoint().unwrap().map(|(covers, _)| covers), Some(1));
    bench.scan(2);
    bench.kept(2);
    let (queue, work) = ScanQueue::new(1);
    drop(work);
    queue.forget(erased()).await.unwrap_err();
}
