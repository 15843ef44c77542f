//! `mosquitto_pub`, `mosquitto_sub` and `mosquitto_rr`.

use std::path::Path;
use std::process::Command;

use protocol::{Decision, Direction, Scan, ScanId};

use super::{DOOR, Ended, OTHER, Running, flawed, start, topic};
use crate::attacks::certificates::Flaw;
use crate::harness::{GREEN, Gateway, Site};

const VERSIONS: [&str; 2] = ["mqttv311", "mqttv5"];

/// Which client, and as whom.
struct As<'a> {
    program: &'a str,
    version: &'a str,
    client_id: &'a str,
    certificate: Option<&'a Path>,
}

#[tokio::test]
#[ignore = "needs mosquitto-clients and paho-mqtt; run in CI"]
async fn a_request_is_answered_with_the_decision() {
    let (site, gateway) = start().await;
    for (seq, version) in (1..).zip(VERSIONS) {
        let door = site.file("doors/main-in.pem");
        let client = As { program: "mosquitto_rr", version, client_id: DOOR, certificate: Some(&door) };
        let (scans, decisions) = (topic(DOOR, "scan"), topic(DOOR, "decision"));
        let ended = client.run(&site, &gateway, &["-t", &scans, "-e", &decisions, "-q", "1", "-m", &scan(seq)]).await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let decisions: Vec<_> = ended.decisions().collect();
        let [decision] = &decisions[..] else { panic!("not one decision: {ended:?}") };
        assert!(decision.open && decision.id() == Some(ScanId { epoch: 1, seq }), "{decision:?}");
    }
    assert_eq!(gateway.events().await.len(), 2);
}

#[tokio::test]
#[ignore = "needs mosquitto-clients and paho-mqtt; run in CI"]
async fn a_monitor_hears_what_doors_publish() {
    let (site, gateway) = start().await;
    let (watch, door) = (site.file("monitors/watch.pem"), site.file("doors/main-in.pem"));
    for (seq, version) in (1..).zip(VERSIONS) {
        let monitor = As { program: "mosquitto_sub", version, client_id: "watch", certificate: Some(&watch) };
        let decisions = topic("+", "decision");
        let monitor = monitor.start(&site, &gateway, &["-t", &decisions, "-q", "1", "-C", "2"]);
        monitor.says("Subscribed (mid: 1): 1").await;
        for (n, qos) in [(0, "1"), (10, "2")] {
            let client = As { program: "mosquitto_pub", version, client_id: DOOR, certificate: Some(&door) };
            let ended =
                client.run(&site, &gateway, &["-t", &topic(DOOR, "scan"), "-q", qos, "-m", &scan(seq + n)]).await;
            assert_eq!(ended.code, Some(0), "{ended:?}");
        }
        let heard = monitor.end().await;
        assert_eq!(heard.code, Some(0), "{heard:?}");
        assert!(heard.decisions().map(|decision| decision.seq).eq([Some(seq), Some(seq + 10)]), "{heard:?}");
    }
}

