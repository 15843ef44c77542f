//! How far the upstream has come is kept beside the events.

use super::*;
use store::log::faulty_disk::{Call, Fault};
use store::log::{CommitError, Quarantined, UPSTREAM, UpstreamCursor};

fn note(acked_through: u64, refused: Option<u64>) -> UpstreamCursor {
    let quarantined = refused.map(|event| Quarantined {
        first: event,
        last: event,
        reason: "422".into(),
        at: Instant::from_unix_ms(5),
    });
    UpstreamCursor { acked_through, quarantined }
}

#[tokio::test]
async fn a_note_is_on_disk_when_its_sender_hears_of_it() {
    let mut bench = Bench::new();
    bench.queue().keep(note(3, Some(3))).await.unwrap();
    assert_eq!(bench.reader.cursor(UPSTREAM).unwrap(), Some(3));
    bench.queue().keep(note(4, None)).await.unwrap();
    bench.restart();
    assert_eq!(bench.reader.cursor(UPSTREAM).unwrap(), Some(4));
    assert_eq!(bench.reader.quarantined().unwrap(), note(3, Some(3)).quarantined.as_slice());
}

#[tokio::test]
async fn of_two_notes_in_one_turn_one_is_kept_and_the_other_said_again() {
    let mut bench = Bench::idle(Config::default(), 1024);
    let work = bench.open();
    let queue = bench.queue().clone();
    let (first, second, ()) = tokio::join!(biased; queue.keep(note(3, Some(3))), queue.keep(note(7, Some(7))), async {
        bench.work(work);
    });
    drop(queue);
    assert_eq!((first, second), (Ok(()), Err(CommitError::Failed)));
    assert_eq!(bench.reader.cursor(UPSTREAM).unwrap(), Some(3));
    bench.queue().keep(note(7, Some(7))).await.unwrap();
    assert_eq!(bench.reader.cursor(UPSTREAM).unwrap(), Some(7));
    let ranges: Vec<_> = bench.reader.quarantined().unwrap().iter().map(|range| range.first).collect();
    assert_eq!(ranges, [3, 7]);
}

#[tokio::test]
async fn a_note_that_could_not_be_kept_is_reported_to_its_sender() {
    let bench = Bench::new();
    bench.disk.fail(Fault { call: Call::Sync, passes: 0, forgets: true });
    // The first one fails with its commit, the second finds that the log does not work.
    for _ in 0..2 {
        bench.queue().keep(note(3, None)).await.unwrap_err();
    }
    bench.disk.mend();
    let mut kept = Err(CommitError::Failed);
    while kept.is_err() {
        kept = bench.queue().keep(note(3, None)).await;
    }
    assert_eq!(bench.reader.cursor(UPSTREAM).unwrap(), Some(3));
}

#[tokio::test]
async fn a_stopped_spine_keeps_no_notes() {
    let (queue, work) = ScanQueue::new(1);
    drop(work);
    queue.keep(note(1, None)).await.unwrap_err();
}

#[tokio::test]
async fn cursors_of_other_followers_are_kept_beside_the_upstreams() {
    let mut bench = Bench::idle(Config::default(), 1024);
    let work = bench.open();
    let queue = bench.queue().clone();
    let day = |opd: &str| queue.keep_cursor(format!("attendance/2026-11-23/{opd}"), 7);
    let (first, second, third, ()) = tokio::join!(biased; queue.keep(note(3, None)), day("dinkes"), day(""), async {
        bench.work(work);
    });
    drop(queue);
    assert_eq!((first, second, third), (Ok(()), Ok(()), Ok(())));
    assert_eq!(
        (bench.reader.cursor(UPSTREAM).unwrap(), bench.reader.cursors("attendance/").unwrap().len()),
        (Some(3), 2)
    );
    bench.disk.fail(Fault { call: Call::Sync, passes: 0, forgets: true });
    bench.queue().keep_cursor("attendance/2026-11-24/".into(), 7).await.unwrap_err();
}
