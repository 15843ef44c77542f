//! Problem details for HTTP APIs (RFC 9457): how every refusal is told.

use axum::http::header::{ACCEPT, ALLOW, CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use protocol::api::{ProblemDetails, TokenRole};

/// A refusal: the status, and its problem document.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    document: Box<ProblemDetails>,
    header: Option<Box<(HeaderName, HeaderValue)>>,
}

/// Most names that a refusal lists of what there is.
const KNOWN_MAX: usize = 50;

impl Refusal {
    fn new(status: StatusCode, name: &str, title: &str, detail: impl Into<String>) -> Self {
        let document = ProblemDetails {
            kind: format!("{}{name}", ProblemDetails::KIND_PREFIX),
            title: title.to_owned(),
            status: status.as_u16(),
            detail: detail.into(),
            ..ProblemDetails::default()
        };
        Self { status, document: Box::new(document), header: None }
    }

    fn with(mut self, name: HeaderName, value: &'static str) -> Self {
        self.header = Some(Box::new((name, HeaderValue::from_static(value))));
        self
    }

    /// Names the field that is wrong by its JSON path.
    pub(super) fn at(mut self, path: String) -> Self {
        self.document.field = Some(path);
        self
    }

    /// Lists what there is, or the first of it.
    fn listing(mut self, known: impl IntoIterator<Item = String>) -> Self {
        self.document.known = known.into_iter().take(KNOWN_MAX).collect();
        self
    }

    /// The wrong field and the detail.
    #[cfg(test)]
    pub(super) fn field_and_detail(&self) -> (Option<&str>, &str) {
        (self.document.field.as_deref(), &self.document.detail)
    }

    pub(super) fn not_found(path: &str) -> Self {
        let detail = format!("there is no {} here; /api/openapi.json tells what there is", shown(path));
        Self::new(StatusCode::NOT_FOUND, "not-found", "No such page", detail)
    }

    pub(super) fn method_not_allowed(method: &Method, offered: &[&str]) -> Self {
        let detail = format!("{} is not offered here; use {}", shown(method.as_str()), offered.join(" or "));
        let problem = Self::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Method not allowed", detail);
        let allow = HeaderValue::from_str(&offered.join(", ")).ok();
        Self { header: allow.map(|allow| Box::new((ALLOW, allow))), ..problem }
    }

    pub(super) fn unknown_door(door: &str, known: impl IntoIterator<Item = String>) -> Self {
        let detail = format!("there is no door {}; /api/v1/status lists the doors", shown(door));
        Self::new(StatusCode::NOT_FOUND, "unknown-door", "No such door", detail).listing(known)
    }

    pub(super) fn unknown_zone(zone: &str, known: impl IntoIterator<Item = String>) -> Self {
        let detail = format!("there is no zone {}; /api/v1/status lists the zones", shown(zone));
        Self::new(StatusCode::NOT_FOUND, "unknown-zone", "No such zone", detail).listing(known)
    }

    pub(super) fn unknown_opd(opd: &str, known: impl IntoIterator<Item = String>) -> Self {
        let detail = format!("{} is no OPD of anybody in the directory", shown(opd));
        Self::new(StatusCode::NOT_FOUND, "unknown-opd", "No such OPD", detail).listing(known)
    }

    pub(super) fn not_utf8() -> Self {
        let detail = "the path is not UTF-8 once what is escaped in it is read; escape every byte of UTF-8 as %XX";
        Self::new(StatusCode::BAD_REQUEST, "bad-path", "Bad path", detail)
    }

