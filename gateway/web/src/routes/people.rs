//! People of the directory: shown, put in, taken out.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use protocol::api::{self, PageFormat, PeoplePage, PeopleQuery, PersonRecord};

use super::level::Level;
use super::query::parameters;
use super::reply::aside;
use super::{body, page, query};
use crate::PeopleError;
use crate::bearer::Bearer;
use crate::problem::Refusal;
use crate::request_slots::Permit;
use crate::service::Service;

pub(super) async fn list(
    State(service): State<Arc<Service>>,
    Extension(permit): Extension<Permit>,
    Extension(Bearer(token)): Extension<Bearer>,
    uri: Uri,
) -> Result<Response, Refusal> {
    let [after, limit, format] = parameters(&uri, &["after", "limit", "format"])?.try_into().unwrap_or_default();
    let limit = query::number("limit", limit, 1..=api::PAGE_ROWS_MAX)?;
    let PeopleQuery { after, limit, format } =
        PeopleQuery { after, limit, format: query::choice("format", format, &page::FORMATS)? };
    let limit = limit.unwrap_or(api::PAGE_ROWS);
    let people = aside(permit, move || service.sources.people.list(after.as_deref(), limit)).await??;
    let count = people.len();
    tracing::info!(target: "access", route = "people", token = %token.name, count, "people were shown");
    let last_person = people.last().map(|person| person.id.clone());
    let headers = [(api::LAST_PERSON, last_person.clone().unwrap_or_default())];
    match format.unwrap_or_default() {
        PageFormat::Ndjson => page::lines(headers, &people),
        PageFormat::Json => page::json(headers, &PeoplePage { people, last_person }),
    }
}

pub(super) async fn show(
    State(service): State<Arc<Service>>,
    Extension(permit): Extension<Permit>,
    Extension(Bearer(token)): Extension<Bearer>,
    Level(id): Level,
    uri: Uri,
) -> Result<Response, Refusal> {
    parameters(&uri, &[])?;
    let person = aside(permit, move || service.sources.people.read(&id)).await??;
    tracing::info!(target: "access", route = "people", token = %token.name, count = 1, "a person was shown");
    person.map(|person| Json(person).into_response()).ok_or_else(Refusal::no_such_person)
}

pub(super) async fn put(
    State(service): State<Arc<Service>>,
    Extension(permit): Extension<Permit>,
    Extension(Bearer(token)): Extension<Bearer>,
    Level(id): Level,
    uri: Uri,
    bytes: Bytes,
) -> Result<Response, Refusal> {
    parameters(&uri, &[])?;
    let mut person: PersonRecord = body::json(&bytes)?;
    if !person.id.is_empty() && person.id != id {
        return Err(Refusal::bad_body("id must be the one of the address, or absent").at("id".into()));
    }
    person.id = id;
    let (added, kept) = aside(permit, move || service.sources.people.put(person)).await??;
    tracing::info!(target: "access", route = "people", token = %token.name, added, "a person was put in");
    Ok((if added { StatusCode::CREATED } else { StatusCode::OK }, Json(kept)).into_response())
}

pub(super) async fn remove(
    State(service): State<Arc<Service>>,
    Extension(permit): Extension<Permit>,
    Extension(Bearer(token)): Extension<Bearer>,
    Level(id): Level,
    uri: Uri,
) -> Result<Response, Refusal> {
    parameters(&uri, &[])?;
    if !aside(permit, move || service.sources.people.remove(&id)).await?? {
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
            PeopleError::Conflict { field, reason } => Self::out_of_order(format!("{field} {reason}")).at(field),
            PeopleError::Unavailable(error) => {
                tracing::error!(error, "the directory cannot be used for a request");
                Self::directory_unavailable()
            }
        }
    }
}
