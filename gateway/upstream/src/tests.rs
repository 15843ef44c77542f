//! The forwarder between a log and an upstream that misbehaves.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant as Stopwatch};

use super::fake::{Act, FakeLog, FakeUpstream, quick, run, run_with, until};
use super::{Config, Privacy, Pseudonym};
use store::log::UpstreamCursor;

/// Every number once, in the order of its first arrival.
fn distinct(numbers: &[u64]) -> Vec<u64> {
    let mut seen = BTreeSet::new();
    numbers.iter().copied().filter(|number| seen.insert(*number)).collect()
}

fn through(last: u64) -> Vec<u64> {
    (1..=last).collect()
}

fn answer(status: u16, body: &str) -> Act {
    Act::Answer(status, "", body.into())
}

#[tokio::test]
async fn everything_arrives_once_and_in_order() {
    let upstream = FakeUpstream::start(|_, _| Act::Ack).await;
    let log = FakeLog::new(1..=1_201);
    let running = run(&log, quick(&upstream));
    until("all is upstream", || log.cursor() == 1_201).await;
    log.append(1_202..=1_205);
    until("later events are too", || log.cursor() == 1_205).await;

    assert_eq!(upstream.kept(), through(1_205));
    let sizes: Vec<usize> = upstream.requests.lock().unwrap().iter().map(Vec::len).collect();
    assert_eq!(sizes, [500, 500, 201, 4]);
    let figures = running.progress.figures(1_210);
    assert_eq!((figures.acked_through, figures.backlog), (1_205, 5));
    assert!(figures.last_success_at.is_some() && figures.failing_since.is_none() && figures.error.is_none());
    assert_eq!(running.metric("gapura_upstream_acked_through"), 1_205.0);
    assert_eq!(running.metric("gapura_upstream_backlog_events"), 0.0);
    assert_eq!(running.metric("gapura_upstream_batches_total{result=\"accepted\"}"), 4.0);
    assert_eq!(running.metric("gapura_upstream_events_sent_total"), 1_205.0);
    assert_eq!(running.metric("gapura_upstream_request_seconds_count"), 4.0);
    assert_eq!(running.metric("gapura_upstream_retries_total"), 0.0);
    running.stopped().await;
}

#[tokio::test]
async fn whatever_goes_wrong_is_sent_again_and_nothing_is_skipped() {
    let upstream = FakeUpstream::start(|index, _| match index % 12 {
        0 => answer(503, "busy"),
        1 => Act::Cut,
        2 | 7 => Act::LoseAnswer,
        3 => answer(401, ""),
        4 => answer(404, ""),
        5 => Act::Answer(302, "location: http://127.0.0.1:1/\r\n", String::new()),
        8 => answer(429, ""),
        9 => answer(500, "{\"acked_through\":999999}"),
        10 => answer(409, ""),
        _ => Act::Ack,
    })
    .await;
    let log = FakeLog::new(1..=300);
    let running = run(&log, Config { batch_events_max: 40, ..quick(&upstream) });
    until("all is upstream", || log.cursor() == 300).await;

    assert_eq!(distinct(&upstream.kept()), through(300));
    let cursors: Vec<u64> = log.notes.lock().unwrap().iter().map(|note| note.acked_through).collect();
    assert!(cursors.is_sorted() && log.notes.lock().unwrap().iter().all(|note| note.quarantined.is_none()));
    assert!(running.metric("gapura_upstream_retries_total") >= 9.0);
    let figures = running.progress.figures(300);
    assert!(figures.failing_since.is_none() && figures.quarantined.is_empty());
    running.stopped().await;
}

#[tokio::test]
async fn a_part_of_a_batch_may_be_acknowledged() {
    let upstream = FakeUpstream::start(|_, numbers| Act::AckThrough(numbers[0] + 2)).await;
    let log = FakeLog::new(1..=10);
    let running = run(&log, quick(&upstream));
    until("all is upstream", || log.cursor() == 10).await;

    assert_eq!(upstream.kept(), through(10));
    let firsts: Vec<u64> = upstream.requests.lock().unwrap().iter().map(|numbers| numbers[0]).collect();
    assert_eq!(firsts, [1, 4, 7, 10]);
    // The last answer names an event that does not exist yet: the cursor stops at the last one that was sent.
    assert_eq!(running.metric("gapura_upstream_batches_total{result=\"partial\"}"), 3.0);
    running.stopped().await;
}