#[tokio::test]
#[ignore = "needs mosquitto-clients and paho-mqtt; run in CI"]
async fn a_retained_status_finds_a_later_subscriber() {
    let (site, gateway) = start().await;
    let (watch, door) = (site.file("monitors/watch.pem"), site.file("doors/main-in.pem"));
    for version in VERSIONS {
        let client = As { program: "mosquitto_pub", version, client_id: DOOR, certificate: Some(&door) };
        let status = r#"{"v":1,"state":"degraded","problem":"lens"}"#;
        let ended = client.run(&site, &gateway, &["-t", &topic(DOOR, "status"), "-q", "1", "-r", "-m", status]).await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        // It has left since, in an orderly way.
        let monitor = As { program: "mosquitto_sub", version, client_id: "watch", certificate: Some(&watch) };
        let heard = monitor.run(&site, &gateway, &["-t", &topic("+", "status"), "-q", "1", "-C", "1"]).await;
        assert!(heard.said(r#""state":"offline""#), "{heard:?}");
        let client = As { program: "mosquitto_sub", version, client_id: DOOR, certificate: Some(&door) };
        let heard = client.run(&site, &gateway, &["-t", &topic(DOOR, "config"), "-q", "1", "-C", "1"]).await;
        assert!(heard.said(r#""mode":"enforce""#), "{heard:?}");
    }
}

#[tokio::test]
#[ignore = "needs mosquitto-clients and paho-mqtt; run in CI"]
async fn another_doors_topics_and_another_client_id_are_refused_and_counted() {
    let (site, gateway) = start().await;
    let door = site.file("doors/main-in.pem");
    let mut refused = 0.0;
    for (version, suback, shared, connack) in [
        ("mqttv311", "Subscribed (mid: 1): 128", "Subscribed (mid: 1): 128", "identifier rejected"),
        ("mqttv5", "Subscribed (mid: 1): 135", "Subscribed (mid: 1): 158", "Client Identifier not valid"),
    ] {
        let client = |program| As { program, version, client_id: DOOR, certificate: Some(&door) };
        for qos in ["1", "2"] {
            let foreign = ["-t", &topic(OTHER, "scan"), "-q", qos, "-m", &scan(1)];
            let ended = client("mosquitto_pub").run(&site, &gateway, &foreign).await;
            // MQTT 3.1.1 can only close the connection.
            if version == "mqttv5" {
                assert!(ended.said("failed: Not authorized"), "{ended:?}");
            } else {
                assert!(ended.code == Some(7) && ended.said("The connection was lost"), "{ended:?}");
            }
            refused += 1.0;
        }
        for (filter, expected) in
            [(topic(OTHER, "decision"), suback), (format!("$share/g/{}", topic(DOOR, "decision")), shared)]
        {
            let ended = client("mosquitto_sub").run(&site, &gateway, &["-t", &filter, "-q", "1"]).await;
            assert!(ended.said(expected) && ended.said("All subscription requests were denied"), "{ended:?}");
        }
        let stranger = As { program: "mosquitto_pub", version, client_id: OTHER, certificate: Some(&door) };
        let ended = stranger.run(&site, &gateway, &["-t", &topic(OTHER, "scan"), "-m", &scan(1)]).await;
        assert!(ended.said(connack), "{ended:?}");
    }
    assert_eq!(gateway.metric("doors_publishes_refused_total", &["\"topic\""]).await, refused);
    assert_eq!(gateway.metric("doors_subscriptions_refused_total", &[]).await, 4.0);
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
        let certificate = Some(path.as_path()).filter(|_| flaw != Flaw::Absent);
        let mut attempts = 0.0;
        for version in VERSIONS {
            for tls in ["tlsv1.2", "tlsv1.3"] {
                let client = As { program: "mosquitto_pub", version, client_id: DOOR, certificate };
                let arguments = ["--tls-version", tls, "-q", "1", "-t", &topic(DOOR, "scan"), "-m", &scan(1)];
                let ended = client.run(&site, &gateway, &arguments).await;
                assert!(ended.code != Some(0) && ended.said(alert), "{ended:?}");
                attempts += 1.0;
            }
        }
        let counted = gateway.metric("doors_tls_failures_total", &[flaw.counted_as()]).await;
        assert_eq!(counted, attempts, "{flaw:?}");
    }
    assert!(gateway.events().await.is_empty());
}

impl As<'_> {
    fn start(&self, site: &Site, gateway: &Gateway, arguments: &[&str]) -> Running {
        // Its words line by line, not when a buffer is full.
        let mut command = Command::new("stdbuf");
        command.args([
            "-oL",
            self.program,
            "-d",
            "-h",
            "127.0.0.1",
            "-p",
            &gateway.mqtt.port().to_string(),
            "-V",
            self.version,
        ]);
        command.args(["-i", self.client_id, "--cafile"]).arg(site.ca());
        if let Some(certificate) = self.certificate {
            command.arg("--cert").arg(certificate).arg("--key").arg(certificate.with_extension("key"));
        }
        Running::start(command.args(arguments), "apt-get install mosquitto-clients")
    }

    async fn run(&self, site: &Site, gateway: &Gateway, arguments: &[&str]) -> Ended {
        self.start(site, gateway, arguments).end().await
    }
}

impl Ended {
    /// The decisions among what it said.
    fn decisions(&self) -> impl Iterator<Item = Decision> {
        self.lines.iter().filter_map(|line| Decision::from_json(line.as_bytes()).ok())
    }
}

/// Somebody enters now.
fn scan(seq: u64) -> String {
    let scan = Scan::new(ScanId { epoch: 1, seq }, jiff::Timestamp::now().into(), Direction::In, GREEN).unwrap();
    String::from_utf8(scan.to_json()).unwrap()
}
