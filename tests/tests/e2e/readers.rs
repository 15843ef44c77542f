//! Readers as they are: rebooted, without a clock or with a wrong one, appending to codes and escaping them.

use jiff::{SignedDuration, Timestamp};
use protocol::{DoorConfig, DoorState, DoorStatus, Outcome};
use serde_json::json;

use crate::harness::{Client, Connect, GREEN, QoS, Reader, Site, UNKNOWN, Version, eventually, lines};

/// Longer than a reader may take for emptying its store after it has connected.
const SETTLED: SignedDuration = SignedDuration::from_millis(5_100);

/// A scan as its reader writes it, number and time as they are given.
fn scan(seq: &str, scanned_at: &str, direction: &str, credential: &str) -> Vec<u8> {
    format!(
        r#"{{"v":1,"epoch":1,"seq":{seq},"scanned_at":"{scanned_at}","direction":"{direction}","credential":"{credential}"}}"#
    )
    .into_bytes()
}

fn now() -> String {
    Timestamp::now().to_string()
}

#[tokio::test]
async fn a_used_number_lets_no_stranger_in_and_config_tells_where_to_go_on() {
    let site = Site::make(&["main-in"]);
    let gateway = site.run().await;
    let mut reader = Reader::connect(&site, &gateway, "main-in", Version::V5).await;
    let (at, seq) = (now(), "1");
    let first = reader.send(1, &scan(seq, &at, "in", GREEN)).await;
    assert_eq!((first.decision.outcome, first.decision.open), (Outcome::Granted, true));
    let stranger = scan(seq, &at, "in", UNKNOWN);
    let second = reader.send(1, &stranger).await;
    assert_eq!(
        (second.decision.outcome, second.decision.open, second.decision.event),
        (Outcome::Denied, false, Some(2))
    );
    reader.send(7, &scan("7", &now(), "in", GREEN)).await;
    gateway.kill_9();

    let gateway = site.run().await;
    let mut reader = Reader::connect(&site, &gateway, "main-in", Version::V4).await;
    assert_eq!(reader.send(1, &stranger).await.payload, second.payload);
    assert_eq!(reader.send(1, &scan(seq, &at, "in", GREEN)).await.payload, first.payload);
    let replaced = reader.send(1, &scan(seq, &now(), "in", UNKNOWN)).await;
    assert_eq!((replaced.decision.open, replaced.decision.event), (false, Some(4)));
    let marks: Vec<_> = gateway.events().await.iter().map(|event| event["marks"].clone()).collect();
    assert_eq!(marks, [json!(null), json!(["number-reused"]), json!(null), json!(["number-reused"])]);
    let problem = gateway.problem_when("reader-numbers", true).await.unwrap();
    let message = problem["message"].as_str().unwrap();
    assert!(message.starts_with("door main-in: 1 scans came under numbers") && message.contains("config"), "{message}");

    let topic = reader.topic("config");
    reader.client.subscribe(&topic, QoS::AtLeastOnce).await;
    let config = DoorConfig::from_json(&reader.client.message().await.payload).unwrap();
    assert_eq!((config.epoch, config.seq), (Some(1), Some(7)));
}

#[tokio::test]
async fn a_decision_that_is_told_again_late_opens_nothing() {
    let mut site = Site::make(&["main-in"]);
    site.set("GAPURA_SCANS__LATE_AFTER_MS", 1_000);
    let gateway = site.run().await;
    let mut reader = Reader::connect(&site, &gateway, "main-in", Version::V5).await;
    let payload = reader.payload(1, GREEN, SignedDuration::ZERO);
    let first = reader.send(1, &payload).await.decision;
    assert!(first.open);
    let mut again = first.clone();
    eventually("the door is not told to open any more", async || {
        again = reader.send(1, &payload).await.decision;
        !again.open
    })
    .await;
    assert_eq!((again.outcome, again.event), (Outcome::Granted, Some(1)));
}

