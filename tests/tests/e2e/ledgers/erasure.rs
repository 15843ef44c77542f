//! Somebody is erased: no file, no answer and nothing that is sent tells of them any more, and all else stays.

use std::fs;
use std::path::Path;
use std::process::Command;

use protocol::Direction;
use serde_json::json;

use super::{answered, people, told};
use crate::harness::{
    Days, GREEN, Gateway, Kept, Manner, Reader, Recorder, Site, Version, everything, lines, program, token_of,
};

pub(super) const PERSON: &str = "X-74011";
const NAME: &str = "Contoh Terlupakan";
pub(super) const BADGE: &str = "CONTOH-BADGE-74011";
const ID_NUMBER: &str = "5171074011740110";
/// What was said about the person.
const REASON: &str = "kenal-74011";
const PURPOSE: &str = "perkara-74011";
/// Why somebody looks after it, or at others.
const OTHER_PURPOSE: &str = "perkara-lain";
/// Somebody who stays.
const OTHER: &str = "C-0001";

/// A site at which the person and somebody else have worked for some days, and how the person is known there.
pub(super) struct Known {
    pub site: Site,
    pub days: Days,
    pub reader: Reader,
    pub officer: String,
    pub words: Vec<(String, Vec<u8>)>,
}

fn kept(seq: u64, at: jiff::Timestamp, direction: Direction, badge: &str) -> Kept {
    Kept { seq, at, direction, badge: badge.into() }
}

/// Lets the person be seen in every way there is: badge, number, pass, a helper's word, looks, a restriction, nonsense.
pub(super) async fn known(recorder: Option<&Recorder>) -> (Known, Gateway) {
    let site = Site::make(&["main-in"]);
    let days = Days::at_noon(&site);
    if let Some(recorder) = recorder {
        recorder.of(&site, 100);
    }
    let (officer, helper) = (token_of(&site, "privacy-officer"), token_of(&site, "helper"));
    let key = site.beside("issuer.key").display().to_string();
    site.must(&["pass", "key", "--out", &key]);
    fs::create_dir_all(site.file("trust/passes")).unwrap();
    fs::copy(format!("{key}.jwks"), site.file("trust/passes/issuer.jwks")).unwrap();
    let pass = ["pass", "issue", "--key", &key, "--issuer", "regency", "--subject", PERSON, "--class", "asn"];
    let pass = site.must(&[&pass[..], &["--status", "green", "--until", "2099-12-31"]].concat());
    let gateway = site.run().await;
    let mut reader = Reader::connect(&site, &gateway, "main-in", Version::V5).await;
    // Before the directory knows whose it is.
    reader.scan(1, BADGE).await;
    let person = json!({ "class": "asn", "status": "green", "name": NAME, "opd": "Dinas Contoh", "badges": [BADGE],
        "id_number": ID_NUMBER });
    let put = answered(&gateway, site.token(), "PUT", &format!("/api/v1/people/{PERSON}"), Some(person)).await;
    assert_eq!(put.0, 201, "{put:?}");
    let scans: Vec<Kept> = (1..=3)
        .flat_map(|ago| [(ago, GREEN), (ago, BADGE)])
        .flat_map(|(ago, badge)| [(ago, 8, Direction::In, badge), (ago, 15, Direction::Out, badge)])
        .zip(2..)
        .map(|((ago, hour, direction, badge), seq)| kept(seq, days.at(ago, hour, 0), direction, badge))
        .collect();
    reader.bring(&scans).await;
    assert!(reader.scan(50, GREEN).await.decision.open);
    for (seq, credential) in [(51, BADGE), (52, &format!("ID:{ID_NUMBER}")), (53, pass.trim())] {
        let decision = reader.scan(seq, credential).await.decision;
        assert!(decision.open, "{seq}: {}", decision.reason);
    }
    let word = json!({ "v": 1, "id": "w-1", "action": "admit", "helper": "Contoh Satgas", "reason": REASON,
        "person": PERSON, "direction": "in" });
    assert_eq!(answered(&gateway, &helper, "POST", "/api/v1/doors/main-in/assist", Some(word)).await.0, 200);
    let nonsense = reader.begin(format!("{{\"credential\":\"{BADGE}").as_bytes()).await;
    reader.acknowledged(nonsense).await;
    for path in [export(PURPOSE), contacts(&days, PERSON, PURPOSE), events(PURPOSE)] {
        assert_eq!(answered(&gateway, site.token(), "GET", &path, None).await.0, 200, "{path}");
    }
    let path = format!("/api/v1/privacy/people/{PERSON}/restriction");
    assert_eq!(answered(&gateway, &officer, "PUT", &path, Some(json!({ "reason": PURPOSE }))).await.0, 200);
    assert_eq!(answered(&gateway, &officer, "DELETE", &path, None).await.0, 204);
    let words = words(&gateway).await;
    (Known { site, days, reader, officer, words }, gateway)
}

