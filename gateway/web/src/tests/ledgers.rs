//! The ledgers over HTTP: who may ask what, what they are answered, and what is said of mistakes.

use super::super::LedgerError;
use super::fake::Fake;
use super::*;

pub(super) const CONTACTS: &str =
    "/api/v1/contacts?person=P-1&from=2026-11-22T00:00:00%2B08:00&to=2026-11-23T00:00:00Z&purpose=why";

/// Every way to ask for something that needs a token, with who may.
const WAYS: [(&str, &str, &str, &[TokenRole]); 21] = {
    use TokenRole::{Admin, Attendance, Helper, Operator, PrivacyOfficer, Tracer, Viewer};
    const VIEWERS: &[TokenRole] = &[Viewer, Operator, Attendance, Tracer, PrivacyOfficer, Admin];
    [
        ("GET", "/api/v1/presence", "", VIEWERS),
        ("GET", "/api/v1/attendance/summary", "", VIEWERS),
        ("GET", "/api/v1/presence/people", "", &[Operator, Admin]),
        ("GET", "/api/v1/events", "", &[Operator, Admin]),
        ("GET", "/api/v1/attendance", "", &[Attendance, Admin]),
        ("GET", CONTACTS, "", &[Tracer, Admin]),
        ("GET", "/api/v1/privacy/audit", "", &[PrivacyOfficer, Admin]),
        ("GET", "/api/v1/privacy/people/P-1?purpose=why", "", &[PrivacyOfficer, Admin]),
        ("DELETE", "/api/v1/privacy/people/P-1?purpose=why", "", &[PrivacyOfficer, Admin]),
        ("PUT", "/api/v1/privacy/people/P-1/restriction", "{\"reason\":\"asked\"}", &[PrivacyOfficer, Admin]),
        ("DELETE", "/api/v1/privacy/people/P-1/restriction", "", &[PrivacyOfficer, Admin]),
        ("GET", "/api/v1/privacy/retention", "", &[PrivacyOfficer, Admin]),
        ("GET", "/api/v1/people", "", &[Admin]),
        ("GET", "/api/v1/people/P-1", "", &[Admin]),
        ("PUT", "/api/v1/people/P-1", "{\"class\":\"asn\"}", &[Admin]),
        ("DELETE", "/api/v1/people/P-1", "", &[Admin]),
        ("GET", "/api/v1/policy", "", &[Admin]),
        ("GET", "/api/v1/policy/shadow", "", &[Admin]),
        ("POST", "/api/v1/doors/main-in/assist", "{}", &[Helper, Admin]),
        ("POST", "/api/v1/doors/main-in/acknowledge", "", &[Operator, Admin]),
        ("HEAD", "/api/v1/events", "", &[Operator, Admin]),
    ]
};

#[tokio::test]
async fn each_role_may_ask_for_its_own_and_nothing_else() {
    let site = Site::start().await;
    for (method, path, body, roles) in WAYS {
        for role in TokenRole::ALL {
            let reply = site.ask(method, path, &token_of(role), body).await;
            let may = roles.contains(&role);
            assert_eq!(reply.code != 403, may, "{role}: {method} {path}: {reply:?}");
            if !may && method != "HEAD" {
                let (name, detail) = reply.problem();
                assert_eq!(name, "forbidden");
                assert!(detail.contains(role.as_str()), "{detail}");
            }
        }
        assert_eq!(site.ask(method, path, "", body).await.code, 401, "{method} {path}");
    }
    // Every rule that needs a token is in the table.
    for rule in super::super::route::RULES.iter().filter(|rule| !rule.roles.is_empty()) {
        let path = rule.path.replace("{id}", "P-1").replace("{door}", "main-in");
        for method in rule.methods.split(", ").filter(|method| *method != "HEAD") {
            let asked = WAYS.iter().any(|way| way.0 == method && way.1.split('?').next() == Some(path.as_str()));
            assert!(asked, "{method} {path} is not tried");
        }
    }
}

