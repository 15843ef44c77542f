//! How far decisions bind: modes by door, zone and day; capacity and passback; a candidate policy; reloads under load.

use std::collections::HashMap;
use std::fs;

use jiff::{SignedDuration, Timestamp};
use protocol::Outcome;
use serde_json::Value;

use crate::harness::{Fleet, GREEN, Gateway, RED, Reader, Site, Version, YELLOW, audit, eventually};

const POLICY: &str = "policy/default.cedar";

async fn taken(gateway: &Gateway, what: &str, before: f64) {
    eventually(&format!("{what} is taken over"), async || gateway.reloads(what, "taken").await > before).await;
}

#[tokio::test]
async fn a_site_widens_from_off_to_enforce_by_door_by_zone_and_by_day() {
    let site = Site::make(&["placeholder"]);
    for door in ["a", "b", "c", "d", "e", "f"] {
        site.must(&["door", "add", door, "--zone", "main"]);
    }
    let ago = Timestamp::now() - SignedDuration::from_hours(1);
    let soon = Timestamp::now() + SignedDuration::from_hours(48);
    site.replace(
        "doors.toml",
        &format!(
            "[a]\nzone = \"main\"\nmode = \"off\"\n[b]\nzone = \"main\"\nmode = \"observe\"\n[c]\nzone = \"main\"\nmode = \"warn\"\n\
             [d]\nzone = \"main\"\nmode = \"enforce\"\n[e]\nzone = \"office\"\n\
             [f]\nzone = \"main\"\nmode = [{{ mode = \"off\" }}, {{ mode = \"enforce\", from = \"{ago}\" }}, {{ mode = \"off\", from = \"{soon}\" }}]\n"
        ),
    );
    site.replace("zones.toml", "[main]\n[complex]\nmode = \"warn\"\n[office]\nparent = \"complex\"\n");
    let gateway = site.run().await;
    for (door, mode, outcome, open, warning, told) in [
        ("a", "off", Outcome::Recorded, true, false, false),
        ("b", "observe", Outcome::Recorded, true, false, false),
        ("c", "warn", Outcome::Recorded, true, true, true),
        ("d", "enforce", Outcome::Denied, false, false, true),
        ("e", "warn", Outcome::Recorded, true, true, true),
        ("f", "enforce", Outcome::Denied, false, false, true),
    ] {
        let status = gateway.status().await;
        let row = status["doors"].as_array().unwrap().iter().find(|row| row["door"] == door).unwrap().clone();
        assert_eq!(row["mode"], mode, "{door}");
        let mut reader = Reader::connect(&site, &gateway, door, Version::V5).await;
        let decision = reader.scan(1, RED).await.decision;
        assert_eq!((decision.outcome, decision.open, decision.warning), (outcome, open, warning), "{door}");
        // Where the decision does not bind, nobody reads what it would have been.
        assert_eq!(decision.text.en.contains("not enter"), told, "{door}: {}", decision.text.en);
        let event = gateway.events().await.pop().unwrap();
        let would_be = if door == "a" || !open { Value::Null } else { "denied".into() };
        assert_eq!(event["verdict"]["would_be"], would_be, "{door}");
        assert_eq!(event["verdict"]["policy_set"].is_null(), door == "a", "no policy is asked where it is off");
    }
}

#[tokio::test]
async fn a_full_zone_lets_the_next_in_when_somebody_has_left_also_after_a_crash() {
    let site = Site::make(&["main-in"]);
    site.replace("zones.toml", "[main]\ncapacity = 1\n");
    let full =
        r#"@id("full") forbid (principal, action == Gapura::Action::"enter", resource) when { context.zone_full };"#;
    site.replace(POLICY, &format!("{}\n{full}\n", fs::read_to_string(site.file(POLICY)).unwrap()));
    site.import("C-0098,Contoh Kedua,asn,Dinas Contoh,CONTOH-BADGE-SECOND,green,\n");
    let gateway = site.run().await;
    let mut reader = Reader::connect(&site, &gateway, "main-in", Version::V5).await;
    assert!(reader.scan(1, GREEN).await.decision.open);
    let status = gateway.status_when("one is inside", |status| status["zones"][0]["occupancy"] == 1).await;
    assert_eq!((&status["zones"][0]["zone"], &status["zones"][0]["capacity"]), (&"main".into(), &1.into()));
    assert!(!reader.scan(2, "CONTOH-BADGE-SECOND").await.decision.open);

    gateway.kill_9();
    let gateway = site.run().await;
    let mut reader = Reader::connect(&site, &gateway, "main-in", Version::V5).await;
    assert!(!reader.scan(3, "CONTOH-BADGE-SECOND").await.decision.open, "who is inside is known after a crash");
    assert!(reader.leave(4, GREEN).await.decision.open);
    assert!(reader.scan(5, "CONTOH-BADGE-SECOND").await.decision.open);
}

