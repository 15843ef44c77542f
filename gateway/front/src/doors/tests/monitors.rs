//! What a monitor's client sees of the fan-out: batches, what it has missed, and the gateway's stop.

use super::*;

const DECISIONS: &str = "gapura/v1/regency/+/decision";

/// Messages that the fan-out keeps for a slow monitor in these tests.
const BACKLOG: usize = 64;

async fn gateway(set: impl FnOnce(&mut Config)) -> Gateway {
    let monitors = crate::monitors::Config { backlog_messages_max: BACKLOG, ..Default::default() };
    Gateway::with_monitors(monitors, 1000, set).await
}

impl Gateway {
    /// Publishes decisions with these numbers for payload, and waits until they are handed on.
    async fn decide(&self, numbers: std::ops::Range<usize>) {
        let topic = (prefix("a") + "decision").parse().unwrap();
        let handed_on = self.monitors.published() + numbers.len() as u64;
        numbers.for_each(|number| self.monitors.publish(&topic, number.to_string().into()));
        eventually("they are handed on", || self.monitors.published() == handed_on).await;
    }
}

/// The number of a decision, and how many were missed before it.
fn decided(version: u8, message: &(u8, Vec<u8>)) -> (usize, Option<u64>) {
    let (topic, _, properties, payload) = published(version, message);
    assert_eq!(topic, prefix("a") + "decision");
    let missed = properties.strip_prefix(b"\x26\0\x06missed").map(|value| {
        let (len, digits) = value.split_at(2);
        assert_eq!(usize::from(u16::from_be_bytes([len[0], len[1]])), digits.len());
        std::str::from_utf8(digits).unwrap().parse().unwrap()
    });
    assert!(missed.is_some() || properties.is_empty());
    (std::str::from_utf8(&payload).unwrap().parse().unwrap(), missed)
}

fn acknowledgement(message: &(u8, Vec<u8>)) -> Vec<u8> {
    // The id stands at the same place in both versions; properties follow it.
    let topic_len = usize::from(u16::from_be_bytes([message.1[0], message.1[1]]));
    let pkid = &message.1[2 + topic_len..4 + topic_len];
    [&[0x40, 2][..], pkid].concat()
}

#[tokio::test]
async fn a_monitor_that_lags_is_told_and_goes_on_while_others_hear_everything() {
    const DECIDED: usize = 300;
    // One that takes a message at a time, and one that takes all.
    let gateway = gateway(|_| {}).await;
    let mut slow = gateway.v5("monitor-slow", b"\x21\0\x01").await;
    let mut quick = gateway.v3("monitor-quick").await;
    assert_eq!(slow.subscribe(5, DECISIONS, 1).await, 1);
    assert_eq!(quick.subscribe(3, DECISIONS, 0).await, 0);
    for number in 0..DECIDED {
        gateway.decide(number..number + 1).await;
        assert_eq!(decided(3, &quick.packet().await), (number, None));
    }
    // A door is served as ever.
    let mut gateway = gateway;
    gateway.serves("b").await;

    let (mut heard, mut missed, mut told) = (0, 0, 0);
    while heard + missed < DECIDED {
        let message = slow.packet().await;
        let (number, lost) = decided(5, &message);
        missed += usize::try_from(lost.unwrap_or(0)).unwrap();
        told += usize::from(lost.is_some());
        assert_eq!(number, heard + missed, "all that is not heard is told, where it is missing");
        heard += 1;
        slow.send(&acknowledgement(&message)).await;
    }
    // One in flight, 32 that wait, the backlog.
    assert_eq!((told, missed, heard), (1, DECIDED - (1 + 32 + BACKLOG), 1 + 32 + BACKLOG));
    gateway.decide(DECIDED..DECIDED + 1).await;
    assert_eq!(decided(5, &slow.packet().await), (DECIDED, None));
    assert_eq!(gateway.metrics.outbox_dropped.get(), 0);
}

#[tokio::test]
async fn what_was_dropped_on_its_way_to_a_monitor_is_told_as_well() {
    let gateway = gateway(|config| config.outbox_messages_max = 4).await;
    let mut monitor = gateway.v5("monitor-1", b"\x21\0\x01").await;
    assert_eq!(monitor.subscribe(5, DECISIONS, 1).await, 1);
    gateway.decide(0..10).await;
    eventually("the oldest are dropped", || gateway.metrics.outbox_dropped.get() > 0).await;
    let (mut expected, mut missed) = (0, 0);
    while expected < 10 {
        let message = monitor.packet().await;
        let (number, lost) = decided(5, &message);
        // A drop is told with a later message than the one behind it.
        missed += lost.unwrap_or(0);
        expected = number + 1;
        monitor.send(&acknowledgement(&message)).await;
    }
    gateway.decide(10..11).await;
    let (number, lost) = decided(5, &monitor.packet().await);
    assert_eq!((number, missed + lost.unwrap_or(0)), (10, gateway.metrics.outbox_dropped.get()));
}