#[tokio::test]
async fn answers_say_what_was_asked_for_and_how_far_the_ledgers_are() {
    let site = Site::start().await;
    let reply = site.ask("GET", "/api/v1/presence", TOKEN, "").await;
    assert_eq!((reply.header("gapura-through"), reply.header("gapura-behind")), ("50", "2"));
    assert_eq!(reply.json()["zones"][0]["capacity"], 200);
    let reply = site.ask("GET", "/api/v1/presence/people?zone=main&purpose=drill", TOKEN, "").await;
    let person = &reply.json()["people"][0];
    assert_eq!((&person["person"], &person["zone"], &person["event"]), (&"P-2".into(), &"main".into(), &49.into()));
    assert_eq!(person["since"]["earliest"], at(-60).to_string());
    assert!(person.get("opd").is_none() && person["evidence"] == "inside");

    let reply = site.ask("GET", "/api/v1/attendance?person=P-1&opd=Dinas+Contoh", TOKEN, "").await;
    let json = reply.json();
    // Today is the site's day, which is not the day of UTC.
    assert_eq!((&json["from"], &json["to"]), (&"2026-11-23".into(), &"2026-11-23".into()));
    let row = &json["rows"][0];
    assert_eq!(
        (&row["person"], &row["name"], &row["opd"]),
        (&"P-1".into(), &"Budi Contoh".into(), &"Dinas Contoh".into())
    );
    assert!(row["missing_exit"] == true && row["worked_minutes_by_rule"] == 480);
    let reply = site.ask("GET", "/api/v1/attendance?format=ndjson&from=2026-11-01", TOKEN, "").await;
    assert_eq!((reply.header("content-type"), reply.header("gapura-through")), ("application/x-ndjson", "50"));
    assert_eq!(serde_json::from_str::<serde_json::Value>(reply.body.trim_end()).unwrap()["day"], "2026-11-01");
    let reply = site.ask("GET", "/api/v1/attendance?format=csv&from=2026-11-01&to=2026-11-07", TOKEN, "").await;
    assert_eq!(
        (reply.header("content-type"), reply.body.as_str()),
        ("text/csv; charset=utf-8", "First 2026-11-01 2026-11-07\r\n")
    );

    let json = site.ask("GET", "/api/v1/attendance/summary?from=2026-11-01", TOKEN, "").await.json();
    let day = &json["days"][0];
    assert_eq!(
        (&day["day"], &day["opds"][0]["opd"], &day["total"]["came"]),
        (&"2026-11-01".into(), &"health".into(), &1.into())
    );
    assert_eq!(day["total"]["adoption_percent"], 33.3);
}

#[tokio::test]
async fn contacts_are_asked_for_as_the_parameters_say() {
    let site = Site::start().await;
    let json = site.ask("GET", CONTACTS, TOKEN, "").await.json();
    assert_eq!(
        (&json["person"], &json["minutes"], &json["from"]),
        (&"P-1".into(), &20.into(), &"2026-11-21T16:00:00.000Z".into())
    );
    let contact = &json["contacts"][0];
    assert_eq!(
        (&contact["generation"], &contact["grade"], &contact["minutes_max"]),
        (&1.into(), &"certain".into(), &20.into())
    );
    let wide = format!("{CONTACTS}&minutes=30&scope=around&generations=2");
    let json = site.ask("GET", &wide, TOKEN, "").await.json();
    let contact = &json["contacts"][0];
    assert_eq!(
        (&contact["generation"], &contact["grade"], &contact["minutes_max"]),
        (&2.into(), &"possible".into(), &30.into())
    );
    for (format, content_type) in [("csv", "text/csv; charset=utf-8"), ("svg", "image/svg+xml")] {
        let reply = site.ask("GET", &format!("{CONTACTS}&format={format}"), TOKEN, "").await;
        assert_eq!((reply.code, reply.header("content-type"), reply.body.as_str()), (200, content_type, "a document"));
        assert_eq!(reply.header("gapura-through"), "50");
    }
}

