//! The whole spine against a model that is a few lines long: random scans, resends, failures and restarts.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use store::log::faulty_disk::{Call, Fault};

#[derive(Clone, Debug)]
enum Step {
    /// Door, epoch and sequence number of each scan.
    Scans(Vec<(u64, u32, u64)>),
    /// Everybody sends again what has no final answer.
    Resend,
    Fail(Fault),
    Mend,
    Restart,
    /// Everything is answered.
    Settle,
}

/// What readers know: what they have sent, and what they were answered.
#[derive(Default)]
struct Readers {
    next_ticket: u64,
    /// What was handed in and is not answered for good.
    waiting: BTreeMap<u64, (DoorId, ScanId)>,
    unanswered: BTreeSet<(DoorId, ScanId)>,
    answered: BTreeMap<(DoorId, ScanId), Decision>,
}

fn step() -> impl Strategy<Value = Step> {
    let call = prop_oneof![Just(Call::SetLen), Just(Call::Write), Just(Call::Sync)];
    // No disk forgets earlier writes with a failed one and then syncs as if nothing had been.
    let fault = (call, 0..6u32, any::<bool>()).prop_map(|(call, passes, forgets)| Fault {
        call,
        passes,
        forgets: forgets && call == Call::Sync,
    });
    // Few enough to be resent often, enough epochs to be forgotten.
    let scan = (0..2u64, 0..14u32, 0..4u64);
    prop_oneof![
        6 => proptest::collection::vec(scan, 1..40).prop_map(Step::Scans),
        1 => Just(Step::Resend),
        2 => fault.prop_map(Step::Fail),
        1 => Just(Step::Mend),
        1 => Just(Step::Restart),
        1 => Just(Step::Settle),
    ]
}

impl Readers {
    fn scan(&mut self, bench: &Bench, scan: (DoorId, ScanId)) {
        self.next_ticket += 1;
        let arrival = bench.arrival(self.next_ticket, &scan.0, scan.1);
        self.unanswered.insert(scan.clone());
        if bench.queue().submit(arrival).is_ok() {
            self.waiting.insert(self.next_ticket, scan);
        }
    }

    fn resend(&mut self, bench: &Bench) {
        for scan in self.unanswered.clone() {
            self.scan(bench, scan);
        }
    }

    fn hear(&mut self, bench: &Bench, answer: Answer) -> Result<(), TestCaseError> {
        match answer {
            Answer::Committed { ticket, decision, malformed, .. } => {
                let decision = Decision::from_json(&decision.unwrap()).unwrap();
                let scan = self.waiting.remove(&ticket).ok_or_else(|| TestCaseError::fail("answered twice"))?;
                prop_assert_eq!((decision.id(), malformed), (Some(scan.1), false));
                prop_assert!(
                    decision.event.is_some_and(|event| event <= bench.disk_last_event()),
                    "answered too early"
                );
                self.unanswered.remove(&scan);
                let before = self.answered.entry(scan).or_insert_with(|| decision.clone());
                prop_assert_eq!(before, &decision);
            }
            Answer::Assisted { .. } => return Err(TestCaseError::fail("no helper has spoken")),
            Answer::Held { ticket, .. } => prop_assert!(self.waiting.contains_key(&ticket)),
            Answer::Refused { arrival, .. } => {
                prop_assert!(self.waiting.contains_key(&arrival.reply.ticket));
                let (ticket, queue) = (arrival.reply.ticket, bench.queue.as_ref());
                if queue.is_none_or(|queue| queue.submit(*arrival).is_err()) {
                    self.waiting.remove(&ticket);
                }
            }
        }
        Ok(())
    }

    fn hear_all(&mut self, bench: &mut Bench) -> Result<(), TestCaseError> {
        while let Ok(answer) = bench.answers.try_recv() {
            self.hear(bench, answer)?;
        }
        Ok(())
    }

    fn settle(&mut self, bench: &mut Bench) -> Result<(), TestCaseError> {
        bench.disk.mend();
        while !self.waiting.is_empty() {
            let answer = bench.answer();
            self.hear(bench, answer)?;
        }
        Ok(())
    }

    /// What was handed in is lost with the process, as far as it is not answered.
    fn restart(&mut self, bench: &mut Bench) -> Result<(), TestCaseError> {
        bench.stop();
        self.hear_all(bench)?;
        self.waiting.clear();
        let (inbox, answers) = mpsc::channel(100_000);
        (bench.inbox, bench.answers) = (inbox, answers);
        bench.disk.mend();
        bench.start();
        Ok(())
    }
}

impl Bench {
    /// What is confirmed, also while the log is being reopened.
    fn disk_last_event(&self) -> u64 {
        self.reader.last_event()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn every_acknowledged_scan_is_in_the_log_once_with_the_decision_that_was_answered(
        steps in proptest::collection::vec(step(), 1..25),
        batch_events_max in prop_oneof![1..6usize, Just(1024)],
        checkpoint_events in prop_oneof![1..20u64, Just(50_000)],
    ) {
        let config = Config { checkpoint_events, reopen_interval_ms: 10, recall_scans_max: 16, ..Config::default() };
        let mut bench = Bench::with(config, batch_events_max);
        let mut readers = Readers::default();
        for step in steps {
            match step {
                Step::Scans(scans) => {
                    for (number, epoch, seq) in scans {
                        readers.scan(&bench, (door(number), ScanId { epoch, seq }));
                    }
                }
                Step::Resend => readers.resend(&bench),
                Step::Fail(fault) => bench.disk.fail(fault),
                Step::Mend => bench.disk.mend(),
                Step::Restart => readers.restart(&mut bench)?,
                Step::Settle => readers.settle(&mut bench)?,
            }
            readers.hear_all(&mut bench)?;
        }
        bench.disk.mend();
        readers.resend(&bench);
        readers.settle(&mut bench)?;
        prop_assert!(readers.unanswered.is_empty());

        let mut kept = BTreeMap::new();
        for event in bench.events() {
            let scan = (event.door.clone(), event.scan_id().unwrap());
            prop_assert!(kept.insert(scan, Decision::of(&event).unwrap()).is_none(), "kept twice: {event:?}");
        }
        prop_assert_eq!(kept, readers.answered);
        bench.reader.verify().unwrap();

        // What is rebuilt from the log knows the same as what has grown with it.
        bench.stop();
        let (_log, reader) = bench.disk.open().unwrap();
        let mut whole = State::default();
        reader.read(0, usize::MAX, usize::MAX).unwrap().iter().for_each(|event| whole.remember(event));
        let comparable = |state: &State| minicbor::decode::<State>(&state.to_checkpoint()).unwrap();
        prop_assert_eq!(comparable(&State::rebuild(&reader, PRESENCE_MS).unwrap()), comparable(&whole));
    }
}
