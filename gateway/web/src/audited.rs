//! What of a request goes into the audit trail.

use axum::extract::Query;
use axum::http::request::Parts;
use axum::http::{Method, StatusCode, Uri};
use protocol::Instant;

use super::bearer::Bearer;
use super::route::{Route, Rule};
use base::tokens::Token;
use store::audit::AuditRecord;

/// The parameters that tell of no person, and may stand in the record as they came.
const OPEN_PARAMETERS: [&str; 17] = [
    "after",
    "door",
    "force",
    "format",
    "from",
    "generations",
    "limit",
    "minutes",
    "opd",
    "outcome",
    "reason",
    "scope",
    "since",
    "to",
    "token",
    "verbose",
    "zone",
];

/// Longest value of a parameter in the record, in characters.
const VALUE_CHARS_MAX: usize = 64;

/// A request by somebody who is known, as far as the record needs it.
pub(super) struct AuditedRequest {
    token: Token,
    rule: &'static Rule,
    method: Method,
    query: String,
    person: Option<String>,
    purpose: Option<String>,
}

impl AuditedRequest {
    /// `None` where no token was needed, or none that is known came.
    pub(super) fn of(head: &Parts) -> Option<Self> {
        let Bearer(token) = head.extensions.get::<Bearer>()?;
        let rule = Rule::of(head.uri.path(), &head.method)?.ok()?;
        let pairs = Query::<Vec<(String, String)>>::try_from_uri(&head.uri).map(|Query(pairs)| pairs);
        let pairs = pairs.unwrap_or_default();
        let first = |wanted: &str| pairs.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.clone());
        // Behind `after` in the list of people stands an id.
        let is_open = |name: &str| OPEN_PARAMETERS.contains(&name) && (name != "after" || rule.route != Route::people);
        let open = pairs.iter().filter(|(name, _)| is_open(name));
        let mut query: Vec<String> = open.map(|(name, value)| format!("{name}={}", plain(value))).collect();
        let (person, other) = rule.named(head.uri.path()).map(decoded).map_or((None, None), |level| {
            if rule.personal { (Some(level), None) } else { (None, Some(level).filter(|_| rule.is_recorded())) }
        });
        query.extend(other.map(|door| format!("door={}", plain(&door))));
        Some(Self {
            token: token.clone(),
            rule,
            method: head.method.clone(),
            query: query.join("&"),
            person: person.or_else(|| first("person")),
            purpose: first("purpose"),
        })
    }

    /// Whether it changes something of which a record is kept.
    pub(super) fn changes(&self) -> bool {
        self.rule.is_recorded() && ![Method::GET, Method::HEAD].contains(&self.method)
    }

    /// Whether it goes into the record: whatever shows personal data or is to be recorded, and whoever was
    /// refused for their role.
    pub(super) fn is_recorded(&self, status: StatusCode) -> bool {
        self.rule.is_recorded() || status == StatusCode::FORBIDDEN
    }

    /// The change, as its outcome goes into the record. Whose erasure was begun is not written down again: there must be
    /// no new key for them.
    pub(super) fn answered(self) -> Self {
        let erasure = self.rule.route == Route::privacy_people && self.method == Method::DELETE;
        if erasure { Self { person: None, purpose: None, ..self } } else { self }
    }

    /// Its audit record.
    pub(super) fn record(&self, at: Instant, status: StatusCode) -> AuditRecord {
        let verb = match self.method {
            Method::PUT => "-put",
            Method::POST => "-post",
            Method::DELETE => "-delete",
            _ => "",
        };
        AuditRecord {
            at,
            token: self.token.name.clone(),
            role: self.token.role,
            what: self.rule.route.word() + verb,
            query: self.query.clone(),
            status: status.as_u16(),
            person: self.person.clone(),
            purpose: self.purpose.clone(),
        }
    }
}

/// A parameter's value on one line, not too long, and without what separates it from the next.
fn plain(value: &str) -> String {
    value.chars().take(VALUE_CHARS_MAX).map(|c| if c.is_control() || "&=".contains(c) { ' ' } else { c }).collect()
}

/// One level of a path, with what is escaped in it.
fn decoded(level: &str) -> String {
    let escaped = level.replace('+', "%2B").replace('&', "%26");
    let uri = format!("/?id={escaped}").parse::<Uri>().ok();
    let pairs = uri.and_then(|uri| Query::<Vec<(String, String)>>::try_from_uri(&uri).ok());
    pairs.and_then(|Query(pairs)| pairs.into_iter().next()).map_or_else(|| level.to_owned(), |(_, id)| id)
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;
    use base::tokens::TokenRole;

    fn asked(method: Method, target: &str) -> Option<AuditRecord> {
        let (mut head, ()) = Request::builder().method(method).uri(target).body(()).unwrap().into_parts();
        let name = "lobby".parse().unwrap();
        let hash = blake3::hash(b"x");
        head.extensions.insert(Bearer(Token { name, role: TokenRole::Tracer, hash, until: None, doors: None }));
        Some(AuditedRequest::of(&head)?.record(Instant::from_unix_ms(0), StatusCode::OK))
    }

    #[test]
    fn whom_and_why_are_taken_apart_from_the_rest() {
        for (method, target, what, query, person, purpose) in [
            (
                Method::GET,
                "/api/v1/contacts?person=P-1&minutes=15&purpose=cluster+in%20hall&from=2026-11-23T00:00:00Z",
                "contacts",
                "minutes=15&from=2026-11-23T00:00:00Z",
                Some("P-1"),
                Some("cluster in hall"),
            ),
            (Method::GET, "/api/v1/people?after=P-1&limit=5", "people", "limit=5", None, None),
            (Method::GET, "/api/v1/events?after=7&pesron=P-1", "events", "after=7", None, None),
            (Method::GET, "/api/v1/events?zone=a%26person%3DP-1%0A", "events", "zone=a person P-1 ", None, None),
            (Method::PUT, "/api/v1/people/P%2F1", "people-put", "", Some("P/1"), None),
            (
                Method::DELETE,
                "/api/v1/privacy/people/a+b&c?purpose=x",
                "privacy-people-delete",
                "",
                Some("a+b&c"),
                Some("x"),
            ),
            (
                Method::DELETE,
                "/api/v1/privacy/people/P-1/restriction",
                "privacy-restriction-delete",
                "",
                Some("P-1"),
                None,
            ),
            (Method::POST, "/api/v1/doors/main-in/assist", "assist-post", "", None, None),
            (Method::POST, "/api/v1/doors/main-in/acknowledge", "acknowledge-post", "door=main-in", None, None),
            (
                Method::GET,
                "/api/v1/presence/people?zone=hall&format=html",
                "presence-people",
                "zone=hall&format=html",
                None,
                None,
            ),
        ] {
            let look = asked(method, target).unwrap();
            assert_eq!((look.what.as_str(), look.query.as_str()), (what, query), "{target}");
            assert_eq!((look.person.as_deref(), look.purpose.as_deref()), (person, purpose), "{target}");
        }
        assert!(asked(Method::GET, "/nowhere").is_none() && asked(Method::POST, "/api/v1/contacts").is_none());
    }
}
