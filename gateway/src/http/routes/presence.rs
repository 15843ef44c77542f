//! Who is where: how full the zones are, and everybody who may be inside.

use std::sync::Arc;

use axum::extract::State;
use axum::http::Uri;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};

use super::{aside, ledger, parameters, query};
use crate::http::front::{Front, Permit};
use crate::http::muster;
use crate::http::problem::Refusal;

#[derive(Clone, Copy)]
enum Format {
    Json,
    Csv,
    Html,
}

pub(super) async fn presence(
    State(front): State<Arc<Front>>,
    Extension(permit): Extension<Permit>,
    uri: Uri,
) -> Result<Response, Refusal> {
    parameters(&uri, &[])?;
    let occupied = aside(permit, move || front.sources.ledgers.presence()).await??;
    Ok(ledger(occupied.map(Json)))
}

pub(super) async fn people(
    State(front): State<Arc<Front>>,
    Extension(permit): Extension<Permit>,
    uri: Uri,
) -> Result<Response, Refusal> {
    let [zone, format, purpose] = parameters(&uri, &["zone", "format", "purpose"])?.try_into().unwrap_or_default();
    let formats = [("json", Format::Json), ("csv", Format::Csv), ("html", Format::Html)];
    let format = query::choice("format", format, &formats)?.unwrap_or(Format::Json);
    query::purpose_allowed(purpose)?;
    aside(permit, move || {
        let inside = front.sources.ledgers.people(zone.as_deref())?;
        let place = front.sources.ledgers.place();
        match format {
            Format::Json => Ok(ledger(inside.map(Json))),
            Format::Csv => {
                let table = muster::csv(&place, &inside.value).map_err(|error| {
                    tracing::error!(%error, "a table cannot be written");
                    Refusal::internal()
                })?;
                Ok(ledger(inside.map(|_| ([(CONTENT_TYPE, muster::CSV)], table))))
            }
            Format::Html => {
                let page = muster::page(&place, &inside, zone.as_deref());
                let headers = [
                    (CONTENT_TYPE, "text/html; charset=utf-8".to_owned()),
                    (CONTENT_SECURITY_POLICY, muster::policy()),
                ];
                Ok(ledger(inside.map(|_| (headers, page).into_response())))
            }
        }
    })
    .await?
}
