//! Assist requests: judged from what is in the log, kept before anybody hears of them, and answered the same for ever.

use protocol::{Assist, AssistAction, Direction, EventKind, Outcome, PersonClass, Via};

use super::*;
use crate::scan::AssistRequest;
use store::log::faulty_disk::{Call, Fault};

const WITHIN_MS: i64 = 120_000;

/// A helper who says something about a scan of `door-0`, or about nobody's.
#[derive(Clone)]
struct Helper {
    device: &'static str,
    via: Via,
    action: AssistAction,
    id: Option<&'static str>,
    person: Option<&'static str>,
    direction: Option<Direction>,
    seq: Option<u64>,
}

fn admit(seq: impl Into<Option<u64>>) -> Helper {
    Helper {
        device: "lobby",
        via: Via::Mqtt,
        action: AssistAction::Admit,
        id: None,
        person: None,
        direction: None,
        seq: seq.into(),
    }
}

/// What a request was answered: the decision, and whether the door is to hear it.
type Heard = (Decision, bool);

impl Bench {
    /// Somebody who is yellow scans at `door-0`; the decision waits for a helper.
    fn yellow(&mut self, seq: u64) -> u64 {
        let mut arrival = self.arrival(seq, &door(0), ScanId { epoch: 1, seq });
        let now = arrival.received_at;
        let scan = Scan::new(ScanId { epoch: 1, seq }, now, Direction::In, "yellow").unwrap();
        arrival.payload = Payload::Scan(scan);
        self.queue().submit(arrival).unwrap();
        let decision = self.kept(seq);
        assert_eq!(decision.outcome, Outcome::Assist);
        decision.event.unwrap()
    }

    fn submit(&self, ticket: u64, helper: &Helper) {
        let scan = helper.seq.map(|seq| ScanId { epoch: 1, seq });
        let person = helper.person.map(Into::into);
        let mut assist = Assist::new(helper.action, "Contoh Satgas", "known by sight", person, scan).unwrap();
        (assist.id, assist.direction) = (helper.id.map(Into::into), helper.direction);
        let request = AssistRequest { assist, device: helper.device.parse().unwrap(), via: helper.via };
        let now = Instant::from_unix_ms(self.now_ms.load(Ordering::Relaxed));
        let reply = ReplyTo { answers: self.inbox.clone(), ticket };
        self.queue().submit(Arrival::assist(door(0), request, now, reply)).unwrap();
    }

    fn heard(&mut self, ticket: u64) -> Heard {
        match self.answer() {
            Answer::Assisted { ticket: of, door: at, decision, for_door } if of == ticket => {
                assert_eq!(at, door(0));
                (*decision, for_door)
            }
            other => panic!("no answer to the request {ticket}: {other:?}"),
        }
    }

    fn request(&mut self, helper: &Helper) -> Heard {
        self.submit(77, helper);
        self.heard(77)
    }

    fn wait_ms(&self, ms: i64) {
        self.now_ms.fetch_add(ms, Ordering::Relaxed);
    }
}

fn reason(heard: &Heard) -> (&str, bool, bool) {
    (heard.0.reason.as_str(), heard.0.open, heard.1)
}

#[test]
fn a_helper_admits_whom_a_scan_has_left_waiting_and_a_resend_is_answered_the_same() {
    let mut bench = Bench::new();
    let asked = bench.yellow(1);
    bench.wait_ms(5_000);
    let first = bench.request(&admit(1));
    assert_eq!(reason(&first), ("helper-admitted", true, true));
    assert_eq!((first.0.outcome, first.0.id()), (Outcome::Granted, Some(ScanId { epoch: 1, seq: 1 })));
    assert_eq!((first.0.event, first.0.text.en.is_empty()), (Some(2), false));
    assert_eq!(bench.request(&admit(1)), first);
    // With another id it is the same request still: the same device does the same about the same scan.
    assert_eq!(bench.request(&Helper { id: Some("b"), ..admit(1) }), first);

    let events = bench.events();
    assert_eq!(events.len(), 2);
    let EventKind::Assist(request) = &events[1].subject else { panic!("the second is a request") };
    let answers = request.answers.unwrap();
    assert_eq!((answers.event, answers.id.seq, request.direction), (Some(asked), 1, Direction::In));
    assert_eq!((request.helper.as_str(), request.device.as_str(), request.via), ("Contoh Satgas", "lobby", Via::Mqtt));
    let verdict = &events[1].verdict;
    assert_eq!((verdict.person.as_deref(), verdict.class), (Some("yellow"), Some(PersonClass::NonAsn)));
    assert_eq!((verdict.zone.as_deref(), verdict.policy_set.as_deref()), (Some("main"), None));
    // The scan itself is answered as before.
    let mut again = bench.arrival(9, &door(0), ScanId { epoch: 1, seq: 1 });
    again.reply.ticket = 9;
    let (id, made_at) = (ScanId { epoch: 1, seq: 1 }, Instant::from_unix_ms(NOW_MS));
    again.payload = Payload::Scan(Scan::new(id, made_at, Direction::In, "yellow").unwrap());
    bench.queue().submit(again).unwrap();
    assert_eq!(bench.kept(9).outcome, Outcome::Assist);
    assert_eq!((bench.metrics.duplicates.get(), bench.status.doors()[&door(0)].scans), (3, 1));

    // One at the same time as the first is answered with it.
    bench.yellow(2);
    let (disk, helper) = (bench.disk.clone(), admit(2));
    let stalled = disk.stall();
    bench.scan(50);
    bench.wait_for_commit();
    (1..=2).for_each(|ticket| bench.submit(ticket, &helper));
    drop(stalled);
    bench.kept(50);
    let both = [bench.heard(1), bench.heard(2)];
    assert_eq!(both[0], both[1]);
    assert_eq!(bench.events().len(), 5);
}