    pub(super) fn out_of_order(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "out-of-order", "The end comes before the beginning", detail)
    }

    pub(super) fn beyond_the_end(after: u64, last: u64) -> Self {
        let detail = format!("after is {after}, but the last number there is is {last}; begin again at 0");
        Self::new(StatusCode::CONFLICT, "beyond-the-end", "Nothing is as new as that", detail)
    }

    pub(super) fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "not-available", "That is not to be had", detail)
    }

    pub(super) fn purpose_needed() -> Self {
        let detail = "purpose is missing: who asks for one person's events says why, in 1 to 200 characters";
        Self::new(StatusCode::FORBIDDEN, "purpose-needed", "A purpose is needed", detail)
    }

    pub(super) fn no_such_person() -> Self {
        let detail = "there is no such person in the directory; /api/v1/people lists them";
        Self::new(StatusCode::NOT_FOUND, "unknown-person", "No such person", detail)
    }

    pub(super) fn unknown_person() -> Self {
        let detail = "nobody of this id is known here: not in the directory, and not by what was scanned";
        Self::new(StatusCode::NOT_FOUND, "unknown-person", "No such person", detail)
    }

    pub(super) fn still_inside() -> Self {
        let detail = "the person is inside; wait until they have left, or say force=true";
        Self::new(StatusCode::CONFLICT, "still-inside", "The person is inside", detail)
    }

    pub(super) fn rebuilding(through: u64, of: u64) -> Self {
        let detail = format!(
            "the ledgers are being rebuilt from the log, which takes a while: they are at event {through} of {of}; \
             doors are not concerned"
        );
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "rebuilding", "The ledgers are being rebuilt", detail)
            .with(RETRY_AFTER, "10")
    }

    pub(super) fn ledgers_unavailable() -> Self {
        let detail = "the ledgers cannot be used now; the reason is in the gateway's own log, see also /readyz";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "ledgers-unavailable", "The ledgers cannot be used", detail)
            .with(RETRY_AFTER, "5")
    }

    pub(super) fn not_recorded() -> Self {
        let detail = "whoever asks for personal data is recorded, and that is not possible now, so nothing is shown and \
                      nothing was changed; check the disk, the reason is in the gateway's own log";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "not-recorded", "The request cannot be recorded", detail)
            .with(RETRY_AFTER, "5")
    }

    pub(super) fn outcome_not_recorded() -> Self {
        let detail = "that it was asked for is recorded, what became of it is not: look whether it was changed; check the \
                      disk, the reason is in the gateway's own log";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "not-recorded", "The outcome cannot be recorded", detail)
            .with(RETRY_AFTER, "5")
    }

    pub(super) fn taken(detail: String) -> Self {
        Self::new(StatusCode::CONFLICT, "taken", "Belongs to somebody else", detail)
    }

    pub(super) fn directory_unavailable() -> Self {
        let detail = "the directory is in use or cannot be used; the reason is in the gateway's own log";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "directory-unavailable", "The directory cannot be used", detail)
            .with(RETRY_AFTER, "5")
    }

    pub(super) fn bad_query(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-query", "Bad query", detail)
    }

    pub(super) fn no_host() -> Self {
        let detail = "the request needs exactly one Host header with the name by which the gateway was called";
        Self::new(StatusCode::BAD_REQUEST, "bad-host", "Bad Host header", detail)
    }

    pub(super) fn other_host(host: &str) -> Self {
        let detail = format!(
            "this gateway is not {}; call it by one of its own names, or add this one to host_names in section [http] \
             of its configuration",
            shown(host)
        );
        Self::new(StatusCode::MISDIRECTED_REQUEST, "other-host", "Not this host", detail)
    }

    pub(super) fn head_too_large(bytes_max: usize) -> Self {
        let detail = format!("the request's line and headers are larger than {bytes_max} bytes; send fewer headers");
        Self::new(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "headers-too-large",
            "Request headers are too large",
            detail,
        )
    }

    pub(super) fn body_not_taken() -> Self {
        let detail = "such a request has no body; send it without one";
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", "Request body is too large", detail)
    }

    pub(super) fn body_too_large(bytes_max: usize) -> Self {
        let detail = format!("the request's body may have at most {bytes_max} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", "Request body is too large", detail)
    }

    pub(super) fn body_late(timeout_ms: u64) -> Self {
        let detail = format!("the request's body did not come within {timeout_ms} ms; send it faster");
        Self::new(StatusCode::REQUEST_TIMEOUT, "body-late", "The request took too long", detail)
            .with(CONNECTION, "close")
    }

    pub(super) fn not_json() -> Self {
        let detail = "the request's body must be JSON; send it with \"Content-Type: application/json\"";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not-json", "Unsupported media type", detail)
            .with(ACCEPT, "application/json")
    }

    pub(super) fn bad_body(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-body", "Bad request body", detail)
    }

    pub(super) fn token_needed() -> Self {
        let detail = "this is not for everybody; send an access token as \"Authorization: Bearer TOKEN\"";
        Self::new(StatusCode::UNAUTHORIZED, "token-needed", "An access token is needed", detail)
            .with(WWW_AUTHENTICATE, "Bearer realm=\"gapura\"")
    }

    pub(super) fn token_wrong() -> Self {
        let detail = "the access token is not this gateway's; it was shown once, when it was made";
        Self::new(StatusCode::UNAUTHORIZED, "token-wrong", "Wrong access token", detail)
            .with(WWW_AUTHENTICATE, "Bearer realm=\"gapura\", error=\"invalid_token\"")
    }

    pub(super) fn token_ended() -> Self {
        let detail = "the access token has ended; ask for a new one, made with `gapura token add`";
        Self::new(StatusCode::UNAUTHORIZED, "token-ended", "The access token has ended", detail)
            .with(WWW_AUTHENTICATE, "Bearer realm=\"gapura\", error=\"invalid_token\"")
    }

    /// `roles` are those that may, where the token's may not.
    pub(super) fn forbidden(detail: String, roles: &[TokenRole]) -> Self {
        let mut refusal = Self::new(StatusCode::FORBIDDEN, "forbidden", "Not for this access token", detail);
        refusal.document.roles = roles.iter().map(|role| role.as_str().to_owned()).collect();
        refusal.with(WWW_AUTHENTICATE, "Bearer realm=\"gapura\", error=\"insufficient_scope\"")
    }

    pub(super) fn too_many_assists(retry_after_s: u64) -> Self {
        let detail = format!("too many requests of this helper within a minute; try again in {retry_after_s} s");
        let problem = Self::new(StatusCode::TOO_MANY_REQUESTS, "too-many-assists", "Too many requests", detail);
        Self { header: Some(Box::new((RETRY_AFTER, HeaderValue::from(retry_after_s)))), ..problem }
    }

    pub(super) fn not_kept() -> Self {
        let detail = "nothing was kept and no door was opened; send it again, and see /readyz if that happens often";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "not-kept", "The log cannot take it", detail).with(RETRY_AFTER, "1")
    }

    pub(super) fn not_acknowledged() -> Self {
        let detail = "the log cannot take it now, and what is missing stays marked; send it again";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "not-kept", "The log cannot take it", detail).with(RETRY_AFTER, "1")
    }

    pub(super) fn busy(requests_max: usize) -> Self {
        let detail = format!("{requests_max} requests of this kind are already being answered; try again in a second");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "Too many requests at the same time", detail)
            .with(RETRY_AFTER, "1")
    }

    pub(super) fn late(timeout_ms: u64) -> Self {
        let detail = format!(
            "the answer was not ready within {timeout_ms} ms; try again, and look at /readyz if that happens often"
        );
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "late", "The answer took too long", detail).with(RETRY_AFTER, "5")
    }

    pub(super) fn log_unreadable() -> Self {
        let detail = "the events could not be read; the reason is in the gateway's own log, see also /readyz";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "log-unreadable", "The log cannot be read", detail)
            .with(RETRY_AFTER, "5")
    }

    pub(super) fn internal() -> Self {
        let detail = "the gateway failed at this request; the reason is in its own log";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal error", detail)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        // Texts and numbers: that cannot fail.
        let body = serde_json::to_vec(&*self.document).unwrap_or_default();
        let mut response = (self.status, [(CONTENT_TYPE, "application/problem+json")], body).into_response();
        if let Some((name, value)) = self.header.map(|header| *header) {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

/// A piece of the request as an answer may repeat it: quoted, and not longer than a line.
pub(super) fn shown(text: &str) -> String {
    const CHARS_MAX: usize = 80;
    let mut piece: String = text.chars().take(CHARS_MAX).collect();
    if piece.len() < text.len() {
        piece.push('…');
    }
    format!("{piece:?}")
}
