//! The way upstream: away, faulty, refusing, and over restarts.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde_json::{Value, json};
use simulator::demo::site::upstream_certificate;
use simulator::upstream::{Faults, Options, SourceSummary, Upstream, start};

use crate::harness::{GREEN, Gateway, Reader, Site, Version, audit, unused_port};

/// A site whose gateway forwards to an upstream that may be there or not.
struct Forwarding {
    site: Site,
    address: SocketAddr,
}

impl Forwarding {
    fn make() -> Self {
        let site = Site::make(&["main-in"]);
        let address = SocketAddr::from(([127, 0, 0, 1], unused_port()));
        site.configure(&format!(
            r#"
            [upstream]
            url = "https://{address}/events"
            ca = "pki/ca.pem"
            certificate = "pki/gateway.pem"
            key = "pki/gateway.key"
            batch_events_max = 4
            backoff_ms_min = 10
            backoff_ms_max = 200
            "#
        ));
        Self { site, address }
    }

    fn ledger(&self) -> PathBuf {
        self.site.beside("ledger.ndjson")
    }

    async fn upstream(&self, faults: &str) -> Upstream {
        let (certificate, key) = upstream_certificate(&self.site.root()).unwrap();
        let options = Options {
            listen: self.address,
            certificate,
            key,
            client_ca: self.site.ca(),
            ledger: Some(self.ledger()),
            sync: false,
            faults: faults.parse().unwrap(),
            seed: 1,
        };
        start(options).await.unwrap()
    }

    /// Nothing is lost between the log and the upstream's ledger.
    fn assert_complete(&self, gateway: &Gateway) -> Value {
        let audit = audit(&self.site, gateway, &[], Some(&self.ledger()));
        for wrong in ["lost", "duplicated", "out_of_order", "only_upstream"] {
            assert_eq!(audit[wrong], 0, "{audit:#}");
        }
        audit
    }
}

#[tokio::test]
async fn with_the_upstream_away_doors_notice_nothing_and_all_arrives_once_and_in_order_when_it_is_back() {
    let forwarding = Forwarding::make();
    let gateway = forwarding.site.run().await;
    scan(&forwarding.site, &gateway, 1..=30).await;
    // Before anybody has looked at the status: an alert has only this.
    assert_eq!(gateway.metric("upstream_backlog_events", &[]).await, 30.0);
    let status = gateway.status_when("the status names the upstream", |status| problem(status, "upstream")).await;
    assert_eq!(status["upstream"]["backlog"], 30);
    assert!(status["upstream"]["error"].is_string() && status["upstream"]["failing_since"].is_string(), "{status:#}");
    assert!(gateway.ready().await.0);

    let upstream = forwarding.upstream("none").await;
    let status = forwarded(&gateway, 30).await;
    assert!(!problem(&status, "upstream") && status["upstream"]["backlog"] == 0, "{status:#}");
    assert_eq!(
        summary(&upstream),
        SourceSummary { first: 1, acked_through: 30, events: 30, ..SourceSummary::default() }
    );
    forwarding.assert_complete(&gateway);
}

#[tokio::test]
async fn a_mended_upstream_certificate_is_taken_over_without_a_restart() {
    let mut forwarding = Forwarding::make();
    let trusted = forwarding.site.file("pki/upstream-ca.pem");
    fs::copy(Site::make(&["main-in"]).ca(), &trusted).unwrap();
    forwarding.site.set("GAPURA_UPSTREAM__CA", trusted.display());
    let upstream = forwarding.upstream("none").await;
    let gateway = forwarding.site.run().await;
    scan(&forwarding.site, &gateway, 1..=5).await;
    gateway.status_when("the upstream is not trusted", |status| problem(status, "upstream")).await;
    assert_eq!(upstream.summary().sources.len(), 0);

    let good = fs::read_to_string(forwarding.site.ca()).unwrap();
    forwarding.site.replace("pki/upstream-ca.pem", &good);
    forwarded(&gateway, 5).await;
    forwarding.assert_complete(&gateway);
}

