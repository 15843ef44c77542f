//! The policy set in force, and what a candidate for the next one would change.

use std::sync::Arc;

use axum::extract::State;
use axum::http::Uri;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use protocol::Instant;

use super::{aside, parameters};
use crate::http::front::{Bearer, Front, Permit};
use crate::http::problem::{Refusal, shown};

pub(super) async fn policy(
    State(front): State<Arc<Front>>,
    Extension(permit): Extension<Permit>,
    uri: Uri,
) -> Result<Response, Refusal> {
    parameters(&uri, &[])?;
    Ok(Json(aside(permit, move || (front.sources.policy)()).await?).into_response())
}

pub(super) async fn shadow(
    State(front): State<Arc<Front>>,
    Extension(permit): Extension<Permit>,
    Extension(Bearer(token)): Extension<Bearer>,
    uri: Uri,
) -> Result<Response, Refusal> {
    let [since] = parameters(&uri, &["since"])?.try_into().unwrap_or_default();
    let since = match since {
        None => None,
        Some(text) => Some(text.parse::<Instant>().map_err(|_| {
            let detail = format!("since is {}, allowed is a moment like 2026-12-01T00:00:00Z", shown(&text));
            Refusal::bad_query(detail)
        })?),
    };
    match aside(permit, move || (front.sources.shadow)(since)).await? {
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
