//! Who is where: how full the zones are, and everybody who may be inside.

use std::sync::Arc;

use axum::extract::State;
use axum::http::Uri;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use protocol::api::{PeopleInsideFormat, PeopleInsideQuery};

use super::query;
use super::query::parameters;
use super::reply::{aside, ledger};
use crate::muster;
use crate::problem::Refusal;
use crate::request_slots::Permit;
use crate::service::Service;

pub(super) async fn presence(
    State(service): State<Arc<Service>>,
    Extension(permit): Extension<Permit>,
    uri: Uri,
) -> Result<Response, Refusal> {
    parameters(&uri, &[])?;
    let zones = aside(permit, move || service.sources.ledgers.presence()).await??;
    Ok(ledger(zones.map(Json)))
}

pub(super) async fn people(
    State(service): State<Arc<Service>>,
    Extension(permit): Extension<Permit>,
    uri: Uri,
) -> Result<Response, Refusal> {
    let PeopleInsideQuery { zone, format, .. } = read(&uri)?;
    aside(permit, move || {
        let inside = service.sources.ledgers.people(zone.as_deref())?;
        let site = service.sources.ledgers.site();
        match format.unwrap_or_default() {
            PeopleInsideFormat::Json => Ok(ledger(inside.map(Json))),
            PeopleInsideFormat::Csv => {
                let table = muster::csv(&site, &inside.value).map_err(|error| {
                    tracing::error!(%error, "a table cannot be written");
                    Refusal::internal()
                })?;
                Ok(ledger(inside.map(|_| ([(CONTENT_TYPE, muster::CSV)], table))))
            }
            PeopleInsideFormat::Html => {
                let page = muster::page(&site, &inside, zone.as_deref());
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

fn read(uri: &Uri) -> Result<PeopleInsideQuery, Refusal> {
    let [zone, format, purpose] = parameters(uri, &["zone", "format", "purpose"])?.try_into().unwrap_or_default();
    let formats =
        [("json", PeopleInsideFormat::Json), ("csv", PeopleInsideFormat::Csv), ("html", PeopleInsideFormat::Html)];
    Ok(PeopleInsideQuery {
        zone: query::name("zone", zone, "a zone's name", query::NAME_CHARS_MAX)?,
        format: query::choice("format", format, &formats)?,
        purpose: query::purpose(purpose)?,
    })
}
