//! Problem details for HTTP APIs (RFC 9457): how every refusal is told.

use axum::http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// A refusal: the status, a stable name, and what was wrong and what to do.
#[derive(Debug)]
pub(super) struct ProblemDetails {
    status: StatusCode,
    name: &'static str,
    title: &'static str,
    detail: String,
    header: Option<(HeaderName, &'static str)>,
}

impl ProblemDetails {
    fn new(status: StatusCode, name: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        Self { status, name, title, detail: detail.into(), header: None }
    }

    fn with(mut self, name: HeaderName, value: &'static str) -> Self {
        self.header = Some((name, value));
        self
    }

    pub(super) fn not_found(path: &str) -> Self {
        let detail = format!(
            "there is no {} here; there are /, /livez, /readyz, /metrics, /api/v1/status and /api/v1/events",
            shown(path)
        );
        Self::new(StatusCode::NOT_FOUND, "not-found", "No such page", detail)
    }

    pub(super) fn method_not_allowed(method: &Method) -> Self {
        let detail = format!("{} is not offered here; use GET or HEAD", shown(method.as_str()));
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Method not allowed", detail)
            .with(ALLOW, "GET, HEAD")
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
        let detail = "no request here has a body; send it without one";
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", "Request body is too large", detail)
    }

    pub(super) fn token_needed() -> Self {
        let detail = "this shows personal data; send the admin token as \"Authorization: Bearer TOKEN\"";
        Self::new(StatusCode::UNAUTHORIZED, "token-needed", "An access token is needed", detail)
            .with(WWW_AUTHENTICATE, "Bearer realm=\"gapura\"")
    }

    pub(super) fn token_wrong() -> Self {
        let detail = "the access token is not this gateway's; it was shown once, when the site was made";
        Self::new(StatusCode::UNAUTHORIZED, "token-wrong", "Wrong access token", detail)
            .with(WWW_AUTHENTICATE, "Bearer realm=\"gapura\", error=\"invalid_token\"")
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

impl IntoResponse for ProblemDetails {
    fn into_response(self) -> Response {
        let body = json!({
            "type": format!("urn:gapura:problem:{}", self.name),
            "title": self.title,
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        let mut response =
            (self.status, [(CONTENT_TYPE, "application/problem+json")], body.to_string()).into_response();
        if let Some((name, value)) = self.header {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
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
