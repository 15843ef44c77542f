//! What the log holds, for whoever may see persons.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::Uri;
use axum::response::{IntoResponse, Response};
use protocol::{DoorId, Outcome};

use super::{aside, limited, lines, parameters, query};
use crate::http::front::{Bearer, Front, Permit};
use crate::http::problem::{Refusal, shown};
use crate::http::search::{EventsRequest, Indexed};
use crate::shadow::Events;

/// The most events that one answer holds, and how many when the request does not say.
const EVENTS: (usize, usize) = (10_000, 1_000);

const OUTCOMES: [(&str, Outcome); 5] = [
    ("granted", Outcome::Granted),
    ("denied", Outcome::Denied),
    ("assist", Outcome::Assist),
    ("recorded", Outcome::Recorded),
    ("unavailable", Outcome::Unavailable),
];

pub(super) async fn events(
    State(front): State<Arc<Front>>,
    Extension(permit): Extension<Permit>,
    Extension(Bearer(token)): Extension<Bearer>,
    uri: Uri,
) -> Result<Response, Refusal> {
    let request = read(&uri)?;
    let (after, limit) = (request.after, request.limit);
    let found = aside(permit, move || {
        let log = Events { newest: (front.sources.last_event)(), read: &*front.sources.events };
        let found = request.search(&log, &|person, after| {
            let known = front.sources.ledgers.events_of(person, after).ok()?;
            Some(Indexed { numbers: known.value, through: known.through })
        })?;
        lines(&found.events).map(|lines| (found, lines)).map_err(|error| error.to_string())
    })
    .await?;
    match found {
        Ok((found, lines)) => {
            let (token, count, last) = (token.name.as_str(), found.events.len(), found.last);
            tracing::info!(target: "access", route = "events", token, after, limit, count, last, "events were shown");
            let headers = [
                ("content-type", "application/x-ndjson".to_owned()),
                ("gapura-last-event", last.to_string()),
                ("gapura-more", found.more.to_string()),
            ];
            Ok((headers, lines).into_response())
        }
        Err(error) => {
            tracing::error!(error, after, limit, "the events that were asked for cannot be read");
            Err(Refusal::log_unreadable())
        }
    }
}

fn read(uri: &Uri) -> Result<EventsRequest, Refusal> {
    let known = ["person", "door", "zone", "from", "to", "outcome", "reason", "after", "limit", "purpose"];
    let [person, door, zone, from, to, outcome, reason, after, limit, purpose] =
        parameters(uri, &known)?.try_into().unwrap_or_default();
    let person = query::person(person)?;
    match person {
        Some(_) => query::purpose_needed(purpose)?,
        None => query::purpose_allowed(purpose)?,
    }
    if let Some(door) = &door
        && door.parse::<DoorId>().is_err()
    {
        let detail = format!("door is {}, allowed is a door's name like main-in", shown(door));
        return Err(Refusal::bad_query(detail));
    }
    let (from, to) = (query::moment("from", from)?, query::moment("to", to)?);
    query::in_order(from, to)?;
    Ok(EventsRequest {
        person,
        door,
        zone,
        from,
        to,
        outcome: query::choice("outcome", outcome, &OUTCOMES)?,
        reason,
        after: query::after(after, "an event's")?,
        limit: limited(limit, EVENTS)?,
    })
}
