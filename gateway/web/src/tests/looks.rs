//! Every look at personal data is on the record before it is answered, or it is not answered.

use std::sync::atomic::Ordering;

use protocol::api::PersonRecord;

use super::*;
use store::audit::testing::on;
use store::audit::{Filter, StoredRecord};
use store::log::faulty_disk::Disk;

fn looks(site: &Site) -> Vec<StoredRecord> {
    site.looks.list(&Filter::default(), 0, usize::MAX).unwrap().rows
}

const CONTACTS: &str =
    "/api/v1/contacts?person=P-1&from=2026-11-22T00:00:00Z&to=2026-11-23T00:00:00Z&minutes=15&purpose=cluster";

#[tokio::test]
async fn a_look_tells_who_asked_what_of_whom_and_why() {
    let site = Site::start().await;
    assert_eq!(site.ask("GET", CONTACTS, &token_of(TokenRole::Tracer), "").await.code, 200);
    let rows = looks(&site);
    assert_eq!(rows.len(), 1);
    let row = &rows[0];
    assert_eq!((row.at, row.token.as_str(), row.role.as_str()), (at(0), "tracer", "tracer"));
    assert_eq!((row.what.as_str(), row.status), ("contacts", 200));
    assert_eq!(row.query, "from=2026-11-22T00:00:00Z&to=2026-11-23T00:00:00Z&minutes=15");
    assert_eq!((row.person.as_deref(), row.purpose.as_deref()), (Some("P-1"), Some("cluster")));

    // The privacy officer sees it, and is seen.
    let officer = token_of(TokenRole::PrivacyOfficer);
    let reply = site.ask("GET", "/api/v1/privacy/audit?person=P-1&token=tracer", &officer, "").await;
    assert_eq!((reply.header("content-type"), reply.header("gapura-more")), ("application/x-ndjson", "false"));
    let told: serde_json::Value = serde_json::from_str(reply.body.trim_end()).unwrap();
    assert_eq!((&told["number"], &told["person"], &told["purpose"]), (&1.into(), &"P-1".into(), &"cluster".into()));
    assert_eq!(looks(&site)[1].what, "privacy-audit");

    site.keys.destroy("P-1");
    let reply = site.ask("GET", "/api/v1/privacy/audit?limit=1", &officer, "").await;
    assert_eq!((reply.header("gapura-last-record"), reply.header("gapura-more")), ("1", "true"));
    let told: serde_json::Value = serde_json::from_str(reply.body.trim_end()).unwrap();
    assert!(told["erased"] == true && told.get("person").is_none() && told.get("purpose").is_none());
}

#[tokio::test]
async fn every_request_for_personal_data_leaves_a_look_also_when_it_is_refused() {
    let site = Site::start().await;
    let admin = TOKEN.to_owned();
    let viewer = token_of(TokenRole::Viewer);
    let mut wanted = Vec::new();
    for (method, path, token, body, what, status) in [
        ("GET", "/api/v1/events?limit=1", &admin, "", "events", 200),
        ("HEAD", "/api/v1/events?limit=1", &admin, "", "events", 200),
        ("GET", "/api/v1/events?limit=0", &admin, "", "events", 400),
        ("GET", "/api/v1/events?person=P-1", &admin, "", "events", 403),
        ("GET", "/api/v1/presence/people?format=html", &admin, "", "presence-people", 200),
        ("GET", "/api/v1/presence/people", &viewer, "", "presence-people", 403),
        ("GET", "/api/v1/attendance", &viewer, "", "attendance", 403),
        ("GET", "/api/v1/attendance?person=P-9", &admin, "", "attendance", 404),
        ("GET", CONTACTS, &viewer, "", "contacts", 403),
        ("GET", "/api/v1/privacy/audit", &viewer, "", "privacy-audit", 403),
        ("GET", "/api/v1/privacy/retention", &admin, "", "privacy-retention", 200),
        ("GET", "/api/v1/privacy/people/P-9?purpose=x", &admin, "", "privacy-people", 404),
        ("DELETE", "/api/v1/privacy/people/P-1?purpose=x", &viewer, "", "privacy-people-delete", 403),
        ("PUT", "/api/v1/privacy/people/P-1/restriction", &viewer, "{}", "privacy-restriction-put", 403),
        ("GET", "/api/v1/people", &admin, "", "people", 200),
        ("GET", "/api/v1/people/P-1", &admin, "", "people", 200),
        ("GET", "/api/v1/people/P-9", &admin, "", "people", 404),
        ("PUT", "/api/v1/people/P-1", &viewer, "{}", "people-put", 403),
        // Not personal, but refused.
        ("GET", "/api/v1/policy", &viewer, "", "policy", 403),
        ("POST", "/api/v1/doors/main-in/assist", &viewer, "{}", "assist-post", 403),
    ] {
        assert_eq!(site.ask(method, path, token, body).await.code, status, "{method} {path}");
        wanted.push((what.to_owned(), status));
    }
    // What shows nobody leaves none.
    for path in ["/api/v1/presence", "/api/v1/attendance/summary", "/api/v1/policy", "/api/v1/status"] {
        assert_eq!(site.ask("GET", path, TOKEN, "").await.code, 200);
    }
    let rows = looks(&site);
    let found: Vec<_> = rows.iter().map(|row| (row.what.clone(), row.status)).collect();
    assert_eq!(found, wanted);
    let refused = rows.iter().find(|row| row.what == "contacts").unwrap();
    assert_eq!((refused.person.as_deref(), refused.purpose.as_deref()), (Some("P-1"), Some("cluster")));
}

