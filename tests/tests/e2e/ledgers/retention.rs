//! What is kept for a purpose goes away when its time is over: what is shown, and what there is.

use protocol::Direction;
use serde_json::{Value, json};

use super::{answered, people, told};
use crate::harness::{
    Days, GREEN, Gateway, Kept, Reader, Site, Version, YELLOW, days_later, everything, lines, set, token_of,
};

const PERSON: &str = "C-0001";

const TIMES: &str = "events_days = 30\ncontacts_days = 10\nattendance_days = 40\naudit_days = 60\nmalformed_days = 2";

/// What was taken away at the last run, once there was one since the start.
async fn removed(site: &Site, gateway: &Gateway, officer: &str) -> Value {
    let mut retention = Value::Null;
    crate::harness::eventually("what is too old was taken away", async || {
        let said = site.ask(gateway, officer, &["privacy", "retention", "--json"]);
        assert!(said.success, "{said:?}");
        retention = serde_json::from_str(&said.stdout).unwrap();
        !retention["last_run"].is_null()
    })
    .await;
    retention["last_run"]["removed"].take()
}

/// Whom the events tell of.
async fn told_of(gateway: &Gateway) -> Vec<String> {
    let events = lines(gateway.get("/api/v1/events?limit=100").await).await;
    events.iter().map(|event| event["verdict"]["person"].as_str().unwrap_or("nobody").to_owned()).collect()
}

/// The site's files in which the person's id stands.
fn files_with_the_id(site: &Site) -> Vec<String> {
    let has = |content: &[u8]| content.windows(PERSON.len()).any(|found| found == PERSON.as_bytes());
    let files = everything(&site.root()).into_iter().filter(|(_, content)| has(content));
    let mut names: Vec<_> = files.map(|(path, _)| path.file_name().unwrap().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn what_is_too_old_is_not_shown_and_its_keys_are_destroyed_by_whole_months() {
    let mut site = Site::make(&["main-in"]);
    let days = Days::at_noon(&site);
    set(&site, "privacy", TIMES);
    let officer = token_of(&site, "privacy-officer");
    let gateway = site.run().await;
    let mut reader = Reader::connect(&site, &gateway, "main-in", Version::V5).await;
    let scans = [(1, GREEN), (1, YELLOW), (20, GREEN)]
        .into_iter()
        .flat_map(|(ago, badge)| [(ago, 8, Direction::In, badge), (ago, 15, Direction::Out, badge)]);
    let scans = scans.zip(1..).map(|((ago, hour, direction, badge), seq)| Kept {
        seq,
        at: days.at(ago, hour, 0),
        direction,
        badge: badge.into(),
    });
    reader.bring(&scans.collect::<Vec<_>>()).await;
    let nonsense = reader.begin(b"{\"nonsense").await;
    reader.acknowledged(nonsense).await;
    let day = |ago| format!("/api/v1/attendance?from={0}&to={0}", days.ago(ago));
    let contacts = |ago| {
        let (from, to) = (days.at(ago, 0, 0), days.at(0, 0, 0));
        format!("/api/v1/contacts?person={PERSON}&from={from}&to={to}&purpose=test")
    };
    for ago in [1, 20, 39] {
        assert_eq!(told(&gateway, &day(ago)).await["rows"].as_array().unwrap().is_empty(), ago == 39);
    }
    assert_eq!(people(&told(&gateway, &contacts(9)).await["contacts"]), ["C-0002"]);
    for (path, kept) in [(day(41), "kept for 40 days"), (contacts(12), "traced back for 10 days")] {
        let (status, text) = answered(&gateway, site.token(), "GET", &path, None).await;
        assert!(status == 400 && text.contains(kept), "{path}: {text}");
    }
    assert_eq!(told_of(&gateway).await[..2], [PERSON, PERSON]);
    assert_eq!(removed(&site, &gateway, &officer).await, json!({ "keys": 0, "looks": 0, "malformed": 0, "people": 0 }));
    assert!(gateway.terminate().await.success());

    days_later(&mut site, 35);
    let gateway = site.run().await;
    // The events are older than 30 days, and attendance is read from them for 40.
    assert_eq!(told_of(&gateway).await, ["nobody"; 7]);
    assert_eq!(people(&told(&gateway, &day(1)).await["rows"]), [PERSON, "C-0002"]);
    let (status, text) = answered(&gateway, site.token(), "GET", &day(20), None).await;
    assert!(status == 400 && text.contains("kept for 40 days"), "{text}");
    assert_eq!(removed(&site, &gateway, &officer).await["malformed"], 1);
    let looks = lines(gateway.get("/api/v1/privacy/looks?person=C-0001").await).await;
    assert!(looks.len() >= 2 && looks.iter().all(|look| look["purpose"] == "test"), "{looks:#?}");
    assert!(gateway.terminate().await.success());
    let kept = files_with_the_id(&site);
    assert_eq!(kept, ["directory.redb", "vault.redb"]);
    assert!(site.must(&["log", "export"]).contains(PERSON));

    days_later(&mut site, 130);
    let gateway = site.run().await;
    let removed = removed(&site, &gateway, &officer).await;
    assert!(removed["keys"].as_u64().unwrap() >= 3 && removed["looks"].as_u64().unwrap() >= 10, "{removed}");
    assert_eq!(told_of(&gateway).await, ["nobody"; 7]);
    assert!(lines(gateway.get("/api/v1/privacy/looks").await).await.iter().all(|look| look["purpose"] != "test"));
    assert!(gateway.terminate().await.success());
    assert_eq!(files_with_the_id(&site), ["directory.redb"]);
    let exported = site.must(&["log", "export"]);
    assert_eq!(exported.lines().filter(|line| line.contains("\"erased\":true")).count(), 7, "{exported}");
    assert!(site.must(&["log", "verify"]).starts_with("7 events"));

    // Only the person's keys are gone, not the person.
    let gateway = site.run().await;
    let mut reader = Reader::connect(&site, &gateway, "main-in", Version::V5).await;
    reader.scan(20, GREEN).await;
    assert_eq!(told_of(&gateway).await[7], PERSON);
}
