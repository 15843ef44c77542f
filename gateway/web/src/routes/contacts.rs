//! Who shared a zone with a person, and for how long.

use std::sync::Arc;

use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use axum::{Extension, Json};
use ledgers::{ContactQuery, Person};
use protocol::api::{Contacts, ContactsFormat, ContactsQuery, Generations, Scope};

use super::query;
use super::query::parameters;
use super::reply::{aside, document, ledger};
use crate::ContactsDocument;
use crate::problem::Refusal;
use crate::request_slots::Permit;
use crate::service::Service;

pub(super) async fn contacts(
    State(service): State<Arc<Service>>,
    Extension(permit): Extension<Permit>,
    uri: Uri,
) -> Result<Response, Refusal> {
    let request = read(&uri)?;
    aside(permit, move || {
        let ledgers = &service.sources.ledgers;
        let minutes = request.minutes.unwrap_or_else(|| ledgers.site().contact_minutes);
        let query = ContactQuery {
            person: Person::new(&request.person),
            from: request.from,
            to: request.to,
            threshold_minutes: minutes,
            scope: request.scope.unwrap_or_default(),
            generations: request.generations.unwrap_or_default(),
        };
        match request.format.unwrap_or_default() {
            ContactsFormat::Csv => Ok(document(ledgers.contacts_document(&query, ContactsDocument::Csv)?)),
            ContactsFormat::Svg => Ok(document(ledgers.contacts_document(&query, ContactsDocument::Svg)?)),
            ContactsFormat::Json => {
                let ContactsQuery { person, from, to, .. } = request;
                let contacts = ledgers.contacts(&query)?;
                Ok(ledger(contacts.map(|contacts| Json(Contacts { person, from, to, minutes, contacts }))))
            }
        }
    })
    .await?
}

fn read(uri: &Uri) -> Result<ContactsQuery, Refusal> {
    let known = ["person", "from", "to", "minutes", "scope", "generations", "format", "purpose"];
    let [person, from, to, minutes, scope, generations, format, purpose] =
        parameters(uri, &known)?.try_into().unwrap_or_default();
    let purpose = query::purpose_needed(purpose)?;
    let moment = "a moment like 2026-11-23T07:31:04+08:00";
    let request = ContactsQuery {
        person: query::needed("person", query::person(person)?, "a person's id")?,
        from: query::needed("from", query::moment("from", from)?, moment)?,
        to: query::needed("to", query::moment("to", to)?, moment)?,
        minutes: query::number("minutes", minutes, 1..=1_440)?,
        scope: query::choice("scope", scope, &[("innermost", Scope::Innermost), ("around", Scope::Around)])?,
        generations: query::choice(
            "generations",
            generations,
            &[("1", Generations::First), ("2", Generations::Second)],
        )?,
        format: query::choice(
            "format",
            format,
            &[("json", ContactsFormat::Json), ("csv", ContactsFormat::Csv), ("svg", ContactsFormat::Svg)],
        )?,
        purpose,
    };
    query::in_order(Some(request.from), Some(request.to))?;
    Ok(request)
}
