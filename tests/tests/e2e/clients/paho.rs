//! paho-mqtt in Python, through `tests/clients/door.py`: what a client notices of the protocol's finer points.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::{DOOR, OTHER, Running, flawed, start, topic};
use crate::attacks::certificates::Flaw;
use crate::harness::{GREEN, Gateway, SITE, Site};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/door.py");

/// What a scenario saw, one line after the other.
#[derive(Debug)]
struct Seen(Vec<Value>);

#[tokio::test]
#[ignore = "needs mosquitto-clients and paho-mqtt; run in CI"]
async fn scans_are_answered_at_every_quality_of_service() {
    let (site, gateway) = start().await;
    for (version, kept) in [("3", 3), ("5", 6)] {
        let seen = play(&site, &gateway, &["--version", version, "scan", "--qos", "0", "1", "2"]).await;
        assert_eq!(seen.reasons("acknowledged"), [0, 0, 0], "{seen:?}");
        let seqs: Vec<_> = seen.all("message").map(|message| message["payload"]["seq"].clone()).collect();
        assert_eq!(seqs, [1, 2, 3], "{seen:?}");
        assert!(seen.all("message").all(|message| message["payload"]["open"] == true), "{seen:?}");
        // The second run uses the numbers of the first again, for scans of its own.
        assert_eq!(gateway.events().await.len(), kept);
    }
}

#[tokio::test]
#[ignore = "needs mosquitto-clients and paho-mqtt; run in CI"]
async fn another_doors_topics_and_another_client_id_are_refused_and_counted() {
    let (site, gateway) = start().await;
    for version in ["3", "5"] {
        let seen = play(&site, &gateway, &["--version", version, "scan", "--target", OTHER, "--qos", "1"]).await;
        let expected: &[u64] = if version == "5" { &[0x87] } else { &[] };
        assert_eq!(seen.reasons("acknowledged"), expected, "{seen:?}");
        let seen = play(&site, &gateway, &["--version", version, "scan", "--target", OTHER, "--qos", "0"]).await;
        let end = seen.one("disconnected");
        assert_eq!(end["by_gateway"] == true && end["reason"] == 0x87, version == "5", "{seen:?}");
        for (filter, reason) in [(topic(OTHER, "decision"), 0x87), ("$share/g/x".into(), 0x9E), ("日本/#".into(), 0x87)]
        {
            let seen = play(&site, &gateway, &["--version", version, "subscribe", "--filter", &filter]).await;
            let reason = if version == "5" { reason } else { 0x80 };
            assert_eq!(seen.one("subscribed")["reasons"], json!([reason]), "{seen:?}");
        }
        let stranger = ["--version", version, "--client-id", OTHER, "--certificate-of", DOOR, "connect"];
        let seen = play(&site, &gateway, &stranger).await;
        // paho gives the return code of 3.1.1 its name in MQTT 5.
        assert_eq!(seen.reasons("connected"), [0x85], "{seen:?}");
    }
    assert_eq!(gateway.metric("doors_publishes_refused_total", &["\"topic\""]).await, 4.0);
    assert_eq!(gateway.metric("doors_subscriptions_refused_total", &[]).await, 6.0);
    assert_eq!(gateway.metric("doors_connections_refused_total", &["client_id"]).await, 2.0);
    assert!(gateway.events().await.is_empty());
}

#[tokio::test]
#[ignore = "needs mosquitto-clients and paho-mqtt; run in CI"]
async fn a_bad_certificate_is_named_in_the_alert_and_counted() {
    let (site, gateway) = start().await;
    for (flaw, alert) in [
        (Flaw::Absent, "alert certificate required"),
        (Flaw::Expired, "alert certificate expired"),
        (Flaw::OtherSite, "alert unknown ca"),
        (Flaw::Revoked, "alert certificate revoked"),
    ] {
        let path = flawed(&site, &gateway, flaw).await;
        let mut attempts = 0.0;
        for version in ["3", "5"] {
            for tls in [&[][..], &["--tls12"]] {
                let with: &[&str] =
                    if flaw == Flaw::Absent { &["--no-certificate"] } else { &["--certificate", text(&path)] };
                let seen = play(&site, &gateway, &[&["--version", version], with, tls, &["connect"]].concat()).await;
                assert!(format!("{seen:?}").contains(alert), "{seen:?}");
                assert_eq!(seen.all("connected").count(), 0, "{seen:?}");
                attempts += 1.0;
            }
        }
        let counted = gateway.metric("doors_tls_failures_total", &[flaw.counted_as()]).await;
        assert_eq!(counted, attempts, "{flaw:?}");
    }
}

#[tokio::test]
#[ignore = "needs mosquitto-clients and paho-mqtt; run in CI"]
async fn a_request_is_answered_on_its_response_topic_with_its_correlation_data() {
    let (site, gateway) = start().await;
    let seen = play(&site, &gateway, &["respond"]).await;
    assert_eq!(seen.one("connected")["properties"]["ResponseInformation"], topic(DOOR, ""), "{seen:?}");
    let answer = seen.one("message");
    assert_eq!(answer["topic"], topic(DOOR, "answers/7"));
    assert_eq!(answer["properties"]["CorrelationData"], "00ff6b696f736b");
    assert_eq!(answer["payload"]["open"], true);
}

#[tokio::test]
#[ignore = "needs mosquitto-clients and paho-mqtt; run in CI"]
async fn no_more_decisions_are_in_flight_than_the_client_takes() {
    let (site, gateway) = start().await;
    let seen = play(&site, &gateway, &["window"]).await;
    assert_eq!(seen.one("held")["decisions"], 2, "{seen:?}");
    let decisions = seen.all("message").filter(|message| message["topic"] == topic(DOOR, "decision"));
    assert!(decisions.map(|message| message["payload"]["seq"].as_u64().unwrap()).eq(1..=5), "{seen:?}");
}