#[tokio::test]
async fn a_monitor_of_mqtt_3_learns_that_it_lags_from_the_end_of_its_connection() {
    let gateway = gateway(|config| config.in_flight_max = 1).await;
    let mut monitor = gateway.v3("monitor-1").await;
    assert_eq!(monitor.subscribe(3, DECISIONS, 1).await, 1);
    for number in 0..200 {
        gateway.decide(number..number + 1).await;
    }
    let message = monitor.packet().await;
    assert_eq!(decided(3, &message), (0, None));
    monitor.send(&acknowledgement(&message)).await;
    // What was on its way may still come; what lies behind the gap does not.
    let mut expected = 1;
    while let Some(message) = monitor.next().await {
        assert_eq!(decided(3, &message), (expected, None));
        expected += 1;
    }
    assert!(expected <= 33, "{expected}");
    // It may come back, and hears what follows.
    let mut monitor = gateway.v3("monitor-1").await;
    assert_eq!(monitor.subscribe(3, DECISIONS, 0).await, 0);
    gateway.decide(200..201).await;
    assert_eq!(decided(3, &monitor.packet().await), (200, None));
}

#[tokio::test]
async fn packet_ids_are_each_connections_own_and_no_more_is_in_flight_than_allowed() {
    let gateway = gateway(|_| {}).await;
    let mut first = gateway.v5("monitor-1", b"\x21\0\x03").await;
    assert_eq!(first.subscribe(5, DECISIONS, 1).await, 1);
    gateway.decide(0..2).await;
    let mut second = gateway.v5("monitor-2", b"\x21\0\x03").await;
    assert_eq!(second.subscribe(5, DECISIONS, 1).await, 1);
    gateway.decide(2..6).await;
    for (monitor, numbers) in [(&mut first, 0..3), (&mut second, 2..5)] {
        for (number, pkid) in numbers.zip(1..) {
            let message = monitor.packet().await;
            assert_eq!((decided(5, &message).0, published(5, &message).1), (number, pkid));
        }
        monitor.is_quiet().await;
        monitor.send(&[0x40, 2, 0, 2]).await;
        assert_eq!(published(5, &monitor.packet().await).1, 4);
        monitor.is_quiet().await;
    }
}

#[tokio::test]
async fn a_helper_hears_decisions_of_the_fan_out_too() {
    let gateway = gateway(|_| {}).await;
    let mut helper = gateway.v5("helper-1", &[]).await;
    assert_eq!(helper.subscribe(5, DECISIONS, 0).await, 0);
    gateway.decide(0..1).await;
    assert_eq!(decided(5, &helper.packet().await), (0, None));
}

#[tokio::test]
async fn monitors_are_told_that_the_gateway_stops() {
    let gateway = gateway(|_| {}).await;
    let mut monitor = gateway.v5("monitor-1", &[]).await;
    assert_eq!(monitor.subscribe(5, DECISIONS, 0).await, 0);
    gateway.shutdown.send_replace(true);
    assert_eq!(monitor.packet().await, (0xE0, vec![0x8B]));
    monitor.ends().await;
    timeout(DEADLINE, gateway.served).await.unwrap().unwrap();
    assert_eq!(gateway.monitors.connections(), 0);
}

#[tokio::test]
async fn without_a_fan_out_monitors_are_sent_away_and_doors_are_served() {
    let mut gateway = gateway(|_| {}).await;
    let mut monitor = gateway.v5("monitor-1", &[]).await;
    assert_eq!(monitor.subscribe(5, DECISIONS, 0).await, 0);
    gateway.stop_monitors.send_replace(true);
    assert_eq!(monitor.packet().await, (0xE0, vec![0x8B]));
    monitor.ends().await;
    let mut monitor = gateway.dial().await;
    monitor.send(&connect_v5("monitor-1", 2, 60, &[], &[])).await;
    assert_eq!(monitor.packet().await.1[1], 0x88);
    gateway.serves("a").await;
}

#[tokio::test]
async fn one_monitor_that_connects_again_and_again_takes_one_place() {
    let monitors = crate::monitors::Config { connections_max: 2, ..Default::default() };
    let gateway = Gateway::with_monitors(monitors, 1000, |config| {
        (config.handshakes_max, config.handshakes_per_address_max) = (1_000, 1_000);
    })
    .await;
    for round in 0..5 {
        let mut storm = Vec::new();
        for _ in 0..30 {
            let mut client = gateway.dial().await;
            client.send(&connect_v3("monitor-storm", 2, 60, &[])).await;
            storm.push(client);
        }
        // In the middle of it, another finds its place.
        let mut quiet = gateway.v3("monitor-quiet").await;
        for client in &mut storm {
            assert_eq!(client.packet().await, (0x20, vec![0, 0]), "round {round}");
        }
        assert!(gateway.monitors.connections() <= 2);
        assert_eq!(quiet.subscribe(3, DECISIONS, 0).await, 0);
    }
    assert_eq!(gateway.metrics.connections_refused.get_or_create(&ReasonLabel { reason: "monitors_max" }).get(), 0);
}
