//! What every request passes before and after its route: the rules of admission, its body, the time limit, headers and
//! figures.

use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes, HttpBody, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST, TRANSFER_ENCODING};
use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body::Frame;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::connection::{Answering, Peer};
use super::look::Asked;
use super::metrics::{self, Metrics, OfRoute};
use super::problem::ProblemDetails;
use super::route::{Route, Rule};
use super::{Config, Sources};
use base::tokens::Token;

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

/// What all requests share.
pub(super) struct Front {
    pub(super) sources: Sources,
    metrics: Metrics,
    hosts: Hosts,
    requests: Places,
    events_requests: Places,
    config: Config,
}

/// Whose token came with the request, for routes that need one.
#[derive(Clone, Debug)]
pub(super) struct Bearer(pub(super) Token);

/// A request's place among those that are answered at the same time. Whoever works for the request keeps a clone, so
/// that work that outlives its request still counts.
#[derive(Clone, Debug)]
pub(super) struct Permit {
    _all: Option<Arc<OwnedSemaphorePermit>>,
    _events: Option<Arc<OwnedSemaphorePermit>>,
}

/// Marks the answer to a request that could not be recorded.
#[derive(Clone, Copy, Debug)]
struct Unrecorded;

/// What stands for the status of a change that is about to be made.
const BEGUN: StatusCode = StatusCode::CONTINUE;

struct Places {
    free: Arc<Semaphore>,
    max: usize,
}

/// By which names the gateway may be called, against DNS rebinding: a page of another origin can make its own name
/// point to this machine, but it cannot make a browser send another name.
enum Hosts {
    /// Loopback addresses and `localhost`, and these names.
    Loopback(Vec<String>),
    /// These names.
    Named(Vec<String>),
    /// Any: the certificate names the gateway.
    Any,
}

/// What must live until an answer is sent.
struct Kept {
    _permit: Option<Permit>,
    _answering: Answering,
}

/// Some of an answer's bytes, and what they keep.
struct Sending {
    bytes: Bytes,
    _kept: Arc<Kept>,
}

/// An answer that is made while it is sent.
struct SendingPieces {
    body: Body,
    kept: Arc<Kept>,
}

impl Front {
    pub(super) fn new(config: &Config, address: SocketAddr, sources: Sources, metrics: Metrics) -> Self {
        let names = config.host_names.clone();
        Self {
            sources,
            metrics,
            hosts: if address.ip().to_canonical().is_loopback() {
                Hosts::Loopback(names)
            } else if names.is_empty() {
                Hosts::Any
            } else {
                Hosts::Named(names)
            },
            requests: Places::new(config.requests_max),
            events_requests: Places::new(config.events_requests_max),
            config: config.clone(),
        }
    }

    /// Admits a request; what its route needs to know is in `head`, its body is read.
    async fn admit(&self, head: &mut Parts, body: Body) -> Result<(Permit, Bytes), ProblemDetails> {
        if head_bytes(head) > self.config.head_bytes_max {
            return Err(ProblemDetails::head_too_large(self.config.head_bytes_max));
        }
        self.hosts.check(head)?;
        let rule = match Rule::of(head.uri.path(), &head.method) {
            Some(Err(offered)) => return Err(ProblemDetails::method_not_allowed(&head.method, &offered)),
            Some(Ok(rule)) => Some(rule),
            None => None,
        };
        if let Some(rule) = rule.filter(|rule| !rule.roles.is_empty()) {
            let token = self.check_token(&head.headers).await?;
            head.extensions.insert(Bearer(token.clone()));
            if !rule.roles.contains(&token.role) {
                let detail = format!("the token {} has the role {}, which may not do this", token.name, token.role);
                return Err(self.forbid(&token, rule.route, detail));
            }
        }
        let body = self.read_body(rule, head, body).await?;
        let route = rule.map_or(Route::unknown, |rule| rule.route);
        let permit = Permit {
            _all: if route == Route::livez { None } else { Some(self.requests.take()?) },
            _events: if rule.is_some_and(|rule| rule.heavy) { Some(self.events_requests.take()?) } else { None },
        };
        head.extensions.insert(permit.clone());
        Ok((permit, body))
    }

