//! An operator acknowledges missing scans: on disk when it is said, and the same after any restart.

use super::*;
use store::log::CommitError;
use store::log::faulty_disk::{Call, Fault};

impl Bench {
    fn keep(&mut self, seqs: &[u64]) {
        for seq in seqs {
            self.scan(*seq);
            self.kept(*seq);
        }
    }

    fn missing(&self) -> u64 {
        self.status.doors()[&door(0)].missing_scans
    }

    fn rebuilt(&self) -> State {
        State::rebuild(&self.reader, PRESENCE_MS).unwrap()
    }
}

#[tokio::test]
async fn what_is_acknowledged_is_missing_no_more_and_what_is_missed_later_is() {
    let mut bench = Bench::new();
    bench.keep(&[1, 5, 9]);
    assert_eq!(bench.missing(), 6);
    assert_eq!(bench.queue().acknowledge(door(0)).await, Ok(6));
    assert_eq!(bench.missing(), 0);
    bench.keep(&[12]);
    assert_eq!(bench.missing(), 2);
    bench.restart();
    assert_eq!(bench.missing(), 2);
    // A scan that was missing and comes after all is one of its own, and no gap comes back with it.
    bench.keep(&[3]);
    assert_eq!((bench.missing(), bench.sequence()), (2, vec![1, 5, 9, 12, 3]));
    assert_eq!(bench.queue().acknowledge(door(0)).await, Ok(2));
    assert_eq!(bench.queue().acknowledge(door(7)).await, Ok(0));
}

#[tokio::test]
async fn an_acknowledgement_is_found_again_without_a_checkpoint() {
    let mut bench = Bench::new();
    bench.keep(&[1, 5]);
    bench.queue().acknowledge(door(0)).await.unwrap();
    bench.keep(&[9]);
    bench.queue().acknowledge(door(0)).await.unwrap();
    bench.keep(&[20, 21]);
    bench.stop();
    let (log, reader) = bench.disk.open().unwrap();
    let before = State::rebuild(&reader, PRESENCE_MS).unwrap();
    assert_eq!(before.missing(&door(0)), 10);
    log.invalidate_checkpoints().unwrap();
    assert!(reader.newest_checkpoint().is_err());
    let whole = State::rebuild(&reader, PRESENCE_MS).unwrap();
    assert_eq!(whole.missing(&door(0)), 10);
    // What is behind the acknowledged event was missed after it, also where a checkpoint covers the acknowledgement.
    assert_eq!(whole.doors().collect::<Vec<_>>(), before.doors().collect::<Vec<_>>());
}

#[tokio::test]
async fn an_acknowledgement_of_the_same_turn_as_scans_covers_those_before_it_only() {
    let mut bench = Bench::idle(Config::default(), 1024);
    let work = bench.open();
    for seq in [1, 4] {
        bench.scan(seq);
    }
    let queue = bench.queue().clone();
    let (acknowledged, ()) = tokio::join!(biased; queue.acknowledge(door(0)), async {
        bench.scan(7);
        bench.work(work);
    });
    drop(queue);
    assert_eq!(acknowledged, Ok(2));
    for seq in [1, 4, 7] {
        bench.kept(seq);
    }
    wait_until("the gap behind it counts", || bench.missing() == 2);
    assert_eq!(bench.reader.cursor("acknowledged/door-0").unwrap(), Some(2));
    assert_eq!(bench.rebuilt().missing(&door(0)), 2);
}

#[tokio::test]
async fn an_acknowledgement_that_is_not_on_disk_is_refused_and_does_not_count() {
    let mut bench = Bench::new();
    bench.keep(&[1, 5]);
    bench.disk.fail(Fault { call: Call::Sync, passes: 0, forgets: true });
    assert_eq!(bench.queue().acknowledge(door(0)).await, Err(CommitError::Failed));
    bench.disk.mend();
    bench.keep_again(6);
    assert_eq!(bench.missing(), 3);
}

impl Bench {
    /// Keeps a scan with a log that may not work yet.
    fn keep_again(&mut self, seq: u64) {
        self.scan(seq);
        loop {
            match self.answer() {
                Answer::Held { .. } => {}
                Answer::Committed { .. } => return,
                other => panic!("{other:?}"),
            }
        }
    }
}
