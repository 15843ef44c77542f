//! Files of the site change while doors are connected: what is good is taken over, what is not is refused.

use std::fs;

use protocol::Outcome;
use rustls::AlertDescription;

use crate::harness::{
    Acknowledged, Client, Connect, GREEN, Gateway, Packet, Reader, Site, UNKNOWN, Version, alert, closed, eventually,
};

const POLICY: &str = "policy/default.cedar";

/// The reason code of MQTT 5 with which the owner of the site ends a session.
const ADMINISTRATIVE_ACTION: u8 = 0x98;

#[tokio::test]
async fn a_changed_policy_judges_the_next_scan_of_a_live_session() {
    let site = Site::make(&["main-in"]);
    let gateway = site.run().await;
    let mut reader = Reader::connect(&site, &gateway, "main-in", Version::V5).await;
    let before = reader.scan(1, GREEN).await.decision;
    assert!(before.open);

    let closed_today = r#"@id("closed-today") @text_id("Tutup") @text_en("Closed")
        forbid (principal, action == Gapura::Action::"enter", resource);"#;
    site.replace(POLICY, &format!("{}\n{closed_today}\n", fs::read_to_string(site.file(POLICY)).unwrap()));
    let old = before.policy.unwrap();
    let status = gateway.status_when("the policy is taken over", |status| status["policy_set"] != old.as_str()).await;
    let after = reader.scan(2, GREEN).await.decision;
    assert_eq!(
        (after.outcome, after.reason.as_str(), after.text.en.as_str()),
        (Outcome::Denied, "closed-today", "Closed")
    );
    assert_eq!(after.policy.unwrap(), status["policy_set"]);
}

#[tokio::test]
async fn a_file_that_cannot_be_used_is_refused_and_named_until_it_is_mended() {
    let site = Site::make(&["main-in"]);
    let gateway = site.run().await;
    let mut reader = Reader::connect(&site, &gateway, "main-in", Version::V4).await;
    for ((file, what, bad, line), seq) in [
        (
            POLICY,
            "policy",
            "\n@id(\"mood\") permit (principal, action, resource) when { context.mood == \"good\" };\n",
            "default.cedar:2",
        ),
        (POLICY, "policy", "permit (", "default.cedar:1"),
        ("doors.toml", "doors", "[main-in]\nzone = \"main\"\nmode = \"strict\"\n", "doors.toml:3"),
        ("pki/crl.pem", "certificates", "nonsense", "crl.pem"),
    ]
    .into_iter()
    .zip(1..)
    {
        let good = fs::read_to_string(site.file(file)).unwrap();
        let refused = gateway.reloads(what, "refused").await;
        site.replace(file, bad);
        let problem = gateway.problem_when(what, true).await.unwrap();
        let message = problem["message"].as_str().unwrap();
        assert!(message.contains(line) && message.contains("the old one stays in force"), "{message}");
        eventually("the refusal is counted", async || gateway.reloads(what, "refused").await > refused).await;
        assert!(gateway.ready().await.0, "doors work with what was in force");
        assert!(reader.scan(seq, GREEN).await.decision.open);

        site.replace(file, &good);
        gateway.problem_when(what, false).await;
    }
}

