//! The log against a model that is a few lines long, through random sequences of commits, failures and reads; and under
//! readers that never pause.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::faulty_disk::{Call, Disk, Fault, event, events};
use super::{Commit, Log, LogError, LogReader};

/// What is done to both.
#[derive(Clone, Debug)]
enum Step {
    Commit { count: u64, cursor: bool, checkpoint_bytes: Option<usize> },
    FailedCommit { count: u64, fault: Fault },
    Reopen,
    Restart,
    Read { after: u64, events_max: usize },
    Verify,
}

/// What the log should hold: events are their numbers.
#[derive(Clone, Debug, Default, PartialEq)]
struct Model {
    last: u64,
    cursor: Option<u64>,
    checkpoints: Vec<(u64, usize)>,
}

fn step() -> impl Strategy<Value = Step> {
    let call = prop_oneof![Just(Call::SetLen), Just(Call::Write), Just(Call::Sync)];
    let fault = (call, 0..6u32, any::<bool>()).prop_map(|(call, passes, forgets)| Fault { call, passes, forgets });
    prop_oneof![
        4 => (0..12u64, any::<bool>(), proptest::option::weighted(0.3, 0..50_000usize))
            .prop_map(|(count, cursor, checkpoint_bytes)| Step::Commit { count, cursor, checkpoint_bytes }),
        2 => (0..12u64, fault).prop_map(|(count, fault)| Step::FailedCommit { count, fault }),
        1 => Just(Step::Reopen),
        1 => Just(Step::Restart),
        2 => (0..80u64, 0..20usize).prop_map(|(after, events_max)| Step::Read { after, events_max }),
        1 => Just(Step::Verify),
    ]
}

impl Model {
    fn commit(&mut self, count: u64, cursor: bool, checkpoint_bytes: Option<usize>) {
        self.last += count;
        if cursor {
            self.cursor = Some(self.last);
        }
        if let Some(bytes) = checkpoint_bytes {
            self.checkpoints.retain(|(covers, _)| *covers != self.last);
            self.checkpoints.insert(0, (self.last, bytes));
            self.checkpoints.truncate(2);
        }
    }

    /// What a reader sees, in the model's terms; the events themselves are compared on the way.
    fn of(reader: &LogReader) -> Self {
        let last = reader.last_event();
        assert_eq!(reader.read(0, usize::MAX, usize::MAX).unwrap(), events(1..=last));
        let mut checkpoints = Vec::new();
        while let Some((covers, bytes)) =
            reader.older_checkpoint(checkpoints.last().map_or(u64::MAX, |(covers, _)| *covers)).unwrap()
        {
            checkpoints.push((covers, bytes.len()));
        }
        Self { last, cursor: reader.cursor("follower").unwrap(), checkpoints }
    }
}

fn commit(log: &mut Log, count: u64, cursor: bool, checkpoint_bytes: Option<usize>) -> Result<(), LogError> {
    let events: Vec<_> = (log.next_number()..).take(usize::try_from(count).unwrap()).map(event).collect();
    let cursors = [("follower", log.next_number() - 1 + count)];
    let checkpoint = checkpoint_bytes.map(|bytes| vec![7; bytes]);
    log.commit(&Commit {
        events: &events,
        cursors: if cursor { &cursors } else { &[] },
        checkpoint: checkpoint.as_deref(),
        ..Commit::default()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn the_log_does_what_its_model_does(steps in proptest::collection::vec(step(), 1..40)) {
        let disk = Disk::default();
        let (mut log, mut reader) = disk.open().unwrap();
        let mut model = Model::default();
        for step in steps {
            match step {
                Step::Commit { count, cursor, checkpoint_bytes } => {
                    commit(&mut log, count, cursor, checkpoint_bytes).unwrap();
                    model.commit(count, cursor, checkpoint_bytes);
                }
                Step::FailedCommit { count, fault } => {
                    let mut landed = model.clone();
                    landed.commit(count, true, Some(200_000));
                    disk.fail(fault);
                    let result = commit(&mut log, count, true, Some(200_000));
                    disk.mend();
                    if result.is_ok() {
                        model = landed;
                        continue;
                    }
                    prop_assert!(matches!(commit(&mut log, 1, false, None), Err(LogError::NeedsReopen)));
                    log.reopen().unwrap();
                    let found = Model::of(&reader);
                    prop_assert!(found == model || found == landed, "{found:?}: neither {model:?} nor {landed:?}");
                    model = found;
                }
                Step::Reopen => log.reopen().unwrap(),
                Step::Restart => {
                    drop(log);
                    (log, reader) = disk.open().unwrap();
                }
                Step::Read { after, events_max } => {
                    let last = model.last.min(after + u64::try_from(events_max.max(1)).unwrap());
                    prop_assert_eq!(reader.read(after, events_max, usize::MAX).unwrap(), events(after + 1..=last));
                }
                Step::Verify => prop_assert_eq!(reader.verify().unwrap().events, model.last),
            }
            prop_assert_eq!((reader.last_event(), log.next_number()), (model.last, model.last + 1));
        }
        prop_assert_eq!(Model::of(&reader), model);
        reader.verify().unwrap();
    }
}

#[test]
fn readers_see_every_event_once_in_order_while_the_log_is_written_and_reopened() {
    const LAST: u64 = 400;
    let disk = Disk::default();
    let (mut log, reader) = disk.open().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    std::thread::scope(|threads| {
        for events_max in [1, 7, 1000] {
            let reader = reader.clone();
            threads.spawn(move || {
                let mut seen = 0;
                while seen < LAST {
                    assert!(Instant::now() < deadline, "{events_max}: only {seen} events seen");
                    match reader.read(seen, events_max, usize::MAX) {
                        Ok(read) => {
                            let last = seen + u64::try_from(read.len()).unwrap();
                            assert_eq!(read, events(seen + 1..=last));
                            seen = last;
                        }
                        Err(error) => assert!(error.may_pass(), "{error:?}"),
                    }
                }
            });
        }
        while log.next_number() <= LAST {
            commit(&mut log, 4, true, None).unwrap();
            if log.next_number() % 40 == 1 {
                log.reopen().unwrap();
            }
        }
    });
    assert_eq!(reader.verify().unwrap().events, LAST);
}
