//! Pages of long lists: lines of JSON with what comes next in the headers, or one JSON object.

use axum::response::{IntoResponse, Response};
use protocol::api::PageFormat;
use serde::Serialize;

use super::reply::lines as written;
use crate::problem::Refusal;

/// How a page may be asked for.
pub(super) const FORMATS: [(&str, PageFormat); 2] = [("ndjson", PageFormat::Ndjson), ("json", PageFormat::Json)];

/// A row a line.
pub(super) fn lines<const N: usize>(
    headers: [(&'static str, String); N],
    rows: &[impl Serialize],
) -> Result<Response, Refusal> {
    answer(headers, "application/x-ndjson", written(rows))
}

/// One object.
pub(super) fn json<const N: usize>(
    headers: [(&'static str, String); N],
    page: &impl Serialize,
) -> Result<Response, Refusal> {
    answer(headers, "application/json", serde_json::to_vec(page))
}

fn answer<const N: usize>(
    headers: [(&'static str, String); N],
    content_type: &'static str,
    body: Result<Vec<u8>, serde_json::Error>,
) -> Result<Response, Refusal> {
    match body {
        Ok(body) => Ok((headers, [("content-type", content_type)], body).into_response()),
        Err(error) => {
            tracing::error!(%error, "a page cannot be written");
            Err(Refusal::internal())
        }
    }
}
