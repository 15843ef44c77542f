//! Scans and their answers, as a door and a monitor see them.

use std::collections::HashMap;

use jiff::SignedDuration;
use protocol::Outcome;
use serde_json::{Value, json};

use crate::harness::{
    Acknowledged, BLACK, Client, Connect, GREEN, Gateway, QoS, RED, Reader, Site, UNKNOWN, Version, YELLOW,
};

/// The reason code of MQTT 5 for a payload that is not what it should be.
const PAYLOAD_FORMAT_INVALID: u8 = 0x99;

#[tokio::test]
async fn a_scan_is_answered_and_acknowledged_in_every_version_and_quality() {
    let site = Site::make(&["main-in"]);
    let gateway = site.run().await;
    let ways = [
        (Version::V4, QoS::AtLeastOnce, Acknowledged::PubAck(0)),
        (Version::V4, QoS::ExactlyOnce, Acknowledged::PubComp(0)),
        (Version::V5, QoS::AtLeastOnce, Acknowledged::PubAck(0)),
        (Version::V5, QoS::ExactlyOnce, Acknowledged::PubComp(0)),
    ];
    for ((version, qos, acknowledged), epoch) in ways.into_iter().zip(1..) {
        let mut reader = Reader::connect(&site, &gateway, "main-in", version).await;
        (reader.qos, reader.epoch) = (qos, epoch);
        for (seq, badge, outcome, open) in [
            (1, GREEN, Outcome::Granted, true),
            (2, YELLOW, Outcome::Assist, false),
            (3, RED, Outcome::Denied, false),
            (4, BLACK, Outcome::Denied, false),
            (5, UNKNOWN, Outcome::Denied, false),
        ] {
            let answer = reader.scan(seq, badge).await;
            assert_eq!((answer.decision.outcome, answer.decision.open), (outcome, open), "{answer:?}");
            assert_eq!(answer.acknowledged, acknowledged);
            assert!(!answer.decision.text.id.is_empty() && !answer.decision.text.en.is_empty());
        }
    }
    let events = gateway.events().await;
    assert_eq!(events.len(), 20);
    assert_numbered(&events);
}

#[tokio::test]
async fn the_same_scan_sent_again_gets_the_same_decision_and_makes_no_second_event() {
    let site = Site::make(&["main-in"]);
    let gateway = site.run().await;
    let mut reader = Reader::connect(&site, &gateway, "main-in", Version::V5).await;
    let scan = reader.payload(1, GREEN, SignedDuration::ZERO);
    let first = reader.send(1, &scan).await;
    assert_eq!(first.decision.outcome, Outcome::Granted);
    assert_eq!(reader.send(1, &scan).await.payload, first.payload);
    assert!(gateway.metric("scans_duplicates_total", &[]).await >= 1.0);

    // What would be decided today is another matter.
    site.import(&format!("C-0001,Contoh Satu,asn,Dinas Contoh,{GREEN},red,\n"));
    gateway.kill_9();
    let gateway = site.run().await;
    let mut reader = Reader::connect(&site, &gateway, "main-in", Version::V4).await;
    let again = reader.send(1, &scan).await;
    assert_eq!((again.payload, again.acknowledged), (first.payload, Acknowledged::PubAck(0)));
    assert_eq!(reader.scan(2, GREEN).await.decision.outcome, Outcome::Denied);
    assert_eq!(gateway.events().await.len(), 2);
}

#[tokio::test]
async fn what_is_no_scan_is_kept_with_the_reason_and_acknowledged() {
    let site = Site::make(&["main-in"]);
    let gateway = site.run().await;
    let mut reader = Reader::connect(&site, &gateway, "main-in", Version::V5).await;

    let later = String::from_utf8(reader.payload(1, GREEN, SignedDuration::ZERO)).unwrap();
    let later = later.replace("\"v\":1", "\"v\":9");
    let answer = reader.send(1, later.as_bytes()).await;
    assert_eq!((answer.decision.outcome, answer.decision.reason.as_str()), (Outcome::Denied, "malformed-scan"));
    assert_eq!(answer.acknowledged, Acknowledged::PubAck(PAYLOAD_FORMAT_INVALID));

    // Nobody can say which scan this is: there is no decision to send, and yet it is kept.
    let nonsense = reader.begin(b"nonsense").await;
    assert_eq!(reader.acknowledged(nonsense).await, Acknowledged::PubAck(PAYLOAD_FORMAT_INVALID));

    // A client of 3.1.1 has no word for it: without PUBACK it would send it for ever.
    let mut older = Reader::connect(&site, &gateway, "main-in", Version::V4).await;
    let nonsense = older.begin(b"nonsense").await;
    assert_eq!(older.acknowledged(nonsense).await, Acknowledged::PubAck(0));
    assert_eq!(older.scan(2, UNKNOWN).await.decision.reason, "unknown-credential");

    let events = gateway.events().await;
    assert_eq!(events.len(), 4);
    assert_numbered(&events);
    assert_eq!(events[0]["subject"]["malformed"]["seq"], 1);
    for event in &events[..3] {
        assert_eq!((&event["verdict"]["reason"], &event["verdict"]["open"]), (&json!("malformed-scan"), &json!(false)));
    }
    assert_eq!(events[1]["subject"]["malformed"]["payload_bytes"], 8);
    assert_eq!(gateway.metric("scans_malformed_total", &[]).await, 3.0);
}

