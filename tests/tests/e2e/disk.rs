//! The disk takes no more writes, and then it does.
//!
//! The gateway's limit on the size of files it writes (RLIMIT_FSIZE) is set to nothing while it runs: every write to
//! its log fails then, as on a disk that has become full or read-only, and nothing else on the machine is touched.

use jiff::SignedDuration;
use protocol::{Decision, Outcome};
use rustix::process::{Resource, Rlimit, prlimit};

use crate::harness::{Acknowledged, GREEN, Gateway, Packet, Reader, Site, Version, eventually};

#[tokio::test]
async fn scans_wait_unacknowledged_while_the_disk_takes_no_writes_and_are_kept_once_when_it_does() {
    let mut site = Site::make(&["main-in", "main-out"]);
    site.set("GAPURA_SCANS__REOPEN_INTERVAL_MS", 100);
    let gateway = site.run().await;
    let mut reader = Reader::connect(&site, &gateway, "main-in", Version::V5).await;
    assert!(reader.scan(1, GREEN).await.decision.open);
    assert!(gateway.ready().await.0);

    write_at_most(&gateway, Some(0));
    let payload = reader.payload(2, GREEN, SignedDuration::ZERO);
    let held = reader.begin(&payload).await;
    let told = Decision::from_json(&reader.decision(2).await.payload).unwrap();
    assert_eq!((told.outcome, told.open, told.event), (Outcome::Unavailable, false, None));
    let problem = gateway.problem_when("log", true).await.unwrap();
    assert_eq!(problem["severity"], "critical");
    let (ready, why) = gateway.ready().await;
    assert!(!ready && why.contains("critical log: commits to the log fail"), "{why}");
    let status = gateway.status_when("the failure is counted", |status| status["log"]["failed_commits"] != 0).await;
    assert_eq!(status["log"]["last_event"], 1);

    // Another reader gives up, comes back and sends its scan again: that must not count twice.
    let mut other = Reader::connect(&site, &gateway, "main-out", Version::V4).await;
    let impatient = other.payload(1, GREEN, SignedDuration::ZERO);
    other.begin(&impatient).await;
    other.decision(1).await;
    drop(other);
    let mut other = Reader::connect(&site, &gateway, "main-out", Version::V4).await;
    let again = other.begin(&impatient).await;
    let told = Decision::from_json(&other.decision(1).await.payload).unwrap();
    assert_eq!(told.outcome, Outcome::Unavailable);
    for reader in [&mut reader, &mut other] {
        let so_far = reader.client.so_far().await;
        assert!(!so_far.iter().any(|packet| matches!(packet, Packet::PubAck { .. })), "{so_far:?}");
    }

    write_at_most(&gateway, None);
    eventually("ready again by itself", async || gateway.ready().await.0).await;
    let decision = Decision::from_json(&reader.decision(2).await.payload).unwrap();
    assert!(decision.open && decision.event.is_some(), "{decision:?}");
    assert_eq!(reader.acknowledged(held).await, Acknowledged::PubAck(0));
    assert!(Decision::from_json(&other.decision(1).await.payload).unwrap().open);
    assert_eq!(other.acknowledged(again).await, Acknowledged::PubAck(0));
    assert!(reader.scan(3, GREEN).await.decision.open);
    assert_eq!(gateway.metric("scans_held", &[]).await, 0.0);

    let mut scans: Vec<_> =
        gateway.events().await.iter().map(|event| event["subject"]["scan"]["seq"].clone()).collect();
    assert_eq!(scans.len(), 4, "{scans:?}");
    scans.sort_by_key(|seq| seq.as_u64());
    assert_eq!(scans, [1, 1, 2, 3]);
    assert!(gateway.terminate().await.success());
    site.must(&["log", "verify"]);
}

#[tokio::test]
async fn a_gateway_that_is_asked_to_end_while_the_disk_takes_no_writes_ends_and_the_scan_is_kept_when_it_is_sent_again()
{
    let site = Site::make(&["main-in"]);
    let gateway = site.run().await;
    let mut reader = Reader::connect(&site, &gateway, "main-in", Version::V5).await;
    reader.scan(1, GREEN).await;
    write_at_most(&gateway, Some(0));
    let payload = reader.payload(2, GREEN, SignedDuration::ZERO);
    reader.begin(&payload).await;
    reader.decision(2).await;
    assert!(gateway.terminate().await.success());
    let (before, _) = reader.client.ends().await;
    assert!(!before.iter().any(|packet| matches!(packet, Packet::PubAck { .. })), "{before:?}");

    let verified = site.must(&["log", "verify"]);
    assert!(verified.starts_with("1 events"), "{verified}");
    let gateway = site.run().await;
    let mut reader = Reader::connect(&site, &gateway, "main-in", Version::V5).await;
    assert!(reader.send(2, &payload).await.decision.open);
    assert_eq!(gateway.events().await.len(), 2);
}

/// Lets the gateway write files up to this size; `None` for as far as the system allows.
fn write_at_most(gateway: &Gateway, bytes: Option<u64>) {
    let limit = rustix::process::getrlimit(Resource::Fsize);
    let current = if bytes.is_some() { bytes } else { limit.maximum };
    prlimit(Some(gateway.pid()), Resource::Fsize, Rlimit { current, maximum: limit.maximum }).unwrap();
}