#[tokio::test]
async fn an_answer_that_says_nothing_is_no_acknowledgement() {
    const ANSWERS: [&str; 8] =
        ["", "{}", "[1", "ok", "{\"acked_through\":-1}", "{\"acked_through\":\"9\"}", "{\"acked_through\":0}", "null"];
    let upstream = FakeUpstream::start(|index, _| match index {
        0..8 => answer(200, ANSWERS[index]),
        8 => answer(204, ""),
        9 => answer(200, &format!("{{\"acked_through\":5{}}}", " ".repeat(1 << 20))),
        _ => Act::Ack,
    })
    .await;
    let log = FakeLog::new(1..=5);
    let running = run(&log, quick(&upstream));
    until("all is upstream", || log.cursor() == 5).await;

    assert_eq!(upstream.kept(), through(5));
    assert_eq!(upstream.request_count(), 11);
    assert_eq!(running.metric("gapura_upstream_batches_total{result=\"failed\"}"), 10.0);
    running.stopped().await;
}

#[tokio::test]
async fn exactly_the_refused_events_are_quarantined() {
    let bad = [3, 77, 78, 500];
    let upstream = FakeUpstream::start(move |_, numbers| match numbers.iter().find(|number| bad.contains(number)) {
        Some(number) => answer(if *number == 3 { 400 } else { 422 }, &format!("event {number} of P-1 is odd")),
        None => Act::Ack,
    })
    .await;
    let log = FakeLog::new(1..=600);
    let running = run(&log, quick(&upstream));
    until("all is upstream", || log.cursor() == 600).await;

    let expected: Vec<u64> = through(600).into_iter().filter(|number| !bad.contains(number)).collect();
    assert_eq!(upstream.kept(), expected);
    let reasons: Vec<(u64, u64, String)> = log.notes.lock().unwrap().iter().cloned().filter_map(reason).collect();
    assert_eq!(reasons.iter().map(|(cursor, first, _)| (*cursor, *first)).collect::<Vec<_>>(), bad.map(|n| (n, n)));
    assert_eq!((&*reasons[0].2, &*reasons[3].2), ("HTTP 400", "HTTP 422"), "nothing of what it says");
    assert_eq!(running.progress.figures(600).quarantined, [(3, 3), (77, 78), (500, 500)]);
    assert_eq!(running.metric("gapura_upstream_quarantined_events_total"), 4.0);
    assert!(upstream.request_count() < 4 * 2 * 10, "{}", upstream.request_count());
    running.stopped().await;
}

fn reason(note: UpstreamCursor) -> Option<(u64, u64, String)> {
    note.quarantined.map(|quarantine| (note.acked_through, quarantine.first, quarantine.reason))
}

#[tokio::test]
async fn a_batch_that_is_too_large_is_halved_and_only_an_event_too_large_by_itself_is_quarantined() {
    let upstream =
        FakeUpstream::start(
            |_, numbers| {
                if numbers.len() > 10 || numbers.contains(&50) { answer(413, "") } else { Act::Ack }
            },
        )
        .await;
    let log = FakeLog::new(1..=200);
    let running = run(&log, Config { batch_events_max: 64, ..quick(&upstream) });
    until("all is upstream", || log.cursor() == 200).await;

    assert_eq!(upstream.kept(), through(200).into_iter().filter(|number| *number != 50).collect::<Vec<_>>());
    assert_eq!(running.progress.figures(200).quarantined, [(50, 50)]);
    running.stopped().await;
}

