//! The fan-out as monitors and the gateway see it.

mod pace;

use std::time::{Duration, Instant};

use prometheus_client::registry::Registry;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;

const DECISIONS: &str = "gapura/v1/site/+/decision";
const STATUS: &str = "gapura/v1/site/+/status";

/// Far beyond what anything here takes: only a hang reaches it.
const DEADLINE: Duration = Duration::from_secs(60);

fn metrics() -> Metrics {
    Metrics::new(&mut Registry::default())
}

/// A fan-out at work.
struct Fanout {
    monitors: Monitors,
    stop: watch::Sender<bool>,
    broadcaster: JoinHandle<()>,
}

impl Fanout {
    fn start(config: Config) -> Self {
        let (monitors, broadcaster) = Monitors::new(config, metrics()).unwrap();
        let (stop, stopped) = watch::channel(false);
        Self { monitors, stop, broadcaster: tokio::spawn(broadcaster.run(stopped)) }
    }

    /// One that hands on each message at once.
    fn eager(config: Config) -> Self {
        Self::start(Config { batch_interval_ms: 0, ..config })
    }

    fn monitor(&self, filters: &[&str]) -> MonitorConnection {
        self.monitors.monitor(filters)
    }

    fn say(&self, topic: &str, payload: impl Into<Bytes>) {
        self.monitors.say(topic, payload);
    }

    async fn stop(self) -> Monitors {
        self.stop.send_replace(true);
        timeout(DEADLINE, self.broadcaster).await.unwrap().unwrap();
        self.monitors
    }
}

impl Monitors {
    fn say(&self, topic: &str, payload: impl Into<Bytes>) {
        self.publish(&topic.parse().unwrap(), payload.into());
    }

    fn dropped(&self, reason: DropReason) -> u64 {
        self.shared.metrics.dropped(reason)
    }

    fn refused(&self, reason: RefuseReason) -> u64 {
        self.shared.metrics.refused(reason)
    }

    fn monitor(&self, filters: &[&str]) -> MonitorConnection {
        let mut connection = self.connect().unwrap();
        for filter in filters {
            assert_eq!(connection.subscribe(filter), Ok(SubscribeAnswer::Granted));
        }
        connection
    }
}

async fn next(connection: &mut MonitorConnection) -> Delivery {
    timeout(DEADLINE, connection.next()).await.unwrap().unwrap()
}

/// What arrives up to and without the message `last`, as `topic payload`, and how many messages were missed.
async fn hear(connection: &mut MonitorConnection, last: &str) -> (Vec<String>, u64) {
    let (mut heard, mut missed) = (Vec::new(), 0);
    loop {
        let delivery = next(connection).await;
        missed += delivery.missed;
        let text = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).unwrap();
        let (topic, payload) = (text(&delivery.topic), text(&delivery.payload));
        if payload == last {
            return (heard, missed);
        }
        heard.push(format!("{} {payload}", topic.trim_start_matches("gapura/v1/")));
    }
}

/// The same where nothing may be missed.
async fn hear_until(connection: &mut MonitorConnection, last: &str) -> Vec<String> {
    let (heard, missed) = hear(connection, last).await;
    assert_eq!(missed, 0);
    heard
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
    let fanout = Fanout::start(Config::default());
    let mut all = fanout.monitor(&[DECISIONS]);
    let mut one = fanout.monitor(&["gapura/v1/site/a/decision", "gapura/v1/site/b/status"]);
    let mut status = fanout.monitor(&[STATUS]);
    for door in ["a", "b", "ab"] {
        fanout.say(&format!("gapura/v1/site/{door}/decision"), "1");
        fanout.say(&format!("gapura/v1/site/{door}/status"), "2");
        fanout.say(&format!("gapura/v1/other/{door}/decision"), "3");
    }
    // The order between decisions and status is open: each channel has an end of its own.
    fanout.say("gapura/v1/site/a/decision", "end");
    assert_eq!(hear_until(&mut all, "end").await, ["site/a/decision 1", "site/b/decision 1", "site/ab/decision 1"]);
    let mut heard = hear_until(&mut one, "end").await;
    fanout.say("gapura/v1/site/b/status", "end");
    heard.extend(hear_until(&mut one, "end").await);
    heard.sort();
    assert_eq!(heard, ["site/a/decision 1", "site/b/status 2"]);
    assert_eq!(hear_until(&mut status, "end").await, ["site/a/status 2", "site/b/status 2", "site/ab/status 2"]);
}

