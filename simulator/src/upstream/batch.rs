//! Reading a batch: the checks that a careful receiver makes, and their answers.

use std::io::Read;

use axum::http::StatusCode;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap};
use flate2::read::GzDecoder;
use protocol::batch::{ASSIST_EVENT_TYPE, ATTENDANCE_EVENT_TYPE, AttendanceDay, CONTENT_TYPE as BATCH, EVENT_TYPE};
use protocol::{CloudEvent, Instant};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::days::Day;
use super::ledger::Entry;

/// Most bytes of a request's body.
pub(super) const BODY_BYTES_MAX: usize = 4 << 20;

/// Most bytes of a batch after decompression.
const JSON_BYTES_MAX: usize = 16 << 20;

/// Why a batch is not taken: a status, and what is wrong with it.
pub(super) type Refusal = (StatusCode, String);

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Identity,
    Gzip,
}

/// Checks what the headers say of the body.
pub(super) fn encoding(headers: &HeaderMap) -> Result<Encoding, Refusal> {
    let value = |name| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let kind = value(CONTENT_TYPE).unwrap_or("none");
    let essence = kind.split(';').next().unwrap_or(kind).trim();
    if !essence.eq_ignore_ascii_case(BATCH) {
        return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, format!("the content type is {kind:?}, wanted is {BATCH}")));
    }
    match value(CONTENT_ENCODING) {
        None | Some("identity") => Ok(Encoding::Identity),
        Some("gzip") => Ok(Encoding::Gzip),
        Some(other) => {
            Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, format!("the content encoding is {other:?}, wanted is gzip")))
        }
    }
}

/// What a request brings: at least one, all of one source.
#[derive(Debug)]
pub(super) enum Posted {
    /// Numbered events.
    Events(Vec<Entry>),
    /// Working days.
    Days(Vec<Day>),
}

/// Reads a batch.
pub(super) fn posted(body: &[u8], encoding: Encoding, received_at: Instant) -> Result<Posted, Refusal> {
    let inflated;
    let json = match encoding {
        Encoding::Identity => body,
        Encoding::Gzip => {
            inflated = inflate(body)?;
            &inflated
        }
    };
    let events: Vec<CloudEvent<Received>> = serde_json::from_slice(json)
        .map_err(|error| (StatusCode::BAD_REQUEST, format!("no JSON array of this gateway's CloudEvents: {error}")))?;
    let refuse = |why: &str| Err((StatusCode::BAD_REQUEST, why.to_owned()));
    let Some(source) = events.first().map(|event| event.source.clone()) else { return refuse("the batch is empty") };
    if events.iter().any(|event| event.source != source) {
        return refuse("the batch has events of more than one source");
    }
    let (days, events): (Vec<_>, Vec<_>) = events.into_iter().partition(|event| event.kind == ATTENDANCE_EVENT_TYPE);
    match (days.is_empty(), events.is_empty()) {
        (true, _) => {
            Ok(Posted::Events(events.into_iter().map(|event| entry(event, received_at)).collect::<Result<_, _>>()?))
        }
        (_, true) => Ok(Posted::Days(days.into_iter().map(day).collect::<Result<_, _>>()?)),
        _ => refuse("the batch has working days beside events"),
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Received {
    Event { subject: EventSubject },
    Day(AttendanceDay<IgnoredAny>),
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum EventSubject {
    Scan(ScanId),
    Malformed(ScanId),
    /// A helper's word: no scan of its own.
    Assist {},
}

#[derive(Deserialize)]
struct ScanId {
    epoch: Option<u32>,
    seq: Option<u64>,
}

fn inflate(body: &[u8]) -> Result<Vec<u8>, Refusal> {
    let mut json = Vec::new();
    let limit = JSON_BYTES_MAX as u64 + 1;
    GzDecoder::new(body)
        .take(limit)
        .read_to_end(&mut json)
        .map_err(|error| (StatusCode::BAD_REQUEST, format!("the body is no gzip: {error}")))?;
    if json.len() > JSON_BYTES_MAX {
        return Err((StatusCode::PAYLOAD_TOO_LARGE, format!("the batch inflates to more than {JSON_BYTES_MAX} bytes")));
    }
    Ok(json)
}

fn entry(event: CloudEvent<Received>, received_at: Instant) -> Result<Entry, Refusal> {
    let refuse = |what: String| Err((StatusCode::UNPROCESSABLE_ENTITY, what));
    let id = match event.id.parse() {
        Ok(id) if id > 0 => id,
        _ => return refuse(format!("the id {:?} is no event's number", event.id)),
    };
    if event.specversion != "1.0" {
        return refuse(format!("event {id} has the specversion {:?}, known is 1.0", event.specversion));
    }
    let (expected, scan) = match event.data {
        Received::Event { subject: EventSubject::Scan(scan) | EventSubject::Malformed(scan) } => (EVENT_TYPE, scan),
        Received::Event { subject: EventSubject::Assist {} } => (ASSIST_EVENT_TYPE, ScanId { epoch: None, seq: None }),
        Received::Day(_) => return refuse(format!("event {id} has the data of a working day")),
    };
    if event.kind != expected {
        return refuse(format!("event {id} has the type {:?}, known is {expected}", event.kind));
    }
    Ok(Entry {
        source: event.source,
        id,
        door: event.subject,
        epoch: scan.epoch,
        seq: scan.seq,
        received_at,
        refused: None,
    })
}

fn day(event: CloudEvent<Received>) -> Result<Day, Refusal> {
    let refuse = |what: &str| Err((StatusCode::UNPROCESSABLE_ENTITY, format!("{}: {what}", event.id)));
    let Received::Day(AttendanceDay { day, opd, rows }) = &event.data else {
        return refuse("no data of a working day");
    };
    let hash = event.id.strip_prefix(&format!("attendance/{day}/{opd}/")).unwrap_or_default();
    if event.specversion != "1.0" {
        return refuse("the specversion is not 1.0");
    }
    if event.subject != format!("{day}/{opd}") || hash.len() != 16 || !hash.bytes().all(|byte| byte.is_ascii_hexdigit())
    {
        return refuse("id, subject and data speak of different days");
    }
    let rows = rows.len() as u64;
    Ok(Day { id: event.id, source: event.source, subject: event.subject, time: event.time, rows })
}
