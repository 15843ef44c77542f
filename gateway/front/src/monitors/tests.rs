//! The fan-out as monitors and the gateway see it, over the real router.

use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use prometheus_client::registry::Registry;

use super::*;

const DECISIONS: &str = "gapura/v1/site/+/decision";
const STATUS: &str = "gapura/v1/site/+/status";

/// Far beyond what anything here takes: only a hang reaches it.
const DEADLINE: Duration = Duration::from_secs(60);

fn metrics() -> Metrics {
    Metrics::new(&mut Registry::default())
}

fn monitors(config: Config) -> Monitors {
    Monitors::start(config, metrics()).unwrap()
}

impl Monitors {
    fn say(&self, topic: &str, payload: impl Into<Bytes>) {
        self.publish(topic, payload.into());
    }

    fn published(&self) -> u64 {
        self.shared.metrics.published.get()
    }

    fn dropped(&self, reason: DropReason) -> u64 {
        self.shared.metrics.dropped(reason)
    }

    fn refused(&self, reason: RefuseReason) -> u64 {
        self.shared.metrics.refused(reason)
    }

    async fn monitor(&self, filters: &[&str]) -> MonitorLink {
        let mut link = self.attach("monitor").await.unwrap();
        for filter in filters {
            assert_eq!(link.subscribe(filter).await, Ok(SubscribeAnswer::Granted));
        }
        link
    }
}

/// What arrives up to and without the message `last`, as `topic payload`.
async fn hear_until(link: &mut MonitorLink, last: &str) -> Vec<String> {
    let mut heard = Vec::new();
    loop {
        let Delivery { topic, payload } = tokio::time::timeout(DEADLINE, link.next()).await.unwrap().unwrap();
        let text = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).unwrap();
        if text(&payload) == last {
            return heard;
        }
        heard.push(format!("{} {}", text(&topic).trim_start_matches("gapura/v1/"), text(&payload)));
    }
}

async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < deadline, "not within {DEADLINE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn each_monitor_gets_what_its_filters_cover_and_nothing_else() {
    let monitors = monitors(Config::default());
    let mut all = monitors.monitor(&[DECISIONS]).await;
    let mut one = monitors.monitor(&["gapura/v1/site/a/decision", "gapura/v1/site/b/status"]).await;
    let mut status = monitors.monitor(&[STATUS]).await;
    for door in ["a", "b", "ab"] {
        monitors.say(&format!("gapura/v1/site/{door}/decision"), "1");
        monitors.say(&format!("gapura/v1/site/{door}/status"), "2");
        monitors.say(&format!("gapura/v1/other/{door}/decision"), "3");
    }
    // The order between decisions and status is open: each channel has an end of its own.
    monitors.say("gapura/v1/site/a/decision", "end");
    assert_eq!(hear_until(&mut all, "end").await, ["site/a/decision 1", "site/b/decision 1", "site/ab/decision 1"]);
    let mut heard = hear_until(&mut one, "end").await;
    monitors.say("gapura/v1/site/b/status", "end");
    heard.extend(hear_until(&mut one, "end").await);
    heard.sort();
    assert_eq!(heard, ["site/a/decision 1", "site/b/status 2"]);
    assert_eq!(hear_until(&mut status, "end").await, ["site/a/status 2", "site/b/status 2", "site/ab/status 2"]);
}

#[tokio::test]
async fn a_message_that_several_filters_cover_comes_once() {
    let monitors = monitors(Config::default());
    let mut link = monitors.monitor(&[DECISIONS, "gapura/v1/site/a/decision", DECISIONS]).await;
    monitors.say("gapura/v1/site/a/decision", "1");
    monitors.say("gapura/v1/site/a/decision", "end");
    assert_eq!(hear_until(&mut link, "end").await, ["site/a/decision 1"]);
}