#[tokio::test]
async fn a_message_that_several_filters_cover_comes_once() {
    let fanout = Fanout::start(Config::default());
    let mut monitor = fanout.monitor(&[DECISIONS, "gapura/v1/site/a/decision", DECISIONS]);
    fanout.say("gapura/v1/site/a/decision", "1");
    fanout.say("gapura/v1/site/a/decision", "end");
    assert_eq!(hear_until(&mut monitor, "end").await, ["site/a/decision 1"]);
}

#[tokio::test]
async fn what_is_unsubscribed_stops_and_may_begin_again() {
    let fanout = Fanout::start(Config::default());
    let mut monitor = fanout.monitor(&[DECISIONS, "gapura/v1/site/a/decision", STATUS]);
    monitor.unsubscribe(DECISIONS);
    fanout.say("gapura/v1/site/a/decision", "1");
    fanout.say("gapura/v1/site/b/decision", "2");
    fanout.say("gapura/v1/site/a/decision", "end");
    assert_eq!(hear_until(&mut monitor, "end").await, ["site/a/decision 1"]);

    monitor.unsubscribe("gapura/v1/site/a/decision");
    monitor.unsubscribe("gapura/v1/site/never/decision");
    fanout.say("gapura/v1/site/a/decision", "3");
    fanout.say("gapura/v1/site/a/status", "end");
    assert_eq!(hear_until(&mut monitor, "end").await, [""; 0]);

    assert_eq!(monitor.subscribe(DECISIONS), Ok(SubscribeAnswer::Granted));
    fanout.say("gapura/v1/site/b/decision", "4");
    fanout.say("gapura/v1/site/b/decision", "end");
    assert_eq!(hear_until(&mut monitor, "end").await, ["site/b/decision 4"]);
    assert_eq!(fanout.monitors.dropped(DropReason::SlowMonitor), 0, "what was not subscribed to is not lost");
}

#[tokio::test]
async fn a_dropped_connection_makes_room_for_another() {
    let Fanout { monitors, .. } = Fanout::start(Config { connections_max: 2, ..Config::default() });
    for round in 0..1000 {
        let mut connection = monitors.connect().unwrap_or_else(|error| panic!("round {round}: {error}"));
        if round % 2 == 0 {
            assert_eq!(connection.subscribe(DECISIONS), Ok(SubscribeAnswer::Granted));
            monitors.say("gapura/v1/site/a/decision", "1");
        }
    }
    assert_eq!((monitors.connections(), monitors.shared.metrics.connections.get()), (0, 0));
    let _both = (monitors.monitor(&[]), monitors.monitor(&[DECISIONS]));
    assert_eq!(monitors.connect().unwrap_err(), ConnectError::Full { connections_max: 2 });
    assert_eq!((monitors.connections(), monitors.shared.metrics.connections.get()), (2, 2));
    assert_eq!(monitors.refused(RefuseReason::ConnectionsMax), 1);
}

#[tokio::test]
async fn what_is_outside_the_contract_is_refused_and_counted() {
    let fanout = Fanout::start(Config { filters_max: 2, ..Config::default() });
    let mut monitor = fanout.monitor(&[DECISIONS]);
    for topic in ["é", "", "#", "gapura/v1/site/+/decision", "gapura/v1/site/é/decision", "$SYS/x"] {
        assert!(topic.parse::<DoorTopic>().is_err(), "{topic:?} cannot even be published to");
    }
    for channel in ["scan", "config", "assist"] {
        fanout.say(&format!("gapura/v1/site/a/{channel}"), "1");
    }
    assert_eq!(fanout.monitors.refused(RefuseReason::Topic), 3);
    fanout.say("gapura/v1/site/a/decision", vec![b'x'; PAYLOAD_BYTES_MAX + 1]);
    assert_eq!(fanout.monitors.refused(RefuseReason::Payload), 1);

    let filters = ["é/#", "", "#", "gapura/v1/site/#", "gapura/v1/+/+/decision", "gapura/v1/site/+/scan", "$share/g/#"];
    for filter in filters {
        assert_eq!(monitor.subscribe(filter), Ok(SubscribeAnswer::Refused), "{filter}");
    }
    assert_eq!(fanout.monitors.refused(RefuseReason::Filter), filters.len() as u64);
    assert_eq!(monitor.subscribe(STATUS), Ok(SubscribeAnswer::Granted));
    assert_eq!(monitor.subscribe("gapura/v1/site/a/status"), Ok(SubscribeAnswer::Refused));
    assert_eq!(monitor.subscribe(DECISIONS), Ok(SubscribeAnswer::Granted), "it is held already");
    assert_eq!(fanout.monitors.refused(RefuseReason::FiltersMax), 1);

    fanout.say("gapura/v1/site/a/decision", vec![b'x'; PAYLOAD_BYTES_MAX]);
    fanout.say("gapura/v1/site/a/decision", "end");
    assert_eq!(hear_until(&mut monitor, "end").await.len(), 1);
    assert_eq!(fanout.monitors.published(), 2);
}