#[tokio::test]
#[ignore = "needs mosquitto-clients and paho-mqtt; run in CI"]
async fn packets_are_no_larger_than_either_side_takes() {
    let (site, gateway) = start().await;
    let seen = play(&site, &gateway, &["small"]).await;
    assert_eq!((seen.all("message").count(), seen.reasons("acknowledged")), (0, vec![0]), "{seen:?}");
    assert_eq!(gateway.metric("doors_outbox_dropped_total", &[]).await, 1.0);
    assert_eq!(gateway.events().await.len(), 1, "what cannot be answered is kept all the same");

    let seen = play(&site, &gateway, &["oversize"]).await;
    assert_eq!(seen.one("connected")["properties"]["MaximumPacketSize"], 24_576, "{seen:?}");
    assert_eq!(seen.reasons("acknowledged"), [0x99], "{seen:?}");
    let end = seen.one("disconnected");
    assert_eq!((&end["by_gateway"], &end["reason"]), (&json!(true), &json!(0x95)), "{seen:?}");
}

#[tokio::test]
#[ignore = "needs mosquitto-clients and paho-mqtt; run in CI"]
async fn a_topic_may_be_said_by_its_number() {
    let (site, gateway) = start().await;
    let seen = play(&site, &gateway, &["alias"]).await;
    assert_eq!(seen.one("connected")["properties"]["TopicAliasMaximum"], 8, "{seen:?}");
    assert_eq!(seen.all("message").count(), 2, "{seen:?}");
    let end = seen.one("disconnected");
    assert_eq!((&end["by_gateway"], &end["reason"]), (&json!(true), &json!(0x94)), "{seen:?}");
}

#[tokio::test]
#[ignore = "needs mosquitto-clients and paho-mqtt; run in CI"]
async fn a_session_is_resumed_with_what_was_not_acknowledged() {
    let (site, gateway) = start().await;
    for version in ["3", "5"] {
        let seen = play(&site, &gateway, &["--version", version, "resume"]).await;
        let present: Vec<_> = seen.all("connected").map(|connected| connected["session_present"].clone()).collect();
        assert_eq!(present, [false, true, false], "{seen:?}");
        let messages: Vec<_> = seen.all("message").collect();
        assert_eq!(messages.len(), 2, "{seen:?}");
        assert_eq!((&messages[0]["dup"], &messages[1]["dup"]), (&json!(false), &json!(true)), "{seen:?}");
        assert_eq!(messages[0]["mid"], messages[1]["mid"]);
        assert_eq!(messages[0]["payload"], messages[1]["payload"]);
    }
}

#[tokio::test]
#[ignore = "needs mosquitto-clients and paho-mqtt; run in CI"]
async fn a_will_is_published_after_its_delay() {
    let (site, gateway) = start().await;
    let seen = play(&site, &gateway, &["will", "--monitor", "watch"]).await;
    // Without the delay the gateway would have said by itself that the door is offline.
    let states: Vec<_> = seen.all("message").map(|message| &message["payload"]).collect();
    assert_eq!(states, [&json!({"v": 1, "state": "offline", "problem": "power-cut"})], "{seen:?}");
}

#[tokio::test]
#[ignore = "needs mosquitto-clients and paho-mqtt; run in CI"]
async fn the_gateway_names_a_nameless_client_and_its_keep_alive() {
    let (site, gateway) = start().await;
    let seen = play(&site, &gateway, &["welcome"]).await;
    let properties = &seen.one("connected")["properties"];
    assert_eq!(properties["AssignedClientIdentifier"], DOOR, "{seen:?}");
    assert_eq!(properties["ServerKeepAlive"], 300, "{seen:?}");
    for (property, value) in [("ReceiveMaximum", 64), ("SharedSubscriptionAvailable", 0), ("RetainAvailable", 1)] {
        assert_eq!(properties[property], value, "{seen:?}");
    }
}

/// Plays a scenario of the script to its end.
async fn play(site: &Site, gateway: &Gateway, arguments: &[&str]) -> Seen {
    let python = std::env::var("GAPURA_E2E_PYTHON").unwrap_or_else(|_| "python3".into());
    let mut command = Command::new(&python);
    command.arg(SCRIPT).args(["--host", "127.0.0.1", "--port", &gateway.mqtt.port().to_string(), "--folder"]);
    command.arg(site.root()).args(["--site", SITE, "--door", DOOR, "--badge", GREEN]).args(arguments);
    let ended = Running::start(&mut command, "GAPURA_E2E_PYTHON must name a Python").end().await;
    assert_eq!(ended.code, Some(0), "{arguments:?} (paho: pip install 'paho-mqtt==2.*'): {:#?}", ended.lines);
    let lines = ended.lines.iter();
    Seen(lines.map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"))).collect())
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

impl Seen {
    /// Every line of this kind.
    fn all(&self, event: &str) -> impl Iterator<Item = &Value> {
        self.0.iter().filter(move |line| line["event"] == event)
    }

    /// The one line of this kind.
    fn one(&self, event: &str) -> &Value {
        let mut all = self.all(event);
        match (all.next(), all.next()) {
            (Some(line), None) => line,
            _ => panic!("not one {event}: {self:?}"),
        }
    }

    /// The reasons of every line of this kind.
    fn reasons(&self, event: &str) -> Vec<u64> {
        self.all(event).map(|line| line["reason"].as_u64().unwrap()).collect()
    }
}
