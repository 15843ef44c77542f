//! A person's rights, and the record of who has looked.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::health::switch;
use super::{aside, body, ledger, limited, lines, parameters, query};
use crate::front::{Bearer, Front, Permit};
use crate::problem::ProblemDetails;
use crate::{Erasure, LedgerError, PersonFile, Restriction};
use store::audit::{AuditError, AuditTrail, Filter, PERSON_CHARS_MAX, PURPOSE_CHARS_MAX, StoredRecord};

/// The most looks that one answer holds, and how many when the request does not say.
const LOOKS: (usize, usize) = (10_000, 1_000);

pub(super) async fn looks(
    State(front): State<Arc<Front>>,
    Extension(permit): Extension<Permit>,
    uri: Uri,
) -> Result<Response, ProblemDetails> {
    let known = ["token", "person", "from", "to", "after", "limit", "purpose"];
    let [token, person, from, to, after, limit, purpose] = parameters(&uri, &known)?.try_into().unwrap_or_default();
    query::purpose_allowed(purpose)?;
    let (from, to) = (query::moment("from", from)?, query::moment("to", to)?);
    query::in_order(from, to)?;
    let filter = Filter { token, person: query::person(person)?, from, to };
    let after = query::after(after, "a look's")?;
    let limit = limited(limit, LOOKS)?;
    let page = aside(permit, move || front.sources.looks.list(&filter, after, limit)).await??;
    let lines = lines(&page.rows).map_err(|error| LedgerError::Unavailable(error.to_string()))?;
    let headers = [
        ("content-type", "application/x-ndjson".to_owned()),
        ("gapura-last-look", page.last.to_string()),
        ("gapura-more", page.more.to_string()),
    ];
    Ok((headers, lines).into_response())
}

/// Everything about one person.
pub(super) async fn export(
    State(front): State<Arc<Front>>,
    Extension(permit): Extension<Permit>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Response, ProblemDetails> {
    #[derive(Serialize)]
    struct Export {
        person: String,
        #[serde(flatten)]
        file: PersonFile,
        looks: Vec<StoredRecord>,
    }

    let [purpose] = parameters(&uri, &["purpose"])?.try_into().unwrap_or_default();
    query::purpose_needed(purpose)?;
    known_length(&id)?;
    aside(permit, move || {
        let file = front.sources.ledgers.person(&id)?;
        let looks = looks_at(&front.sources.looks, &id)?;
        // Into bytes at once, as an answer may be large.
        let export = file.map(|file| serde_json::to_vec(&Export { person: id, file, looks }));
        match export.value {
            Ok(_) => Ok(ledger(export.map(|json| ([(CONTENT_TYPE, "application/json")], json.unwrap_or_default())))),
            Err(error) => Err(LedgerError::Unavailable(error.to_string()).into()),
        }
    })
    .await?
}

pub(super) async fn erase(
    State(front): State<Arc<Front>>,
    Extension(permit): Extension<Permit>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Response, ProblemDetails> {
    #[derive(Serialize)]
    struct Erased {
        person: String,
        #[serde(flatten)]
        erasure: Erasure,
    }

    let [purpose, force] = parameters(&uri, &["purpose", "force"])?.try_into().unwrap_or_default();
    query::purpose_needed(purpose)?;
    let force = switch("force", force.as_deref())?;
    known_length(&id)?;
    let erased = aside(permit, move || {
        let erasure = front.sources.ledgers.erase(&id, force)?;
        Ok::<_, LedgerError>(Erased { person: id, erasure })
    });
    Ok(Json(erased.await??).into_response())
}

pub(super) async fn restrict(
    State(front): State<Arc<Front>>,
    Extension(permit): Extension<Permit>,
    Extension(Bearer(token)): Extension<Bearer>,
    Path(id): Path<String>,
    uri: Uri,
    bytes: Bytes,
) -> Result<Response, ProblemDetails> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Wanted {
        reason: String,
    }

    parameters(&uri, &[])?;
    let Wanted { reason } = body::json(&bytes)?;
    if reason.trim().is_empty() || reason.chars().count() > PURPOSE_CHARS_MAX {
        let detail = format!("reason must be why the data are not to be used, 1 to {PURPOSE_CHARS_MAX} characters");
        return Err(ProblemDetails::bad_body(detail).at("reason".into()));
    }
    known_length(&id)?;
    let restriction = Restriction { reason, since: front.sources.clock.now(), by: token.name.to_string() };
    let kept = aside(permit, move || front.sources.ledgers.restrict(&id, restriction)).await??;
    Ok(Json(kept).into_response())
}

pub(super) async fn lift(
    State(front): State<Arc<Front>>,
    Extension(permit): Extension<Permit>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Response, ProblemDetails> {
    parameters(&uri, &[])?;
    known_length(&id)?;
    aside(permit, move || front.sources.ledgers.lift(&id)).await??;
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(super) async fn retention(
    State(front): State<Arc<Front>>,
    Extension(permit): Extension<Permit>,
    uri: Uri,
) -> Result<Response, ProblemDetails> {
    parameters(&uri, &[])?;
    let retention = aside(permit, move || front.sources.ledgers.retention()).await??;
    Ok(Json(json!(retention)).into_response())
}

/// Every look at the person's data.
fn looks_at(looks: &AuditTrail, id: &str) -> Result<Vec<StoredRecord>, AuditError> {
    let filter = Filter { person: Some(id.to_owned()), ..Filter::default() };
    let (mut rows, mut after) = (Vec::new(), 0);
    loop {
        let page = looks.list(&filter, after, usize::MAX)?;
        rows.extend(page.rows);
        after = page.last;
        if !page.more {
            return Ok(rows);
        }
    }
}

/// Nobody has an id that is longer than the audit trail keeps.
fn known_length(id: &str) -> Result<(), ProblemDetails> {
    if id.chars().count() > PERSON_CHARS_MAX { Err(ProblemDetails::unknown_person()) } else { Ok(()) }
}

impl From<AuditError> for ProblemDetails {
    fn from(error: AuditError) -> Self {
        tracing::error!(error = &error as &dyn std::error::Error, "the audit trail cannot be read");
        Self::ledgers_unavailable()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_nobody_can_have_is_nobodys() {
        assert!(known_length(&"ä".repeat(PERSON_CHARS_MAX)).is_ok());
        assert!(known_length(&"ä".repeat(PERSON_CHARS_MAX + 1)).is_err());
    }
}