fn export(purpose: &str) -> String {
    format!("/api/v1/privacy/people/{PERSON}?purpose={purpose}")
}

fn events(purpose: &str) -> String {
    format!("/api/v1/events?person={PERSON}&purpose={purpose}")
}

fn contacts(days: &Days, person: &str, purpose: &str) -> String {
    let (from, to) = (days.at(4, 0, 0), days.at(0, 0, 0));
    format!("/api/v1/contacts?person={person}&from={from}&to={to}&purpose={purpose}")
}

/// By what the person may be told in a file: texts, and the hashes of credentials in hexadecimal digits and as bytes.
async fn words(gateway: &Gateway) -> Vec<(String, Vec<u8>)> {
    let texts = [PERSON, NAME, BADGE, ID_NUMBER, REASON, PURPOSE].map(str::to_owned);
    let events = lines(gateway.get(&events(PURPOSE)).await).await;
    let hashes = events.iter().flat_map(|event| {
        let scan = &event["subject"]["scan"];
        [&scan["credential"], &scan["pass"]["id"]].map(|hash| hash.as_str().unwrap_or_default().to_owned())
    });
    let mut hashes: Vec<String> = hashes.filter(|hash| !hash.is_empty()).collect();
    hashes.sort();
    hashes.dedup();
    assert!(hashes.len() >= 3, "badge, number and pass: {events:#?}");
    let bytes = |hash: &str| {
        (0..hash.len()).step_by(2).map(|at| u8::from_str_radix(&hash[at..at + 2], 16).unwrap()).collect::<Vec<u8>>()
    };
    let raw: Vec<_> = hashes.iter().map(|hash| (format!("the bytes of {hash}"), bytes(hash))).collect();
    texts.into_iter().chain(hashes).map(|text| (text.clone(), text.into_bytes())).chain(raw).collect()
}

/// Where in a folder something of the person stands.
pub(super) fn traces(folder: &Path, words: &[(String, Vec<u8>)]) -> Vec<String> {
    let mut traces = Vec::new();
    for (path, content) in everything(folder) {
        let name = path.display().to_string();
        let found = |word: &[u8]| content.windows(word.len()).any(|found| found == word);
        traces.extend(words.iter().filter(|(_, word)| found(word)).map(|(what, _)| format!("{what} in {name}")));
    }
    traces
}

/// Nothing that the gateway answers tells of the person, and it still tells of somebody else.
async fn assert_forgotten(gateway: &Gateway, days: &Days, words: &[(String, Vec<u8>)]) {
    let (from, to) = (days.ago(4), days.ago(0));
    let attendance = told(gateway, &format!("/api/v1/attendance?from={from}&to={to}")).await;
    assert_eq!(people(&attendance["rows"]).iter().filter(|person| **person == OTHER).count(), 4, "{attendance:#}");
    let traced = told(gateway, &contacts(days, OTHER, OTHER_PURPOSE)).await;
    let inside = told(gateway, "/api/v1/presence/people").await;
    assert_eq!(people(&inside["people"]), [OTHER]);
    let mut answers = format!("{attendance}{traced}{inside}");
    for path in ["/api/v1/events?limit=10000", "/api/v1/people", "/api/v1/privacy/audit?limit=10000"] {
        answers += &gateway.get(path).await.text().await.unwrap();
    }
    for (path, status) in [
        (export(OTHER_PURPOSE), 404),
        (contacts(days, PERSON, OTHER_PURPOSE), 404),
        (format!("/api/v1/people/{PERSON}"), 404),
        (format!("/api/v1/attendance?from={from}&person={PERSON}"), 404),
    ] {
        let answer = gateway.get(&path).await;
        assert_eq!(answer.status(), status, "{path}");
        answers += &answer.text().await.unwrap();
    }
    assert!(lines(gateway.get(&events(OTHER_PURPOSE)).await).await.is_empty());
    let told: Vec<_> = words.iter().filter(|(_, word)| contains(&answers, word)).map(|(what, _)| what).collect();
    assert!(told.is_empty(), "{told:?} in {answers}");
}

fn contains(text: &str, word: &[u8]) -> bool {
    text.as_bytes().windows(word.len()).any(|found| found == word)
}

