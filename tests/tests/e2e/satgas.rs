//! A helper of the task force beside a door: confirms, refuses and admits by hand, over MQTT and HTTP, on the record.

use protocol::{Assist, AssistAction, Decision, Outcome, ScanId};
use reqwest::Response;
use serde_json::{Value, json};

use crate::harness::{Client, Connect, GREEN, Gateway, Packet, QoS, Reader, Site, Version, YELLOW, eventually};

/// MQTT 5: too many words.
const QUOTA_EXCEEDED: u8 = 0x97;

const HELPER: &str = "Contoh Satgas";

fn word(action: AssistAction, seq: impl Into<Option<u64>>) -> Assist {
    let scan = seq.into().map(|seq| ScanId { epoch: 1, seq });
    Assist::new(action, HELPER, "known by sight", None, scan).unwrap()
}

/// A helper's device, which hears what waits for it.
async fn device(site: &Site, gateway: &Gateway) -> Client {
    let mut device = Client::connect(site, gateway, "helpers", &Connect::new(Version::V5, "satgas")).await;
    assert_eq!(device.subscribe("gapura/v1/regency/+/decision", QoS::AtLeastOnce).await, 1);
    device
}

/// Publishes a word, and returns the reason with which it is acknowledged.
async fn say(device: &mut Client, door: &str, word: &Assist) -> u8 {
    let topic = format!("gapura/v1/regency/{door}/assist");
    let id = device.publish(&topic, QoS::AtLeastOnce, &word.to_json()).await.unwrap();
    let packet = device.wait_for("a PUBACK", |packet| matches!(packet, Packet::PubAck { id: its, .. } if *its == id));
    let Packet::PubAck { reason, .. } = packet.await else { unreachable!() };
    reason
}

async fn post(gateway: &Gateway, token: &str, door: &str, word: &Assist) -> Response {
    gateway.post(&format!("/api/v1/doors/{door}/assist"), token, word.to_json()).await
}