#[tokio::test]
async fn a_reader_without_a_clock_is_filed_where_it_belongs() {
    let site = Site::make(&["main-in"]);
    let gateway = site.run().await;
    let mut reader = Reader::connect(&site, &gateway, "main-in", Version::V5).await;
    // It was switched on three hours ago, at 1970, and held a scan of two hours ago back.
    let since_1970 = |ago: SignedDuration| (Timestamp::UNIX_EPOCH + SignedDuration::from_hours(3) - ago).to_string();
    let clock = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(3);
    let status = DoorStatus::new(DoorState::Online, Some(clock.into())).to_json();
    let topic = reader.topic("status");
    reader.client.publish(&topic, QoS::AtLeastOnce, &status).await.unwrap();
    let late = reader.send(1, &scan("1", &since_1970(SignedDuration::from_hours(2)), "in", GREEN)).await;
    assert_eq!((late.decision.reason.as_str(), late.decision.open), ("late-scan", false));
    let live = reader.send(2, &scan("2", &since_1970(SignedDuration::ZERO), "in", GREEN)).await;
    assert_eq!((live.decision.outcome, live.decision.open), (Outcome::Granted, true));
    let events = gateway.events().await;
    let happened: Vec<Timestamp> =
        events.iter().map(|event| event["happened_at"].as_str().unwrap().parse().unwrap()).collect();
    let ago = |at: Timestamp| Timestamp::now().duration_since(at).as_secs();
    assert!((7_200..7_300).contains(&ago(happened[0])) && (0..100).contains(&ago(happened[1])), "{happened:?}");
    assert_eq!(events[0]["subject"]["scan"]["clock"], "behind");
    // A search goes by it, and what is raw is kept.
    assert!(events[0]["subject"]["scan"]["scanned_at"].as_str().unwrap().starts_with("1970-"));
    let from = happened[0].to_string();
    let found = lines(gateway.get(&format!("/api/v1/events?from={from}&to={}", happened[1])).await).await;
    assert_eq!(found.len(), 1);
    let inside = gateway.get("/api/v1/presence").await.text().await.unwrap();
    assert!(inside.contains("main"), "{inside}");
}

#[tokio::test]
async fn a_clock_that_tells_nothing_is_a_problem_and_opens_nothing_that_may_have_waited() {
    let site = Site::make(&["main-in"]);
    let gateway = site.run().await;
    let mut reader = Reader::connect(&site, &gateway, "main-in", Version::V5).await;
    let local = |ago: SignedDuration| {
        let local = Timestamp::now() - ago + SignedDuration::from_hours(8);
        local.to_string()
    };
    // Right after it has connected, a reader may empty its store.
    let waited = reader.send(1, &scan("1", &local(SignedDuration::from_mins(10)), "in", GREEN)).await;
    assert_eq!((waited.decision.outcome, waited.decision.open), (Outcome::Recorded, false));
    let problem = gateway.problem_when("reader-clock", true).await.unwrap();
    let message = problem["message"].as_str().unwrap();
    assert!(message.contains("h ahead of the gateway's") && message.contains("held back"), "{message}");
    let status = gateway.status().await;
    assert_eq!(status["doors"][0]["problems"][0]["what"], "reader-clock");

    let connected = Timestamp::now();
    let mut seq = 2;
    let mut opened = false;
    eventually("a scan that comes by itself opens the door", async || {
        // Only what comes after a pause is taken for one that was just made.
        let pause = SETTLED - Timestamp::now().duration_since(connected);
        tokio::time::sleep(pause.max(SignedDuration::from_millis(1_100)).unsigned_abs()).await;
        let answer = reader.send(seq, &scan(&seq.to_string(), &local(SignedDuration::ZERO), "in", GREEN)).await;
        (seq, opened) = (seq + 1, answer.decision.open);
        opened
    })
    .await;
    let events = gateway.events().await;
    let last = events.last().unwrap();
    assert_eq!((&last["subject"]["scan"]["clock"], &last["happened_at"]), (&json!("doubtful"), &last["received_at"]));
    // Its status tells how far it is off: then it is as good as any.
    let status = DoorStatus::new(DoorState::Online, Some(local(SignedDuration::ZERO).parse().unwrap())).to_json();
    let topic = reader.topic("status");
    reader.client.publish(&topic, QoS::AtLeastOnce, &status).await.unwrap();
    let late = reader.send(seq, &scan(&seq.to_string(), &local(SignedDuration::from_mins(10)), "in", GREEN)).await;
    assert_eq!(late.decision.reason, "late-scan");
}

