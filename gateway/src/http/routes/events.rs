//! What the log holds, for whoever may see persons.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::Uri;
use axum::response::{IntoResponse, Response};

use super::{aside, limited, lines, parameters};
use crate::http::front::{Bearer, Front, Permit};
use crate::http::problem::{ProblemDetails, shown};

/// The most events that one answer holds, and how many when the request does not say.
const EVENTS: (usize, usize) = (10_000, 1_000);

pub(super) async fn events(
    State(front): State<Arc<Front>>,
    Extension(permit): Extension<Permit>,
    Extension(Bearer(token)): Extension<Bearer>,
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
    let limit = limited(limit, EVENTS)?;

    let read = aside(permit, move || {
        let events = (front.sources.events)(after, limit)?;
        let last = events.last().map_or(after, |event| event.number);
        lines(&events).map(|lines| (events.len(), last, lines)).map_err(|error| error.to_string())
    })
    .await?;
    match read {
        Ok((count, last, lines)) => {
            let token = token.name.as_str();
            tracing::info!(target: "access", route = "events", token, after, limit, count, last, "events were shown");
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