#[test]
fn what_is_said_too_late_or_about_nothing_is_kept_and_opens_nothing() {
    let mut bench = Bench::new();
    for seq in 1..=5 {
        bench.yellow(seq);
    }
    bench.scan(6);
    assert_eq!(bench.kept(6).outcome, Outcome::Granted);

    let refuse = |seq| Helper { action: AssistAction::Refuse, ..admit(seq) };
    let unknown = Helper { person: Some("nobody"), ..admit(2) };
    let named = Helper { person: Some("green"), ..admit(2) };
    for (helper, expected) in [
        (refuse(1), ("helper-refused", false, true)),
        // A request stands, whoever has said it.
        (admit(1), ("assist-answered", false, false)),
        (Helper { device: "east", ..refuse(1) }, ("assist-answered", false, false)),
        (Helper { via: Via::Http, ..refuse(1) }, ("assist-answered", false, false)),
        (unknown, ("assist-unknown-person", false, false)),
        (named, ("helper-admitted", true, true)),
        // No scan of that number, and one that did not wait for anybody.
        (admit(99), ("assist-unknown-scan", false, false)),
        (admit(6), ("assist-unknown-scan", false, false)),
    ] {
        let before = bench.events().len();
        let heard = bench.request(&helper);
        assert_eq!(reason(&heard), expected);
        assert_eq!(heard.0.outcome == Outcome::Granted, expected.1);
        assert_eq!(bench.events().len(), before + 1, "each is kept");
        assert_eq!(bench.request(&helper).0, heard.0, "and known again");
        assert_eq!(bench.events().len(), before + 1);
    }
    let verdict = &bench.events()[11].verdict;
    assert_eq!((verdict.person.as_deref(), verdict.class), (Some("green"), Some(PersonClass::Asn)));

    // The request that has found no scan does not stand in the way when the scan comes.
    bench.yellow(99);
    assert_eq!(reason(&bench.request(&admit(99))), ("helper-admitted", true, true));

    bench.wait_ms(WITHIN_MS);
    assert_eq!(reason(&bench.request(&admit(3))), ("helper-admitted", true, true));
    bench.wait_ms(1);
    assert_eq!(reason(&bench.request(&admit(4))), ("assist-expired", false, false));
    bench.wait_ms(WITHIN_MS);
    let late = bench.request(&admit(3));
    assert_eq!(reason(&late), ("helper-admitted", true, false), "nobody stands at the door any more");
}

#[test]
fn somebody_is_admitted_without_a_scan_once_for_each_id() {
    let mut bench = Bench::new();
    let by_hand = Helper { id: Some("a"), person: Some("yellow"), ..admit(None) };
    let first = bench.request(&by_hand);
    assert_eq!(reason(&first), ("helper-admitted", true, true));
    assert_eq!((first.0.id(), first.0.assist.as_deref()), (None, Some("a")));
    assert_eq!(bench.request(&by_hand), first);
    for other in [
        Helper { id: Some("b"), ..by_hand.clone() },
        Helper { device: "east", ..by_hand.clone() },
        Helper { id: None, person: None, direction: Some(Direction::Out), ..by_hand.clone() },
    ] {
        assert_ne!(bench.request(&other).0.event, first.0.event);
    }
    let events = bench.events();
    assert_eq!(events.len(), 4);
    assert_eq!(events[0].verdict.person.as_deref(), Some("yellow"));
    let EventKind::Assist(request) = &events[3].subject else { panic!("a request") };
    assert_eq!((request.direction, request.answers, events[3].verdict.person.as_deref()), (Direction::Out, None, None));
    // Who was let in is inside, for capacity and passback.
    let state = State::rebuild(&bench.reader, PRESENCE_MS).unwrap();
    assert_eq!(state.presence().occupancy().of("main", &bench.snapshot.load().zones), 1);
}

