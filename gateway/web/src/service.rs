//! What every request passes before and after its route: the rules of admission, its body, the time limit, the audit trail, headers
//! and metrics.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::audited::AuditedRequest;
use super::bearer::{Bearer, BearerError};
use super::connection::Peer;
use super::host_names::HostNames;
use super::metrics::{self, Metrics, OfRoute};
use super::problem::Refusal;
use super::request_slots::{Permit, RequestSlots};
use super::route::{Route, Rule};
use super::sending::until_sent;
use super::{Config, Sources};
use base::tokens::{Token, TokenRole};

/// On every answer. The status page needs its own style, script, icon and status, and nothing else does.
const SECURITY_HEADERS: [(&str, &str); 8] = [
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=()"),
    ("cache-control", "no-store"),
];

/// What stands for the status of a change that is about to be made.
const BEGUN: StatusCode = StatusCode::CONTINUE;

/// What all requests share.
pub(super) struct Service {
    pub(super) sources: Sources,
    metrics: Metrics,
    host_names: HostNames,
    requests: RequestSlots,
    heavy_requests: RequestSlots,
    config: Config,
}

/// Marks the answer to a request that could not be recorded.
#[derive(Clone, Copy, Debug)]
struct Unrecorded;

/// The layer around every route.
pub(super) async fn serve_request(
    State(service): State<Arc<Service>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    request: Request,
    next: Next,
) -> Response {
    let answering = peer.answering();
    let started = Instant::now();
    let (mut head, body) = request.into_parts();
    let route = Route::of(head.uri.path());
    let admitted = service.admit(&mut head, body).await;
    let audited = AuditedRequest::of(&head);
    let (permit, response) = match admitted {
        Ok((permit, body)) => {
            let request = Request::from_parts(head, Body::from(body));
            (Some(permit), service.answer(request, next, audited.as_ref()).await)
        }
        Err(problem) => (None, problem.into_response()),
    };
    let mut response = service.on_the_record(audited, permit.is_some(), response).await;
    for (name, value) in SECURITY_HEADERS {
        // A document that stands for itself brings its own content policy.
        response.headers_mut().entry(HeaderName::from_static(name)).or_insert(HeaderValue::from_static(value));
    }
    let code = response.status().as_u16().into();
    service.metrics.requests.get_or_create(&metrics::Request { route, code }).inc();
    service.metrics.seconds.get_or_create(&OfRoute { route }).observe(started.elapsed().as_secs_f64());
    until_sent(response, permit, answering).await
}

impl Service {
    pub(super) fn new(config: &Config, address: SocketAddr, sources: Sources, metrics: Metrics) -> Self {
        Self {
            sources,
            metrics,
            host_names: HostNames::new(address, config.host_names.clone()),
            requests: RequestSlots::new(config.requests_max),
            heavy_requests: RequestSlots::new(config.events_requests_max),
            config: config.clone(),
        }
    }

    /// Admits a request; what its route needs to know is in `head`, its body is read.
    async fn admit(&self, head: &mut Parts, body: Body) -> Result<(Permit, Bytes), Refusal> {
        if head_bytes(head) > self.config.head_bytes_max {
            return Err(Refusal::head_too_large(self.config.head_bytes_max));
        }
        self.host_names.check(head)?;
        let rule = match Rule::of(head.uri.path(), &head.method) {
            Some(Err(offered)) => return Err(Refusal::method_not_allowed(&head.method, &offered)),
            Some(Ok(rule)) => Some(rule),
            None => None,
        };
        if let Some(rule) = rule.filter(|rule| !rule.roles.is_empty()) {
            let bearer = self.known_bearer(&head.headers).await?;
            head.extensions.insert(bearer.clone());
            let Bearer(token) = bearer;
            if !rule.roles.contains(&token.role) {
                let detail = format!("the token {} has the role {}, which may not do this", token.name, token.role);
                return Err(self.forbid(&token, rule.route, detail, rule.roles));
            }
        }
        let body = self.read_body(rule, head, body).await?;
        let route = rule.map_or(Route::unknown, |rule| rule.route);
        let permit = Permit {
            _all: if route == Route::livez { None } else { Some(self.requests.take()?) },
            _heavy: if rule.is_some_and(|rule| rule.heavy) { Some(self.heavy_requests.take()?) } else { None },
        };
        head.extensions.insert(permit.clone());
        Ok((permit, body))
    }