#[tokio::test]
async fn a_change_is_on_the_record_before_and_after_it_is_made() {
    let mut last = Vec::new();
    let site = Site::start().await;
    for (method, path, body, what, code) in [
        ("POST", "/api/v1/doors/main-in/acknowledge", "", "acknowledge-post", 200),
        ("POST", "/api/v1/doors/main-out/acknowledge", "", "acknowledge-post", 503),
        ("PUT", "/api/v1/people/P-1", "{\"class\":\"asn\",\"name\":\"Contoh\"}", "people-put", 200),
        ("DELETE", "/api/v1/people/P-9", "", "people-delete", 404),
        ("PUT", "/api/v1/privacy/people/P-1/restriction", "{\"reason\":\"x\"}", "privacy-restriction-put", 200),
        ("DELETE", "/api/v1/privacy/people/P-1/restriction", "", "privacy-restriction-delete", 204),
        ("DELETE", "/api/v1/privacy/people/P-2?purpose=asked", "", "privacy-people-delete", 409),
        ("DELETE", "/api/v1/privacy/people/P-1?purpose=asked", "", "privacy-people-delete", 200),
    ] {
        let before = looks(&site).len();
        assert_eq!(site.ask(method, path, TOKEN, body).await.code, code, "{method} {path}");
        let rows = looks(&site).split_off(before);
        let told: Vec<_> = rows.iter().map(|row| (row.what.as_str(), row.status)).collect();
        assert_eq!(told, [(what, 100), (what, code)], "{method} {path}");
        assert!(rows[0].person.is_some() || rows[0].query.starts_with("door=main-"));
        last = rows;
    }
    // Who was erased is not written down again.
    assert!(last[1].person.is_none() && last[1].purpose.is_none() && !last[1].erased);
}

#[tokio::test]
async fn what_cannot_be_recorded_is_not_answered_and_not_done() {
    let changed = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let seen = Arc::clone(&changed);
    let site = Site::with(Config::default(), |sources| sources.people = Arc::new(Watched(seen))).await;
    site.keys.broken.store(true, Ordering::Release);
    for (method, path, token, body) in [
        ("GET", CONTACTS, TOKEN.to_owned(), ""),
        ("GET", CONTACTS, token_of(TokenRole::Viewer), ""),
        ("GET", "/api/v1/privacy/people/P-1?purpose=x", TOKEN.to_owned(), ""),
        ("GET", "/api/v1/people/P-1", TOKEN.to_owned(), ""),
        ("PUT", "/api/v1/people/P-1", TOKEN.to_owned(), "{\"class\":\"asn\"}"),
        ("DELETE", "/api/v1/people/P-1", TOKEN.to_owned(), ""),
    ] {
        let reply = site.ask(method, path, &token, body).await;
        let (name, detail) = reply.problem();
        assert_eq!((reply.code, name.as_str(), reply.header("retry-after")), (503, "not-recorded", "5"), "{path}");
        assert!(detail.contains("nothing was changed"), "{detail}");
        assert!(!reply.body.contains("P-1") && !reply.body.contains("the disk is full"), "{reply:?}");
    }
    assert!(!changed.load(Ordering::Acquire), "a change was made without a record");
    assert_eq!(site.figure("gapura_http_audit_failed_total"), 6.0);
    assert!(looks(&site).is_empty());
    // Counts are for everybody, and doors do not wait for the record.
    assert_eq!(site.ask("GET", "/api/v1/presence", TOKEN, "").await.code, 200);
    assert_eq!(site.get("/livez").await.code, 200);

    site.keys.broken.store(false, Ordering::Release);
    assert_eq!(site.ask("GET", CONTACTS, TOKEN, "").await.code, 200);
}