#[tokio::test]
async fn an_upstream_that_refuses_everything_fills_the_quarantine_and_not_more() {
    let mended = Arc::new(AtomicBool::new(false));
    let seen = mended.clone();
    let upstream =
        FakeUpstream::start(move |_, _| if seen.load(Ordering::SeqCst) { Act::Ack } else { answer(415, "no") }).await;
    let log = FakeLog::new(1..=50);
    let running = run(&log, Config { quarantined_events_max: 2, ..quick(&upstream) });
    until("the limit is hit", || running.metric("gapura_upstream_quarantine_full_total") >= 3.0).await;
    assert_eq!(log.cursor(), 2);
    let figures = running.progress.figures(50);
    assert!(figures.failing_since.is_some());
    assert!(figures.error.unwrap().contains("the quarantine is full with 2 events"));

    mended.store(true, Ordering::SeqCst);
    until("all is upstream", || log.cursor() == 50).await;
    assert_eq!(upstream.kept(), (3..=50).collect::<Vec<_>>());
    assert_eq!(running.progress.figures(50).quarantined, [(1, 2)]);
    running.stopped().await;
}

#[tokio::test]
async fn retry_after_is_honoured_up_to_the_longest_wait() {
    let times = Arc::new(Mutex::new(Vec::new()));
    let seen = times.clone();
    let upstream = FakeUpstream::start(move |index, _| {
        seen.lock().unwrap().push(Stopwatch::now());
        if index == 0 { Act::Answer(503, "retry-after: 3600\r\n", String::new()) } else { Act::Ack }
    })
    .await;
    let log = FakeLog::new(1..=1);
    let running = run(&log, Config { backoff_ms_max: 300, ..quick(&upstream) });
    until("all is upstream", || log.cursor() == 1).await;

    let times = times.lock().unwrap().clone();
    assert!(times[1] - times[0] >= Duration::from_millis(300));
    running.stopped().await;
}

#[tokio::test]
async fn a_restart_continues_after_the_cursor() {
    let upstream = FakeUpstream::start(|index, _| match index {
        2 => Act::LoseAnswer,
        3 => Act::Hold,
        _ => Act::Ack,
    })
    .await;
    let log = FakeLog::new(1..=100);
    let config = Config { batch_events_max: 20, ..quick(&upstream) };
    let first = run(&log, config.clone());
    until("the fourth request is under way", || upstream.request_count() == 4).await;
    first.task.abort();
    upstream.release();
    assert_eq!(log.cursor(), 40);

    let second = run(&log, config);
    until("all is upstream", || log.cursor() == 100).await;
    assert_eq!(distinct(&upstream.kept()), through(100));
    assert_eq!(upstream.requests.lock().unwrap()[4].first(), Some(&41));
    second.stopped().await;
}

#[tokio::test]
async fn nothing_more_leaves_before_the_cursor_is_kept() {
    let upstream = FakeUpstream::start(|_, _| Act::Ack).await;
    let log = FakeLog::new(1..=100);
    log.keeps_to_fail.store(usize::MAX, Ordering::SeqCst);
    let running = run(&log, Config { batch_events_max: 20, ..quick(&upstream) });
    until("keeping has failed often", || running.metric("gapura_upstream_retries_total") >= 5.0).await;
    assert_eq!((upstream.request_count(), log.cursor()), (1, 0));
    let figures = running.progress.figures(100);
    assert_eq!(figures.error.as_deref(), Some("the cursor 20 cannot be kept: the commit failed"));
    assert!(figures.acked_through == 0 && figures.failing_since.is_some());

    log.keeps_to_fail.store(0, Ordering::SeqCst);
    until("all is upstream", || log.cursor() == 100).await;
    assert_eq!(upstream.kept(), through(100));
    assert!(running.progress.figures(100).failing_since.is_none());
    running.stopped().await;
}

#[tokio::test]
async fn a_log_that_cannot_be_read_is_asked_again() {
    let upstream = FakeUpstream::start(|_, _| Act::Ack).await;
    let log = FakeLog::new(1..=10);
    log.reads_to_fail.store(3, Ordering::SeqCst);
    let running = run(&log, quick(&upstream));
    until("all is upstream", || log.cursor() == 10).await;
    assert_eq!(running.metric("gapura_upstream_retries_total"), 3.0);
    running.stopped().await;
}