#[tokio::test]
async fn nothing_is_queued_while_no_monitor_has_subscribed() {
    let fanout = Fanout::start(Config { queue_messages_max: 1, ..Config::default() });
    let _silent = fanout.monitor(&[STATUS]);
    for _ in 0..10_000 {
        fanout.say("gapura/v1/site/a/decision", "nobody hears this");
    }
    drop(fanout.monitor(&[DECISIONS]));
    fanout.say("gapura/v1/site/a/decision", "nor this");
    let mut monitor = fanout.monitor(&[DECISIONS]);
    fanout.say("gapura/v1/site/a/decision", "end");
    assert_eq!(hear_until(&mut monitor, "end").await, [""; 0]);
    assert_eq!(fanout.monitors.published(), 1);
    assert_eq!(fanout.monitors.dropped(DropReason::QueueFull), 0);
}

#[tokio::test]
async fn monitors_that_are_all_gone_may_come_back() {
    let fanout = Fanout::start(Config { connections_max: 4, ..Config::default() });
    for round in 0..3 {
        let monitors: Vec<_> = (0..4).map(|_| fanout.monitor(&[DECISIONS])).collect();
        fanout.say("gapura/v1/site/a/decision", round.to_string());
        fanout.say("gapura/v1/site/a/decision", "end");
        for mut monitor in monitors {
            assert_eq!(hear_until(&mut monitor, "end").await, [format!("site/a/decision {round}")]);
        }
        assert_eq!(fanout.monitors.connections(), 0);
        fanout.say("gapura/v1/site/a/decision", "nobody hears this");
    }
    assert_eq!(fanout.monitors.published(), 6);
    assert!(!fanout.monitors.has_stopped());
}

#[tokio::test]
async fn when_the_gateway_stops_monitors_still_hear_what_was_published_and_then_the_end() {
    // So long that what is published second must wait.
    let fanout = Fanout::start(Config { batch_interval_ms: 1000, ..Config::default() });
    let mut monitor = fanout.monitor(&[DECISIONS]);
    let mut other = fanout.monitor(&[]);
    fanout.say("gapura/v1/site/a/decision", "first");
    assert_eq!(next(&mut monitor).await.payload, "first");
    fanout.say("gapura/v1/site/a/decision", "second");
    let monitors = fanout.stop().await;

    assert_eq!(next(&mut monitor).await.payload, "second");
    assert_eq!(timeout(DEADLINE, monitor.next()).await.unwrap(), Err(Stopped));
    assert!(monitors.has_stopped());
    assert_eq!(other.subscribe(STATUS), Err(Stopped));
    assert_eq!(monitors.connect().unwrap_err(), ConnectError::Stopped(Stopped));
    monitors.say("gapura/v1/site/a/decision", "third");
    assert_eq!(monitors.dropped(DropReason::Stopped), 1);
    drop((monitor, other));
    assert_eq!(monitors.connections(), 0);
}

#[tokio::test]
async fn the_fan_out_ends_when_nobody_can_publish_any_more() {
    let Fanout { monitors, stop, broadcaster } = Fanout::start(Config::default());
    let mut monitor = monitors.monitor(&[DECISIONS]);
    drop(monitors);
    assert_eq!(timeout(DEADLINE, monitor.next()).await.unwrap(), Err(Stopped));
    timeout(DEADLINE, broadcaster).await.unwrap().unwrap();
    drop(stop);
}

#[test]
fn settings_out_of_range_are_refused() {
    let error = Monitors::new(Config { connections_max: 0, ..Config::default() }, metrics()).map(drop).unwrap_err();
    assert!(error.to_string().contains("connections_max"), "{error}");
}