#[tokio::test]
async fn a_late_scan_is_recorded_and_does_not_open_the_door() {
    let site = Site::make(&["main-in"]);
    let gateway = site.run().await;
    let mut reader = Reader::connect(&site, &gateway, "main-in", Version::V5).await;
    let buffered = reader.payload(1, GREEN, SignedDuration::from_hours(2));
    let answer = reader.send(1, &buffered).await;
    assert_eq!((answer.decision.outcome, answer.decision.open), (Outcome::Recorded, false));
    assert_eq!(answer.decision.reason, "late-scan");
    assert_eq!(answer.acknowledged, Acknowledged::PubAck(0));
    let events = gateway.events().await;
    assert_eq!(events[0]["verdict"]["would_be"], "granted", "it counts as what it would have been");
    assert_eq!(events[0]["verdict"]["person"], "C-0001");
}

#[tokio::test]
async fn a_gap_is_reported_until_the_missing_scans_come_also_over_a_restart() {
    let site = Site::make(&["main-in"]);
    let gateway = site.run().await;
    let mut reader = Reader::connect(&site, &gateway, "main-in", Version::V5).await;
    reader.scan(1, GREEN).await;
    reader.scan(5, GREEN).await;
    missing(&gateway, 3).await;
    assert!(gateway.terminate().await.success());

    let gateway = site.run().await;
    missing(&gateway, 3).await;
    let mut reader = Reader::connect(&site, &gateway, "main-in", Version::V5).await;
    for (seq, left) in [(3, 2), (2, 1), (4, 0)] {
        reader.scan(seq, GREEN).await;
        missing(&gateway, left).await;
    }
}

#[tokio::test]
async fn a_monitor_hears_every_doors_decisions_and_status_by_wildcard() {
    let site = Site::make(&["main-in", "main-out"]);
    let gateway = site.run().await;
    let mut monitor = Client::connect(&site, &gateway, "monitors", &Connect::new(Version::V5, "watch")).await;
    for channel in ["decision", "status"] {
        let filter = format!("gapura/v1/regency/+/{channel}");
        assert!(monitor.subscribe(&filter, QoS::AtLeastOnce).await <= 2);
    }
    let (mut decided, mut readers) = (HashMap::new(), Vec::new());
    for door in ["main-in", "main-out"] {
        let mut reader = Reader::connect(&site, &gateway, door, Version::V4).await;
        let status = reader.topic("status");
        let id = reader.client.publish(&status, QoS::AtLeastOnce, br#"{"v":1,"state":"online"}"#).await.unwrap();
        assert_eq!(reader.acknowledged(id).await, Acknowledged::PubAck(0));
        decided.insert(reader.topic("decision"), reader.scan(1, GREEN).await.payload);
        decided.insert(status, br#"{"v":1,"state":"online"}"#.to_vec());
        readers.push(reader);
    }
    let mut heard = HashMap::new();
    while heard.len() < decided.len() {
        let message = monitor.message().await;
        monitor.acknowledge(&message).await;
        heard.insert(message.topic, message.payload);
    }
    assert!(heard == decided, "{:?}", heard.keys());
    let status = gateway.status().await;
    assert_eq!(status["monitors_connected"], 1);
}

/// Waits until the status of the one door says that so many scans are missing: doors are answered first.
async fn missing(gateway: &Gateway, scans: u64) {
    let what = format!("{scans} scans are missing");
    gateway.status_when(&what, |status| status["doors"][0]["missing_scans"] == scans).await;
}

/// Events are numbered from 1 without a gap.
fn assert_numbered(events: &[Value]) {
    let numbers: Vec<_> = events.iter().map(|event| event["number"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=events.len() as u64).collect::<Vec<_>>());
}
