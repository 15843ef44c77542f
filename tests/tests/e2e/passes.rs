//! Signed passes at the doors: issued with the gateway's own commands, judged offline, taken back while doors work.

use std::fs;

use jiff::{SignedDuration, Timestamp};
use protocol::Outcome;
use serde_json::Value;

use crate::harness::{Gateway, Reader, Site, Version, eventually};

/// Makes a key that signs passes; trusted from the next look at the folder on.
fn trusted_key(site: &Site, name: &str) -> String {
    let key = site.beside(name).display().to_string();
    site.must(&["pass", "key", "--out", &key]);
    fs::create_dir_all(site.file("trust/passes")).unwrap();
    fs::copy(format!("{key}.jwks"), site.file(&format!("trust/passes/{name}.jwks"))).unwrap();
    key
}

fn issue(site: &Site, key: &str, subject: &str, more: &[&str]) -> String {
    let pass = ["pass", "issue", "--key", key, "--issuer", "regency", "--subject", subject];
    let until: &[&str] = if more.contains(&"--until") { &[] } else { &["--until", "2099-12-31"] };
    site.must(&[&pass[..], until, more].concat()).trim().to_owned()
}

/// Waits until the gateway trusts so many keys.
async fn trusting(gateway: &Gateway, keys: u64) {
    gateway.status_when(&format!("{keys} keys are trusted"), |status| status["trusted_keys"] == keys).await;
}

#[tokio::test]
async fn a_genuine_pass_opens_and_every_other_one_says_why_it_does_not() {
    let site = Site::make(&["main-in"]);
    let key = trusted_key(&site, "issuer.key");
    let stranger = site.beside("stranger.key").display().to_string();
    site.must(&["pass", "key", "--out", &stranger]);
    let gateway = site.run().await;
    trusting(&gateway, 1).await;
    let mut reader = Reader::connect(&site, &gateway, "main-in", Version::V5).await;

    let staff = ["--class", "asn", "--status", "green"];
    let good = issue(&site, &key, "C-9001", &staff);
    let mut tampered = good.clone();
    let last = tampered.pop().unwrap();
    tampered.push(if last == '0' { '1' } else { '0' });
    let early = issue(&site, &key, "C-9003", &[&staff[..], &["--from", "2098-01-01"]].concat());
    let red = issue(&site, &key, "C-9004", &["--class", "asn", "--status", "red"]);
    let foreign = issue(&site, &stranger, "C-9005", &staff);
    for ((pass, outcome, reason), seq) in [
        (good.as_str(), Outcome::Granted, "staff-green"),
        (&tampered, Outcome::Denied, "pass-wrong-signature"),
        (&early, Outcome::Denied, "pass-not-yet-valid"),
        (&red, Outcome::Denied, "status-red"),
        (&foreign, Outcome::Denied, "pass-unknown-key"),
        ("GP1:no base45 at all!", Outcome::Denied, "pass-not-base45"),
        ("HC1:ABC", Outcome::Denied, "pass-not-compressed"),
    ]
    .into_iter()
    .zip(1..)
    {
        let decision = reader.scan(seq, pass).await.decision;
        assert_eq!(
            (decision.outcome, decision.reason.as_str(), decision.open),
            (outcome, reason, outcome == Outcome::Granted)
        );
        assert!(!decision.text.id.is_empty() && !decision.text.en.is_empty(), "{reason} has its texts");
    }
    let until = Timestamp::now() + SignedDuration::from_secs(2);
    let short = issue(&site, &key, "C-9006", &[&staff[..], &["--until", &until.to_string()]].concat());
    let mut seq = 100;
    eventually("the pass is over", async || {
        seq += 1;
        reader.scan(seq, &short).await.decision.reason == "pass-expired"
    })
    .await;

    let events = gateway.events().await;
    assert_eq!(
        (&events[0]["verdict"]["person"], &events[0]["subject"]["scan"]["kind"]),
        (&"C-9001".into(), &"pass".into())
    );
    let kept = serde_json::to_string(&events).unwrap();
    assert!(!kept.contains("GP1:") && !gateway.stderr().contains("GP1:"), "no pass is kept or logged");
}