#[tokio::test]
async fn an_upstream_that_fails_in_every_way_has_everything_in_the_end() {
    let forwarding = Forwarding::make();
    let upstream = forwarding.upstream("none").await;
    let gateway = forwarding.site.run().await;
    let mut through = 0;
    for fault in ["503", "429", "cut", "lost-answer"] {
        upstream.set_fault(fault.parse().unwrap());
        let tries = gateway.metric("upstream_retries_total", &[]).await;
        scan(&forwarding.site, &gateway, through + 1..=through + 10).await;
        // The fault strikes for as long as it takes to be noticed, and again.
        gateway.status_when(fault, |status| problem(status, "upstream")).await;
        crate::harness::eventually(&format!("{fault}: tried again"), async || {
            gateway.metric("upstream_retries_total", &[]).await >= tries + 3.0
        })
        .await;
        assert!(gateway.ready().await.0, "{fault}");
        upstream.set_fault(Faults::default());
        through += 10;
        forwarded(&gateway, through).await;
    }
    upstream.set_fault("slow:300".parse().unwrap());
    scan(&forwarding.site, &gateway, through + 1..=through + 10).await;
    forwarded(&gateway, through + 10).await;
    let summary = summary(&upstream);
    assert_eq!((summary.events, summary.missing), (through + 10, 0), "{summary:?}");
    let audit = forwarding.assert_complete(&gateway);
    assert!(audit["forwarded_again"].as_u64().unwrap() > 0, "an answer that is lost makes repetitions: {audit:#}");
}

#[tokio::test]
async fn an_event_that_the_upstream_refuses_for_good_is_quarantined_and_holds_up_nothing() {
    let forwarding = Forwarding::make();
    let upstream = forwarding.upstream("refuse:7").await;
    let gateway = forwarding.site.run().await;
    scan(&forwarding.site, &gateway, 1..=20).await;
    let status = forwarded(&gateway, 20).await;
    assert_eq!(status["upstream"]["quarantined"], json!([[7, 7]]));
    assert!(problem(&status, "quarantine") && gateway.ready().await.0);
    assert_eq!(gateway.metric("upstream_quarantined_events_total", &[]).await, 1.0);
    let summary = summary(&upstream);
    assert_eq!((summary.events, summary.refused, summary.missing), (19, 1, 0), "{summary:?}");

    gateway.kill_9();
    let gateway = forwarding.site.run().await;
    assert_eq!(gateway.status().await["upstream"]["quarantined"], json!([[7, 7]]), "known after a restart");
}

#[tokio::test]
async fn a_restarted_gateway_goes_on_where_the_upstream_was() {
    let forwarding = Forwarding::make();
    let upstream = forwarding.upstream("none").await;
    let gateway = forwarding.site.run().await;
    scan(&forwarding.site, &gateway, 1..=20).await;
    forwarded(&gateway, 20).await;
    gateway.kill_9();

    let gateway = forwarding.site.run().await;
    assert_eq!(gateway.status().await["upstream"]["acked_through"], 20);
    scan(&forwarding.site, &gateway, 21..=25).await;
    forwarded(&gateway, 25).await;
    assert_eq!(gateway.metric("upstream_events_sent_total", &[]).await, 5.0);
    assert!(gateway.terminate().await.success());
    assert_eq!(
        summary(&upstream),
        SourceSummary { first: 1, acked_through: 25, events: 25, ..SourceSummary::default() }
    );
}

/// Makes these scans; each of them is granted, whatever the upstream does.
async fn scan(site: &Site, gateway: &Gateway, seqs: std::ops::RangeInclusive<u64>) {
    let mut reader = Reader::connect(site, gateway, "main-in", Version::V5).await;
    for seq in seqs {
        assert!(reader.scan(seq, GREEN).await.decision.open);
    }
}

async fn forwarded(gateway: &Gateway, through: u64) -> Value {
    let what = format!("everything through {through} is upstream");
    gateway.status_when(&what, |status| status["upstream"]["acked_through"] == through).await
}

fn summary(upstream: &Upstream) -> SourceSummary {
    upstream.summary().sources.remove("urn:gapura:regency").unwrap()
}

fn problem(status: &Value, what: &str) -> bool {
    status["problems"].as_array().unwrap().iter().any(|problem| problem["what"] == what)
}
