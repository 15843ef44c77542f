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
