//! Somebody's data may only be kept: the ledgers leave them out, doors and the list for an evacuation do not.

use jiff::Timestamp;
use protocol::Direction;
use serde_json::{Value, json};

use super::{answered, people, told};
use crate::harness::{Days, GREEN, Gateway, Kept, Reader, Site, Version, YELLOW, lines, token_of};

const PERSON: &str = "C-0001";
const OTHER: &str = "C-0002";

/// What the ledgers say: whose days, whose contacts of the other one, who is inside, whose events.
async fn ledgers(gateway: &Gateway, days: &Days) -> [Vec<String>; 4] {
    let owned = |rows: &Value| people(rows).into_iter().map(str::to_owned).collect::<Vec<_>>();
    let attendance = told(gateway, &format!("/api/v1/attendance?from={}&to={0}", days.ago(1))).await;
    let contacts = told(gateway, &contacts(days, OTHER)).await;
    let inside = told(gateway, "/api/v1/presence/people").await;
    let events = lines(gateway.get("/api/v1/events").await).await;
    let named = events.iter().filter_map(|event| event["verdict"]["person"].as_str());
    let mut named: Vec<String> = named.map(str::to_owned).collect();
    named.sort();
    named.dedup();
    [owned(&attendance["rows"]), owned(&contacts["contacts"]), owned(&inside["people"]), named]
}

fn contacts(days: &Days, person: &str) -> String {
    let [from, to]: [Timestamp; 2] = [days.at(1, 0, 0), days.at(0, 0, 0)];
    format!("/api/v1/contacts?person={person}&from={from}&to={to}&purpose=test")
}

#[tokio::test]
async fn a_restricted_person_is_in_no_ledger_but_at_the_doors_and_on_the_list_for_an_evacuation() {
    let site = Site::make(&["main-in"]);
    let days = Days::at_noon(&site);
    let officer = token_of(&site, "privacy-officer");
    let gateway = site.run().await;
    let mut reader = Reader::connect(&site, &gateway, "main-in", Version::V5).await;
    let kept = [
        (8, Direction::In, GREEN),
        (8, Direction::In, YELLOW),
        (15, Direction::Out, GREEN),
        (15, Direction::Out, YELLOW),
    ];
    let scans = kept.into_iter().zip(1..).map(|((hour, direction, badge), seq)| Kept {
        seq,
        at: days.at(1, hour, 0),
        direction,
        badge: badge.into(),
    });
    reader.bring(&scans.collect::<Vec<_>>()).await;
    assert!(reader.scan(10, GREEN).await.decision.open);
    let all = [vec![PERSON, OTHER], vec![PERSON], vec![PERSON], vec![PERSON, OTHER]];
    assert_eq!(ledgers(&gateway, &days).await, all);

    let restrict = ["privacy", "restrict", PERSON, "--reason", "disputed"];
    assert!(site.ask(&gateway, &officer, &restrict).success);
    let without = [vec![OTHER], vec![], vec![PERSON], vec![OTHER]];
    assert_eq!(ledgers(&gateway, &days).await, without);
    let (status, text) = answered(&gateway, site.token(), "GET", &contacts(&days, PERSON), None).await;
    assert!(status == 409 && text.contains("restriction"), "{text}");
    let muster = site.ask(&gateway, site.token(), &["presence", "--muster"]);
    assert!(muster.success && muster.stdout.contains(PERSON) && muster.stdout.contains("Contoh Satu"), "{muster:?}");
    // Whoever has the right to see everything that is kept does.
    let file = told(&gateway, &format!("/api/v1/privacy/people/{PERSON}?purpose=test")).await;
    let restriction = &file["restriction"];
    assert_eq!((&restriction["reason"], &restriction["by"]), (&json!("disputed"), &json!("privacy-officer")));
    assert!(file["events"].as_array().unwrap().len() == 3 && !people(&file["attendance"]).is_empty(), "{file:#}");

    gateway.kill_9();
    let gateway = site.run().await;
    let mut reader = Reader::connect(&site, &gateway, "main-in", Version::V5).await;
    assert!(reader.scan(11, GREEN).await.decision.open, "doors know the person");
    assert_eq!(ledgers(&gateway, &days).await, without, "after a power cut");

    assert!(site.ask(&gateway, &officer, &["privacy", "lift", PERSON]).success);
    assert_eq!(ledgers(&gateway, &days).await, all);
}
