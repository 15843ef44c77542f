//! Who shared a zone with a person, and for how long.

use std::sync::Arc;

use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use axum::{Extension, Json};
use protocol::Instant;
use serde::Serialize;

use super::{aside, document, ledger, parameters, query};
use crate::http::ContactsForm;
use crate::http::front::{Front, Permit};
use crate::http::problem::Refusal;
use crate::views::{Contact, ContactQuery, Depth, Person, Scope};

pub(super) async fn contacts(
    State(front): State<Arc<Front>>,
    Extension(permit): Extension<Permit>,
    uri: Uri,
) -> Result<Response, Refusal> {
    let known = ["person", "from", "to", "minutes", "scope", "generations", "format", "purpose"];
    let [person, from, to, minutes, scope, generations, format, purpose] =
        parameters(&uri, &known)?.try_into().unwrap_or_default();
    query::purpose_needed(purpose)?;
    let person = query::needed("person", query::person(person)?, "a person's id")?;
    let moment = "a moment like 2026-11-23T07:31:04+08:00";
    let from = query::needed("from", query::moment("from", from)?, moment)?;
    let to = query::needed("to", query::moment("to", to)?, moment)?;
    query::in_order(Some(from), Some(to))?;
    let minutes = query::number("minutes", minutes, 1..=1_440)?;
    let scopes = [("innermost", Scope::Innermost), ("around", Scope::Around)];
    let scope = query::choice("scope", scope, &scopes)?.unwrap_or_default();
    let depths = [("1", Depth::First), ("2", Depth::Second)];
    let depth = query::choice("generations", generations, &depths)?.unwrap_or_default();
    let formats = [("json", None), ("csv", Some(ContactsForm::Csv)), ("svg", Some(ContactsForm::Svg))];
    let form = query::choice("format", format, &formats)?.flatten();

    aside(permit, move || {
        let ledgers = &front.sources.ledgers;
        let threshold_minutes = minutes.unwrap_or_else(|| ledgers.place().contact_minutes);
        let query = ContactQuery { person: Person::new(&person), from, to, threshold_minutes, scope, depth };
        if let Some(form) = form {
            return Ok(document(ledgers.contacts_document(&query, form)?));
        }
        let contacts = ledgers.contacts(&query)?;
        Ok(ledger(contacts.map(|contacts| Json(Contacts { person, from, to, minutes: threshold_minutes, contacts }))))
    })
    .await?
}

#[derive(Serialize)]
struct Contacts {
    person: String,
    from: Instant,
    to: Instant,
    minutes: u32,
    contacts: Vec<Contact>,
}