#[test]
fn no_byte_of_an_answer_leaves_before_the_look_is_synced() {
    let (disk, runtime) = (Disk::default(), tokio::runtime::Runtime::new().unwrap());
    let recorded = on(&disk);
    let site = runtime.block_on(Site::with(Config::default(), |sources| sources.audit = recorded));
    let mut stream = runtime.block_on(site.connect());
    let (stalled, before) = (disk.stall(), disk.journal_len());
    let request = format!("GET {CONTACTS} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\r\n");
    runtime.block_on(stream.write_all(request.as_bytes())).unwrap();
    runtime.block_on(until("the look is written", || disk.journal_len() > before));
    // Others are answered meanwhile.
    for _ in 0..3 {
        assert_eq!(runtime.block_on(site.get("/livez")).code, 200);
    }
    let mut byte = [0];
    let read = stream.try_read(&mut byte).map_err(|error| error.kind());
    assert_eq!(read, Err(std::io::ErrorKind::WouldBlock));
    drop(stalled);
    assert_eq!(runtime.block_on(read_reply(&mut stream, false)).unwrap().code, 200);
}

#[tokio::test]
async fn a_change_whose_outcome_cannot_be_recorded_says_so() {
    let site = Site::with(Config::default(), |_| {}).await;
    let keys = Arc::clone(&site.keys);
    let breaking = Site::with(Config::default(), |sources| {
        sources.people = Arc::new(Breaking(Arc::clone(&keys)));
        sources.audit = site.looks.clone();
    })
    .await;
    let reply = breaking.ask("DELETE", "/api/v1/people/P-1", TOKEN, "").await;
    assert_eq!((reply.code, reply.problem().0.as_str()), (503, "not-recorded"));
    assert!(reply.problem().1.contains("look whether it was changed"), "{reply:?}");
    keys.broken.store(false, Ordering::Release);
    let rows = looks(&site);
    assert!(rows.len() == 1 && rows[0].status == 100 && rows[0].person.as_deref() == Some("P-1"));
}

#[tokio::test]
async fn a_token_that_nobody_has_leaves_no_look_but_is_counted_and_slowed_down() {
    let site = Site::with(Config { token_delay_ms: 50, ..Config::default() }, |_| {}).await;
    for (token, name, delayed) in
        [("", "token-needed", false), ("wrong", "token-wrong", true), (ENDED, "token-ended", true)]
    {
        let started = std::time::Instant::now();
        let reply = site.ask("GET", CONTACTS, token, "").await;
        assert_eq!((reply.code, reply.problem().0.as_str()), (401, name));
        assert!(!delayed || started.elapsed() >= Duration::from_millis(50));
    }
    assert_eq!(site.figure("gapura_http_tokens_refused_total"), 2.0);
    assert!(looks(&site).is_empty());
}

/// Tells when somebody is put in or taken out.
struct Watched(Arc<std::sync::atomic::AtomicBool>);

impl super::super::People for Watched {
    fn list(&self, after: Option<&str>, limit: usize) -> Result<Vec<PersonRecord>, super::super::PeopleError> {
        people::One.list(after, limit)
    }

    fn read(&self, id: &str) -> Result<Option<PersonRecord>, super::super::PeopleError> {
        people::One.read(id)
    }

    fn put(&self, person: PersonRecord) -> Result<(bool, PersonRecord), super::super::PeopleError> {
        self.0.store(true, Ordering::Release);
        people::One.put(person)
    }

    fn remove(&self, id: &str) -> Result<bool, super::super::PeopleError> {
        self.0.store(true, Ordering::Release);
        people::One.remove(id)
    }
}

/// The keys break while somebody is taken out.
struct Breaking(Arc<Keys>);

impl super::super::People for Breaking {
    fn list(&self, after: Option<&str>, limit: usize) -> Result<Vec<PersonRecord>, super::super::PeopleError> {
        people::One.list(after, limit)
    }

    fn read(&self, id: &str) -> Result<Option<PersonRecord>, super::super::PeopleError> {
        people::One.read(id)
    }

    fn put(&self, person: PersonRecord) -> Result<(bool, PersonRecord), super::super::PeopleError> {
        people::One.put(person)
    }

    fn remove(&self, id: &str) -> Result<bool, super::super::PeopleError> {
        self.0.broken.store(true, Ordering::Release);
        people::One.remove(id)
    }
}