#[tokio::test]
async fn a_wrong_parameter_is_named_with_what_is_allowed() {
    let site = Site::start().await;
    let contacts = |change: &str| {
        let (name, _) = change.split_once('=').unwrap();
        let kept = CONTACTS.split_once('?').unwrap().1.split('&').filter(|pair| !pair.starts_with(&format!("{name}=")));
        format!("/api/v1/contacts?{}&{change}", kept.collect::<Vec<_>>().join("&"))
    };
    let without = |name: &str| contacts(&format!("{name}=x")).replace(&format!("&{name}=x"), "");
    for (path, detail) in [
        ("/api/v1/presence?zone=a".to_owned(), "\"zone\" is no parameter here"),
        ("/api/v1/presence/people?format=pdf".into(), "format is \"pdf\", allowed are json, csv, html"),
        ("/api/v1/presence/people?purpose=".into(), "purpose must be why you look, 1 to 200 characters"),
        ("/api/v1/attendance?from=23-11-2026".into(), "from is \"23-11-2026\", allowed is a day like 2026-11-23"),
        ("/api/v1/attendance?person=".into(), "person must be an id, 1 to 128 characters"),
        ("/api/v1/attendance?format=svg".into(), "format is \"svg\", allowed are json, ndjson, csv"),
        ("/api/v1/attendance?from=2026-11-23&from=2026-11-23".into(), "\"from\" is given twice"),
        ("/api/v1/attendance/summary?person=P-1".into(), "\"person\" is no parameter here; known: from, to"),
        ("/api/v1/attendance/summary?to=x".into(), "to is \"x\""),
        (without("purpose"), "purpose is missing, it must be why you look, 1 to 200 characters"),
        (contacts("purpose=+"), "purpose must be why you look"),
        (contacts(&format!("purpose={}", "x".repeat(201))), "purpose must be why you look"),
        (without("person"), "person is missing, it must be a person's id"),
        (without("from"), "from is missing, it must be a moment like"),
        (without("to"), "to is missing, it must be a moment like"),
        (contacts("from=yesterday"), "from is \"yesterday\", allowed is a moment like 2026-11-23T07:31:04+08:00"),
        (contacts("minutes=0"), "minutes is \"0\", allowed are 1 to 1440"),
        (contacts("scope=zone"), "scope is \"zone\", allowed are innermost, around"),
        (contacts("generations=3"), "generations is \"3\", allowed are 1, 2"),
        (contacts("format=html"), "format is \"html\", allowed are json, csv, svg"),
        ("/api/v1/events?door=Main+In".into(), "door is \"Main In\", allowed is a door's name"),
        (
            "/api/v1/events?outcome=maybe".into(),
            "outcome is \"maybe\", allowed are granted, denied, assist, recorded, unavailable",
        ),
        ("/api/v1/privacy/audit?limit=0".into(), "limit is \"0\", allowed are 1 to 10000"),
        ("/api/v1/privacy/audit?after=x".into(), "after is \"x\", allowed is an audit record's number"),
        ("/api/v1/privacy/audit?who=x".into(), "\"who\" is no parameter here"),
        ("/api/v1/privacy/people/P-1".into(), "purpose is missing"),
        ("/api/v1/privacy/retention?day=1".into(), "\"day\" is no parameter here; known: none"),
    ] {
        let reply = site.ask("GET", &path, TOKEN, "").await;
        let (name, said) = reply.problem();
        assert_eq!((reply.code, name.as_str()), (400, "bad-query"), "{path}");
        assert!(said.starts_with(detail), "{path}: {said}");
        assert!(!said.contains("P-1"), "{path}: {said}");
    }
    for (path, detail) in [
        ("/api/v1/privacy/people/P-1", "purpose is missing"),
        ("/api/v1/privacy/people/P-1?purpose=x&force=maybe", "force is \"maybe\", allowed are true and false"),
        ("/api/v1/privacy/people/P-1/restriction?purpose=x", "\"purpose\" is no parameter here"),
    ] {
        let reply = site.ask("DELETE", path, TOKEN, "").await;
        assert_eq!(reply.code, 400, "{path}");
        assert!(reply.problem().1.starts_with(detail), "{path}: {}", reply.body);
    }
}