/// Makes a token for helpers.
fn token(site: &Site, name: &str, more: &[&str]) -> String {
    let add = ["token", "add", name, "--role", "helper", "--json"];
    let said: Value = serde_json::from_str(site.must(&[&add[..], more].concat()).trim()).unwrap();
    said["token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_yellow_person_waits_and_the_helpers_device_opens_the_door() {
    let site = Site::make(&["main-in"]);
    site.must(&["helper", "add", "satgas"]);
    let gateway = site.run().await;
    let mut reader = Reader::connect(&site, &gateway, "main-in", Version::V5).await;
    let mut device = device(&site, &gateway).await;
    let asked = reader.scan(1, YELLOW).await.decision;
    assert_eq!((asked.outcome, asked.open), (Outcome::Assist, false));
    let waits = device.message().await;
    device.acknowledge(&waits).await;
    assert_eq!(Decision::from_json(&waits.payload).unwrap(), asked);

    assert_eq!(say(&mut device, "main-in", &word(AssistAction::Admit, 1)).await, 0);
    let opened = Decision::from_json(&reader.decision(1).await.payload).unwrap();
    assert_eq!((opened.outcome, opened.open, opened.reason.as_str()), (Outcome::Granted, true, "helper-admitted"));
    let heard = device.message().await;
    assert_eq!(Decision::from_json(&heard.payload).unwrap(), opened);
    // Once more: the same answer, no second event. Then refused by another word: the first one stands.
    assert_eq!(say(&mut device, "main-in", &word(AssistAction::Admit, 1)).await, 0);
    assert_eq!(Decision::from_json(&reader.decision(1).await.payload).unwrap(), opened);
    assert_eq!(say(&mut device, "main-in", &word(AssistAction::Refuse, 1)).await, 0);

    let events = gateway.events().await;
    let reasons: Vec<_> = events.iter().map(|event| event["verdict"]["reason"].as_str().unwrap()).collect();
    assert_eq!(reasons[1..], ["helper-admitted", "assist-answered"]);
    let kept = &events[1]["subject"]["assist"];
    assert_eq!((&kept["helper"], &kept["device"], &kept["via"]), (&json!(HELPER), &json!("satgas"), &json!("mqtt")));
    assert_eq!(kept["answers"], json!({ "epoch": 1, "seq": 1, "event": 1 }));
    assert_eq!(events[1]["verdict"]["person"], "C-0002", "it counts as that person's passage");
    let admitted = ["action=\"admit\"", "result=\"helper-admitted\""];
    assert_eq!(gateway.metric("assists_total", &admitted).await, 1.0);
    for told in [gateway.stderr(), gateway.metrics().await] {
        assert!(!told.contains(HELPER) && !told.contains("by sight") && !told.contains("C-0002"));
    }

    // A revoked device is let go within a second, and stays outside.
    site.must(&["helper", "revoke", "satgas"]);
    device.ends().await;
}

#[tokio::test]
async fn a_token_opens_the_door_over_http_as_far_as_it_goes() {
    let site = Site::make(&["main-in", "main-out"]);
    let gateway = site.run().await;
    let mut reader = Reader::connect(&site, &gateway, "main-in", Version::V4).await;
    // Made while the gateway runs.
    let lobby = token(&site, "lobby", &["--door", "main-in"]);
    eventually("the token is known", async || gateway.reloads("tokens", "taken").await > 0.0).await;
    reader.scan(1, YELLOW).await;
    let said = post(&gateway, &lobby, "main-in", &word(AssistAction::Admit, 1)).await;
    assert_eq!(said.status(), 200);
    let said: Value = said.json().await.unwrap();
    assert_eq!((&said["open"], &said["event"], &said["door_told"]), (&json!(true), &json!(2), &json!(true)));
    let opened = Decision::from_json(&reader.decision(1).await.payload).unwrap();
    assert_eq!((opened.outcome, opened.open, opened.event), (Outcome::Granted, true, Some(2)));

    // By hand, without a scan; the person is named.
    let mut by_hand = word(AssistAction::Admit, None);
    (by_hand.id, by_hand.person) = (Some("visit-1".into()), Some("C-0005".into()));
    let said: Value = post(&gateway, &lobby, "main-in", &by_hand).await.json().await.unwrap();
    assert_eq!((&said["outcome"], &said["assist"], &said["seq"]), (&json!("granted"), &json!("visit-1"), &Value::Null));
    let message = reader.client.message().await;
    reader.client.acknowledge(&message).await;
    assert_eq!(Decision::from_json(&message.payload).unwrap().id(), None);
    by_hand.person = Some("C-9999".into());
    by_hand.id = None;
    let said: Value = post(&gateway, &lobby, "main-in", &by_hand).await.json().await.unwrap();
    assert_eq!((&said["reason"], &said["door_told"]), (&json!("assist-unknown-person"), &json!(false)));
    let events = gateway.events().await;
    assert_eq!(
        (&events[2]["verdict"]["person"], &events[2]["verdict"]["class"]),
        (&json!("C-0005"), &json!("visitor"))
    );

    let elsewhere = post(&gateway, &lobby, "main-out", &word(AssistAction::Admit, None)).await;
    assert_eq!(elsewhere.status(), 403);
    assert_eq!(post(&gateway, site.token(), "nowhere", &word(AssistAction::Admit, None)).await.status(), 404);
    assert_eq!(post(&gateway, "a-guess", "main-in", &word(AssistAction::Admit, None)).await.status(), 401);
    // The door is away: it is said so, and nothing waits for it.
    let away: Value =
        post(&gateway, site.token(), "main-out", &word(AssistAction::Admit, None)).await.json().await.unwrap();
    assert_eq!((&away["open"], &away["door_told"]), (&json!(true), &json!(false)));

    site.must(&["token", "revoke", "lobby"]);
    eventually("the token is refused", async || post(&gateway, &lobby, "main-in", &by_hand).await.status() == 401)
        .await;
    assert!(!site.must(&["token", "list"]).contains("lobby"));
    for secret in [HELPER, lobby.as_str(), "C-0005"] {
        assert!(!gateway.stderr().contains(secret));
    }
    assert!(gateway.stderr().contains("lobby"), "who was refused is on the record by the token's name");
}

#[tokio::test]
async fn a_token_that_has_ended_opens_nothing() {
    let site = Site::make(&["main-in"]);
    let soon = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(2);
    let short = token(&site, "short", &["--until", &soon.to_string()]);
    let gateway = site.run().await;
    eventually("the token has ended", async || {
        let answer = post(&gateway, &short, "main-in", &word(AssistAction::Admit, 99)).await;
        let code = answer.status();
        let text = answer.text().await.unwrap();
        // While it lasts, it may be used as often as any other.
        assert!([200, 429].contains(&code.as_u16()) || text.contains("token-ended"), "{code}: {text}");
        code == 401
    })
    .await;
    let past = jiff::Timestamp::now().to_string();
    assert!(!site.say(&["token", "add", "late", "--role", "helper", "--until", &past]).success);
}

#[tokio::test]
async fn helpers_who_say_too_much_are_slowed_down_each_for_itself() {
    let mut site = Site::make(&["main-in"]);
    site.must(&["helper", "add", "satgas"]);
    site.set("GAPURA_SCANS__ASSISTS_PER_MINUTE_MAX", 2);
    let lobby = token(&site, "lobby", &[]);
    let gateway = site.run().await;
    let mut device = device(&site, &gateway).await;
    for reason in [0, 0, QUOTA_EXCEEDED, QUOTA_EXCEEDED] {
        assert_eq!(say(&mut device, "main-in", &word(AssistAction::Admit, None)).await, reason);
    }
    for code in [200, 200, 429] {
        let answer = post(&gateway, &lobby, "main-in", &word(AssistAction::Admit, None)).await;
        assert_eq!(answer.status(), code);
        assert_eq!(answer.headers().contains_key("retry-after"), code == 429);
    }
    assert_eq!(gateway.metric("assists_refused_total", &["reason=\"rate\""]).await, 3.0);
    assert_eq!(gateway.events().await.len(), 4);
}

#[tokio::test]
async fn words_and_waiting_scans_survive_a_power_cut() {
    let site = Site::make(&["main-in"]);
    let gateway = site.run().await;
    let mut reader = Reader::connect(&site, &gateway, "main-in", Version::V5).await;
    for (seq, badge) in [(1, YELLOW), (2, YELLOW), (3, GREEN)] {
        reader.scan(seq, badge).await;
    }
    let first = post(&gateway, site.token(), "main-in", &word(AssistAction::Admit, 1)).await;
    let first: Value = first.json().await.unwrap();
    gateway.kill_9();
    let gateway = site.run().await;
    for (seq, event, reason) in [(1, 4, "helper-admitted"), (2, 5, "helper-admitted"), (3, 6, "assist-unknown-scan")] {
        let said = post(&gateway, site.token(), "main-in", &word(AssistAction::Admit, seq)).await;
        let said: Value = said.json().await.unwrap();
        assert_eq!((&said["event"], &said["reason"]), (&json!(event), &json!(reason)), "{said}");
        if seq == 1 {
            assert_eq!(said["decided_at"], first["decided_at"]);
        }
    }
    assert_eq!(gateway.events().await.len(), 6);
}