#[tokio::test]
async fn after_an_erasure_nothing_tells_of_the_person_and_everything_of_the_others() {
    let (Known { site, days, mut reader, officer, words }, gateway) = known(None).await;
    let before = told(&gateway, &contacts(&days, OTHER, OTHER_PURPOSE)).await;
    assert_eq!(people(&before["contacts"]), [PERSON]);
    assert!(!traces(&site.root(), &words).is_empty(), "what is looked for can be found");

    let erase = ["privacy", "erase", PERSON, "--purpose", "own request", "--yes"];
    let refused = site.ask(&gateway, &officer, &erase);
    assert!(!refused.success && refused.stderr.contains("409") && refused.stderr.contains("--force"), "{refused:?}");
    assert_eq!(answered(&gateway, &officer, "GET", &export(OTHER_PURPOSE), None).await.0, 200, "nothing was erased");
    reader.leave(60, BADGE).await;
    let erased = site.ask(&gateway, &officer, &erase);
    assert!(erased.success && erased.stdout.starts_with(&format!("{PERSON}: erased")), "{erased:?}");
    let said = gateway.stderr() + &gateway.metrics().await;
    assert!(words.iter().all(|(_, word)| !contains(&said, word)), "{said}");
    // At once, while the gateway runs.
    assert_eq!(traces(&site.root(), &words), [""; 0]);
    assert_forgotten(&gateway, &days, &words).await;
    let again = site.ask(&gateway, &officer, &erase);
    assert!(!again.success && again.stderr.contains("404"), "{again:?}");
    assert_eq!(reader.scan(61, BADGE).await.decision.reason, "unknown-credential");

    gateway.kill_9();
    let gateway = site.run().await;
    assert_forgotten(&gateway, &days, &words[..6]).await;
    assert!(gateway.terminate().await.success());
    let (texts, _) = words.split_at(6);
    assert_eq!(traces(&site.root(), texts), [""; 0]);
    let verified = site.must(&["log", "verify"]);
    assert!(verified.contains("events"), "{verified}");
    let exported = site.must(&["log", "export"]);
    let erased = exported.lines().filter(|line| line.contains("\"erased\":true")).count();
    // One scan before the directory knew the badge, six late ones, three at the door, the helper's word, one on leaving,
    // and the payload that was none.
    assert_eq!(erased, 13, "{exported}");
    assert!(exported.contains(OTHER));

    let backup = site.beside("backup");
    assert!(Command::new("cp").arg("-a").arg(site.root()).arg(&backup).status().unwrap().success());
    fs::remove_file(backup.join("data/views.redb")).unwrap();
    assert_eq!(traces(&backup, texts), [""; 0]);
    for (command, said) in [("export", exported), ("verify", verified)] {
        let mut gapura = program(Path::new(env!("CARGO_BIN_EXE_gateway-under-test")));
        gapura.arg("--config").arg(backup.join("gapura.toml")).args(["log", command]);
        assert_eq!(String::from_utf8_lossy(&gapura.output().unwrap().stdout), said);
    }
}

#[tokio::test]
async fn what_is_sent_again_after_a_forced_erasure_says_erased() {
    let recorder = Recorder::start(Manner::Withholds).await;
    let (Known { site, officer, words, .. }, gateway) = known(Some(&recorder)).await;
    recorder.when("the person was sent, and not acknowledged", |recorder| recorder.text(0).contains(PERSON)).await;
    let erase = ["privacy", "erase", PERSON, "--purpose", "own request", "--yes", "--force"];
    let erased = site.ask(&gateway, &officer, &erase);
    assert!(erased.success, "{erased:?}");
    // One batch may be on its way.
    let before = recorder.posts() + 1;
    recorder.when("it is tried again", |recorder| recorder.posts() > before + 1).await;
    recorder.set(Manner::Takes);
    let last = gateway.events().await.len() as u64;
    gateway.status_when("all is upstream", |status| status["upstream"]["acked_through"] == last).await;
    let text = recorder.text(before);
    let told: Vec<_> = words.iter().filter(|(_, word)| contains(&text, word)).map(|(what, _)| what).collect();
    assert!(told.is_empty(), "{told:?} in {text}");
    let events = recorder.events(before, "gapura.");
    let of_others = events.iter().filter(|event| event["data"]["verdict"]["person"] == OTHER).count();
    assert!(
        of_others >= 7 && events.iter().filter(|event| event["data"]["erased"] == true).count() >= 11,
        "{events:#?}"
    );
}

#[tokio::test]
async fn what_the_upstream_says_of_a_person_when_it_refuses_an_event_is_not_kept() {
    let recorder = Recorder::start(Manner::RefusesAndRepeats).await;
    let (Known { site, officer, words, .. }, gateway) = known(Some(&recorder)).await;
    let last = gateway.events().await.len() as u64;
    let status = gateway.status_when("all is in quarantine", |status| status["upstream"]["acked_through"] == last);
    assert_eq!(status.await["upstream"]["quarantined"], json!([[1, last]]));
    let known_to_the_log =
        |site: &Site| traces(&site.file("data"), &words).into_iter().filter(|trace| trace.contains("log.redb"));
    assert_eq!(known_to_the_log(&site).collect::<Vec<_>>(), [""; 0]);
    let erase = ["privacy", "erase", PERSON, "--purpose", "own request", "--yes", "--force"];
    assert!(site.ask(&gateway, &officer, &erase).success);
    assert_eq!(traces(&site.root(), &words), [""; 0]);
}