#[tokio::test]
async fn a_persons_rights_are_served() {
    let site = Site::start().await;
    let path = "/api/v1/privacy/people";
    site.ask("GET", &format!("{path}/P-1?purpose=earlier"), TOKEN, "").await;
    let json = site.ask("GET", &format!("{path}/P-1?purpose=asked+for"), TOKEN, "").await.json();
    assert_eq!(
        (&json["person"], &json["directory"]["id"], &json["events"][0]["number"]),
        (&"P-1".into(), &"P-1".into(), &7.into())
    );
    assert_eq!((&json["audit"][0]["purpose"], &json["restriction"]), (&"earlier".into(), &serde_json::Value::Null));

    for (method, path, body, code, words) in [
        ("GET", "P-9?purpose=x", "", 404, "unknown-person"),
        ("PUT", "P-1/restriction", "{\"reason\":\"disputed\"}", 200, "\"by\":\"admin\""),
        ("PUT", "P-1/restriction", "{\"reason\":\" \"}", 400, "\"field\":\"reason\""),
        ("PUT", "P-1/restriction", "{\"reason\":\"x\",\"until\":1}", 400, "bad-body"),
        ("PUT", "P-9/restriction", "{\"reason\":\"x\"}", 404, "unknown-person"),
        ("DELETE", "P-1/restriction", "", 204, ""),
        ("DELETE", "P-9/restriction", "", 404, "unknown-person"),
        ("DELETE", "P-2?purpose=x", "", 409, "force=true"),
        ("DELETE", "P-2?purpose=x&force=true", "", 200, "\"keys_destroyed\":3"),
        ("DELETE", "P-1?purpose=x", "", 200, "\"person\":\"P-1\""),
        ("DELETE", "P-9?purpose=x", "", 404, "unknown-person"),
    ] {
        let reply = site.ask(method, &format!("/api/v1/privacy/people/{path}"), TOKEN, body).await;
        assert_eq!(reply.code, code, "{method} {path}: {reply:?}");
        assert!(reply.body.contains(words), "{method} {path}: {reply:?}");
    }
    let long = format!("/api/v1/privacy/people/{}?purpose=x", "P".repeat(129));
    assert_eq!(site.ask("GET", &long, TOKEN, "").await.problem().0, "unknown-person");
    let retention = site.ask("GET", "/api/v1/privacy/retention", TOKEN, "").await.json();
    assert_eq!(retention["purposes"][0], serde_json::json!({ "purpose": "events", "days": 90 }));
}

/// What comes before the connection ends, and whether that is the whole answer.
async fn in_pieces(site: &Site, path: &str) -> (String, String, bool) {
    let mut stream = site.connect().await;
    let head = format!("Host: localhost\r\nAuthorization: Bearer {TOKEN}\r\nConnection: close\r\n");
    stream.write_all(format!("GET {path} HTTP/1.1\r\n{head}\r\n").as_bytes()).await.unwrap();
    let mut text = String::new();
    // A connection may be cut in the middle.
    drop(timeout(PATIENCE, stream.read_to_string(&mut text)).await.expect("the connection ends"));
    let Some((head, mut rest)) = text.split_once("\r\n\r\n") else { return Default::default() };
    assert!(head.contains("transfer-encoding: chunked") && head.contains("gapura-through: 50"), "{head}");
    let mut body = String::new();
    while let Some((length, chunk)) = rest.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).unwrap();
        if length == 0 {
            return (head.into(), body, true);
        }
        let (piece, next) = chunk.split_at(length);
        body.push_str(piece);
        rest = next.strip_prefix("\r\n").unwrap();
    }
    (head.into(), body, false)
}