#[tokio::test]
async fn a_code_is_one_code_however_it_was_read_and_written() {
    let site = Site::make(&["main-in"]);
    let gateway = site.run().await;
    let mut reader = Reader::connect(&site, &gateway, "main-in", Version::V5).await;
    let escaped: String = GREEN.chars().map(|char| format!("\\u{:04x}", u32::from(char))).collect();
    for (seq, credential) in (1..).zip([
        format!("{GREEN}\\r"),
        format!("{GREEN}\\r\\n"),
        format!("{GREEN}\r"),
        format!("]Q1{GREEN}\\t"),
        format!("\\ufeff {GREEN}"),
        escaped,
    ]) {
        let answer = reader.send(seq, &scan(&format!("{seq}.0"), &now(), "in", &credential)).await.decision;
        assert_eq!((answer.outcome, answer.open), (Outcome::Granted, true), "{credential:?}");
    }
    // The longest code in its longest spelling.
    let longest = "\\u00e9".repeat(1_476);
    let answer = reader.send(9, &scan("9", &now(), "in", &longest)).await.decision;
    assert_eq!((answer.outcome, answer.reason.as_str()), (Outcome::Denied, "unknown-credential"));
    site.import("C-0042,Contoh Empatdua,asn,Dinas Contoh,]Q1NEW-42 ,green,\n");
    gateway.hang_up();
    eventually("the new badge is known", async || {
        let seq = u64::try_from(Timestamp::now().as_microsecond()).unwrap();
        reader.send(seq, &scan(&seq.to_string(), &now(), "in", "NEW-42\\r")).await.decision.open
    })
    .await;
}

#[tokio::test]
async fn a_malformed_scan_obeys_the_mode_and_the_direction_and_its_fault_is_named() {
    let site = Site::make(&["main-in"]);
    for mode in ["off", "observe", "warn"] {
        site.must(&["door", "add", "--zone", "main", "--mode", mode, mode]);
    }
    let gateway = site.run().await;
    for (door, direction, outcome, open) in [
        ("off", "in", Outcome::Recorded, true),
        ("observe", "in", Outcome::Recorded, true),
        ("warn", "in", Outcome::Recorded, true),
        ("main-in", "out", Outcome::Recorded, true),
        ("main-in", "in", Outcome::Denied, false),
    ] {
        let mut reader = Reader::connect(&site, &gateway, door, Version::V5).await;
        let seq = if direction == "out" { 1 } else { 2 };
        let broken = scan(&seq.to_string(), &now(), direction, "B\\u0007X");
        let answer = reader.send(seq, &broken).await.decision;
        assert_eq!((answer.outcome, answer.open), (outcome, open), "{door} {direction}");
        assert_eq!(answer.reason, "malformed-scan");
    }
    let events = gateway.events().await;
    for event in &events {
        let fault = event["subject"]["malformed"]["fault"].as_str().unwrap();
        assert_eq!(fault, "\"credential\" has a control character, U+0007, within");
    }
    let problem = gateway.problem_when("reader-payload", true).await.unwrap();
    assert!(problem["message"].as_str().unwrap().contains("U+0007"), "{problem}");
    let status = gateway.status().await;
    assert!(status["doors"].as_array().unwrap().iter().all(|door| door["problems"][0]["what"] == "reader-payload"));
    let table = site.ask(&gateway, site.token(), &["events", "--all"]).stdout;
    assert!(table.contains("was no scan: \"credential\" has a control character"), "{table}");
}

#[tokio::test]
async fn a_new_reader_is_told_that_nothing_is_kept_of_its_door() {
    let site = Site::make(&["main-in"]);
    let gateway = site.run().await;
    let mut client = Client::connect(&site, &gateway, "doors", &Connect::new(Version::V5, "main-in")).await;
    client.subscribe("gapura/v1/regency/main-in/config", QoS::AtLeastOnce).await;
    let config = DoorConfig::from_json(&client.message().await.payload).unwrap();
    assert_eq!((config.epoch, config.seq), (None, None));
}

