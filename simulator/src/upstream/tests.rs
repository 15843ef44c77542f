//! The receiver over real mutual TLS: posted to by hand, and by the gateway's own forwarder.
//!
//! Longer than 400 lines: every fault of the receiver is tried with the same certificates.

use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant as Stopwatch};

use base::clock::Clock;
use flate2::Compression;
use flate2::write::GzEncoder;
use protocol::batch::AttendanceDay;
use protocol::{
    ClockQuality, CloudEvent, CredentialHash, Direction, Event, EventKind, Instant, Mode, Outcome, ScanId, ScanRecord,
    Text, Verdict,
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use reqwest::{Client, StatusCode};
use tempfile::TempDir;
use tokio::sync::watch;
use upstream::{Config, Forwarder, ForwarderContext, Metrics, Privacy};

use super::*;
use crate::tls as client_tls;

const SITE: &str = "urn:gapura:regency";

/// A CA with certificates for the receiver (`server`) and a gateway (`gateway`), and a certificate that another CA has
/// made (`stranger`).
struct Certificates {
    folder: TempDir,
}

impl Certificates {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (ca, ca_pem) = authority();
        std::fs::write(folder.path().join("ca.pem"), ca_pem).unwrap();
        issue(&ca, folder.path(), "server", "127.0.0.1");
        issue(&ca, folder.path(), "gateway", "gateway");
        issue(&authority().0, folder.path(), "stranger", "gateway");
        Self { folder }
    }

    fn options(&self) -> Options {
        let path = |name| self.folder.path().join(name);
        Options {
            listen: ([127, 0, 0, 1], 0).into(),
            certificate: path("server.pem"),
            key: path("server.key"),
            client_ca: path("ca.pem"),
            ledger: Some(path("ledger.ndjson")),
            sync: false,
            faults: Faults::default(),
            seed: 1,
        }
    }

    /// A client that shows the certificate `name`, or none.
    fn client(&self, name: Option<&str>) -> Client {
        let roots = client_tls::roots(&self.folder.path().join("ca.pem")).unwrap();
        let tls = match name {
            Some(name) => client_tls::client(roots, self.folder.path(), name),
            None => client_tls::anonymous(roots),
        };
        upstream::client(&config("https://127.0.0.1/"), Some(tls.unwrap())).unwrap()
    }
}

fn authority() -> (Issuer<'static, KeyPair>, String) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let pem = params.self_signed(&key).unwrap().pem();
    (Issuer::new(params, key), pem)
}

fn issue(ca: &Issuer<'_, KeyPair>, folder: &Path, name: &str, alternative_name: &str) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![alternative_name.to_owned()]).unwrap();
    std::fs::write(folder.join(format!("{name}.pem")), params.signed_by(&key, ca).unwrap().pem()).unwrap();
    std::fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
}

fn config(url: &str) -> Config {
    let path = std::path::PathBuf::from("elsewhere.pem");
    Config {
        url: url.into(),
        ca: path.clone(),
        certificate: path.clone(),
        key: path,
        backoff_ms_min: 1,
        backoff_ms_max: 5,
        ..Config::default()
    }
}

fn event(number: u64) -> Event {
    Event {
        number,
        door: "main-in".parse().unwrap(),
        received_at: Instant::from_unix_ms(1_795_390_264_120),
        decided_at: Instant::from_unix_ms(1_795_390_264_121),
        subject: EventKind::Scan(ScanRecord {
            id: ScanId { epoch: 1, seq: number + 100 },
            scanned_at: Instant::from_unix_ms(1_795_390_264_100),
            direction: Direction::In,
            credential: CredentialHash([7; 16]),
            clock: ClockQuality::Good,
            kind: None,
            pass: None,
        }),
        verdict: Verdict {
            outcome: Outcome::Granted,
            open: true,
            reason: "staff-working-hours".into(),
            text: Text::new("Silakan masuk", "Please come in"),
            mode: Mode::Enforce,
            would_be: None,
            person: None,
            class: None,
            status: None,
            policies: Vec::new(),
            policy_set: None,
            zone: None,
            shadow: None,
            language: None,
        },
        encrypted: None,
        happened_at: None,
        marks: protocol::event::Marks::default(),
    }
}

