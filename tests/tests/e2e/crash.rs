//! The gateway is killed, and asked to end, while a fleet scans.

use std::hash::{BuildHasher, RandomState};

use serde_json::Value;

use crate::harness::{Fleet, Gateway, Listen, Site, audit, eventually, unused_port};

const DOORS: u32 = 8;

/// Scans a second of the whole fleet.
const RATE: u64 = 400;

#[tokio::test]
async fn a_fleet_loses_nothing_to_three_kills() {
    kill_under_load(3, "--qos 1").await;
}

#[tokio::test]
async fn a_fleet_that_scans_exactly_once_loses_nothing_to_two_kills() {
    kill_under_load(2, "--qos 2").await;
}

#[tokio::test]
#[ignore = "20 rounds; run in CI"]
async fn a_fleet_loses_nothing_to_twenty_kills() {
    kill_under_load(20, "--qos 1").await;
}

#[tokio::test]
async fn a_gateway_that_is_asked_to_end_under_load_ends_well_and_loses_nothing() {
    let site = site();
    let gateway = site.run_on(fixed_ports()).await;
    let listen = gateway.listen();
    let fleet = Fleet::start(&site, &gateway, DOORS, &format!("--scans {} --rate {RATE}", 3 * RATE));
    reach(&gateway, RATE).await;
    let status = gateway.terminate().await;
    assert!(status.success(), "{status}");
    let kept = verified(&site);

    let gateway = site.run_on(listen).await;
    assert_eq!(last_event(&gateway).await, kept, "nothing is read that was not verified");
    assert_nothing_lost(&site, &gateway, fleet, 3 * RATE).await;
}

async fn kill_under_load(rounds: u64, arguments: &str) {
    let site = site();
    // Enough to go on for a while after the last round.
    let scans = (rounds + 1) * 3 * RATE;
    let mut gateway = site.run_on(fixed_ports()).await;
    let listen = gateway.listen();
    let mut fleet = Fleet::start(&site, &gateway, DOORS, &format!("{arguments} --scans {scans} --rate {RATE}"));
    let mut before = 0;
    for round in 1..=rounds {
        let moment = before + RATE / 2 + random() % RATE;
        reach(&gateway, moment).await;
        assert!(fleet.runs(), "the fleet still scans in round {round}");
        gateway.kill_9();
        let kept = verified(&site);
        println!("round {round}: killed after event {moment}, {kept} are kept");
        assert!(kept >= moment, "event {moment} could be read from the log, and {kept} are left");
        before = kept;
        gateway = site.run_on(listen).await;
    }
    assert_nothing_lost(&site, &gateway, fleet, scans).await;
}

/// Waits for the fleet, and compares its own record with the log.
async fn assert_nothing_lost(site: &Site, gateway: &Gateway, fleet: Fleet, scans: u64) {
    let acked = fleet.acked().to_owned();
    let report = fleet.report().await;
    assert_eq!(report["scans"], scans, "{report}");
    assert_eq!(report["acked"], scans, "{report}");
    assert_eq!(report["conflicting_decisions"], 0, "{report}");
    let audit = audit(site, gateway, &[&acked], None);
    for wrong in ["lost", "duplicated", "out_of_order", "conflicting"] {
        assert_eq!(audit[wrong], 0, "{audit:#}");
    }
    // A malformed payload that names no scan may be kept twice: nobody can tell that it is the same.
    let unidentified = report["unidentified"].as_u64().unwrap();
    let stored = audit["stored"].as_u64().unwrap();
    assert!(stored >= scans && (stored == scans || unidentified > 0), "{audit:#}");
}

fn site() -> Site {
    let doors = Fleet::doors(DOORS);
    Site::make(&doors.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Ports that a killed gateway comes back to, as it would with the ones of its configuration.
fn fixed_ports() -> Listen {
    Listen { mqtt: unused_port(), http: unused_port() }
}

async fn reach(gateway: &Gateway, number: u64) {
    eventually(&format!("the log holds event {number}"), async || last_event(gateway).await >= number).await;
}

async fn last_event(gateway: &Gateway) -> u64 {
    let status: Value = gateway.status().await;
    status["log"]["last_event"].as_u64().unwrap()
}

/// Verifies the log of a gateway that is not running: how many events it holds.
fn verified(site: &Site) -> u64 {
    let said = site.must(&["log", "verify"]);
    said.split(' ').next().and_then(|count| count.parse().ok()).unwrap_or_else(|| panic!("{said}"))
}

fn random() -> u64 {
    RandomState::new().hash_one(std::process::id())
}