#[tokio::test]
async fn a_badge_that_is_handed_back_is_looked_at_and_a_missed_exit_is_forgiven() {
    let mut site = Site::make(&["main-in", "main-east", "office"]);
    site.replace(
        "doors.toml",
        "[main-in]\nzone = \"main\"\nmode = \"enforce\"\n[main-east]\nzone = \"main\"\nmode = \"enforce\"\n\
         [office]\nzone = \"office\"\nmode = \"enforce\"\n",
    );
    site.set("GAPURA_ACCESS__PASSBACK_MINUTES", 60);
    // So long that no machine is too slow for a double scan to fall into it.
    site.set("GAPURA_ACCESS__DOUBLE_SCAN_SECONDS", 300);
    let gateway = site.run().await;
    let mut main = Reader::connect(&site, &gateway, "main-in", Version::V5).await;
    let mut east = Reader::connect(&site, &gateway, "main-east", Version::V5).await;
    let mut office = Reader::connect(&site, &gateway, "office", Version::V5).await;
    assert!(main.scan(1, GREEN).await.decision.open);
    assert!(main.scan(2, GREEN).await.decision.open, "a double scan at the same door");
    let back = east.scan(1, GREEN).await.decision;
    assert_eq!((back.outcome, back.reason.as_str(), back.open), (Outcome::Assist, "passback", false));
    // Seen in another zone: the exit was missed, and nobody is punished for that.
    assert!(office.scan(1, GREEN).await.decision.open);
    assert!(east.scan(2, GREEN).await.decision.open);
    assert!(east.leave(3, GREEN).await.decision.open);
    assert!(main.scan(3, GREEN).await.decision.open);
}