fn json(ids: &[u64]) -> String {
    let events: Vec<_> = ids.iter().map(|id| CloudEvent::new(&"regency".parse().unwrap(), event(*id))).collect();
    serde_json::to_string(&events).unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

async fn send(
    client: &Client,
    upstream: &Upstream,
    kind: &str,
    encoding: &str,
    body: Vec<u8>,
) -> reqwest::Result<(StatusCode, String)> {
    let request = client.post(format!("https://{}/events", upstream.address()));
    let response = request.header("content-type", kind).header("content-encoding", encoding).body(body).send().await?;
    Ok((response.status(), response.text().await?))
}

async fn post(client: &Client, upstream: &Upstream, ids: &[u64]) -> reqwest::Result<(StatusCode, String)> {
    send(client, upstream, protocol::batch::CONTENT_TYPE, "gzip", gzip(json(ids).as_bytes())).await
}

/// Posts a batch and gives the number that is answered.
async fn acked(client: &Client, upstream: &Upstream, ids: &[u64]) -> u64 {
    let (status, body) = post(client, upstream, ids).await.unwrap();
    assert_eq!(status, StatusCode::OK, "{body}");
    serde_json::from_str::<protocol::BatchAnswer>(&body).unwrap().acked_through
}

fn kept(upstream: &Upstream) -> SourceSummary {
    upstream.summary().sources.remove(SITE).unwrap_or_default()
}

#[tokio::test]
async fn the_answer_is_how_far_the_ledger_reaches_without_a_hole() {
    let certificates = Certificates::new();
    let upstream = start(certificates.options()).await.unwrap();
    let client = certificates.client(Some("gateway"));
    assert_eq!(acked(&client, &upstream, &[1, 2, 3]).await, 3);
    assert_eq!(acked(&client, &upstream, &[5]).await, 3);
    assert_eq!(acked(&client, &upstream, &[3, 4]).await, 5);

    let summary = client.get(format!("https://{}/summary", upstream.address())).send().await.unwrap();
    let summary: LedgerSummary = summary.json().await.unwrap();
    let expected =
        SourceSummary { first: 1, acked_through: 5, events: 5, duplicates: 1, out_of_order: 1, ..Default::default() };
    assert_eq!(summary.sources[SITE], expected);
    assert_eq!(summary, upstream.stop().await);

    let path = certificates.options().ledger.unwrap();
    let lines: Vec<Entry> = entries(&path).unwrap().map(Result::unwrap).collect();
    assert_eq!(lines.len(), 6);
    assert_eq!((lines[0].id, &*lines[0].door, lines[0].epoch, lines[0].seq), (1, "main-in", Some(1), Some(101)));
}

/// An office's working day as the gateway posts it.
fn day(opd: &str, rows: usize, time: i64) -> CloudEvent<AttendanceDay<u8>> {
    let data = AttendanceDay { day: "2026-11-23".into(), opd: opd.into(), rows: vec![0; rows] };
    CloudEvent::attendance(&"regency".parse().unwrap(), data, rows as u64, Instant::from_unix_ms(time))
}

#[tokio::test]
async fn working_days_are_counted_apart_and_take_no_numbers() {
    let certificates = Certificates::new();
    let upstream = start(certificates.options()).await.unwrap();
    let client = certificates.client(Some("gateway"));
    let batch = protocol::batch::CONTENT_TYPE;
    assert_eq!(acked(&client, &upstream, &[1, 2]).await, 2);
    for (events, status) in [
        (vec![day("dinkes", 7, 10)], 200),
        (vec![day("dinkes", 7, 10), day("", 3, 10)], 200),
        (vec![day("dinkes", 8, 20)], 200),
        (vec![CloudEvent { subject: "2026-11-24/dinkes".into(), ..day("dinkes", 9, 30) }], 422),
        (vec![CloudEvent { id: "7".into(), ..day("dinkes", 9, 30) }], 422),
        (vec![CloudEvent { kind: "gapura.scan.decided.v1".into(), id: "3".into(), ..day("dinkes", 9, 30) }], 422),
    ] {
        let body = gzip(&serde_json::to_vec(&events).unwrap());
        let (found, answer) = send(&client, &upstream, batch, "gzip", body).await.unwrap();
        assert_eq!(found.as_u16(), status, "{answer}");
    }
    upstream.set_fault("503".parse().unwrap());
    let body = gzip(&serde_json::to_vec(&[day("setda", 1, 10)]).unwrap());
    assert_eq!(send(&client, &upstream, batch, "gzip", body).await.unwrap().0.as_u16(), 503);
    upstream.set_fault(Faults::default());
    assert_eq!(acked(&client, &upstream, &[3]).await, 3);
    let mixed = json(&[4]).replacen('[', &format!("[{},", serde_json::to_string(&day("dinkes", 1, 1)).unwrap()), 1);
    assert_eq!(send(&client, &upstream, batch, "identity", mixed.into()).await.unwrap().0.as_u16(), 400);

    let summary = upstream.summary();
    assert_eq!(summary.attendance[SITE], DaysSummary { days: 2, rows: 11, events: 3, duplicates: 1 });
    let expected = SourceSummary { first: 1, acked_through: 3, events: 3, ..SourceSummary::default() };
    assert_eq!(summary.sources[SITE], expected);
    upstream.stop().await;
}

#[tokio::test]
async fn a_restart_continues_the_ledger() {
    let certificates = Certificates::new();
    let client = certificates.client(Some("gateway"));
    let first = start(certificates.options()).await.unwrap();
    acked(&client, &first, &[1, 2]).await;
    let summary = first.stop().await;
    let second = start(Options { sync: true, ..certificates.options() }).await.unwrap();
    assert_eq!(second.summary(), summary);
    assert_eq!(acked(&client, &second, &[2, 3]).await, 3);
    assert_eq!(kept(&second).duplicates, 1);
    second.stop().await;
}

#[tokio::test]
async fn only_certificates_of_the_clients_ca_are_let_in() {
    let certificates = Certificates::new();
    let upstream = start(certificates.options()).await.unwrap();
    // Clients that say nothing must not keep the others waiting.
    let mut silent = Vec::new();
    for _ in 0..50 {
        silent.push(tokio::net::TcpStream::connect(upstream.address()).await.unwrap());
    }
    assert!(post(&certificates.client(None), &upstream, &[1]).await.is_err());
    assert!(post(&certificates.client(Some("stranger")), &upstream, &[1]).await.is_err());
    assert_eq!(acked(&certificates.client(Some("gateway")), &upstream, &[1]).await, 1);
    assert_eq!(kept(&upstream).duplicates, 0);
    upstream.stop().await;
}

#[tokio::test]
async fn what_is_no_batch_is_refused_with_the_reason() {
    let certificates = Certificates::new();
    let upstream = start(certificates.options()).await.unwrap();
    let client = certificates.client(Some("gateway"));
    let batch = protocol::batch::CONTENT_TYPE;
    let (one, two) = (json(&[1]), json(&[1, 2]));
    for (kind, encoding, body, status, reason) in [
        ("application/json", "gzip", gzip(one.as_bytes()), 415, "wanted is application/cloudevents-batch+json"),
        (batch, "br", one.clone().into(), 415, "wanted is gzip"),
        (batch, "gzip", one.clone().into(), 400, "no gzip"),
        (batch, "gzip", gzip(b"nonsense"), 400, "no JSON array"),
        (batch, "identity", b"[]".to_vec(), 400, "empty"),
        (batch, "identity", two.replacen("regency", "village", 1).into(), 400, "more than one source"),
        (batch, "identity", one.replacen("decided.v1", "decided.v2", 1).into(), 422, "gapura.scan.decided.v2"),
        (batch, "identity", one.replacen("\"1.0\"", "\"2.0\"", 1).into(), 422, "specversion"),
        (batch, "identity", one.replacen("\"id\":\"1\"", "\"id\":\"0\"", 1).into(), 422, "no event's number"),
        (batch, "identity", vec![b' '; (4 << 20) + 1], 413, "length limit"),
        (batch, "gzip", gzip(&vec![b' '; (16 << 20) + 1]), 413, "inflates to more than 16777216 bytes"),
    ] {
        let (found, answer) = send(&client, &upstream, kind, encoding, body).await.unwrap();
        assert_eq!(found.as_u16(), status, "{answer}");
        assert!(answer.contains(reason), "{answer}");
    }
    let wrong_method = client.get(format!("https://{}/events", upstream.address())).send().await.unwrap();
    assert_eq!(wrong_method.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert!(upstream.summary().sources.is_empty());

    let (status, _) =
        send(&client, &upstream, &format!("{batch}; charset=utf-8"), "identity", one.into()).await.unwrap();
    assert_eq!(status, StatusCode::OK);
    upstream.stop().await;
}

#[tokio::test]
async fn each_fault_does_what_it_says() {
    let certificates = Certificates::new();
    let upstream = start(Options { faults: "503".parse().unwrap(), ..certificates.options() }).await.unwrap();
    let client = certificates.client(Some("gateway"));
    assert_eq!(post(&client, &upstream, &[1]).await.unwrap().0, StatusCode::SERVICE_UNAVAILABLE);
    upstream.set_fault("cut".parse().unwrap());
    assert!(post(&client, &upstream, &[1]).await.is_err());
    assert!(upstream.summary().sources.is_empty());

    upstream.set_fault("lost-answer".parse().unwrap());
    assert!(post(&client, &upstream, &[1]).await.is_err());
    assert_eq!(kept(&upstream).acked_through, 1);

    upstream.set_fault("slow:50".parse().unwrap());
    let started = Stopwatch::now();
    assert_eq!(acked(&client, &upstream, &[2]).await, 2);
    assert!(started.elapsed() >= Duration::from_millis(50));

    let fault = format!("https://{}/fault", upstream.address());
    let set = async |text: &'static str| client.put(&fault).body(text).send().await.unwrap().status();
    assert_eq!(set("refuse:4").await, StatusCode::NO_CONTENT);
    assert_eq!(set("refuse").await, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(post(&client, &upstream, &[3, 4, 5]).await.unwrap().0, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(kept(&upstream).acked_through, 2);
    assert_eq!(acked(&client, &upstream, &[3]).await, 3);
    assert_eq!(post(&client, &upstream, &[4]).await.unwrap().0, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(acked(&client, &upstream, &[5]).await, 5);
    assert_eq!((kept(&upstream).refused, kept(&upstream).events), (1, 4));
    upstream.stop().await;
}

#[tokio::test]
async fn a_stop_lets_a_request_under_way_be_answered() {
    let certificates = Certificates::new();
    let options = Options { faults: "slow:100".parse().unwrap(), ..certificates.options() };
    let upstream = start(options).await.unwrap();
    let client = certificates.client(Some("gateway"));
    let url = format!("https://{}/events", upstream.address());
    let request = client.post(url).header("content-type", protocol::batch::CONTENT_TYPE).body(json(&[1]));
    let answer = tokio::spawn(request.send());
    let desk = Arc::clone(&upstream.desk);
    until("the request is under way", || desk.batches() == 1).await;
    let summary = upstream.stop().await;
    assert_eq!(summary.sources[SITE].acked_through, 1);
    assert_eq!(answer.await.unwrap().unwrap().status(), StatusCode::OK);
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waiting).await.unwrap_or_else(|_| panic!("never: {what}"));
}

#[tokio::test]
async fn the_gateways_forwarder_loses_nothing_whatever_the_receiver_does() {
    let certificates = Certificates::new();
    let faults = "refuse:17,refuse:333,503@0.2,cut@0.1,lost-answer@0.2,slow:5@0.3".parse().unwrap();
    let upstream = start(Options { faults, ..certificates.options() }).await.unwrap();
    let notes: Arc<Mutex<Vec<store::log::UpstreamCursor>>> = Arc::default();
    let kept_notes = Arc::clone(&notes);
    let forwarder = Forwarder::new(ForwarderContext {
        site: "regency".parse().unwrap(),
        client: Arc::new(arc_swap::ArcSwap::from_pointee(certificates.client(Some("gateway")))),
        read: Arc::new(|after, events_max, _| Ok((after + 1..=1_000).take(events_max).map(event).collect())),
        beyond: Arc::new(|_| Box::pin(std::future::pending())),
        keep: Arc::new(move |note| {
            kept_notes.lock().unwrap().push(note);
            Box::pin(async { Ok(()) })
        }),
        privacy: Privacy::default(),
        start_after: 0,
        quarantined: Vec::new(),
        clock: Clock::system(),
        metrics: Metrics::new(&mut Default::default()),
        config: Config { batch_events_max: 40, ..config(&format!("https://{}/events", upstream.address())) },
    })
    .unwrap();
    let progress = forwarder.progress();
    let stop = watch::Sender::new(false);
    let task = tokio::spawn(forwarder.run(stop.subscribe()));
    until("all is upstream", || progress.figures(1_000).backlog == 0).await;
    stop.send_replace(true);
    task.await.unwrap();

    let found = upstream.stop().await.sources.remove(SITE).unwrap();
    assert_eq!((found.first, found.acked_through, found.events), (1, 1_000, 998));
    assert_eq!((found.missing, found.out_of_order, found.refused), (0, 0, 2));
    assert!(found.duplicates > 0, "an answer that was lost makes duplicates");
    assert_eq!(progress.figures(1_000).quarantined, [(17, 17), (333, 333)]);
    let quarantined = notes.lock().unwrap().iter().filter(|note| note.quarantined.is_some()).count();
    assert_eq!(quarantined, 2);
}

#[tokio::test]
async fn files_that_do_not_fit_are_named() {
    let certificates = Certificates::new();
    let good = certificates.options();
    for (options, expected) in [
        (Options { certificate: "nowhere.pem".into(), ..good.clone() }, "nowhere.pem"),
        (Options { client_ca: good.key.clone(), ..good.clone() }, "server.key"),
        (Options { key: good.key.with_file_name("gateway.key"), ..good.clone() }, "do not fit together"),
    ] {
        let error = format!("{:#}", start(options).await.unwrap_err());
        assert!(error.contains(expected), "{error}");
    }
}
