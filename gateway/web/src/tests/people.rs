//! People over HTTP: who may see and change them, and what is said of mistakes.

use protocol::api::PersonRecord;

use super::super::{People, PeopleError};
use super::*;

/// A directory of one person, P-1.
pub(super) struct One;

fn person(id: &str) -> PersonRecord {
    PersonRecord { id: id.into(), class: "asn".into(), ..PersonRecord::default() }
}

impl People for One {
    fn list(&self, _: Option<&str>, _: usize) -> Result<Vec<PersonRecord>, PeopleError> {
        Ok(Vec::new())
    }

    fn read(&self, id: &str) -> Result<Option<PersonRecord>, PeopleError> {
        Ok((id == "P-1").then(|| person(id)))
    }

    fn put(&self, put: PersonRecord) -> Result<(bool, PersonRecord), PeopleError> {
        match put.class.as_str() {
            "asn" => Ok((put.name.is_none(), person(&put.id))),
            "taken" => Err(PeopleError::Taken { field: "badges".into(), reason: "belongs to P-1".into() }),
            "ends" => Err(PeopleError::Conflict {
                field: "valid_until".into(),
                reason: "must not lie before it begins".into(),
            }),
            "away" => Err(PeopleError::Unavailable("in use".into())),
            _ => Err(PeopleError::Field { field: "class".into(), reason: "must be asn, non-asn or visitor".into() }),
        }
    }

    fn remove(&self, id: &str) -> Result<bool, PeopleError> {
        Ok(id == "P-1")
    }
}

#[tokio::test]
async fn only_administrators_see_and_change_people() {
    let site = Site::with(Config { token_delay_ms: 0, ..Config::default() }, |_| {}).await;
    for (method, path, body) in [
        ("GET", "/api/v1/people", ""),
        ("GET", "/api/v1/people/P-1", ""),
        ("PUT", "/api/v1/people/P-1", "{\"class\":\"asn\"}"),
        ("DELETE", "/api/v1/people/P-1", ""),
    ] {
        for (token, code) in [("", 401), ("wrong", 401), (HELPER, 403)] {
            assert_eq!(site.ask(method, path, token, body).await.code, code, "{method} {path} {token:?}");
        }
    }
    assert_eq!(site.ask("POST", "/api/v1/people", TOKEN, "").await.code, 405);
    let reply = site.ask("POST", "/api/v1/people/P-1", TOKEN, "").await;
    assert_eq!((reply.code, reply.header("allow")), (405, "GET, HEAD, PUT, DELETE"));
}

#[tokio::test]
async fn what_becomes_of_a_person_is_told() {
    let site = Site::start().await;
    for (method, path, body, code, words) in [
        ("GET", "/api/v1/people", "", 200, ""),
        ("GET", "/api/v1/people?limit=0", "", 400, "1 to 10000"),
        ("GET", "/api/v1/people?format=json", "", 200, "{\"people\":[],\"last_person\":null}"),
        ("GET", "/api/v1/people/%FF", "", 400, "bad-path"),
        ("GET", "/api/v1/people?first=1", "", 400, "after"),
        ("GET", "/api/v1/people/P-1", "", 200, "P-1"),
        ("GET", "/api/v1/people/P-2", "", 404, "no such person"),
        ("PUT", "/api/v1/people/P-1", "{\"class\":\"asn\"}", 201, "P-1"),
        ("PUT", "/api/v1/people/P-1", "{\"class\":\"asn\",\"name\":\"Contoh\"}", 200, "P-1"),
        ("PUT", "/api/v1/people/P-1", "{\"class\":\"martian\"}", 400, "\"field\":\"class\""),
        ("PUT", "/api/v1/people/P-1", "{\"class\":\"taken\"}", 409, "belongs to P-1"),
        ("PUT", "/api/v1/people/P-1", "{\"class\":\"ends\"}", 409, "before it begins"),
        ("PUT", "/api/v1/people/P-1", "{\"class\":\"asn\",\"id\":\"P-1\"}", 201, "P-1"),
        ("PUT", "/api/v1/people/P-1", "{\"class\":\"asn\",\"id\":\"P-2\"}", 400, "\"field\":\"id\""),
        ("PUT", "/api/v1/people/P-1", "{\"martian\":1}", 400, "a field is not known here"),
        ("PUT", "/api/v1/people/P-1", "{\"class\":\"away\"}", 503, "own log"),
        ("PUT", "/api/v1/people/P-1", "{\"class\":", 400, "not one JSON"),
        ("DELETE", "/api/v1/people/P-1", "", 204, ""),
        ("DELETE", "/api/v1/people/P-2", "", 404, "no such person"),
    ] {
        let reply = site.ask(method, path, TOKEN, body).await;
        assert_eq!(reply.code, code, "{method} {path} {body}");
        let text = &reply.body;
        assert!(text.contains(words) && !text.contains("martian"), "{method} {path} {body}: {text}");
    }
}
