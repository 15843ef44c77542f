//! How answers are made and written: beside the threads that serve, with how far the ledgers were.

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::problem::Refusal;
use crate::request_slots::Permit;
use crate::{Answer, Document, LedgerError};

/// Does what may block on a thread for that; it keeps the request's slot until it is done, even if nobody waits.
pub(super) async fn aside<T: Send + 'static>(
    permit: Permit,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Refusal> {
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

/// JSON, a row a line.
pub(super) fn lines(rows: &[impl Serialize]) -> Result<Vec<u8>, serde_json::Error> {
    let mut lines = Vec::new();
    for row in rows {
        serde_json::to_writer(&mut lines, row)?;
        lines.push(b'\n');
    }
    Ok(lines)
}

/// An answer of the ledgers, with how far they were.
pub(super) fn ledger(answer: Answer<impl IntoResponse>) -> Response {
    let headers = [("gapura-through", answer.through.to_string()), ("gapura-behind", answer.behind.to_string())];
    (headers, answer.value).into_response()
}

/// A document of the ledgers.
pub(super) fn document(answer: Answer<Document>) -> Response {
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