#[tokio::test]
async fn a_candidate_is_tried_on_live_scans_and_told_of_and_binds_nobody() {
    let site = Site::make(&["main-in"]);
    let gateway = site.run().await;
    let mut reader = Reader::connect(&site, &gateway, "main-in", Version::V5).await;
    let url = format!("http://{}", gateway.http);
    let report = |more: &[&str]| {
        let mut command = site.gapura(&[&["policy", "shadow", "--url", &url], more].concat());
        let output = command.env("GAPURA_TOKEN", site.token()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(report(&[]).contains("policy-candidate/"), "it says how to try one");

    fs::create_dir(site.file("policy-candidate")).unwrap();
    fs::copy(site.file("policy/schema.cedarschema"), site.file("policy-candidate/schema.cedarschema")).unwrap();
    let stricter = r#"@id("nobody") forbid (principal, action == Gapura::Action::"enter", resource);
        @id("leave") permit (principal, action == Gapura::Action::"exit", resource);"#;
    site.replace("policy-candidate/next.cedar", stricter);
    gateway.status_when("a candidate is tried", |status| status["policy_candidate"].is_string()).await;
    assert!(reader.scan(1, GREEN).await.decision.open, "it does not bind");
    assert!(!reader.scan(2, RED).await.decision.open);
    assert!(reader.leave(3, GREEN).await.decision.open);

    let told: Value = serde_json::from_str(&report(&["--json"])).unwrap();
    assert_eq!((&told["compared"], &told["agreed"]), (&3.into(), &2.into()));
    let change = &told["changes"][0];
    assert_eq!((&change["door"], &change["scans"], &change["people"]), (&"main-in".into(), &1.into(), &1.into()));
    assert_eq!((&change["from"]["outcome"], &change["to"]["reason"]), (&"granted".into(), &"nobody".into()));
    let table = report(&[]);
    assert!(table.contains("granted: staff-green") && table.contains("denied: nobody"), "{table}");

    // One that cannot be used is refused, and the one before stays.
    site.replace("policy-candidate/next.cedar", "permit (");
    let problem = gateway.problem_when("policy_candidate", true).await.unwrap();
    assert!(problem["message"].as_str().unwrap().contains("next.cedar:1"), "{problem}");
    assert!(reader.scan(4, YELLOW).await.decision.outcome == Outcome::Assist);
    let refused = site.gapura(&["policy", "shadow", "--url", &url]).env("GAPURA_TOKEN", "wrong").output().unwrap();
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("401"));
}

#[tokio::test]
async fn reloads_of_every_kind_under_load_lose_no_scan_and_change_no_decision_in_flight() {
    const SCANS: u64 = 6_000;
    let doors = Fleet::doors(20);
    let site = Site::make(&doors.iter().map(String::as_str).collect::<Vec<_>>());
    let gateway = site.run().await;
    let closed = r#"@id("closed") forbid (principal, action == Gapura::Action::"enter", resource);"#;
    let open_policy = fs::read_to_string(site.file(POLICY)).unwrap();
    let closed_policy = format!("{open_policy}\n{closed}\n");
    let open_set = gateway.status().await["policy_set"].as_str().unwrap().to_owned();
    let key = site.beside("issuer.key").display().to_string();
    site.must(&["pass", "key", "--out", &key]);
    fs::create_dir_all(site.file("trust/passes")).unwrap();

    let mut fleet = Fleet::start(&site, &gateway, 20, &format!("--scans {SCANS} --rate 1000"));
    let mut rounds = 0;
    let mut sets = vec![open_set.clone()];
    while fleet.runs() {
        rounds += 1;
        let odd = rounds % 2 == 1;
        let reloads = gateway.reloads("policy", "taken").await;
        site.replace(POLICY, if odd { &closed_policy } else { &open_policy });
        site.replace("zones.toml", &format!("[main]\ncapacity = {}\n", 100_000 + rounds));
        site.replace("calendar.toml", &format!("[holidays]\n2099-01-{:02} = \"Contoh\"\n", rounds % 28 + 1));
        site.import(&format!("C-8{rounds:03},Contoh Baru,asn,Dinas Contoh,CONTOH-NEW-{rounds},green,\n"));
        fs::copy(format!("{key}.jwks"), site.file(&format!("trust/passes/{rounds}.jwks"))).unwrap();
        taken(&gateway, "policy", reloads).await;
        sets.push(gateway.status().await["policy_set"].as_str().unwrap().to_owned());
        // A bad one is refused, and what is in force stays.
        let refused = gateway.reloads("policy", "refused").await;
        site.replace(POLICY, "permit (");
        eventually("it is refused", async || gateway.reloads("policy", "refused").await > refused).await;
    }
    let acked = fleet.acked().to_owned();
    let report = fleet.report().await;
    assert_eq!((&report["acked"], rounds >= 2), (&SCANS.into(), true), "{rounds} rounds: {report}");
    let audited = audit(&site, &gateway, &[&acked], None);
    assert_eq!((&audited["lost"], &audited["duplicated"], &audited["out_of_order"]), (&0.into(), &0.into(), &0.into()));
    for what in ["zones", "calendar", "directory", "trust"] {
        assert!(gateway.reloads(what, "taken").await >= 1.0, "{what}");
        assert_eq!(gateway.reloads(what, "refused").await, 0.0, "{what}");
    }

    // Every decision is whole: that of one set or of the other.
    let mut decided: HashMap<(bool, bool), u64> = HashMap::new();
    for event in gateway.events().await {
        let verdict = &event["verdict"];
        // What is no scan is put to no policy.
        let Some(set) = verdict["policy_set"].as_str() else { continue };
        assert!(sets.iter().any(|known| known == set), "{set} was never in force");
        if event["subject"]["scan"]["direction"] == "in" && verdict["reason"] != "late-scan" {
            let by_open = set == open_set;
            let closed = verdict["policies"].as_array().unwrap().iter().any(|policy| policy == "closed");
            assert_eq!(closed, !by_open, "{verdict}");
            *decided.entry((by_open, closed)).or_default() += 1;
        }
    }
    assert_eq!(decided.len(), 2, "both sets have decided: {decided:?}");
}