#[test]
fn words_and_who_waits_survive_a_restart_with_and_without_a_checkpoint() {
    for checkpoint_events in [1, 1_000_000] {
        let config = Config { checkpoint_events, reopen_interval_ms: 10, ..Config::default() };
        let mut bench = Bench::with(config, 1024);
        for seq in 1..=2 {
            bench.yellow(seq);
        }
        let by_hand = Helper { id: Some("a"), ..admit(None) };
        let (first, hand) = (bench.request(&admit(1)), bench.request(&by_hand));
        bench.restart();
        assert_eq!((bench.request(&admit(1)), bench.request(&by_hand)), (first, hand));
        assert_eq!(bench.events().len(), 4);
        assert_eq!(reason(&bench.request(&admit(2))), ("helper-admitted", true, true));
        assert_eq!(reason(&bench.request(&Helper { device: "east", ..admit(2) })), ("assist-answered", false, false));
    }
}

#[test]
fn a_checkpoint_from_before_helpers_had_a_request_is_still_read() {
    #[derive(minicbor::Encode)]
    struct Before {
        #[n(0)]
        doors: std::collections::HashMap<DoorId, super::super::Seen>,
    }
    let mut seen = super::super::Seen::default();
    seen.remember(ScanId { epoch: 1, seq: 1 }, 1, super::super::Fingerprint::Malformed { payload: None, bytes: 1 });
    let bytes = minicbor::to_vec(Before { doors: [(door(0), seen)].into() }).unwrap();
    let state: State = minicbor::decode(&bytes).unwrap();
    assert_eq!(state.doors().count(), 1);
}

#[test]
fn a_failed_commit_opens_nothing_and_a_request_nobody_waits_for_is_not_decided() {
    let mut bench = Bench::new();
    bench.yellow(1);
    bench.disk.fail(Fault { call: Call::Sync, passes: 0, forgets: true });
    bench.submit(1, &admit(1));
    bench.held(1);
    // As over HTTP: told that it was not kept, its helper has hung up.
    let (answers, mut gone) = mpsc::channel(2);
    let assist = Assist::new(AssistAction::Admit, "Contoh Satgas", "known by sight", None, None).unwrap();
    let request = AssistRequest { assist, device: "lobby".parse().unwrap(), via: Via::Http };
    let arrival = Arrival::assist(door(0), request, Instant::from_unix_ms(NOW_MS), ReplyTo { answers, ticket: 2 });
    bench.queue().submit(arrival).unwrap();
    wait_until("it is held", || gone.try_recv().is_ok());
    drop(gone);
    // And one that is held for so long that nobody can stand there any more.
    bench.submit(3, &Helper { id: Some("late"), ..admit(None) });
    bench.held(3);
    bench.wait_ms(WITHIN_MS + 1);
    bench.disk.mend();
    let (late_scan, late_word) = (bench.heard(1), bench.heard(3));
    assert_eq!(reason(&late_scan), ("assist-expired", false, false));
    assert_eq!(reason(&late_word), ("assist-expired", false, false));
    assert!(bench.silent());
    assert_eq!(bench.events().len(), 3, "the scan and two recorded");
    let count = bench.metrics.assists.clone();
    let labels = super::super::metrics::AssistLabels::of(&bench.events()[1]).unwrap();
    assert_eq!(count.get_or_create(&labels).get(), 2);
}

#[test]
fn what_is_remembered_of_a_door_is_bounded() {
    let mut bench = Bench::new();
    for seq in 1..=40 {
        bench.yellow(seq);
    }
    assert_eq!(reason(&bench.request(&admit(8))), ("assist-unknown-scan", false, false));
    assert_eq!(reason(&bench.request(&admit(9))), ("helper-admitted", true, true));
    for _ in 0..200 {
        bench.request(&admit(None));
    }
    let state = State::rebuild(&bench.reader, PRESENCE_MS).unwrap();
    assert!(state.to_checkpoint().len() < 16_384);
    // Forgotten, and yet it opens nothing a second time.
    assert_eq!(reason(&bench.request(&admit(9))), ("assist-unknown-scan", false, false));
}

#[tokio::test]
async fn a_request_about_somebody_who_was_erased_meanwhile_tells_nothing_of_them() {
    let mut bench = Bench::new();
    bench.yellow(1);
    let asked = bench.events().remove(0);
    let person = asked.verdict.person.unwrap();
    let EventKind::Scan(scan) = &asked.subject else { panic!() };
    let credentials = vec![scan.credential];
    bench.disk.vault.destroy(&[&person]).unwrap();
    bench.queue().forget(crate::scan::Erased { person, credentials }).await.unwrap();
    assert_eq!(reason(&bench.request(&admit(1))), ("helper-admitted", true, true));
    let said = bench.events().remove(1);
    let EventKind::Assist(request) = &said.subject else { panic!() };
    assert_eq!((&said.verdict.person, &request.credential, said.is_erased()), (&None, &None, false));
    assert_eq!(request.helper, "Contoh Satgas");
}
