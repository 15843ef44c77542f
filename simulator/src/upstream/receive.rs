//! One request: read, struck by a fault or not, written down, answered.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use axum::Json;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, DefaultBodyLimit, FromRequest, Request, State};
use axum::http::header::{ACCEPT_ENCODING, ALLOW, CONTENT_TYPE};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use protocol::BatchAnswer;

use super::batch::{self, BODY_BYTES_MAX, Posted, Refusal};
use super::days::Days;
use super::fault::{Fault, Faults};
use super::ledger::{Entry, Ledger, LedgerSummary};
use super::listener::Peer;
use crate::chance::{Chance, Purpose};

/// What all requests share.
#[derive(Debug)]
pub(super) struct Desk {
    ledger: Mutex<Ledger>,
    days: Mutex<Days>,
    faults: RwLock<Faults>,
    chance: Chance,
    batches: AtomicU64,
}

impl Desk {
    pub(super) fn new(ledger: Ledger, faults: Faults, seed: u64) -> Self {
        Self {
            ledger: Mutex::new(ledger),
            days: Mutex::default(),
            faults: RwLock::new(faults),
            chance: Chance::new(seed),
            batches: AtomicU64::new(0),
        }
    }

    pub(super) fn summary(&self) -> LedgerSummary {
        let attendance = self.days.lock().unwrap_or_else(PoisonError::into_inner).summary();
        LedgerSummary { attendance, ..self.ledger().summary() }
    }

    pub(super) fn set_faults(&self, faults: Faults) {
        *self.faults.write().unwrap_or_else(PoisonError::into_inner) = faults;
    }

    /// Batches that have been read so far.
    #[cfg(test)]
    pub(super) fn batches(&self) -> u64 {
        self.batches.load(Ordering::Relaxed)
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps what was posted and gives the number up to which all of its source has been dealt with; 0 for working days.
    fn take(&self, posted: Posted) -> Result<u64, Refusal> {
        match posted {
            Posted::Events(entries) => self.keep(&entries),
            Posted::Days(new) => {
                let mut days = self.days.lock().unwrap_or_else(PoisonError::into_inner);
                new.into_iter().for_each(|day| days.take(day));
                Ok(0)
            }
        }
    }

    /// Writes `entries` down and gives the number up to which all of their source has been dealt with.
    fn keep(&self, entries: &[Entry]) -> Result<u64, Refusal> {
        let mut ledger = self.ledger();
        ledger.append(entries).map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}")))?;
        Ok(entries.first().map_or(0, |entry| ledger.acked_through(&entry.source)))
    }
}

/// `POST` of a batch to any path, `GET /summary`, and `PUT /fault` with [`Faults`] as text.
pub(super) fn routes(desk: Arc<Desk>) -> Router {
    Router::new()
        .route("/summary", get(async |State(desk): State<Arc<Desk>>| Json(desk.summary())))
        .route("/fault", put(fault))
        .fallback(post)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(desk)
}

async fn fault(State(desk): State<Arc<Desk>>, text: String) -> Response {
    match text.parse() {
        Ok(faults) => {
            desk.set_faults(faults);
            StatusCode::NO_CONTENT.into_response()
        }
        Err(error) => refusal((StatusCode::UNPROCESSABLE_ENTITY, format!("{error:#}"))),
    }
}

async fn post(State(desk): State<Arc<Desk>>, ConnectInfo(peer): ConnectInfo<Peer>, request: Request) -> Response {
    if request.method() != Method::POST {
        let why = "batches are posted".into();
        return ([(ALLOW, "POST")], refusal((StatusCode::METHOD_NOT_ALLOWED, why))).into_response();
    }
    receive(desk, &peer, request).await.unwrap_or_else(refusal)
}

async fn receive(desk: Arc<Desk>, peer: &Peer, request: Request) -> Result<Response, Refusal> {
    let encoding = batch::encoding(request.headers())?;
    let body = Bytes::from_request(request, &()).await.map_err(|error| (error.status(), error.body_text()))?;
    let received_at = jiff::Timestamp::now().into();
    let posted = blocking(move || batch::posted(&body, encoding, received_at)).await?;

    let ids: Vec<u64> = match &posted {
        Posted::Events(entries) => entries.iter().map(|entry| entry.id).collect(),
        Posted::Days(_) => Vec::new(),
    };
    let number = desk.batches.fetch_add(1, Ordering::Relaxed);
    let strike = {
        let faults = desk.faults.read().unwrap_or_else(PoisonError::into_inner);
        faults.strike(&ids, |n| desk.chance.unit(Purpose::Fault, number, n))
    };
    tokio::time::sleep(strike.delay).await;
    match strike.end {
        None => {
            let acked_through = blocking(move || desk.take(posted)).await?;
            Ok(Json(BatchAnswer { acked_through }).into_response())
        }
        Some(Fault::LostAnswer) => {
            blocking(move || desk.take(posted)).await?;
            peer.cut();
            Ok(StatusCode::OK.into_response())
        }
        Some(Fault::Status(status)) => {
            refuse(desk, posted, status).await?;
            Err((status_code(status), "on purpose".into()))
        }
        Some(Fault::Refuse(id)) => {
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            refuse(desk, posted, status.as_u16()).await?;
            Err((status, format!("event {id} is refused on purpose")))
        }
        Some(Fault::Cut | Fault::SlowMs(_)) => {
            peer.cut();
            Ok(StatusCode::OK.into_response())
        }
    }
}

/// The sender passes over an event that is refused for good and alone, so it is dealt with here as well.
async fn refuse(desk: Arc<Desk>, posted: Posted, status: u16) -> Result<(), Refusal> {
    let Posted::Events(mut entries) = posted else { return Ok(()) };
    let ([entry], 400 | 413 | 415 | 422) = (&mut entries[..], status) else { return Ok(()) };
    entry.refused = Some(status);
    blocking(move || desk.keep(&entries)).await?;
    Ok(())
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Refusal> + Send + 'static) -> Result<T, Refusal> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err((StatusCode::INTERNAL_SERVER_ERROR, error.to_string())),
    }
}

fn status_code(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// Problem details (RFC 9457).
fn refusal((status, detail): Refusal) -> Response {
    let problem =
        serde_json::json!({ "title": status.canonical_reason(), "status": status.as_u16(), "detail": detail });
    let mut response = (status, [(CONTENT_TYPE, "application/problem+json")], problem.to_string()).into_response();
    if status == StatusCode::UNSUPPORTED_MEDIA_TYPE {
        response.headers_mut().insert(ACCEPT_ENCODING, axum::http::HeaderValue::from_static("gzip, identity"));
    }
    response
}
