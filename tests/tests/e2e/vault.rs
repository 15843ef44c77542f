//! The vault of keys: without it the log tells of nobody, and doors work all the same.

use std::fs;

use crate::harness::{GREEN, Reader, Site, Version};

/// The person who carries [`GREEN`].
const PERSON: &str = "C-0001";

#[tokio::test]
async fn without_its_vault_the_log_tells_of_nobody_and_is_whole_and_doors_work() {
    let site = Site::make(&["main-in"]);
    let gateway = site.run().await;
    let mut reader = Reader::connect(&site, &gateway, "main-in", Version::V5).await;
    reader.scan(1, GREEN).await;
    let nonsense = reader.begin(b"{\"credential\":\"torn").await;
    reader.acknowledged(nonsense).await;
    assert_eq!(gateway.events().await[0]["verdict"]["person"], PERSON);
    assert!(gateway.terminate().await.success());
    assert!(site.must(&["log", "export"]).contains(PERSON));
    let log = fs::read(site.file("data/log.redb")).unwrap();
    for telling in [PERSON, "torn"] {
        assert!(!log.windows(telling.len()).any(|found| found == telling.as_bytes()), "{telling}");
    }

    let vault = site.file("data/vault.redb");
    let saved = fs::read(&vault).unwrap();
    fs::remove_file(&vault).unwrap();
    assert!(site.must(&["log", "verify"]).starts_with("2 events"));
    let exported = site.say(&["log", "export"]);
    assert!(exported.success && !exported.stdout.contains(PERSON) && exported.stdout.contains("\"erased\":true"));
    assert!(exported.stderr.contains("no vault of keys"), "{}", exported.stderr);
    assert!(!vault.exists(), "looking makes none");

    let gateway = site.run().await;
    let problem = gateway.problem_when("vault", true).await.unwrap();
    assert_eq!(problem["severity"], "warning");
    assert!(gateway.ready().await.0 && gateway.stderr().contains("vault.redb was missing"));
    let mut reader = Reader::connect(&site, &gateway, "main-in", Version::V5).await;
    assert!(reader.scan(2, GREEN).await.decision.open);
    let events = gateway.events().await;
    assert_eq!((&events[0]["erased"], &events[0]["verdict"]["person"]), (&true.into(), &serde_json::Value::Null));
    assert_eq!(events[2]["verdict"]["person"], PERSON);
    assert!(gateway.terminate().await.success());
    site.must(&["log", "verify"]);

    fs::write(&vault, saved).unwrap();
    let gateway = site.run().await;
    assert!(gateway.problem_when("vault", false).await.is_none());
    assert_eq!(gateway.events().await[0]["verdict"]["person"], PERSON, "it was put back");
}
