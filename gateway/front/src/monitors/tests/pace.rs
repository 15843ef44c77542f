//! Monitors that read slowly, or not, or leave; and messages that come faster than they are handed on.

use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::thread;

use super::*;

#[tokio::test]
async fn a_monitor_that_does_not_read_slows_nobody_and_is_told_what_it_has_missed() {
    const MESSAGES: u64 = 5000;
    let fanout = Fanout::eager(Config { backlog_messages_max: 256, ..Config::default() });
    let mut slow = fanout.monitor(&[DECISIONS]);
    let mut quick = fanout.monitor(&[DECISIONS]);
    for number in 0..MESSAGES {
        fanout.say("gapura/v1/site/a/decision", format!("{number:0300}"));
        let delivery = next(&mut quick).await;
        assert_eq!((delivery.payload, delivery.missed), (format!("{number:0300}").into(), 0));
    }
    assert_eq!(fanout.monitors.dropped(DropReason::SlowMonitor), 0);
    fanout.say("gapura/v1/site/a/decision", "end");
    eventually("all are handed on", || fanout.monitors.published() == MESSAGES + 1).await;
    // The first message that it reads says how many came before it; those that are left come whole and in order.
    let first = next(&mut slow).await;
    assert_eq!(first.missed, MESSAGES + 1 - 256);
    assert_eq!(first.payload, format!("{:0300}", first.missed));
    let heard = hear_until(&mut slow, "end").await;
    let lost = fanout.monitors.dropped(DropReason::SlowMonitor);
    assert_eq!((heard.len() as u64 + 1 + lost, lost), (MESSAGES, first.missed));
    assert!(lost > 0 && heard.is_sorted(), "lost {lost}");
    assert_eq!(fanout.monitors.dropped(DropReason::QueueFull), 0);
    assert_eq!(hear_until(&mut quick, "end").await, [""; 0]);
}

#[tokio::test]
async fn what_is_missed_of_one_feed_is_not_told_with_the_other() {
    let fanout = Fanout::eager(Config { backlog_messages_max: 64, ..Config::default() });
    let mut monitor = fanout.monitor(&[DECISIONS, STATUS]);
    fanout.say("gapura/v1/site/a/status", "online");
    for number in 0..100 {
        fanout.say("gapura/v1/site/a/decision", number.to_string());
    }
    eventually("all are handed on", || fanout.monitors.published() == 101).await;
    let mut missed = Vec::new();
    for _ in 0..65 {
        let delivery = next(&mut monitor).await;
        missed.push((delivery.topic.ends_with(b"status"), delivery.missed));
    }
    assert_eq!(missed.iter().filter(|(status, missed)| *status && *missed == 0).count(), 1);
    assert_eq!(missed.iter().find(|(status, _)| !status), Some(&(false, 36)));
    assert_eq!(missed.iter().map(|(_, missed)| missed).sum::<u64>(), 36);
}