    /// Whose token came with the request.
    async fn check_token(&self, headers: &HeaderMap) -> Result<Token, ProblemDetails> {
        let shown = headers
            .get(AUTHORIZATION)
            .and_then(|value| value.as_bytes().split_at_checked(7))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"bearer "))
            .map(|(_, token)| token.trim_ascii())
            .ok_or_else(ProblemDetails::token_needed)?;
        let token = self.sources.tokens.load().find(shown).cloned();
        let refusal = match token {
            Some(token) if !token.is_expired(self.sources.clock.now()) => return Ok(token),
            Some(token) => {
                tracing::warn!(token = %token.name, "a request came with an access token that has ended");
                ProblemDetails::token_ended()
            }
            None => {
                tracing::warn!("a request came with a wrong access token");
                ProblemDetails::token_wrong()
            }
        };
        self.metrics.tokens_refused.inc();
        // Waits without a request's place, so that guessing costs others nothing; the connections are limited.
        tokio::time::sleep(Duration::from_millis(self.config.token_delay_ms)).await;
        Err(refusal)
    }

    /// The route's answer. A change is on the record before it is made.
    async fn answer(&self, request: Request, next: Next, asked: Option<&Asked>) -> Response {
        if let Some(asked) = asked.filter(|asked| asked.changes())
            && let Err(problem) = self.record(asked, BEGUN, ProblemDetails::look_not_recorded).await
        {
            return problem;
        }
        let timeout_ms = self.config.request_timeout_ms;
        let response = tokio::time::timeout(Duration::from_millis(timeout_ms), next.run(request)).await;
        response.unwrap_or_else(|_| ProblemDetails::late(timeout_ms).into_response())
    }

    /// The answer, once the look is on disk; else a problem in its place.
    async fn on_the_record(&self, asked: Option<Asked>, admitted: bool, response: Response) -> Response {
        let status = response.status();
        let unrecorded = response.extensions().get::<Unrecorded>().is_some();
        let Some(asked) = asked.filter(|asked| !unrecorded && asked.leaves_a_look(status)) else { return response };
        let begun = admitted && asked.changes();
        let asked = if begun { asked.answered() } else { asked };
        let problem = if begun { ProblemDetails::outcome_not_recorded } else { ProblemDetails::look_not_recorded };
        match self.record(&asked, status, problem).await {
            Ok(()) => response,
            Err(problem) => problem,
        }
    }

    async fn record(&self, asked: &Asked, status: StatusCode, problem: fn() -> ProblemDetails) -> Result<(), Response> {
        let recording = self.sources.looks.record(asked.look(self.sources.clock.now(), status));
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
    pub(super) fn forbid(&self, token: &Token, route: Route, detail: String) -> ProblemDetails {
        self.metrics.tokens_forbidden.get_or_create(&OfRoute { route }).inc();
        let role = token.role.as_str();
        tracing::warn!(target: "access", ?route, token = %token.name, role, "a token was used for what it is not for");
        ProblemDetails::forbidden(detail)
    }

    /// The body, where one is taken; any other is refused.
    async fn read_body(&self, rule: Option<&Rule>, head: &Parts, body: Body) -> Result<Bytes, ProblemDetails> {
        let headers = &head.headers;
        let length = headers.get(CONTENT_LENGTH);
        let comes = headers.contains_key(TRANSFER_ENCODING) || length.is_some_and(|length| length.as_bytes() != b"0");
        let acts = [Method::POST, Method::PUT, Method::PATCH].contains(&head.method);
        let Some(bytes_max) = rule.filter(|_| acts).and_then(|rule| rule.body_bytes_max(&self.config)) else {
            return if comes { Err(ProblemDetails::body_not_taken()) } else { Ok(Bytes::new()) };
        };
        if !is_json(headers) {
            return Err(ProblemDetails::not_json());
        }
        let told: Option<usize> = length.and_then(|length| length.to_str().ok()).and_then(|length| length.parse().ok());
        if told.is_some_and(|told| told > bytes_max) {
            return Err(ProblemDetails::body_too_large(bytes_max));
        }
        // Beyond its limit, or broken off: then nobody reads the answer.
        let read = tokio::time::timeout(Duration::from_millis(self.config.body_timeout_ms), to_bytes(body, bytes_max));
        match read.await {
            Ok(read) => read.map_err(|_| ProblemDetails::body_too_large(bytes_max)),
            Err(_) => Err(ProblemDetails::body_late(self.config.body_timeout_ms)),
        }
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = value.split(';').next().unwrap_or_default();
    kind.trim().eq_ignore_ascii_case("application/json")
}

/// The layer around every route.
pub(super) async fn pass(
    State(front): State<Arc<Front>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    request: Request,
    next: Next,
) -> Response {
    let answering = peer.answering();
    let started = Instant::now();
    let (mut head, body) = request.into_parts();
    let route = Route::of(head.uri.path());
    let admitted = front.admit(&mut head, body).await;
    let asked = Asked::of(&head);
    let (permit, response) = match admitted {
        Ok((permit, body)) => {
            let request = Request::from_parts(head, Body::from(body));
            (Some(permit), front.answer(request, next, asked.as_ref()).await)
        }
        Err(problem) => (None, problem.into_response()),
    };
    let mut response = front.on_the_record(asked, permit.is_some(), response).await;
    for (name, value) in SECURITY_HEADERS {
        // A document that stands for itself brings its own content policy.
        response.headers_mut().entry(HeaderName::from_static(name)).or_insert(HeaderValue::from_static(value));
    }
    let code = response.status().as_u16().into();
    front.metrics.requests.get_or_create(&metrics::Request { route, code }).inc();
    front.metrics.seconds.get_or_create(&OfRoute { route }).observe(started.elapsed().as_secs_f64());
    until_sent(response, permit, answering).await
}

/// Keeps the request's place, and its connection's deadline for answers, until the last byte is handed over.
async fn until_sent(response: Response, permit: Option<Permit>, answering: Answering) -> Response {
    let (parts, body) = response.into_parts();
    let kept = Arc::new(Kept { _permit: permit, _answering: answering });
    if body.size_hint().exact().is_none() {
        return Response::from_parts(parts, Body::new(SendingPieces { body, kept }));
    }
    // It is in memory, so this neither waits nor fails.
    let bytes = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let body = if bytes.is_empty() { Body::empty() } else { Body::from(Sending::bytes(bytes, kept)) };
    Response::from_parts(parts, body)
}

impl Sending {
    fn bytes(bytes: Bytes, kept: Arc<Kept>) -> Bytes {
        Bytes::from_owner(Self { bytes, _kept: kept })
    }
}

impl HttpBody for SendingPieces {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        let kept = Arc::clone(&self.kept);
        Poll::Ready(frame.map(|frame| frame.map(|frame| frame.map_data(|bytes| Sending::bytes(bytes, kept)))))
    }
}

