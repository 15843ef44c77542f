//! Working days on their way upstream, and names that stay at the site.

use std::collections::BTreeSet;

use protocol::Direction;
use reqwest::Method;
use serde_json::Value;

use crate::harness::{
    Days, GREEN, Gateway, Kept, Manner, Reader, Recorder, Site, VISITOR, Version, YELLOW, set, token_of,
};

const DAY: &str = "gapura.attendance.day.v1";

const SCAN: &str = "gapura.scan";

/// Somebody of another office.
const ELSEWHERE: &str = "CONTOH-BADGE-ELSEWHERE";

/// In the morning and in the afternoon of a day.
fn day(days: &Days, seq: u64, ago: i64, badge: &str) -> [Kept; 2] {
    [(seq, 8, Direction::In), (seq + 1, 15, Direction::Out)].map(|(seq, hour, direction)| Kept {
        seq,
        at: days.at(ago, hour, 0),
        direction,
        badge: badge.into(),
    })
}

async fn bring(site: &Site, gateway: &Gateway, scans: &[Kept]) {
    Reader::connect(site, gateway, "main-in", Version::V5).await.bring(scans).await;
}

/// Subject, id, and whose rows, of each working day that has come after the first `skip` batches.
fn days_in(recorder: &Recorder, skip: usize) -> Vec<(String, String, Vec<String>)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let day = |event: &Value| {
        let rows = event["data"]["rows"].as_array().unwrap();
        (text(&event["subject"]), text(&event["id"]), rows.iter().map(|row| text(&row["person"])).collect())
    };
    recorder.events(skip, DAY).iter().map(day).collect()
}

#[tokio::test]
async fn each_offices_day_is_sent_once_again_when_it_changes_and_not_after_a_restart() {
    let site = Site::make(&["main-in"]);
    let days = Days::at_noon(&site);
    site.import(&format!("C-0008,Contoh Delapan,asn,Dinas Lain,{ELSEWHERE},green,\n"));
    let gateway = site.run().await;
    let scans =
        [day(&days, 1, 3, GREEN), day(&days, 3, 3, YELLOW), day(&days, 5, 3, ELSEWHERE), day(&days, 7, 2, GREEN)];
    bring(&site, &gateway, scans.as_flattened()).await;
    assert!(gateway.terminate().await.success());

    let recorder = Recorder::start(Manner::Takes).await;
    recorder.of(&site, 500);
    set(&site, "attendance", "upstream = true");
    let gateway = site.run().await;
    recorder.when("three days of offices have come", |recorder| days_in(recorder, 0).len() >= 3).await;
    let subject = |ago: i64, opd: &str| format!("{}/{opd}", days.ago(ago));
    let (first, [one, other, next]) =
        (days_in(&recorder, 0), [(3, "Dinas Contoh"), (3, "Dinas Lain"), (2, "Dinas Contoh")]);
    let expected = [(one, vec!["C-0001", "C-0002"]), (other, vec!["C-0008"]), (next, vec!["C-0001"])];
    for ((told, id, people), ((ago, opd), rows)) in first.iter().zip(&expected) {
        assert_eq!((told, people.iter().map(String::as_str).collect::<Vec<_>>()), (&subject(*ago, opd), rows.clone()));
        assert!(id.starts_with(&format!("attendance/{told}/")), "{id}");
    }
    let row = &recorder.events(0, DAY)[0]["data"]["rows"][0];
    assert_eq!((&row["name"], &row["worked_minutes"]), (&"Contoh Satu".into(), &420.into()));

    // A reader that was cut off brings what changes the first day, and somebody's first day of all.
    bring(&site, &gateway, &day(&days, 9, 1, ELSEWHERE)).await;
    let late = [Kept { at: days.at(3, 16, 0), ..day(&days, 11, 3, YELLOW)[1].clone() }];
    bring(&site, &gateway, &late).await;
    assert!(gateway.terminate().await.success());
    let before = recorder.posts();
    let gateway = site.run().await;
    // Days are looked at from the first to the last: with the last one, all that had changed before is there.
    let newest = subject(1, "Dinas Lain");
    recorder
        .when("the newest day has come", |recorder| days_in(recorder, before).iter().any(|day| day.0 == newest))
        .await;
    let changed = days_in(&recorder, before);
    let subjects: Vec<_> = changed.iter().map(|day| day.0.clone()).collect();
    assert_eq!(subjects, [subject(3, "Dinas Contoh"), newest.clone()]);
    assert_ne!(changed[0].1, first[0].1, "another content has another id");
    crate::harness::eventually("that they were sent is kept", async || {
        gateway.metric("upstream_attendance_days_total", &["accepted"]).await == 2.0
    })
    .await;
    gateway.kill_9();

    // An erased person is taken back as well.
    let before = recorder.posts();
    let gateway = site.run().await;
    let erase = gateway.ask(Method::DELETE, "/api/v1/privacy/people/C-0008?purpose=own", None).await;
    assert_eq!(erase.status(), 200);
    assert!(gateway.terminate().await.success());
    // Whether the days were looked at before the gateway ended or after the next start: their offices' days are empty now.
    let gateway = site.run().await;
    let expected = BTreeSet::from([(subject(3, "Dinas Lain"), 0), (newest, 0)]);
    let changed = |recorder: &Recorder| -> BTreeSet<_> {
        days_in(recorder, before).into_iter().map(|day| (day.0, day.2.len())).collect()
    };
    recorder.when("both days are empty", |recorder| changed(recorder).is_superset(&expected)).await;
    assert_eq!(changed(&recorder), expected);
    assert!(!recorder.text(before).contains("C-0008"));
    drop(gateway);
}

