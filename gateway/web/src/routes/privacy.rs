//! A person's rights, and the audit trail of who has asked for whose data.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use protocol::api::{
    self, AuditPage, AuditQuery, AuditRecord, EraseQuery, ErasedPerson, PERSON_CHARS_MAX, PURPOSE_CHARS_MAX,
    PageFormat, PersonExport, Restriction, RestrictionRequest,
};
use store::audit::{AuditError, AuditTrail, Filter, StoredRecord};

use super::level::Level;
use super::query::parameters;
use super::reply::{aside, ledger};
use super::{body, page, query};
use crate::bearer::Bearer;
use crate::problem::Refusal;
use crate::request_slots::Permit;
use crate::service::Service;
use crate::{LedgerError, PersonFile};

pub(super) async fn audit(
    State(service): State<Arc<Service>>,
    Extension(permit): Extension<Permit>,
    uri: Uri,
) -> Result<Response, Refusal> {
    let AuditQuery { token, person, from, to, after, limit, format, .. } = read(&uri)?;
    let filter = Filter { token, person, from, to };
    let (after, limit) = (after.unwrap_or(0), limit.unwrap_or(api::PAGE_ROWS));
    let found = aside(permit, move || {
        let audit = &service.sources.audit;
        let last = audit.last()?;
        if after > last {
            return Err(Refusal::beyond_the_end(after, last));
        }
        Ok(audit.list(&filter, after, limit)?)
    })
    .await??;
    let (last_record, more) = (found.last, found.more);
    let headers = [(api::LAST_RECORD, last_record.to_string()), (api::MORE, more.to_string())];
    let records: Vec<AuditRecord> = found.rows.into_iter().map(record).collect();
    match format.unwrap_or_default() {
        PageFormat::Ndjson => page::lines(headers, &records),
        PageFormat::Json => page::json(headers, &AuditPage { records, last_record, more }),
    }
}

fn read(uri: &Uri) -> Result<AuditQuery, Refusal> {
    let known = ["token", "person", "from", "to", "after", "limit", "format", "purpose"];
    let [token, person, from, to, after, limit, format, purpose] =
        parameters(uri, &known)?.try_into().unwrap_or_default();
    let request = AuditQuery {
        token: query::name("token", token, "a token's name", query::NAME_CHARS_MAX)?,
        person: query::person(person)?,
        from: query::moment("from", from)?,
        to: query::moment("to", to)?,
        after: query::after(after, "an audit record's")?,
        limit: query::number("limit", limit, 1..=api::PAGE_ROWS_MAX)?,
        format: query::choice("format", format, &page::FORMATS)?,
        purpose: query::purpose(purpose)?,
    };
    query::in_order(request.from, request.to)?;
    Ok(request)
}

/// Everything about one person.
pub(super) async fn export(
    State(service): State<Arc<Service>>,
    Extension(permit): Extension<Permit>,
    Level(id): Level,
    uri: Uri,
) -> Result<Response, Refusal> {
    let [purpose] = parameters(&uri, &["purpose"])?.try_into().unwrap_or_default();
    query::purpose_needed(purpose)?;
    known_length(&id)?;
    aside(permit, move || {
        let file = service.sources.ledgers.person(&id)?;
        let audit = audit_of(&service.sources.audit, &id)?;
        // Into bytes at once, as an answer may be large.
        let export = file.map(|PersonFile { directory, restriction, events, attendance }| {
            serde_json::to_vec(&PersonExport { person: id, directory, restriction, events, attendance, audit })
        });
        match export.value {
            Ok(_) => Ok(ledger(export.map(|json| ([(CONTENT_TYPE, "application/json")], json.unwrap_or_default())))),
            Err(error) => Err(LedgerError::Unavailable(error.to_string()).into()),
        }
    })
    .await?
}

pub(super) async fn erase(
    State(service): State<Arc<Service>>,
    Extension(permit): Extension<Permit>,
    Level(id): Level,
    uri: Uri,
) -> Result<Response, Refusal> {
    let [purpose, force] = parameters(&uri, &["purpose", "force"])?.try_into().unwrap_or_default();
    let purpose = query::purpose_needed(purpose)?;
    let EraseQuery { force, .. } = EraseQuery { purpose, force: query::switch("force", force.as_deref())? };
    known_length(&id)?;
    let erased = aside(permit, move || {
        let erasure = service.sources.ledgers.erase(&id, force.unwrap_or(false))?;
        Ok::<_, LedgerError>(ErasedPerson { person: id, erasure })
    });
    Ok(Json(erased.await??).into_response())
}

pub(super) async fn restrict(
    State(service): State<Arc<Service>>,
    Extension(permit): Extension<Permit>,
    Extension(Bearer(token)): Extension<Bearer>,
    Level(id): Level,
    uri: Uri,
    bytes: Bytes,
) -> Result<Response, Refusal> {
    parameters(&uri, &[])?;
    let RestrictionRequest { reason } = body::json(&bytes)?;
    if reason.trim().is_empty() || reason.chars().count() > PURPOSE_CHARS_MAX {
        let detail = format!("reason must be why the data are not to be used, 1 to {PURPOSE_CHARS_MAX} characters");
        return Err(Refusal::bad_body(detail).at("reason".into()));
    }
    known_length(&id)?;
    let restriction = Restriction { reason, since: service.sources.clock.now(), by: token.name.to_string() };
    let kept = aside(permit, move || service.sources.ledgers.restrict(&id, restriction)).await??;
    Ok(Json(kept).into_response())
}

pub(super) async fn lift(
    State(service): State<Arc<Service>>,
    Extension(permit): Extension<Permit>,
    Level(id): Level,
    uri: Uri,
) -> Result<Response, Refusal> {
    parameters(&uri, &[])?;
    known_length(&id)?;
    aside(permit, move || service.sources.ledgers.lift(&id)).await??;
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(super) async fn retention(
    State(service): State<Arc<Service>>,
    Extension(permit): Extension<Permit>,
    uri: Uri,
) -> Result<Response, Refusal> {
    parameters(&uri, &[])?;
    let retention = aside(permit, move || service.sources.ledgers.retention()).await??;
    Ok(Json(retention).into_response())
}

/// Every audit record about the person.
fn audit_of(audit: &AuditTrail, id: &str) -> Result<Vec<AuditRecord>, AuditError> {
    let filter = Filter { person: Some(id.to_owned()), ..Filter::default() };
    let (mut records, mut after) = (Vec::new(), 0);
    loop {
        let page = audit.list(&filter, after, usize::MAX)?;
        records.extend(page.rows.into_iter().map(record));
        after = page.last;
        if !page.more {
            return Ok(records);
        }
    }
}

fn record(row: StoredRecord) -> AuditRecord {
    let StoredRecord { number, at, token, role, what, query, purpose, person, status, erased, broken } = row;
    AuditRecord { number, at, token, role, what, query, purpose, person, status, erased, broken }
}

/// Nobody has an id that is longer than the audit trail keeps.
fn known_length(id: &str) -> Result<(), Refusal> {
    if id.chars().count() > PERSON_CHARS_MAX { Err(Refusal::unknown_person()) } else { Ok(()) }
}

impl From<AuditError> for Refusal {
    fn from(error: AuditError) -> Self {
        tracing::error!(error = &error as &dyn std::error::Error, "the audit trail cannot be read");
        Self::ledgers_unavailable()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_nobody_can_have_is_nobodys() {
        assert!(known_length(&"ä".repeat(PERSON_CHARS_MAX)).is_ok());
        assert!(known_length(&"ä".repeat(PERSON_CHARS_MAX + 1)).is_err());
    }
}