#[tokio::test]
async fn many_days_of_everybody_come_in_pieces_of_one_document() {
    let site = Site::start().await;
    let month = |format: &str| format!("/api/v1/attendance?from=2026-11-01&to=2026-11-30&format={format}");
    let weeks = ["2026-11-01", "2026-11-08", "2026-11-15", "2026-11-22", "2026-11-29"];
    let days = |rows: &[serde_json::Value]| -> Vec<String> {
        rows.iter().map(|row| row["day"].as_str().unwrap().to_owned()).collect()
    };
    let (head, body, whole) = in_pieces(&site, &month("json")).await;
    let json: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert!(whole && head.contains("content-type: application/json"), "{head}");
    assert_eq!((&json["from"], &json["to"]), (&"2026-11-01".into(), &"2026-11-30".into()));
    assert_eq!(days(json["rows"].as_array().unwrap()), weeks);
    let (_, body, whole) = in_pieces(&site, &month("ndjson")).await;
    let rows: Vec<serde_json::Value> = body.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((days(&rows), whole), (weeks.map(str::to_owned).to_vec(), true));
    let (_, body, whole) = in_pieces(&site, &month("csv")).await;
    let lines: Vec<&str> = body.lines().collect();
    assert_eq!((lines[0], lines[4], whole), ("First 2026-11-01 2026-11-07", "Further 2026-11-29 2026-11-30", true));
    // One person's are one piece.
    let reply = site.ask("GET", &format!("{}&person=P-1", month("json")), TOKEN, "").await;
    assert_eq!(days(reply.json()["rows"].as_array().unwrap()), weeks[..1]);
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_not_taken_for_the_whole() {
    let until = |day: &str| Some(day.parse().unwrap());
    let fake = |attendance_until| Fake { attendance_until, ..Fake::default() };
    let path = "/api/v1/attendance?from=2026-11-01&to=2026-11-30";
    let site = Site::with(Config::default(), |sources| sources.ledgers = Arc::new(fake(until("2026-11-16")))).await;
    let (_, body, whole) = in_pieces(&site, path).await;
    assert!(!whole && !body.contains("2026-11-15"), "{body}");
    // Nothing is sent yet when the first piece fails.
    let site = Site::with(Config::default(), |sources| sources.ledgers = Arc::new(fake(until("2026-11-01")))).await;
    assert_eq!(site.ask("GET", path, TOKEN, "").await.problem().0, "ledgers-unavailable");
}

#[tokio::test]
async fn ledgers_that_cannot_answer_say_when_to_come_back() {
    for (error, code, name, retry_after, words) in [
        (
            (|| LedgerError::Rebuilding { through: 1_200, of: 9_000 }) as fn() -> LedgerError,
            503,
            "rebuilding",
            "10",
            "at event 1200 of 9000",
        ),
        (|| LedgerError::Unavailable("secret path".into()), 503, "ledgers-unavailable", "5", "own log"),
        (|| LedgerError::UnknownPerson, 404, "unknown-person", "", "nobody of this id"),
        (|| LedgerError::StillInside, 409, "still-inside", "", "force=true"),
    ] {
        let site = Site::with(Config::default(), |sources| {
            sources.ledgers = Arc::new(Fake { error: Some(error), ..Fake::default() })
        })
        .await;
        let personal = WAYS.iter().filter(|way| {
            let path = way.1;
            way.0 != "HEAD"
                && ["presence", "attendance", "contacts", "privacy/people", "retention"]
                    .iter()
                    .any(|word| path.contains(word))
        });
        for (method, path, body, _) in personal {
            let reply = site.ask(method, path, TOKEN, body).await;
            let (found, detail) = reply.problem();
            assert_eq!((reply.code, found.as_str(), reply.header("retry-after")), (code, name, retry_after), "{path}");
            assert!(detail.contains(words) && !detail.contains("secret"), "{path}: {detail}");
        }
    }
}

#[tokio::test]
async fn the_list_to_print_brings_its_own_policy_and_names_are_escaped() {
    let site = Site::start().await;
    let reply = site.ask("GET", "/api/v1/presence/people?format=html", TOKEN, "").await;
    assert_eq!((reply.code, reply.header("content-type")), (200, "text/html; charset=utf-8"));
    assert!(reply.body.contains("&lt;i&gt;Sari&lt;/i&gt;") && !reply.body.contains("<i>Sari"));
    let policy = reply.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-") && !policy.contains("unsafe"), "{policy}");
    assert_eq!((reply.header("x-frame-options"), reply.header("gapura-through")), ("DENY", "50"));
    let reply = site.ask("GET", "/api/v1/presence/people?format=csv", TOKEN, "").await;
    assert_eq!(reply.header("content-type"), "text/csv; charset=utf-8");
    assert!(reply.body.starts_with("\u{feff}zone,person,name"), "{}", reply.body);
}

#[tokio::test]
async fn events_are_searched_page_by_page() {
    let site = Site::start().await;
    let search = |query: &'static str| site.events(query);
    let reply = search("?person=P-0001&purpose=why&limit=3&after=10").await;
    assert_eq!((reply.code, reply.body.lines().count()), (200, 3));
    assert_eq!((reply.header("gapura-last-event"), reply.header("gapura-more")), ("13", "true"));
    let reply = search("?person=P-0002&purpose=why").await;
    assert_eq!(
        (reply.body.as_str(), reply.header("gapura-last-event"), reply.header("gapura-more")),
        ("", "50", "false")
    );
    for (query, count) in [
        ("?door=main-in", 50),
        ("?outcome=granted&reason=staff-working-hours", 50),
        ("?outcome=denied", 0),
        ("?from=2026-11-22T00:00:00Z&to=2026-11-24T00:00:00Z", 50),
        ("?from=2027-01-01T00:00:00%2B08:00", 0),
        ("?to=2026-01-01T00:00:00+08:00", 0),
    ] {
        assert_eq!(search(query).await.body.lines().count(), count, "{query}");
    }
}