    /// Whose token came with the request.
    async fn known_bearer(&self, headers: &HeaderMap) -> Result<Bearer, Refusal> {
        let bearer = Bearer::of(headers, &self.sources.tokens.load(), self.sources.clock.now());
        match bearer {
            Ok(bearer) => Ok(bearer),
            Err(BearerError::Missing) => Err(Refusal::token_needed()),
            Err(BearerError::Refused(refusal)) => {
                self.metrics.tokens_refused.inc();
                // Waits without a request's slot, so that guessing costs others nothing; the connections are limited.
                tokio::time::sleep(Duration::from_millis(self.config.token_delay_ms)).await;
                Err(refusal)
            }
        }
    }

    /// The route's answer. A change is on the record before it is made.
    async fn answer(&self, request: Request, next: Next, audited: Option<&AuditedRequest>) -> Response {
        if let Some(audited) = audited.filter(|audited| audited.changes())
            && let Err(problem) = self.record(audited, BEGUN, Refusal::not_recorded).await
        {
            return problem;
        }
        let timeout_ms = self.config.request_timeout_ms;
        let response = tokio::time::timeout(Duration::from_millis(timeout_ms), next.run(request)).await;
        response.unwrap_or_else(|_| Refusal::late(timeout_ms).into_response())
    }

    /// The answer, once its record is on disk; else a problem in its place.
    async fn on_the_record(&self, audited: Option<AuditedRequest>, admitted: bool, response: Response) -> Response {
        let status = response.status();
        let unrecorded = response.extensions().get::<Unrecorded>().is_some();
        let Some(audited) = audited.filter(|audited| !unrecorded && audited.is_recorded(status)) else {
            return response;
        };
        let begun = admitted && audited.changes();
        let audited = if begun { audited.answered() } else { audited };
        let problem = if begun { Refusal::outcome_not_recorded } else { Refusal::not_recorded };
        match self.record(&audited, status, problem).await {
            Ok(()) => response,
            Err(problem) => problem,
        }
    }

    async fn record(
        &self,
        audited: &AuditedRequest,
        status: StatusCode,
        problem: fn() -> Refusal,
    ) -> Result<(), Response> {
        let recording = self.sources.audit.record(audited.record(self.sources.clock.now(), status));
        let recorded = tokio::time::timeout(Duration::from_millis(self.config.request_timeout_ms), recording).await;
        match recorded {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(error)) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "a request for personal data cannot be recorded, and is not answered");
            }
            Err(_) => tracing::error!("recording a request for personal data takes too long; it is not answered"),
        }
        self.metrics.audit_failed.inc();
        let mut response = problem().into_response();
        response.extensions_mut().insert(Unrecorded);
        Err(response)
    }

    /// Refuses a good token that is not for what was asked, on the record.
    pub(super) fn forbid(&self, token: &Token, route: Route, detail: String, roles: &[TokenRole]) -> Refusal {
        self.metrics.tokens_forbidden.get_or_create(&OfRoute { route }).inc();
        let role = token.role.as_str();
        tracing::warn!(target: "access", ?route, token = %token.name, role, "a token was used for what it is not for");
        Refusal::forbidden(detail, roles)
    }

    /// The body, where one is taken; any other is refused.
    async fn read_body(&self, rule: Option<&Rule>, head: &Parts, body: Body) -> Result<Bytes, Refusal> {
        let headers = &head.headers;
        let length = headers.get(CONTENT_LENGTH);
        let comes = headers.contains_key(TRANSFER_ENCODING) || length.is_some_and(|length| length.as_bytes() != b"0");
        let acts = [Method::POST, Method::PUT, Method::PATCH].contains(&head.method);
        let Some(bytes_max) = rule.filter(|_| acts).and_then(|rule| rule.body_bytes_max(&self.config)) else {
            return if comes { Err(Refusal::body_not_taken()) } else { Ok(Bytes::new()) };
        };
        if !is_json(headers) {
            return Err(Refusal::not_json());
        }
        let told: Option<usize> = length.and_then(|length| length.to_str().ok()).and_then(|length| length.parse().ok());
        if told.is_some_and(|told| told > bytes_max) {
            return Err(Refusal::body_too_large(bytes_max));
        }
        // Beyond its limit, or broken off: then nobody reads the answer.
        let read = tokio::time::timeout(Duration::from_millis(self.config.body_timeout_ms), to_bytes(body, bytes_max));
        match read.await {
            Ok(read) => read.map_err(|_| Refusal::body_too_large(bytes_max)),
            Err(_) => Err(Refusal::body_late(self.config.body_timeout_ms)),
        }
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = value.split(';').next().unwrap_or_default();
    kind.trim().eq_ignore_ascii_case("application/json")
}

/// Size of the request's line and headers as they travelled, within a few bytes.
fn head_bytes(head: &Parts) -> usize {
    let target = head.uri.path_and_query().map_or(0, |target| target.as_str().len())
        + head.uri.authority().map_or(0, |authority| authority.as_str().len());
    let fields: usize = head.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    target + fields
}