#[tokio::test]
async fn a_monitor_of_one_door_is_told_with_that_doors_next_message() {
    let fanout = Fanout::eager(Config { backlog_messages_max: 64, ..Config::default() });
    let mut monitor = fanout.monitor(&["gapura/v1/site/a/decision"]);
    for number in 0..100 {
        fanout.say("gapura/v1/site/b/decision", number.to_string());
    }
    fanout.say("gapura/v1/site/a/decision", "end");
    eventually("all are handed on", || fanout.monitors.published() == 101).await;
    let delivery = next(&mut monitor).await;
    assert_eq!((delivery.payload, delivery.missed), ("end".into(), 37));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn connections_that_vanish_in_the_middle_of_a_flood_harm_nobody() {
    let fanout = Fanout::eager(Config { connections_max: 8, backlog_messages_max: 256, ..Config::default() });
    let (over, flood_over) = watch::channel(false);
    let flood = {
        let monitors = fanout.monitors.clone();
        thread::spawn(move || {
            for number in 0u64.. {
                monitors.say(&format!("gapura/v1/site/d{}/decision", number % 50), vec![b'x'; 200]);
                monitors.say(&format!("gapura/v1/site/d{}/status", number % 50), vec![b'x'; 200]);
                if *flood_over.borrow() {
                    return;
                }
            }
        })
    };
    let rounds = (0..6).map(|task| {
        let monitors = fanout.monitors.clone();
        tokio::spawn(async move {
            for round in 0..100 {
                let mut connection = monitors.monitor(&[DECISIONS, STATUS]);
                for message in 0..(round * 7 + task) % 180 {
                    connection.next().await.unwrap();
                    if message % 50 == 49 {
                        connection.unsubscribe(STATUS);
                        assert_eq!(connection.subscribe(STATUS), Ok(SubscribeAnswer::Granted));
                    }
                }
            }
        })
    });
    for task in rounds.collect::<Vec<_>>() {
        timeout(DEADLINE, task).await.unwrap().unwrap();
    }
    over.send_replace(true);
    flood.join().unwrap();
    let mut monitor = fanout.monitor(&["gapura/v1/site/after/decision"]);
    // The flood may have left the queue full, so that the first of these are dropped.
    let deadline = Instant::now() + DEADLINE;
    while timeout(Duration::from_millis(20), monitor.next()).await.is_err() {
        assert!(!fanout.monitors.has_stopped() && Instant::now() < deadline);
        fanout.say("gapura/v1/site/after/decision", "1");
    }
    assert!(!fanout.monitors.has_stopped());
}

#[test]
fn what_does_not_fit_the_queue_is_dropped_and_counted_and_nobody_waits() {
    // Nobody reads this queue, and there is no runtime that could wait.
    let (monitors, broadcaster) =
        Monitors::new(Config { queue_messages_max: 2, ..Config::default() }, metrics()).unwrap();
    let _monitor = monitors.monitor(&[DECISIONS]);
    for _ in 0..5 {
        monitors.say("gapura/v1/site/a/decision", "1");
    }
    assert_eq!((monitors.dropped(DropReason::QueueFull), broadcaster.queued()), (3, 2));
}

#[tokio::test]
async fn a_wait_that_is_given_up_loses_no_message() {
    let fanout = Fanout::eager(Config::default());
    let mut monitor = fanout.monitor(&[DECISIONS]);
    let (mut heard, mut given_up) = (Vec::new(), 0);
    for number in 0..2000 {
        fanout.say("gapura/v1/site/a/decision", number.to_string());
        tokio::select! {
            biased;
            delivery = monitor.next() => heard.push(delivery.unwrap()),
            () = tokio::task::yield_now() => given_up += 1,
        }
    }
    fanout.say("gapura/v1/site/a/decision", "end");
    let late = hear_until(&mut monitor, "end").await;
    assert_eq!(heard.len() + late.len(), 2000, "{given_up} waits were given up");
    assert!(heard.iter().enumerate().all(|(number, delivery)| delivery.payload == number.to_string()));
}

#[tokio::test]
async fn messages_that_follow_one_another_are_handed_on_together() {
    let fanout = Fanout::start(Config { batch_interval_ms: 1000, ..Config::default() });
    let mut monitor = fanout.monitor(&[DECISIONS]);
    let started = Instant::now();
    fanout.say("gapura/v1/site/a/decision", "at once");
    assert_eq!(next(&mut monitor).await.payload, "at once");
    for number in 0..10 {
        fanout.say("gapura/v1/site/a/decision", number.to_string());
    }
    assert_eq!(next(&mut monitor).await.payload, "0");
    assert!(started.elapsed() >= Duration::from_secs(1), "{:?}", started.elapsed());
    for number in 1..10 {
        let delivery = pin!(monitor.next());
        let Poll::Ready(delivery) = poll_once(delivery) else { panic!("{number} must be there") };
        assert_eq!(delivery.unwrap().payload, number.to_string());
    }
}

/// Polls a future once.
fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}
