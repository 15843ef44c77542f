//! People of the directory: shown, put in, taken out.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};

use super::{aside, body, limited, lines, parameters};
use crate::http::PeopleError;
use crate::http::front::{Bearer, Front, Permit};
use crate::http::problem::Refusal;

/// The most people that one answer holds, and how many when the request does not say.
const PEOPLE: (usize, usize) = (10_000, 1_000);

pub(super) async fn list(
    State(front): State<Arc<Front>>,
    Extension(permit): Extension<Permit>,
    Extension(Bearer(token)): Extension<Bearer>,
    uri: Uri,
) -> Result<Response, Refusal> {
    let [after, limit] = parameters(&uri, &["after", "limit"])?.try_into().unwrap_or_default();
    let limit = limited(limit, PEOPLE)?;
    let people = aside(permit, move || front.sources.people.list(after.as_deref(), limit)).await??;
    let count = people.len();
    tracing::info!(target: "access", route = "people", token = %token.name, count, "people were shown");
    let last = people.last().and_then(|person| person.get("id")?.as_str()).unwrap_or_default().to_owned();
    let lines = lines(&people).map_err(|error| PeopleError::Unavailable(error.to_string()))?;
    Ok(([("content-type", "application/x-ndjson".to_owned()), ("gapura-last-person", last)], lines).into_response())
}

pub(super) async fn show(
    State(front): State<Arc<Front>>,
    Extension(permit): Extension<Permit>,
    Extension(Bearer(token)): Extension<Bearer>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Response, Refusal> {
    parameters(&uri, &[])?;
    let person = aside(permit, move || front.sources.people.read(&id)).await??;
    tracing::info!(target: "access", route = "people", token = %token.name, count = 1, "a person was shown");
    person.map(|person| Json(person).into_response()).ok_or_else(Refusal::no_such_person)
}

pub(super) async fn put(
    State(front): State<Arc<Front>>,
    Extension(permit): Extension<Permit>,
    Extension(Bearer(token)): Extension<Bearer>,
    Path(id): Path<String>,
    uri: Uri,
    bytes: Bytes,
) -> Result<Response, Refusal> {
    parameters(&uri, &[])?;
    let person = body::json(&bytes)?;
    let (added, kept) = aside(permit, move || front.sources.people.put(&id, person)).await??;
    tracing::info!(target: "access", route = "people", token = %token.name, added, "a person was put in");
    Ok((if added { StatusCode::CREATED } else { StatusCode::OK }, Json(kept)).into_response())
}

pub(super) async fn remove(
    State(front): State<Arc<Front>>,
    Extension(permit): Extension<Permit>,
    Extension(Bearer(token)): Extension<Bearer>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Response, Refusal> {
    parameters(&uri, &[])?;
    if !aside(permit, move || front.sources.people.remove(&id)).await?? {
        return Err(Refusal::no_such_person());
    }
    tracing::info!(target: "access", route = "people", token = %token.name, "a person was taken out");
    Ok(StatusCode::NO_CONTENT.into_response())
}

impl From<PeopleError> for Refusal {
    fn from(error: PeopleError) -> Self {
        match error {
            PeopleError::Field { field, reason } => Self::bad_body(format!("{field} {reason}")).at(field),
            PeopleError::Taken { field, reason } => Self::taken(format!("{field} {reason}")).at(field),
            PeopleError::Unavailable(error) => {
                tracing::error!(error, "the directory cannot be used for a request");
                Self::directory_unavailable()
            }
        }
    }
}
