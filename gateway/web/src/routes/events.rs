//! What the log holds, for whoever may see persons.

use std::sync::Arc;

use access::shadow::Events;
use axum::Extension;
use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use protocol::api::{self, EventPage, EventsQuery, PageFormat};
use protocol::{DoorId, Outcome};

use super::page;
use super::query::parameters;
use super::reply::aside;
use super::{doors, query};
use crate::bearer::Bearer;
use crate::problem::{Refusal, shown};
use crate::request_slots::Permit;
use crate::search::{self, Indexed, LastUntil};
use crate::service::Service;

const OUTCOMES: [(&str, Outcome); 5] = [
    ("granted", Outcome::Granted),
    ("denied", Outcome::Denied),
    ("assist", Outcome::Assist),
    ("recorded", Outcome::Recorded),
    ("unavailable", Outcome::Unavailable),
];

pub(super) async fn events(
    State(service): State<Arc<Service>>,
    Extension(permit): Extension<Permit>,
    Extension(Bearer(token)): Extension<Bearer>,
    uri: Uri,
) -> Result<Response, Refusal> {
    let request = read(&uri)?;
    let (after, limit) = (request.after.unwrap_or(0), request.limit);
    let format = request.format.unwrap_or_default();
    let found = aside(permit, move || {
        if request.door.is_some() || request.zone.is_some() {
            let door = request.door.as_ref().map(DoorId::as_str);
            doors::must_be_known(&(service.sources.status)(), door, request.zone.as_deref())?;
        }
        let log = Events { newest: (service.sources.last_event)(), read: &*service.sources.events };
        if after > log.newest {
            return Err(Refusal::beyond_the_end(after, log.newest));
        }
        let ledgers = &service.sources.ledgers;
        let index = |person: &str, after| {
            let known = ledgers.events_of(person, after).ok()?;
            Some(Indexed { numbers: known.value, through: known.through })
        };
        let until = |to| {
            let known = ledgers.last_event_until(to).ok()?;
            Some(LastUntil { number: known.value, through: known.through })
        };
        let found = search::search(&request, &log, &index, &until);
        found.map_err(|error| {
            tracing::error!(error, after, limit, "the events that were asked for cannot be read");
            Refusal::log_unreadable()
        })
    })
    .await??;
    let (token, count, last) = (token.name.as_str(), found.events.len(), found.last);
    tracing::info!(target: "access", route = "events", token, after, limit, count, last, "events were shown");
    let headers = [(api::LAST_EVENT, last.to_string()), (api::MORE, found.more.to_string())];
    match format {
        PageFormat::Ndjson => page::lines(headers, &found.events),
        PageFormat::Json => {
            page::json(headers, &EventPage { events: found.events, last_event: last, more: found.more })
        }
    }
}

fn read(uri: &Uri) -> Result<EventsQuery, Refusal> {
    let known = ["person", "door", "zone", "from", "to", "outcome", "reason", "after", "limit", "format", "purpose"];
    let [person, door, zone, from, to, outcome, reason, after, limit, format, purpose] =
        parameters(uri, &known)?.try_into().unwrap_or_default();
    let person = query::person(person)?;
    let purpose = query::purpose(purpose)?;
    let door = door.map(|door| {
        door.parse::<DoorId>()
            .map_err(|_| Refusal::bad_query(format!("door is {}, allowed is a door's name like main-in", shown(&door))))
    });
    let request = EventsQuery {
        person,
        door: door.transpose()?,
        zone: query::name("zone", zone, "a zone's name", query::NAME_CHARS_MAX)?,
        from: query::moment("from", from)?,
        to: query::moment("to", to)?,
        outcome: query::choice("outcome", outcome, &OUTCOMES)?,
        reason: query::name("reason", reason, "a stable word", query::NAME_CHARS_MAX)?,
        after: query::after(after, "an event's")?,
        limit: query::number("limit", limit, 1..=api::PAGE_ROWS_MAX)?,
        format: query::choice("format", format, &page::FORMATS)?,
        purpose,
    };
    if request.person.is_some() && request.purpose.is_none() {
        return Err(Refusal::purpose_needed());
    }
    query::in_order(request.from, request.to)?;
    Ok(request)
}
