//! The routes and their answers.

use std::sync::Arc;

use axum::extract::{Query, Request, State};
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Json, Router};
use prometheus_client::encoding::text::encode;
use serde::Serialize;
use serde_json::json;

use super::front::{self, Front, Permit};
use super::problem::{ProblemDetails, shown};
use crate::status::{Problem, Severity};

/// The most events that one answer holds.
const EVENTS_MAX: usize = 10_000;
/// How many events one answer holds when the request does not say.
const EVENTS_DEFAULT: usize = 1_000;

/// The front around every route, and around what is no route.
pub(super) fn router(front: Arc<Front>) -> Router {
    Router::new()
        .route("/", get(|| asset("text/html; charset=utf-8", include_str!("page.html"))))
        .route("/page.css", get(|| asset("text/css; charset=utf-8", include_str!("page.css"))))
        .route("/page.js", get(|| asset("text/javascript; charset=utf-8", include_str!("page.js"))))
        .route("/icon.svg", get(|| asset("image/svg+xml", include_str!("icon.svg"))))
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/api/v1/status", get(status))
        .route("/api/v1/events", get(events))
        .method_not_allowed_fallback(|method: Method| async move { ProblemDetails::method_not_allowed(&method) })
        .fallback(|request: Request| async move { ProblemDetails::not_found(request.uri().path()) })
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&front), front::pass))
        .with_state(front)
}

async fn asset(content_type: &'static str, text: &'static str) -> Response {
    ([(CONTENT_TYPE, content_type)], text).into_response()
}

async fn livez(uri: Uri) -> Result<Response, ProblemDetails> {
    parameters(&uri, &[])?;
    Ok(plain(StatusCode::OK, "ok\n"))
}

async fn readyz(
    State(front): State<Arc<Front>>,
    Extension(permit): Extension<Permit>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ProblemDetails> {
    let [verbose] = parameters(&uri, &["verbose"])?.try_into().unwrap_or_default();
    let verbose = switch("verbose", verbose.as_deref())?;
    let problems = aside(permit, move || (front.sources.ready)()).await?;

    let ready = problems.iter().all(|problem| problem.severity != Severity::Critical);
    let code = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    Ok(if wants_json(&headers) {
        (code, Json(json!({ "ready": ready, "problems": problems }))).into_response()
    } else {
        plain(code, &readiness(ready, verbose, &problems))
    })
}

async fn metrics(
    State(front): State<Arc<Front>>,
    Extension(permit): Extension<Permit>,
    uri: Uri,
) -> Result<Response, ProblemDetails> {
    parameters(&uri, &[])?;
    let text = aside(permit, move || {
        let mut text = String::new();
        encode(&mut text, &front.sources.metrics).map(|()| text)
    })
    .await?
    .map_err(|error| {
        tracing::error!(%error, "the metrics cannot be written");
        ProblemDetails::internal()
    })?;
    Ok(([(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text).into_response())
}

async fn status(
    State(front): State<Arc<Front>>,
    Extension(permit): Extension<Permit>,
    uri: Uri,
) -> Result<Response, ProblemDetails> {
    parameters(&uri, &[])?;
    let json = aside(permit, move || serde_json::to_vec(&(front.sources.status)())).await?.map_err(|error| {
        tracing::error!(%error, "the status cannot be written");
        ProblemDetails::internal()
    })?;
    Ok(([(CONTENT_TYPE, "application/json")], json).into_response())
}

async fn events(
    State(front): State<Arc<Front>>,
    Extension(permit): Extension<Permit>,
    uri: Uri,
) -> Result<Response, ProblemDetails> {
    let [after, limit] = parameters(&uri, &["after", "limit"])?.try_into().unwrap_or_default();
    let after = match after {
        None => 0,
        Some(text) => text.parse::<u64>().map_err(|_| {
            let detail = format!("after is {}, allowed is an event's number, 0 for the first", shown(&text));
            ProblemDetails::bad_query(detail)
        })?,
    };
    let limit = match limit {
        None => EVENTS_DEFAULT,
        Some(text) => text.parse().ok().filter(|limit| (1..=EVENTS_MAX).contains(limit)).ok_or_else(|| {
            ProblemDetails::bad_query(format!("limit is {}, allowed are 1 to {EVENTS_MAX}", shown(&text)))
        })?,
    };

    let read = aside(permit, move || {
        let events = (front.sources.events)(after, limit)?;
        let last = events.last().map_or(after, |event| event.number);
        lines(&events).map(|lines| (events.len(), last, lines)).map_err(|error| error.to_string())
    })
    .await?;
    match read {
        Ok((count, last, lines)) => {
            tracing::info!(target: "access", route = "events", after, limit, count, last, "events were shown");
            let headers =
                [("content-type", "application/x-ndjson".to_owned()), ("gapura-last-event", last.to_string())];
            Ok((headers, lines).into_response())
        }
        Err(error) => {
            tracing::error!(error, after, limit, "the events that were asked for cannot be read");
            Err(ProblemDetails::log_unreadable())
        }
    }
}

/// Does what may block on a thread for that; it keeps the request's place until it is done, even if nobody waits.
async fn aside<T: Send + 'static>(
    permit: Permit,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ProblemDetails> {
    let work = move || {
        let answer = work();
        drop(permit);
        answer
    };
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        tracing::error!(%error, "a request was not answered");
        ProblemDetails::internal()
    })
}

/// The values of the `known` query parameters, in that order.
fn parameters(uri: &Uri, known: &[&str]) -> Result<Vec<Option<String>>, ProblemDetails> {
    let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri)
        .map_err(|error| ProblemDetails::bad_query(format!("the query cannot be read: {error}")))?;
    let mut values = vec![None; known.len()];
    for (name, value) in pairs {
        let Some((_, place)) = known.iter().zip(&mut values).find(|(known, _)| **known == name) else {
            let offer = if known.is_empty() { "none".into() } else { known.join(" and ") };
            return Err(ProblemDetails::bad_query(format!("{} is no parameter here; known: {offer}", shown(&name))));
        };
        if place.replace(value).is_some() {
            return Err(ProblemDetails::bad_query(format!("{} is given twice", shown(&name))));
        }
    }
    Ok(values)
}

/// A parameter that is given or not: `?verbose`, `?verbose=true`, `?verbose=false`.
fn switch(name: &str, value: Option<&str>) -> Result<bool, ProblemDetails> {
    match value {
        None | Some("false" | "0") => Ok(false),
        Some("" | "true" | "1") => Ok(true),
        Some(other) => {
            Err(ProblemDetails::bad_query(format!("{name} is {}, allowed are true and false", shown(other))))
        }
    }
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

fn lines(rows: &[impl Serialize]) -> Result<Vec<u8>, serde_json::Error> {
    let mut lines = Vec::new();
    for row in rows {
        serde_json::to_writer(&mut lines, row)?;
        lines.push(b'\n');
    }
    Ok(lines)
}
