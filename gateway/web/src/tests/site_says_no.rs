//! What only a look at the site can refuse: names of nothing, ends before their beginnings, pages beyond the end; and pages in one
//! object.

use super::ledgers::CONTACTS;
use super::*;

#[tokio::test]
async fn what_there_is_not_is_named_with_what_there_is() {
    let site = Site::start().await;
    for (path, kind, detail, known) in [
        ("/api/v1/events?door=east", "unknown-door", "there is no door \"east\"", "main-in"),
        ("/api/v1/events?zone=cellar", "unknown-zone", "there is no zone \"cellar\"", "lobby"),
        ("/api/v1/events?zone=cellar&format=json", "unknown-zone", "there is no zone \"cellar\"", "lobby"),
        ("/api/v1/presence/people?zone=a", "unknown-zone", "there is no zone \"a\"", "main"),
        ("/api/v1/attendance?opd=nowhere", "unknown-opd", "\"nowhere\" is no OPD", "health"),
    ] {
        let reply = site.ask("GET", path, TOKEN, "").await;
        let (name, said) = reply.problem();
        assert_eq!((reply.code, name.as_str()), (404, kind), "{path}");
        assert!(said.starts_with(detail), "{path}: {said}");
        assert!(reply.json()["known"].as_array().unwrap().contains(&known.into()), "{path}: {}", reply.body);
    }
}

#[tokio::test]
async fn what_cannot_come_after_what_it_follows_is_a_conflict() {
    let site = Site::start().await;
    let contacts = CONTACTS.replace("to=2026-11-23T00:00:00Z", "to=2026-11-21T16:00:00Z");
    let backwards = "from=2026-11-23T00:00:00Z&to=2026-11-22T00:00:00Z";
    for (path, kind, detail) in [
        ("/api/v1/attendance?to=2026-11-22".to_owned(), "out-of-order", "from 2026-11-23 to 2026-11-22 is not allowed"),
        ("/api/v1/attendance/summary?to=2026-11-22".into(), "out-of-order", "from 2026-11-23 to 2026-11-22"),
        (
            "/api/v1/attendance?from=2026-01-01&to=2026-04-03".into(),
            "out-of-order",
            "from 2026-01-01 to 2026-04-03 is not allowed: to is not before from, and at most 92",
        ),
        (contacts, "out-of-order", "to is 2026-11-21T16:00:00.000Z, allowed is what comes after from"),
        (format!("/api/v1/events?{backwards}"), "out-of-order", "to is 2026-11-22T00:00:00.000Z"),
        (format!("/api/v1/privacy/audit?{backwards}"), "out-of-order", "to is 2026-11-22T00:00:00.000Z"),
        ("/api/v1/events?after=51".into(), "beyond-the-end", "after is 51, but the last number there is is 50"),
        ("/api/v1/privacy/audit?after=9999".into(), "beyond-the-end", "after is 9999, but the last number there is is"),
    ] {
        let reply = site.ask("GET", &path, TOKEN, "").await;
        let (name, said) = reply.problem();
        assert_eq!((reply.code, name.as_str()), (409, kind), "{path}");
        assert!(said.starts_with(detail), "{path}: {said}");
    }
    assert_eq!(site.events("?after=50").await.code, 200);
    let reply = site.events("?person=P-1").await;
    assert_eq!((reply.code, reply.problem().0.as_str()), (403, "purpose-needed"));
    assert!(!reply.body.contains("P-1"), "{}", reply.body);
}

#[tokio::test]
async fn a_page_may_be_one_json_object() {
    let site = Site::start().await;
    let json = site.events("?limit=3&after=10&format=json").await;
    assert_eq!((json.header("content-type"), json.header("gapura-last-event")), ("application/json", "13"));
    let page: protocol::api::EventPage = serde_json::from_str(&json.body).unwrap();
    assert_eq!((page.events.len(), page.last_event, page.more), (3, 13, true));
    let json = site.ask("GET", "/api/v1/privacy/audit?format=json", TOKEN, "").await;
    let page: protocol::api::AuditPage = serde_json::from_str(&json.body).unwrap();
    assert_eq!((page.records.len(), page.last_record, page.more), (1, 1, false));
    assert_eq!(page.records[0].what, "events");
}