#[tokio::test]
async fn what_is_unsubscribed_stops_and_may_begin_again() {
    let monitors = monitors(Config::default());
    let mut link = monitors.monitor(&[DECISIONS, "gapura/v1/site/a/decision", STATUS]).await;
    link.unsubscribe(DECISIONS).await.unwrap();
    monitors.say("gapura/v1/site/a/decision", "1");
    monitors.say("gapura/v1/site/b/decision", "2");
    monitors.say("gapura/v1/site/a/decision", "end");
    assert_eq!(hear_until(&mut link, "end").await, ["site/a/decision 1"]);

    link.unsubscribe("gapura/v1/site/a/decision").await.unwrap();
    link.unsubscribe("gapura/v1/site/never/decision").await.unwrap();
    monitors.say("gapura/v1/site/a/decision", "3");
    monitors.say("gapura/v1/site/a/status", "end");
    assert_eq!(hear_until(&mut link, "end").await, [""; 0]);

    link.subscribe(DECISIONS).await.unwrap();
    monitors.say("gapura/v1/site/b/decision", "4");
    monitors.say("gapura/v1/site/b/decision", "end");
    assert_eq!(hear_until(&mut link, "end").await, ["site/b/decision 4"]);
    assert_eq!(monitors.dropped(DropReason::SlowMonitor), 0, "what was not subscribed to is not lost");
}

#[tokio::test]
async fn a_dropped_link_frees_its_seat() {
    let monitors = monitors(Config { links_max: 2, ..Config::default() });
    for round in 0..1000 {
        let mut link = monitors.attach("monitor").await.unwrap_or_else(|error| panic!("round {round}: {error}"));
        if round % 2 == 0 {
            link.subscribe(DECISIONS).await.unwrap();
            monitors.say("gapura/v1/site/a/decision", "1");
        }
    }
    assert_eq!((monitors.links(), monitors.shared.metrics.links.get()), (0, 0));
    let _both = (monitors.monitor(&[]).await, monitors.monitor(&[DECISIONS]).await);
    assert!(matches!(monitors.attach("third").await, Err(AttachError::Full { links_max: 2 })));
    assert_eq!((monitors.links(), monitors.shared.metrics.links.get()), (2, 2));
    assert_eq!(monitors.refused(RefuseReason::LinksMax), 1);
}

#[test]
fn a_dropped_connection_is_freed_in_the_router() {
    let connect = router::start(&Config { links_max: 1, ..Config::default() });
    let _publisher = connect("publisher").unwrap();
    // The router has room for one more. A client id of its own each time, or it would throw out the one before.
    for round in 0..1000 {
        let mut connection = connect(&format!("monitor-{round}")).unwrap_or_else(|error| panic!("{round}: {error}"));
        connection.say([router::subscribe(Feed::Decisions)]).unwrap();
    }
    let _monitor = connect("monitor").unwrap();
    assert!(connect("one-too-many").is_err());
}