#[tokio::test]
async fn a_log_that_announces_what_it_does_not_have_is_not_asked_all_the_time() {
    let upstream = FakeUpstream::start(|_, _| Act::Ack).await;
    let log = FakeLog::new([]);
    log.announce(1);
    let config = Config { backoff_ms_min: 60_000, backoff_ms_max: 60_000, ..quick(&upstream) };
    let running = run(&log, config);
    until("the contradiction is reported", || running.progress.figures(1).error.is_some()).await;
    assert_eq!(log.reads.load(Ordering::SeqCst), 2);
    running.stopped().await;
}

#[tokio::test]
async fn events_that_are_gone_from_the_log_are_counted() {
    let upstream = FakeUpstream::start(|_, _| Act::Ack).await;
    let log = FakeLog::new((1..=5).chain(9..=12));
    let running = run(&log, quick(&upstream));
    until("all is upstream", || log.cursor() == 12).await;
    assert_eq!(*upstream.requests.lock().unwrap(), [vec![1, 2, 3, 4, 5], vec![9, 10, 11, 12]]);
    assert_eq!(running.metric("gapura_upstream_missing_events_total"), 3.0);
    running.stopped().await;
}

#[tokio::test]
async fn a_shutdown_ends_a_long_wait_at_once() {
    let upstream = FakeUpstream::start(|_, _| Act::Answer(503, "retry-after: 600\r\n", String::new())).await;
    let log = FakeLog::new(1..=10);
    let config = Config { backoff_ms_min: 60_000, backoff_ms_max: 600_000, ..quick(&upstream) };
    let running = run(&log, config);
    until("it waits", || running.progress.figures(10).error.is_some()).await;
    log.append(11..=12);
    assert_eq!(running.metric("gapura_upstream_backlog_events"), 12.0);
    let progress = running.progress.clone();
    running.stopped().await;
    assert_eq!(progress.figures(12).backlog, 12);
    assert_eq!(progress.figures(12).error.unwrap(), "the upstream answered HTTP 503 Service Unavailable");
    assert_eq!(upstream.request_count(), 1);
}

#[tokio::test]
async fn a_shutdown_lets_a_request_under_way_finish_and_keeps_its_cursor() {
    let upstream = FakeUpstream::start(|_, _| Act::Hold).await;
    let log = FakeLog::new(1..=30);
    let running = run(&log, Config { batch_events_max: 10, ..quick(&upstream) });
    until("a request is under way", || upstream.request_count() == 1).await;
    running.stop.send_replace(true);
    upstream.release();
    running.stopped().await;
    assert_eq!((log.cursor(), upstream.request_count()), (10, 1));
}

#[tokio::test]
async fn an_upstream_that_never_answers_is_given_up_after_the_timeout() {
    let upstream = FakeUpstream::start(|index, _| if index == 0 { Act::Hold } else { Act::Ack }).await;
    let log = FakeLog::new(1..=10);
    let running = run(&log, Config { request_timeout_ms: 100, ..quick(&upstream) });
    until("the timeout is reported", || running.progress.figures(10).error.is_some()).await;
    assert_eq!(log.cursor(), 0);
    upstream.release();
    until("all is upstream", || log.cursor() == 10).await;
    assert_eq!(distinct(&upstream.kept()), through(10));
    running.stopped().await;
}

#[tokio::test]
async fn events_have_pseudonyms_where_that_is_asked_for_and_wait_for_them() {
    let upstream = FakeUpstream::start(|_, _| Act::Ack).await;
    let log = FakeLog::new(1..=3);
    let busy = Arc::new(AtomicBool::new(true));
    let held = Arc::clone(&busy);
    let pseudonym: Pseudonym = Arc::new(move |_| match held.load(Ordering::SeqCst) {
        true => Err("the vault is busy".into()),
        false => Ok("p-1".into()),
    });
    let running = run_with(&log, quick(&upstream), Privacy { pseudonym: Some(pseudonym), ..Privacy::default() });
    until("it has failed", || running.progress.figures(3).failing_since.is_some()).await;
    assert_eq!(upstream.request_count(), 0);
    busy.store(false, Ordering::SeqCst);
    until("all is upstream", || log.cursor() == 3).await;
    let posted = serde_json::to_string(&*upstream.posted.lock().unwrap()).unwrap();
    assert!(!posted.contains("07070707070707"), "{posted}");
    running.stopped().await;
}