#[tokio::test]
async fn a_file_that_vanishes_or_holds_nothing_any_more_changes_nothing() {
    let site = Site::make(&["main-in"]);
    // The door's decisions bind because its zone says so.
    site.replace("doors.toml", "[main-in]\nzone = \"main\"\n");
    site.replace("zones.toml", "[main]\nmode = \"enforce\"\n");
    site.replace("trust/revoked.toml", "passes = []\n");
    site.replace(
        "policy/extra.cedar",
        "@id(\"extra\") forbid (principal, action, resource) when { context.weekday == 9 };\n",
    );
    let gateway = site.run().await;
    let mut reader = Reader::connect(&site, &gateway, "main-in", Version::V5).await;
    let mut seq = 0;
    for (what, file) in [
        ("zones", "zones.toml"),
        ("doors", "doors.toml"),
        ("calendar", "calendar.toml"),
        ("trust", "trust"),
        ("trust", "trust/health"),
        ("trust", "trust/revoked.toml"),
        ("policy", "policy"),
        ("policy", "policy/extra.cedar"),
        ("policy", "policy/texts"),
        ("policy", "policy/texts/en.ftl"),
        ("directory", "data/directory.redb"),
        ("tokens", "secrets/admin.token"),
        ("configuration", "gapura.toml"),
        ("certificates", "pki/crl.pem"),
    ] {
        let (path, away) = (site.file(file), site.beside("away"));
        fs::rename(&path, &away).unwrap();
        let mut losses = vec!["is not there any more"];
        if away.is_file() {
            losses.push("is empty");
        }
        for loss in losses {
            if loss == "is empty" {
                fs::write(&path, "").unwrap();
            }
            let of = |status: &serde_json::Value| {
                let problems = status["problems"].as_array().unwrap().clone();
                let names = |problem: &serde_json::Value| {
                    let message = problem["message"].as_str().unwrap();
                    problem["what"] == what && message.contains(file) && message.contains(loss)
                };
                problems.iter().any(names)
            };
            gateway.status_when(&format!("{file} {loss}"), of).await;
            if file == "zones.toml" {
                gateway.hang_up();
            }
            assert!(gateway.ready().await.0);
            seq += 2;
            let unknown = reader.scan(seq - 1, UNKNOWN).await.decision;
            assert_eq!((unknown.outcome, unknown.open), (Outcome::Denied, false), "{file} {loss}");
            assert!(reader.scan(seq, GREEN).await.decision.open, "{file} {loss}");
        }
        if path.is_file() {
            fs::remove_file(&path).unwrap();
        }
        fs::rename(&away, &path).unwrap();
        gateway.problem_when(what, false).await;
    }
    // A policy may be taken away by whoever says so.
    fs::remove_file(site.file("policy/extra.cedar")).unwrap();
    gateway.problem_when("policy", true).await;
    gateway.hang_up();
    gateway.problem_when("policy", false).await;
}

#[tokio::test]
async fn doors_and_zones_fit_together_whichever_is_written_first() {
    let site = Site::make(&["main-in"]);
    site.replace("zones.toml", "[main]\nmode = \"enforce\"\n");
    let gateway = site.run().await;
    site.replace("doors.toml", "[main-in]\nzone = \"mian\"\n");
    let problem = gateway.problem_when("doors", true).await.unwrap();
    let message = problem["message"].as_str().unwrap();
    assert!(message.contains("doors.toml:2") && message.contains("did you mean main?"), "{message}");
    let zone = |status: &serde_json::Value| status["doors"][0]["zone"].clone();
    assert_eq!(zone(&gateway.status().await), "main");
    // Both are renamed, the doors first.
    site.replace("doors.toml", "[main-in]\nzone = \"hall\"\n");
    site.replace("zones.toml", "[hall]\nmode = \"warn\"\n");
    gateway.status_when("the new name", |status| zone(status) == "hall" && status["doors"][0]["mode"] == "warn").await;
    gateway.problem_when("doors", false).await;
}

#[tokio::test]
async fn settings_that_have_changed_or_are_broken_are_a_problem_until_the_next_start() {
    let site = Site::make(&["main-in"]);
    let gateway = site.run().await;
    let good = fs::read_to_string(site.configuration()).unwrap();
    for (text, words) in [
        (format!("{good}\nlisen = 1\n"), "unknown field `lisen`"),
        (good.replace("# late_after_ms = 30000", "late_after_ms = 1000"), "[scans] late_after_ms changed"),
        (good.replace("\"regency\"", "\"regents\""), "[site] name changed"),
        ("[site".to_owned(), "gapura.toml:1"),
    ] {
        site.replace("gapura.toml", &text);
        let found = |status: &serde_json::Value| status["problems"].to_string().contains(words);
        gateway.status_when(words, found).await;
        gateway.hang_up();
        eventually("nothing was taken over", async || gateway.reloads("configuration", "refused").await >= 1.0).await;
        assert_eq!(gateway.reloads("configuration", "taken").await, 0.0, "{words}");
        assert!(gateway.ready().await.0);
    }
    site.replace("gapura.toml", &good);
    gateway.problem_when("configuration", false).await;
}