#[tokio::test]
async fn with_pseudonyms_nothing_that_leaves_the_site_names_anybody() {
    let site = Site::make(&["main-in"]);
    let days = Days::at_noon(&site);
    let recorder = Recorder::start(Manner::Takes).await;
    recorder.of(&site, 5);
    set(&site, "attendance", "upstream = true");
    set(&site, "privacy", "pseudonymise_upstream = true");
    let helper = token_of(&site, "helper");
    let gateway = site.run().await;
    let scans =
        [day(&days, 1, 2, GREEN), day(&days, 3, 2, VISITOR), day(&days, 5, 1, GREEN), day(&days, 7, 1, "STRANGER")];
    bring(&site, &gateway, scans.as_flattened()).await;
    let mut reader = Reader::connect(&site, &gateway, "main-in", Version::V5).await;
    for (badge, seq) in [GREEN, YELLOW, "STRANGER"].into_iter().zip(20..) {
        reader.scan(seq, badge).await;
    }
    let word = serde_json::json!({ "v": 1, "id": "w-1", "action": "admit", "helper": "Contoh Satgas", "reason": "tahu-dari-rupa",
        "person": "C-0004", "direction": "in" });
    let path = "/api/v1/doors/main-in/assist";
    assert_eq!(gateway.ask_as(&helper, Method::POST, path, Some(word)).await.status(), 200);
    let last = gateway.events().await.len() as u64;
    gateway.status_when("all is upstream", |status| status["upstream"]["acked_through"] == last).await;
    let known = gateway.events().await;
    assert!(gateway.terminate().await.success());
    // Whoever starts looks at the days at once.
    let gateway = site.run().await;
    recorder.when("both days have come", |recorder| days_in(recorder, 0).len() >= 2).await;

    let text = recorder.text(0);
    let hashes = known.iter().filter_map(|event| event["subject"]["scan"]["credential"].as_str());
    let words = [
        "C-0001",
        "C-0002",
        "C-0004",
        "C-0005",
        "Contoh Satu",
        "Contoh Lima",
        "Contoh Satgas",
        "tahu-dari-rupa",
        "STRANGER",
    ];
    let telling = words.into_iter().chain(hashes).chain([GREEN, YELLOW, VISITOR]);
    let told: Vec<_> = telling.filter(|word| text.contains(word)).collect();
    assert!(told.is_empty(), "{told:?} in {text}");
    // The same person has the same pseudonym in events and days, and another one has another.
    let scans = recorder.events(0, SCAN);
    let of = |number: usize| scans[number]["data"]["verdict"]["person"].as_str().unwrap().to_owned();
    let (one, other) = (of(0), of(2));
    assert!(of(4) == one && other != one, "{scans:#?}");
    let subject = format!("{}/Dinas Contoh", days.ago(2));
    let first = days_in(&recorder, 0).into_iter().find(|day| day.0 == subject).unwrap();
    assert!(first.2 == [one], "{first:?}");
    drop(gateway);
}
