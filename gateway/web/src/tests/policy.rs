//! The policy set in force, and what its candidate would change.

use super::*;
use protocol::api::ShadowReport;

fn report(since: Option<Instant>) -> Result<ShadowReport, String> {
    Ok(ShadowReport {
        candidate: Some("b3:77".into()),
        policy_set: "b3:9f2c".into(),
        since: since.unwrap_or_else(|| at(-60)),
        until: at(0),
        compared: 3,
        agreed: 3,
        changes: Vec::new(),
    })
}

#[tokio::test]
async fn policies_are_shown_to_administrators_only() {
    let site = Site::with(Config::default(), |sources| sources.shadow = Arc::new(report)).await;
    let token = format!("Authorization: Bearer {TOKEN}\r\n");
    for path in ["/api/v1/policy", "/api/v1/policy/shadow"] {
        assert_eq!(site.get(path).await.code, 401, "{path}");
        assert_eq!(site.get_with(path, &token).await.code, 200, "{path}");
    }
    let policy = site.get_with("/api/v1/policy", &token).await.json();
    assert_eq!((&policy["in_force"]["policy_set"], &policy["in_force"]["texts"]), (&"b3:9f2c".into(), &52.into()));
    let row = &policy["in_force"]["policies"][0];
    assert_eq!(
        (&row["id"], &row["reason"], &row["place"]),
        (&"red".into(), &"status-red".into(), &"default.cedar:64".into())
    );
    assert!(policy["candidate"].is_null());
}

#[tokio::test]
async fn a_report_begins_when_it_is_asked_to() {
    let site = Site::with(Config::default(), |sources| sources.shadow = Arc::new(report)).await;
    let token = format!("Authorization: Bearer {TOKEN}\r\n");
    let asked = site.get_with(&format!("/api/v1/policy/shadow?since={}", at(-7)), &token).await.json();
    assert_eq!(asked["since"], serde_json::json!(at(-7)));
    let wrong = site.get_with("/api/v1/policy/shadow?since=yesterday", &token).await;
    assert_eq!(wrong.code, 400);
    assert!(wrong.problem().1.contains("yesterday"));
    let unreadable = Site::start().await.get_with("/api/v1/policy/shadow", &token).await;
    assert_eq!(unreadable.code, 503);
    assert!(!unreadable.body.contains("no log"));
}
