//! How events travel upstream: batches of CloudEvents (CNCF CloudEvents 1.0, JSON batch format).

use serde::{Deserialize, Serialize};

use crate::{Event, EventKind, Instant, SiteId};

/// Content type of a batch.
pub const CONTENT_TYPE: &str = "application/cloudevents-batch+json";

/// CloudEvents `type` of a scan and its decision, of this version.
pub const EVENT_TYPE: &str = "gapura.scan.decided.v1";

/// CloudEvents `type` of a helper's word and its decision, of this version.
pub const ASSIST_EVENT_TYPE: &str = "gapura.assist.decided.v1";

/// CloudEvents `type` of an office's working day, of this version.
pub const ATTENDANCE_EVENT_TYPE: &str = "gapura.attendance.day.v1";

/// One event as a CloudEvent. `T` is [`Event`] or [`AttendanceDay`] where it is written, and any JSON where it is read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CloudEvent<T> {
    /// Always `1.0`.
    pub specversion: String,
    /// The event's number in decimal; for a working day `attendance/{day}/{opd}/{hash of the data}`. With `source` it tells the
    /// event from all others: resent events keep both.
    pub id: String,
    /// The gateway, `urn:gapura:{site}`.
    pub source: String,
    /// [`EVENT_TYPE`], [`ASSIST_EVENT_TYPE`] or [`ATTENDANCE_EVENT_TYPE`].
    #[serde(rename = "type")]
    pub kind: String,
    /// The door; for a working day `{day}/{opd}`.
    pub subject: String,
    /// When it happened, see [`Event::when`]; for a working day when it was reckoned: of several of one subject the newest holds.
    pub time: Instant,
    /// Always `application/json`.
    pub datacontenttype: String,
    /// The event.
    pub data: T,
}

/// What one office's working day came to. `R` is a person's day as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttendanceDay<R> {
    /// The working day, `2026-11-23`.
    pub day: String,
    /// The office; empty for people without one.
    pub opd: String,
    /// Everybody of the office who came.
    pub rows: Vec<R>,
}

/// The upstream's answer to a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchAnswer {
    /// Every event up to this number, included, is safe upstream.
    pub acked_through: u64,
}

impl CloudEvent<Event> {
    /// `event` as the gateway of `site` sends it.
    pub fn new(site: &SiteId, event: Event) -> Self {
        let kind = match event.subject {
            EventKind::Scan(_) | EventKind::Malformed(_) => EVENT_TYPE,
            EventKind::Assist(_) => ASSIST_EVENT_TYPE,
        };
        Self {
            specversion: "1.0".into(),
            id: event.number.to_string(),
            source: source(site),
            kind: kind.into(),
            subject: event.door.as_str().into(),
            time: event.when(),
            datacontenttype: "application/json".into(),
            data: event,
        }
    }
}

impl<R> CloudEvent<AttendanceDay<R>> {
    /// `data` as the gateway of `site` sends it, reckoned at `time`; `hash` tells its content from any other.
    pub fn attendance(site: &SiteId, data: AttendanceDay<R>, hash: u64, time: Instant) -> Self {
        let subject = format!("{}/{}", data.day, data.opd);
        Self {
            specversion: "1.0".into(),
            id: format!("attendance/{subject}/{hash:016x}"),
            source: source(site),
            kind: ATTENDANCE_EVENT_TYPE.into(),
            subject,
            time,
            datacontenttype: "application/json".into(),
            data,
        }
    }
}

/// The CloudEvents `source` of a site's gateway.
pub fn source(site: &SiteId) -> String {
    format!("urn:gapura:{site}")
}