#[tokio::test]
async fn a_monitor_that_does_not_read_slows_nobody_and_what_it_loses_is_counted() {
    const MESSAGES: u64 = 5000;
    let monitors = monitors(Config { backlog_bytes_max: 64 << 10, ..Config::default() });
    let mut slow = monitors.monitor(&[DECISIONS]).await;
    let mut quick = monitors.monitor(&[DECISIONS]).await;
    for number in 0..MESSAGES {
        monitors.say("gapura/v1/site/a/decision", format!("{number:0300}"));
        let delivery = tokio::time::timeout(DEADLINE, quick.next()).await.unwrap().unwrap();
        assert_eq!(delivery.payload, format!("{number:0300}"));
    }
    assert_eq!(monitors.dropped(DropReason::SlowMonitor), 0);
    monitors.say("gapura/v1/site/a/decision", "end");
    let heard = hear_until(&mut slow, "end").await;
    let lost = monitors.dropped(DropReason::SlowMonitor);
    assert_eq!(heard.len() as u64 + lost, MESSAGES);
    assert!(lost > 0 && heard.is_sorted(), "lost {lost}");
    assert_eq!(monitors.dropped(DropReason::QueueFull), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn links_that_vanish_in_the_middle_of_a_flood_do_not_harm_the_router() {
    let monitors = monitors(Config { links_max: 8, backlog_bytes_max: 64 << 10, ..Config::default() });
    let over = Arc::new(AtomicBool::new(false));
    let flood = {
        let (monitors, over) = (monitors.clone(), Arc::clone(&over));
        thread::spawn(move || {
            for number in 0u64.. {
                monitors.say(&format!("gapura/v1/site/d{}/decision", number % 50), vec![b'x'; 200]);
                monitors.say(&format!("gapura/v1/site/d{}/status", number % 50), vec![b'x'; 200]);
                if over.load(Ordering::Relaxed) {
                    return;
                }
            }
        })
    };
    let rounds = (0..6).map(|task| {
        let monitors = monitors.clone();
        tokio::spawn(async move {
            for round in 0..100 {
                let mut link = monitors.monitor(&[DECISIONS, STATUS]).await;
                for message in 0..(round * 7 + task) % 180 {
                    link.next().await.unwrap();
                    if message % 50 == 49 {
                        link.unsubscribe(STATUS).await.unwrap();
                        link.subscribe(STATUS).await.unwrap();
                    }
                }
            }
        })
    });
    for task in rounds.collect::<Vec<_>>() {
        tokio::time::timeout(DEADLINE, task).await.unwrap().unwrap();
    }
    over.store(true, Ordering::Relaxed);
    flood.join().unwrap();
    let mut link = monitors.monitor(&["gapura/v1/site/after/decision"]).await;
    // The flood may have left the queue full, so that the first of these are dropped.
    let deadline = Instant::now() + DEADLINE;
    while tokio::time::timeout(Duration::from_millis(20), link.next()).await.is_err() {
        assert!(!monitors.stopped() && Instant::now() < deadline);
        monitors.say("gapura/v1/site/after/decision", "1");
    }
    assert!(!monitors.stopped());
}

#[tokio::test]
async fn what_is_outside_the_contract_is_refused_and_counted() {
    let monitors = monitors(Config { filters_max: 2, ..Config::default() });
    let mut link = monitors.monitor(&[DECISIONS]).await;
    let topics =
        ["é", "", "#", "gapura/v1/site/+/decision", "gapura/v1/site/a/scan", "gapura/v1/site/é/decision", "$SYS/x"];
    for topic in topics {
        monitors.say(topic, "1");
    }
    assert_eq!(monitors.refused(RefuseReason::Topic), topics.len() as u64);
    monitors.say("gapura/v1/site/a/decision", vec![b'x'; PAYLOAD_BYTES_MAX + 1]);
    assert_eq!(monitors.refused(RefuseReason::Payload), 1);

    let filters = ["é/#", "", "#", "gapura/v1/site/#", "gapura/v1/+/+/decision", "gapura/v1/site/+/scan", "$share/g/#"];
    for filter in filters {
        assert_eq!(link.subscribe(filter).await, Ok(SubscribeAnswer::Refused), "{filter}");
    }
    assert_eq!(monitors.refused(RefuseReason::Filter), filters.len() as u64);
    assert_eq!(link.subscribe(STATUS).await, Ok(SubscribeAnswer::Granted));
    assert_eq!(link.subscribe("gapura/v1/site/a/status").await, Ok(SubscribeAnswer::Refused));
    assert_eq!(link.subscribe(DECISIONS).await, Ok(SubscribeAnswer::Granted), "it is held already");
    assert_eq!(monitors.refused(RefuseReason::FiltersMax), 1);

    monitors.say("gapura/v1/site/a/decision", vec![b'x'; PAYLOAD_BYTES_MAX]);
    monitors.say("gapura/v1/site/a/decision", "end");
    assert_eq!(hear_until(&mut link, "end").await.len(), 1);
    eventually("both are counted", || monitors.published() == 2).await;
}

#[tokio::test]
async fn nothing_reaches_the_router_while_no_monitor_is_connected() {
    let monitors = monitors(Config { queue_messages_max: 1, ..Config::default() });
    for _ in 0..10_000 {
        monitors.say("gapura/v1/site/a/decision", "nobody hears this");
    }
    drop(monitors.monitor(&[DECISIONS]).await);
    monitors.say("gapura/v1/site/a/decision", "nor this");
    let mut link = monitors.monitor(&[DECISIONS]).await;
    monitors.say("gapura/v1/site/a/decision", "end");
    assert_eq!(hear_until(&mut link, "end").await, [""; 0]);
    eventually("the message is counted", || monitors.published() == 1).await;
    assert_eq!(monitors.dropped(DropReason::QueueFull), 0);
}

#[tokio::test]
async fn what_does_not_fit_the_queue_is_dropped_and_counted() {
    let config = Config { queue_messages_max: 2, ..Config::default() };
    let (connect, metrics) = (router::start(&config), metrics());
    // Nobody reads this queue.
    let (queue, messages) = sync_channel(config.queue_messages_max);
    let seats = Seats::new(config.links_max, metrics.links.clone());
    let stopped = Arc::new(watch::Sender::new(false));
    let monitors = Monitors { shared: Arc::new(Shared { config, connect, queue, seats, stopped, metrics }) };
    let _link = monitors.monitor(&[DECISIONS]).await;
    for _ in 0..5 {
        monitors.say("gapura/v1/site/a/decision", "1");
    }
    assert_eq!((monitors.dropped(DropReason::QueueFull), messages.try_iter().count()), (3, 2));
}

#[tokio::test]
async fn a_wait_that_is_given_up_loses_no_message() {
    let monitors = monitors(Config::default());
    let mut link = monitors.monitor(&[DECISIONS]).await;
    let (mut heard, mut given_up) = (Vec::new(), 0);
    for number in 0..2000 {
        monitors.say("gapura/v1/site/a/decision", number.to_string());
        tokio::select! {
            biased;
            delivery = link.next() => heard.push(delivery.unwrap()),
            () = tokio::task::yield_now() => given_up += 1,
        }
    }
    monitors.say("gapura/v1/site/a/decision", "end");
    let late = hear_until(&mut link, "end").await;
    assert_eq!(heard.len() + late.len(), 2000, "{given_up} waits were given up");
    assert!(heard.iter().enumerate().all(|(number, delivery)| delivery.payload == number.to_string()));
}

#[tokio::test]
async fn a_router_that_has_died_is_noticed_and_nothing_hangs() {
    let config = Config { probe_interval_ms: 20, ..Config::default() };
    let connect = router::start(&config);
    let monitors = Monitors::with_router(config, metrics(), Arc::clone(&connect)).unwrap();
    let mut link = monitors.monitor(&[DECISIONS]).await;
    let mut other = monitors.monitor(&[]).await;
    assert!(!monitors.stopped());

    // Past every check, what ends the router's thread.
    connect("attacker").unwrap().say([router::message("é".into(), "1".into())]).unwrap();

    assert_eq!(tokio::time::timeout(DEADLINE, link.next()).await.unwrap(), Err(RouterStopped));
    tokio::time::timeout(DEADLINE, monitors.wait_stopped()).await.unwrap();
    assert!(monitors.stopped());
    assert_eq!(other.subscribe(STATUS).await, Err(RouterStopped));
    assert_eq!(link.unsubscribe(DECISIONS).await, Err(RouterStopped));
    assert!(matches!(monitors.attach("late").await, Err(AttachError::Stopped(RouterStopped))));
    monitors.say("gapura/v1/site/a/decision", "1");
    assert_eq!(monitors.dropped(DropReason::RouterStopped), 1);
    drop((link, other));
    assert_eq!(monitors.links(), 0);
}

#[tokio::test]
async fn a_router_that_does_not_answer_counts_as_stopped() {
    let config = Config { probe_interval_ms: 10, probe_timeout_ms: 100, ..Config::default() };
    let connect = router::start(&config);
    // Its answers to the publisher go to another link, which nobody reads.
    let (mut publisher, mut elsewhere) = (connect("publisher").unwrap(), connect("elsewhere").unwrap());
    mem::swap(&mut publisher.rx, &mut elsewhere.rx);
    let deaf = std::sync::Mutex::new(Some(publisher));
    let connect: Connect = Arc::new(move |id| deaf.lock().unwrap().take().map_or_else(|| connect(id), Ok));
    let monitors = Monitors::with_router(config, metrics(), connect).unwrap();
    tokio::time::timeout(DEADLINE, monitors.wait_stopped()).await.unwrap();
    drop(elsewhere);
}

#[tokio::test]
async fn a_monitor_that_the_router_does_not_accept_in_time_is_turned_away_and_its_seat_is_freed() {
    let config = Config { links_max: 1, attach_timeout_ms: 20, ..Config::default() };
    let connect = router::start(&config);
    let (release, held) = mpsc::channel::<()>();
    let held = std::sync::Mutex::new(held);
    let slow: Connect = Arc::new(move |client_id| {
        if client_id != "publisher" {
            held.lock().unwrap().recv().ok();
        }
        connect(client_id)
    });
    let monitors = Monitors::with_router(config, metrics(), slow).unwrap();
    assert!(matches!(monitors.attach("slow").await, Err(AttachError::TimedOut { timeout_ms: 20 })));
    assert!(matches!(monitors.attach("second").await, Err(AttachError::Full { .. })), "it still waits for the router");
    drop(release);
    eventually("the seat is free", || monitors.links() == 0).await;
    assert!(!monitors.stopped());
}

#[test]
fn settings_out_of_range_are_refused() {
    let error = Monitors::start(Config { links_max: 0, ..Config::default() }, metrics()).unwrap_err();
    assert!(error.to_string().contains("links_max"), "{error}");
}
