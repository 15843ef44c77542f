//! What operations watch: every metric that the alerts and the dashboard name is there, and says what it should.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;
use simulator::tls;

use crate::harness::{Client, Connect, GREEN, Gateway, QoS, Reader, Site, Version, eventually, unused_port};

const ALERTS: &str = "prometheus/alerts.yml";
const DASHBOARD: &str = "grafana/gapura.json";

#[tokio::test]
async fn every_metric_that_alerts_and_dashboard_name_is_there() {
    let site = Site::make(&["main-in"]);
    let gateway = troubled(&site).await;
    let metrics = gateway.metrics().await;
    let there: BTreeSet<&str> = metrics.lines().filter_map(|line| line.split(['{', ' ']).next()).collect();
    for file in [ALERTS, DASHBOARD] {
        let text = deployed(file);
        let named = words(&text, "gapura_");
        assert!(named.len() > 30, "{file} names but {named:?}");
        let missing: Vec<_> = named.iter().filter(|name| !there.contains(name.as_str())).collect();
        assert!(missing.is_empty(), "{file} names {missing:?}, which are not in {metrics}");
    }
    let reasons = words(&deployed(ALERTS), "pass-");
    assert!(reasons.contains("pass-wrong-signature"), "{reasons:?}");
    for reason in reasons {
        let series = format!("gapura_scans_pass_faults_total{{reason=\"{reason}\"}} 0");
        assert!(metrics.lines().any(|line| line == series), "{ALERTS} names {reason}, which is none");
    }
}

#[test]
fn the_dashboards_panels_have_units_words_and_numbers_of_their_own() {
    let dashboard: Value = serde_json::from_str(&deployed(DASHBOARD)).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len());
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        let title = panel["title"].as_str().unwrap();
        assert!(!panel["description"].as_str().unwrap().is_empty(), "{title}");
        assert!(panel["type"] == "table" || panel["fieldConfig"]["defaults"]["unit"].is_string(), "{title}");
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title}");
        for target in panel["targets"].as_array().unwrap() {
            let query = target["expr"].as_str().unwrap();
            assert_eq!(query.matches("gapura_").count(), query.matches("{instance=~\"$instance\"").count(), "{query}");
        }
    }
}

#[tokio::test]
async fn doors_clocks_and_passes_are_counted() {
    let site = Site::make(&["main-in", "main-out"]);
    let gateway = site.run().await;
    let mut reader = Reader::connect(&site, &gateway, "main-in", Version::V5).await;
    let counts = async || {
        let of = async |name: &str| gateway.metric(name, &[]).await;
        [of("doors_registered").await, of("doors_online").await, of("doors_clock_off").await, of("ready").await]
    };
    assert_eq!(counts().await, [2.0, 1.0, 0.0, 1.0]);

    let status = br#"{"v":1,"state":"online","at":"2001-01-01T00:00:00Z"}"#;
    let topic = reader.topic("status");
    reader.client.publish(&topic, QoS::AtLeastOnce, status).await.unwrap();
    eventually("its clock is off", async || counts().await == [2.0, 1.0, 1.0, 1.0]).await;
    drop(reader);
    eventually("it is gone", async || counts().await == [2.0, 0.0, 0.0, 1.0]).await;

    let mut reader = Reader::connect(&site, &gateway, "main-out", Version::V4).await;
    assert_eq!(reader.scan(1, "GP1:no base45 at all!").await.decision.reason, "pass-not-base45");
    assert!(reader.scan(2, GREEN).await.decision.open);
    let faults = async |labels: &[&str]| gateway.metric("scans_pass_faults_total", labels).await;
    assert_eq!((faults(&["pass-not-base45"]).await, faults(&[]).await), (1.0, 1.0));
}

/// A gateway that has met what makes the metrics appear that are not there while all is well.
async fn troubled(site: &Site) -> Gateway {
    site.configure(&format!(
        "[upstream]\nurl = \"https://127.0.0.1:{}/events\"\nca = \"pki/ca.pem\"\n\
         certificate = \"pki/gateway.pem\"\nkey = \"pki/gateway.key\"\n",
        unused_port()
    ));
    let gateway = site.run().await;
    let mut reader = Reader::connect(site, &gateway, "main-in", Version::V5).await;
    assert!(reader.scan(1, GREEN).await.decision.open);
    gateway.problem_when("upstream", true).await;
    site.replace("policy/default.cedar", "permit (");
    gateway.problem_when("policy", true).await;

    let nobody = tls::anonymous(tls::roots(&site.ca()).unwrap()).unwrap();
    let connect = Connect::new(Version::V5, "main-in");
    if let Ok(mut client) = Client::tls(gateway.mqtt, nobody).await {
        client.hello(&connect).await.expect_err("no certificate, no door");
    }
    let mut other = Client::dial(site, &gateway, "doors", "main-in").await.unwrap();
    other.hello(&Connect::new(Version::V5, "somebody-else")).await.unwrap();
    for refused in ["doors_tls_failures_total", "doors_connections_refused_total"] {
        eventually(refused, async || gateway.metric(refused, &[]).await > 0.0).await;
    }
    gateway
}

fn deployed(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(file)).unwrap()
}

/// Every word that begins with `prefix`.
fn words(text: &str, prefix: &str) -> BTreeSet<String> {
    let ends = |c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-');
    let words = text.match_indices(prefix).map(|(at, _)| text[at..].split(ends).next().unwrap());
    words.filter(|word| *word != prefix).map(str::to_owned).collect()
}
