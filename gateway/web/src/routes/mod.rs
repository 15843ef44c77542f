//! The routes and their answers.

mod assist;
mod attendance;
mod body;
mod contacts;
mod doors;
mod events;
mod health;
mod level;
mod page;
mod people;
mod policy;
mod presence;
mod privacy;
mod query;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Query, Request};
use axum::http::Uri;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use serde::Serialize;

use super::problem::{Refusal, shown};
use super::request_slots::Permit;
use super::service::{self, Service};
use super::{Answer, Document, LedgerError};

/// The service around every route, and around what is no route. Each route has its rule in `super::route::RULES`.
pub(super) fn router(service: Arc<Service>) -> Router {
    Router::new()
        .route("/", get(|| asset("text/html; charset=utf-8", include_str!("../page.html"))))
        .route("/page.css", get(|| asset("text/css; charset=utf-8", include_str!("../page.css"))))
        .route("/page.js", get(|| asset("text/javascript; charset=utf-8", include_str!("../page.js"))))
        .route("/icon.svg", get(|| asset("image/svg+xml", include_str!("../icon.svg"))))
        .route("/livez", get(health::livez))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(health::metrics))
        .route("/api/openapi.json", get(health::openapi))
        .route("/api/v1/status", get(health::status))
        .route("/api/v1/events", get(events::events))
        .route("/api/v1/doors/{door}/assist", post(assist::submit))
        .route("/api/v1/people", get(people::list))
        .route("/api/v1/people/{id}", get(people::show).put(people::put).delete(people::remove))
        .route("/api/v1/policy", get(policy::policy))
        .route("/api/v1/policy/shadow", get(policy::shadow))
        .route("/api/v1/presence", get(presence::presence))
        .route("/api/v1/presence/people", get(presence::people))
        .route("/api/v1/attendance", get(attendance::attendance))
        .route("/api/v1/attendance/summary", get(attendance::summary))
        .route("/api/v1/contacts", get(contacts::contacts))
        .route("/api/v1/privacy/audit", get(privacy::audit))
        .route("/api/v1/privacy/people/{id}", get(privacy::export).delete(privacy::erase))
        .route("/api/v1/privacy/people/{id}/restriction", put(privacy::restrict).delete(privacy::lift))
        .route("/api/v1/privacy/retention", get(privacy::retention))
        .fallback(|request: Request| async move { Refusal::not_found(request.uri().path()) })
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&service), service::serve_request))
        .with_state(service)
}

async fn asset(content_type: &'static str, text: &'static str) -> Response {
    ([(CONTENT_TYPE, content_type)], text).into_response()
}

/// Does what may block on a thread for that; it keeps the request's slot until it is done, even if nobody waits.
async fn aside<T: Send + 'static>(permit: Permit, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Refusal> {
    let work = move || {
        let answer = work();
        drop(permit);
        answer
    };
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        tracing::error!(%error, "a request was not answered");
        Refusal::internal()
    })
}

/// The values of the `known` query parameters, in that order.
fn parameters(uri: &Uri, known: &[&str]) -> Result<Vec<Option<String>>, Refusal> {
    let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri)
        .map_err(|error| Refusal::bad_query(format!("the query cannot be read: {error}")))?;
    let mut values = vec![None; known.len()];
    for (name, value) in pairs {
        let Some((_, slot)) = known.iter().zip(&mut values).find(|(known, _)| **known == name) else {
            let offer = if known.is_empty() { "none".into() } else { known.join(", ") };
            return Err(Refusal::bad_query(format!("{} is no parameter here; known: {offer}", shown(&name))));
        };
        if slot.replace(value).is_some() {
            return Err(Refusal::bad_query(format!("{} is given twice", shown(&name))));
        }
    }
    Ok(values)
}

/// JSON, a row a line.
fn lines(rows: &[impl Serialize]) -> Result<Vec<u8>, serde_json::Error> {
    let mut lines = Vec::new();
    for row in rows {
        serde_json::to_writer(&mut lines, row)?;
        lines.push(b'\n');
    }
    Ok(lines)
}

/// An answer of the ledgers, with how far they were.
fn ledger(answer: Answer<impl IntoResponse>) -> Response {
    let headers = [("gapura-through", answer.through.to_string()), ("gapura-behind", answer.behind.to_string())];
    (headers, answer.value).into_response()
}

/// A document of the ledgers.
fn document(answer: Answer<Document>) -> Response {
    ledger(answer.map(|Document { content_type, bytes }| ([(CONTENT_TYPE, content_type)], bytes)))
}

impl From<LedgerError> for Refusal {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::Conflict { parameter, reason } => Self::conflict(format!("{parameter} {reason}")),
            LedgerError::UnknownZone { zone, known } => Self::unknown_zone(&zone, known),
            LedgerError::UnknownOpd { opd, known } => Self::unknown_opd(&opd, known),
            LedgerError::UnknownPerson => Self::unknown_person(),
            LedgerError::StillInside => Self::still_inside(),
            LedgerError::Rebuilding { through, of } => Self::rebuilding(through, of),
            LedgerError::Unavailable(error) => {
                tracing::error!(error, "the ledgers cannot be used for a request");
                Self::ledgers_unavailable()
            }
        }
    }
}
