//! The gateway is killed while readers bring what they have kept: in the end the ledgers say what they say at a site that was
//! never killed, and what a file that is made anew says.

use std::fs;
use std::hash::{BuildHasher, RandomState};

use serde_json::{Map, Value};

use super::past::{answers, assert_same, scans, site};
use crate::harness::{Days, Kept, Reader, Site, Version};

/// The most scans that are under way when the gateway is killed.
const UNDER_WAY: usize = 40;

#[tokio::test]
async fn ledgers_after_four_kills_are_those_of_a_site_that_was_never_killed() {
    compare_after_kills(4).await;
}

#[tokio::test]
#[ignore = "20 rounds; run in CI"]
async fn ledgers_after_twenty_kills_are_those_of_a_site_that_was_never_killed() {
    compare_after_kills(20).await;
}

async fn compare_after_kills(rounds: usize) {
    let (calm, days) = site();
    let gateway = calm.run().await;
    let [main, office] = scans(&days);
    for (door, scans) in [("main-in", &main), ("office", &office)] {
        Reader::connect(&calm, &gateway, door, Version::V5).await.bring(scans).await;
    }
    let expected = answers(&gateway, &days, &[]).await;
    drop(gateway);

    let (killed, _) = site();
    for (door, scans) in [("main-in", &main), ("office", &office)] {
        bring_through_kills(&killed, door, scans, rounds / 2).await;
    }
    let said = said(&killed, &days).await;
    assert_same(&said, &expected, "after the kills");
    fs::remove_file(killed.file("data/views.redb")).unwrap();
    assert_same(&self::said(&killed, &days).await, &expected, "made anew");
    let verified = killed.must(&["log", "verify"]);
    assert!(verified.starts_with(&format!("{} events", main.len() + office.len())), "{verified}");
}

/// What a gateway says that is started for it, and killed when it has said it.
async fn said(site: &Site, days: &Days) -> Map<String, Value> {
    let gateway = site.run().await;
    let said = answers(&gateway, days, &[]).await;
    gateway.kill_9();
    said
}

/// Brings all scans of a reader in order. The gateway is killed so often with some under way, and its ledgers' file is now and
/// then gone.
async fn bring_through_kills(site: &Site, door: &str, scans: &[Kept], kills: usize) {
    let mut answered = 0;
    for round in 0..kills {
        let gateway = site.run().await;
        let mut reader = Reader::connect(site, &gateway, door, Version::V5).await;
        let share = scans.len() * (round + 1) / (kills + 1);
        let calm = share.saturating_sub(UNDER_WAY).max(answered);
        reader.bring(&scans[answered..calm]).await;
        answered = calm;
        let under_way = &scans[answered..share];
        for scan in under_way {
            reader.begin_kept(scan).await;
        }
        let of_them = random() as usize % under_way.len();
        for scan in &under_way[..of_them] {
            reader.decision(scan.seq).await;
        }
        gateway.kill_9();
        println!("{door}: killed with {of_them} of {} answered", under_way.len());
        answered += of_them;
        if round % 3 == 1 {
            fs::remove_file(site.file("data/views.redb")).unwrap();
        }
    }
    let gateway = site.run().await;
    Reader::connect(site, &gateway, door, Version::V5).await.bring(&scans[answered..]).await;
    gateway.kill_9();
}

fn random() -> u64 {
    RandomState::new().hash_one(std::process::id())
}