#[tokio::test]
async fn a_pass_is_taken_back_while_the_gateway_runs_and_a_bad_list_changes_nothing() {
    let site = Site::make(&["main-in"]);
    let key = trusted_key(&site, "issuer.key");
    let gateway = site.run().await;
    trusting(&gateway, 1).await;
    let mut reader = Reader::connect(&site, &gateway, "main-in", Version::V4).await;
    let staff = ["--class", "non-asn", "--status", "green"];
    let (lost, other) = (issue(&site, &key, "C-9001", &staff), issue(&site, &key, "C-9002", &staff));
    assert!(reader.scan(1, &lost).await.decision.open);

    let shown: Value = serde_json::from_str(site.must(&["pass", "inspect", &lost]).trim()).unwrap();
    let id = shown["claims"]["id"].as_str().expect("the id to revoke");
    site.replace("trust/revoked.toml", "passes = [\"not hexadecimal\"]\n");
    let problem = gateway.problem_when("trust", true).await.unwrap();
    assert!(problem["message"].as_str().unwrap().contains("revoked.toml"), "{problem}");
    assert!(reader.leave(2, &lost).await.decision.open);

    let taken = gateway.reloads("trust", "taken").await;
    site.replace("trust/revoked.toml", &format!("passes = [\"{id}\"]\n"));
    eventually("the list is taken over", async || gateway.reloads("trust", "taken").await > taken).await;
    let refused = reader.scan(3, &lost).await.decision;
    assert_eq!((refused.outcome, refused.reason.as_str()), (Outcome::Denied, "pass-revoked"));
    assert!(reader.scan(4, &other).await.decision.open);

    // Whoever is inside may leave, whatever became of the pass.
    assert!(reader.leave(5, &lost).await.decision.open);

    fs::remove_file(site.file("trust/passes/issuer.key.jwks")).unwrap();
    trusting(&gateway, 0).await;
    assert_eq!(reader.scan(6, &other).await.decision.reason, "pass-unknown-key");
}

#[tokio::test]
async fn a_one_time_pass_lets_in_once_and_no_pass_is_at_two_doors_at_once_not_even_after_a_crash() {
    let mut site = Site::make(&["main-in", "east-in"]);
    // So long that no machine is too slow for the two scans to fall into it.
    site.set("GAPURA_ACCESS__PASS_REPLAY_SECONDS", 3_600);
    site.set("GAPURA_ACCESS__DOUBLE_SCAN_SECONDS", 0);
    let key = trusted_key(&site, "issuer.key");
    let gateway = site.run().await;
    let (mut main, mut east) = (
        Reader::connect(&site, &gateway, "main-in", Version::V5).await,
        Reader::connect(&site, &gateway, "east-in", Version::V5).await,
    );
    let green = ["--class", "asn", "--status", "green"];
    let visit = issue(&site, &key, "C-9001", &[&green[..], &["--one-time"]].concat());
    let staff = issue(&site, &key, "C-9002", &green);
    assert!(main.scan(1, &visit).await.decision.open);
    assert!(main.scan(2, &staff).await.decision.open);
    assert!(main.leave(3, &visit).await.decision.open);
    assert_eq!(main.scan(4, &visit).await.decision.reason, "pass-used");
    assert_eq!(east.scan(1, &staff).await.decision.reason, "pass-replayed");

    gateway.kill_9();
    let gateway = site.run().await;
    let (mut main, mut east) = (
        Reader::connect(&site, &gateway, "main-in", Version::V5).await,
        Reader::connect(&site, &gateway, "east-in", Version::V5).await,
    );
    assert_eq!(main.scan(5, &visit).await.decision.reason, "pass-used");
    assert_eq!(east.scan(2, &visit).await.decision.reason, "pass-replayed");
}
