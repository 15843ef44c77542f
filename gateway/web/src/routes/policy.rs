//! The policy set in force, and what a candidate for the next one would change.

use std::sync::Arc;

use axum::extract::State;
use axum::http::Uri;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use protocol::api::ShadowQuery;

use super::query;
use super::query::parameters;
use super::reply::aside;
use crate::bearer::Bearer;
use crate::problem::Refusal;
use crate::request_slots::Permit;
use crate::service::Service;

pub(super) async fn policy(
    State(service): State<Arc<Service>>,
    Extension(permit): Extension<Permit>,
    uri: Uri,
) -> Result<Response, Refusal> {
    parameters(&uri, &[])?;
    Ok(Json(aside(permit, move || (service.sources.policy)()).await?).into_response())
}

pub(super) async fn shadow(
    State(service): State<Arc<Service>>,
    Extension(permit): Extension<Permit>,
    Extension(Bearer(token)): Extension<Bearer>,
    uri: Uri,
) -> Result<Response, Refusal> {
    let [since] = parameters(&uri, &["since"])?.try_into().unwrap_or_default();
    let ShadowQuery { since } = ShadowQuery { since: query::moment("since", since)? };
    match aside(permit, move || (service.sources.shadow)(since)).await? {
        Ok(report) => {
            tracing::info!(target: "access", route = "shadow", token = token.name.as_str(), "a report was shown");
            Ok(Json(report).into_response())
        }
        Err(error) => {
            tracing::error!(error, "the events for a report cannot be read");
            Err(Refusal::log_unreadable())
        }
    }
}