#[tokio::test]
async fn people_who_are_imported_while_the_gateway_runs_are_known_at_once() {
    let site = Site::make(&["main-in"]);
    let gateway = site.run().await;
    let mut reader = Reader::connect(&site, &gateway, "main-in", Version::V5).await;
    assert_eq!(reader.scan(1, UNKNOWN).await.decision.reason, "unknown-credential");
    let known = gateway.status().await["directory_credentials"].as_u64().unwrap();
    site.import(&format!("C-0099,Contoh Baru,asn,Dinas Contoh,{UNKNOWN},green,\n"));
    gateway.status_when("one more is known", |status| status["directory_credentials"] == known + 1).await;
    assert!(reader.scan(2, UNKNOWN).await.decision.open);
}

#[tokio::test]
async fn a_door_that_is_added_while_the_gateway_runs_may_connect() {
    let site = Site::make(&["main-in"]);
    let gateway = site.run().await;
    site.must(&["door", "add", "main-out", "--zone", "main", "--mode", "enforce"]);
    gateway.status_when("two doors", |status| status["doors"].as_array().unwrap().len() == 2).await;
    let mut reader = Reader::connect(&site, &gateway, "main-out", Version::V5).await;
    assert!(reader.scan(1, GREEN).await.decision.open);
}

#[tokio::test]
async fn a_revoked_door_loses_its_live_session_and_cannot_come_back_until_it_has_a_new_certificate() {
    let site = Site::make(&["main-in", "main-out"]);
    let gateway = site.run().await;
    let mut revoked = Reader::connect(&site, &gateway, "main-in", Version::V5).await;
    let mut other = Reader::connect(&site, &gateway, "main-out", Version::V5).await;
    assert!(revoked.scan(1, GREEN).await.decision.open);

    site.must(&["door", "revoke", "main-in"]);
    // The reader says nothing: it is the gateway that ends the session.
    let (before, end) = revoked.client.ends().await;
    assert_eq!(before, [Packet::Disconnect { reason: ADMINISTRATIVE_ACTION }]);
    assert!(closed(&end), "{end}");
    eventually("it is counted", async || gateway.metric("doors_sessions_dropped_total", &[]).await == 1.0).await;

    assert_eq!(turned_away(&site, &gateway, "main-in").await, AlertDescription::CertificateRevoked);
    eventually("that is counted", async || {
        gateway.metric("doors_tls_failures_total", &["reason=\"revoked\""]).await == 1.0
    })
    .await;
    assert!(other.scan(1, GREEN).await.decision.open, "the other door has noticed nothing");

    site.must(&["door", "renew", "main-in"]);
    let mut back = Reader::connect(&site, &gateway, "main-in", Version::V5).await;
    assert!(back.scan(2, GREEN).await.decision.open);
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_to_new_connections_while_old_sessions_live_on() {
    let site = Site::make(&["main-in", "main-out"]);
    let gateway = site.run().await;
    let mut old = Reader::connect(&site, &gateway, "main-in", Version::V5).await;
    site.must(&["renew"]);
    eventually("the new certificate is shown", async || {
        let new = Client::dial(&site, &gateway, "doors", "main-out").await.unwrap();
        new.server_certificate != old.client.server_certificate
    })
    .await;
    let mut new = Reader::connect(&site, &gateway, "main-out", Version::V4).await;
    assert!(new.scan(1, GREEN).await.decision.open);
    assert!(old.scan(1, GREEN).await.decision.open);
}

#[tokio::test]
async fn a_hangup_reads_every_file_again() {
    let site = Site::make(&["main-in"]);
    let gateway = site.run().await;
    let mut reader = Reader::connect(&site, &gateway, "main-in", Version::V5).await;
    gateway.hang_up();
    for what in ["policy", "doors", "directory", "certificates"] {
        eventually(what, async || gateway.reloads(what, "taken").await >= 1.0).await;
        assert_eq!(gateway.reloads(what, "refused").await, 0.0);
    }
    assert_eq!(reader.scan(1, GREEN).await.acknowledged, Acknowledged::PubAck(0));
}

/// The TLS alert with which a door is turned away.
async fn turned_away(site: &Site, gateway: &Gateway, door: &str) -> AlertDescription {
    let error = match Client::dial(site, gateway, "doors", door).await {
        Ok(mut client) => client.hello(&Connect::new(Version::V5, door)).await.unwrap_err(),
        Err(error) => error,
    };
    alert(&error).unwrap_or_else(|| panic!("no alert: {error}"))
}