impl Hosts {
    fn check(&self, head: &Parts) -> Result<(), ProblemDetails> {
        let mut hosts = head.headers.get_all(HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else {
            return Err(ProblemDetails::no_host());
        };
        let host: Authority =
            host.to_str().ok().and_then(|host| host.parse().ok()).ok_or_else(ProblemDetails::no_host)?;
        // A target in absolute form (RFC 9112, section 3.2.2) names the host a second time.
        match [Some(&host), head.uri.authority()].into_iter().flatten().find(|host| !self.allow(host)) {
            Some(other) => Err(ProblemDetails::other_host(other.as_str())),
            None => Ok(()),
        }
    }

    fn allow(&self, host: &Authority) -> bool {
        let name = host.host();
        let bare = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
        let named = |names: &[String]| names.iter().any(|known| known.eq_ignore_ascii_case(bare));
        !host.as_str().contains('@')
            && match self {
                Self::Any => true,
                Self::Named(names) => named(names),
                Self::Loopback(names) => {
                    bare.eq_ignore_ascii_case("localhost")
                        || bare.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
                        || named(names)
                }
            }
    }
}

impl Places {
    fn new(max: usize) -> Self {
        Self { free: Arc::new(Semaphore::new(max)), max }
    }

    fn take(&self) -> Result<Arc<OwnedSemaphorePermit>, ProblemDetails> {
        let permit = Arc::clone(&self.free).try_acquire_owned();
        permit.map(Arc::new).map_err(|_| ProblemDetails::busy(self.max))
    }
}

impl AsRef<[u8]> for Sending {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Size of the request's line and headers as they travelled, within a few bytes.
fn head_bytes(head: &Parts) -> usize {
    let target = head.uri.path_and_query().map_or(0, |target| target.as_str().len())
        + head.uri.authority().map_or(0, |authority| authority.as_str().len());
    let fields: usize = head.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    target + fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_gateways_own_names_are_taken() {
        let loopback = Hosts::Loopback(vec!["gate.lan".into()]);
        let named = Hosts::Named(vec!["gate.lan".into(), "10.0.0.5".into(), "fd00::5".into()]);
        for (host, on_loopback, by_name) in [
            ("localhost", true, false),
            ("LOCALHOST:8080", true, false),
            ("127.0.0.1:8080", true, false),
            ("127.0.0.2", true, false),
            ("[::1]:8080", true, false),
            ("gate.lan:443", true, true),
            ("Gate.LAN", true, true),
            ("10.0.0.5:443", false, true),
            ("[fd00::5]:443", false, true),
            ("evil.example", false, false),
            ("localhost.evil.example", false, false),
            ("127.0.0.1.evil.example", false, false),
            ("localhost@evil.example", false, false),
            ("evil@localhost", false, false),
            ("0.0.0.0", false, false),
        ] {
            let host: Authority = host.parse().unwrap();
            assert_eq!((loopback.allow(&host), named.allow(&host)), (on_loopback, by_name), "{host}");
        }
        assert!(Hosts::Any.allow(&Authority::from_static("anything")));
    }
}