#[tokio::test]
async fn a_mark_has_an_end_or_is_acknowledged_for_good() {
    let site = Site::make(&["main-in"]);
    let gateway = site.run().await;
    let mut reader = Reader::connect(&site, &gateway, "main-in", Version::V5).await;
    for seq in [1, 5] {
        reader.scan(seq, GREEN).await;
    }
    reader.send(6, br#"{"v":1,"epoch":1,"seq":6,"direction":"in"}"#).await;
    let row = async |gateway: &crate::harness::Gateway| gateway.status().await["doors"][0].clone();
    let before = row(&gateway).await;
    assert_eq!((&before["missing_scans"], &before["problems"][0]["what"]), (&json!(3), &json!("reader-payload")));
    let viewer = site.must(&["token", "add", "desk", "--role", "viewer"]);
    let viewer = viewer.split_ascii_whitespace().last().unwrap();
    eventually("the token counts", async || {
        site.ask(&gateway, viewer, &["door", "acknowledge", "main-in"]).stderr.contains("--role operator")
    })
    .await;
    let said = site.ask(&gateway, site.token(), &["door", "acknowledge", "main-in"]);
    assert_eq!(
        (said.success, said.stdout.as_str()),
        (true, "main-in: 3 missing scans acknowledged\n"),
        "{}",
        said.stderr
    );
    let after = row(&gateway).await;
    assert_eq!((&after["missing_scans"], &after["problems"]), (&json!(0), &json!([])));
    let audit = site.ask(&gateway, site.token(), &["privacy", "audit", "--json"]).stdout;
    assert!(audit.contains(r#""what":"acknowledge-post","query":"door=main-in","status":200"#), "{audit}");

    // It has no status of its own, and is not said to be off when it is back.
    drop(reader);
    gateway.status_when("the door is off", |status| status["doors"][0]["status"]["state"] == "offline").await;
    gateway.kill_9();
    let gateway = site.run().await;
    let reader = Reader::connect(&site, &gateway, "main-in", Version::V4).await;
    drop(reader);
    gateway.status_when("the door is off", |status| status["doors"][0]["status"]["state"] == "offline").await;
    let mut reader = Reader::connect(&site, &gateway, "main-in", Version::V4).await;
    reader.epoch = 1;
    let back = row(&gateway).await;
    assert_eq!((&back["status"]["state"], &back["missing_scans"]), (&json!("online"), &json!(0)));
    // A scan that was missing is still one of its own.
    let late = reader.scan(3, GREEN).await.decision;
    assert_eq!(late.event, Some(4));
    let problems = gateway.status().await["problems"].clone();
    assert!(!problems.to_string().contains("missing"), "{problems}");
}

#[tokio::test]
async fn two_readers_of_one_identity_and_whoever_is_refused_are_told() {
    let site = Site::make(&["main-in", "main-out"]);
    let gateway = site.run().await;
    let mut clients = Vec::new();
    for _ in 0..8 {
        clients.push(Client::connect(&site, &gateway, "doors", &Connect::new(Version::V5, "main-in")).await);
    }
    let problem = gateway.problem_when("reader-identity", true).await.unwrap();
    let message = problem["message"].as_str().unwrap();
    assert!(message.contains("two readers use the identity of door main-in"), "{message}");
    let status = gateway.status().await;
    let row = &status["doors"][0];
    assert_eq!((&row["connects"], &row["takeovers"]), (&json!(8), &json!(7)));
    assert!(row["certificate_not_after"].is_string());

    // A revoked one, and one under another's name.
    site.must(&["door", "revoke", "main-out"]);
    eventually("the revoked one is on the record", async || {
        if let Ok(mut client) = Client::dial(&site, &gateway, "doors", "main-out").await {
            client.ends().await;
        }
        let refusals = gateway.status().await["refusals"].clone();
        refusals.as_array().unwrap().iter().any(|row| row["reason"] == "revoked")
    })
    .await;
    let mut client = Client::dial(&site, &gateway, "doors", "main-in").await.unwrap();
    client.hello(&Connect::new(Version::V5, "main-out")).await.unwrap();
    let refusals = gateway.status().await["refusals"].clone();
    let find = |reason: &str| refusals.as_array().unwrap().iter().find(|row| row["reason"] == reason).unwrap();
    assert_eq!(
        (&find("revoked")["name"], &find("revoked")["address"]),
        (&json!("regency:door:main-out"), &json!("127.0.0.1"))
    );
    assert!(find("revoked")["remedy"].as_str().unwrap().contains("gapura door renew"));
    assert_eq!(find("client-id")["name"], "door:main-in, client id main-out");
    let log = gateway.stderr();
    assert!(log.contains("a connection was refused") && log.contains("regency:door:main-out"), "{log}");
}
