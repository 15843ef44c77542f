//! How the gateway is, and what can be asked of it: for supervisors, for monitoring, for programs, and for the status page.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use prometheus_client::encoding::text::encode;
use protocol::api::{Problem, Readiness, ReadinessQuery, Severity};

use super::query::{parameters, switch};
use super::reply::aside;
use crate::openapi;
use crate::problem::Refusal;
use crate::request_slots::Permit;
use crate::service::Service;

pub(super) async fn livez(uri: Uri) -> Result<Response, Refusal> {
    parameters(&uri, &[])?;
    Ok(plain(StatusCode::OK, "ok\n"))
}

pub(super) async fn readyz(
    State(service): State<Arc<Service>>,
    Extension(permit): Extension<Permit>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let [verbose] = parameters(&uri, &["verbose"])?.try_into().unwrap_or_default();
    let ReadinessQuery { verbose } = ReadinessQuery { verbose: switch("verbose", verbose.as_deref())? };
    let problems = aside(permit, move || (service.sources.ready)()).await?;

    let ready = problems.iter().all(|problem| problem.severity != Severity::Critical);
    let code = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    Ok(if wants_json(&headers) {
        (code, Json(Readiness { ready, problems })).into_response()
    } else {
        plain(code, &readiness(ready, verbose.unwrap_or(false), &problems))
    })
}

pub(super) async fn metrics(
    State(service): State<Arc<Service>>,
    Extension(permit): Extension<Permit>,
    uri: Uri,
) -> Result<Response, Refusal> {
    parameters(&uri, &[])?;
    let text = aside(permit, move || {
        let mut text = String::new();
        encode(&mut text, &service.sources.metrics).map(|()| text)
    })
    .await?
    .map_err(|error| {
        tracing::error!(%error, "the metrics cannot be written");
        Refusal::internal()
    })?;
    Ok(([(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text).into_response())
}

pub(super) async fn status(
    State(service): State<Arc<Service>>,
    Extension(permit): Extension<Permit>,
    uri: Uri,
) -> Result<Response, Refusal> {
    parameters(&uri, &[])?;
    let json = aside(permit, move || serde_json::to_vec(&(service.sources.status)())).await?.map_err(|error| {
        tracing::error!(%error, "the status cannot be written");
        Refusal::internal()
    })?;
    Ok(([(CONTENT_TYPE, "application/json")], json).into_response())
}

pub(super) async fn openapi(uri: Uri) -> Result<Response, Refusal> {
    parameters(&uri, &[])?;
    Ok(([(CONTENT_TYPE, "application/json")], openapi::document()).into_response())
}

fn wants_json(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted
        .flat_map(|value| value.split(','))
        .filter_map(|range| range.split(';').next())
        .any(|range| range.trim().eq_ignore_ascii_case("application/json"))
}

fn plain(code: StatusCode, text: &str) -> Response {
    (code, [(CONTENT_TYPE, "text/plain; charset=utf-8")], text.to_owned()).into_response()
}

/// The verdict, then one line for each reason; verbose, for each problem.
fn readiness(ready: bool, verbose: bool, problems: &[Problem]) -> String {
    let mut text = String::from(if ready { "ready\n" } else { "not ready\n" });
    for problem in problems.iter().filter(|problem| verbose || problem.severity == Severity::Critical) {
        let severity = match problem.severity {
            Severity::Critical => "critical",
            Severity::Warning => "warning",
        };
        // One problem stays one line, whatever its message holds.
        let message = problem.message.replace(char::is_control, " ");
        let since = problem.since.map(|since| format!(" (since {since})")).unwrap_or_default();
        text.push_str(&format!("{severity} {}: {message}{since}\n", problem.what));
    }
    text
}
