//! Who came to work when, person by person or added up. Many days of everybody are made while they are sent.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::Uri;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use jiff::civil::Date;
use serde::Serialize;

use super::{aside, ledger, lines, parameters, query};
use crate::http::front::{Front, Permit};
use crate::http::problem::Refusal;
use crate::http::{Answer, AttendanceRequest, DaySummary, Document, LedgerError, Named, pieces};
use crate::views::{Attendance, OpdSummary, Part};

#[derive(Clone, Copy)]
enum Format {
    Json,
    Lines,
    Csv,
}

pub(super) async fn attendance(
    State(front): State<Arc<Front>>,
    Extension(permit): Extension<Permit>,
    uri: Uri,
) -> Result<Response, Refusal> {
    let known = ["from", "to", "person", "opd", "format", "purpose"];
    let [from, to, person, opd, format, purpose] = parameters(&uri, &known)?.try_into().unwrap_or_default();
    let formats = [("json", Format::Json), ("ndjson", Format::Lines), ("csv", Format::Csv)];
    let format = query::choice("format", format, &formats)?.unwrap_or(Format::Json);
    query::purpose_allowed(purpose)?;
    let person = query::person(person)?;
    let sending = permit.clone();
    let (first, mut sheets) = aside(permit, move || {
        let (from, to) = query::days(from, to, today(&front))?;
        let mut sheets = Sheets::new(front, format, &AttendanceRequest { from, to, person, opd });
        let first = sheets.next()?;
        Ok::<_, Refusal>((first, sheets))
    })
    .await??;
    let Document { content_type, bytes } = first.value;
    let body = if sheets.is_complete() {
        Body::from(bytes)
    } else {
        pieces::body(bytes, move || {
            let _until_made = &sending;
            if sheets.is_complete() {
                return Ok(None);
            }
            let next = sheets.next().map_err(|error| format!("{error:?}"))?;
            Ok::<_, String>(Some(next.value.bytes))
        })
    };
    Ok(ledger(Answer { value: ([(CONTENT_TYPE, content_type)], body), through: first.through, behind: first.behind }))
}

pub(super) async fn summary(
    State(front): State<Arc<Front>>,
    Extension(permit): Extension<Permit>,
    uri: Uri,
) -> Result<Response, Refusal> {
    let [from, to] = parameters(&uri, &["from", "to"])?.try_into().unwrap_or_default();
    aside(permit, move || {
        let (from, to) = query::days(from, to, today(&front))?;
        let days = front.sources.ledgers.summary(from, to)?;
        Ok(ledger(days.map(|days| {
            let days: Vec<Day<'_>> = days.iter().map(Day::of).collect();
            Json(Days { days }).into_response()
        })))
    })
    .await?
}

/// Everybody's working days, in pieces of one document.
struct Sheets {
    front: Arc<Front>,
    format: Format,
    from: Date,
    to: Date,
    parts: std::vec::IntoIter<AttendanceRequest>,
    /// Whether nothing has been written yet, and no row.
    is_new: bool,
    has_rows: bool,
}

impl Sheets {
    fn new(front: Arc<Front>, format: Format, request: &AttendanceRequest) -> Self {
        let AttendanceRequest { from, to, .. } = *request;
        Self { front, format, from, to, parts: request.parts().into_iter(), is_new: true, has_rows: false }
    }

    fn is_complete(&self) -> bool {
        self.parts.len() == 0
    }

    /// The next piece of the document.
    fn next(&mut self) -> Result<Answer<Document>, LedgerError> {
        let request = self.parts.next().ok_or_else(|| LedgerError::Unavailable("no day is left".into()))?;
        let ledgers = &self.front.sources.ledgers;
        let is_first = std::mem::replace(&mut self.is_new, false);
        let (content_type, answer) = match self.format {
            Format::Csv => {
                let part = if is_first { Part::First } else { Part::Further };
                return ledgers.attendance_csv(&request, part);
            }
            Format::Lines => {
                let answer = ledgers.attendance(&request)?;
                ("application/x-ndjson", lines(&answer.value).map(|lines| answer.map(|_| lines)))
            }
            Format::Json => {
                let answer = ledgers.attendance(&request)?;
                let rows = self.json(is_first, &answer.value);
                ("application/json", rows.map(|rows| answer.map(|_| rows)))
            }
        };
        let answer = answer.map_err(|error| LedgerError::Unavailable(error.to_string()))?;
        Ok(answer.map(|bytes| Document { content_type, bytes }))
    }

    /// `{"from":…,"to":…,"rows":[…]}`, or what comes next of it.
    fn json(&mut self, is_first: bool, rows: &[Named<Attendance>]) -> Result<Vec<u8>, serde_json::Error> {
        let mut text = Vec::new();
        if is_first {
            text.extend_from_slice(
                format!("{{\"from\":\"{}\",\"to\":\"{}\",\"rows\":[", self.from, self.to).as_bytes(),
            );
        }
        for row in rows {
            if std::mem::replace(&mut self.has_rows, true) {
                text.push(b',');
            }
            serde_json::to_writer(&mut text, row)?;
        }
        if self.is_complete() {
            text.extend_from_slice(b"]}");
        }
        Ok(text)
    }
}

#[derive(Serialize)]
struct Days<'a> {
    days: Vec<Day<'a>>,
}

/// A day as it stands in the answer.
#[derive(Serialize)]
struct Day<'a> {
    day: Date,
    opds: Vec<Row<'a>>,
    total: Row<'a>,
}

#[derive(Serialize)]
struct Row<'a> {
    #[serde(flatten)]
    summary: &'a OpdSummary,
    /// To one decimal place.
    adoption_percent: f64,
}

impl<'a> Day<'a> {
    fn of(day: &'a DaySummary) -> Self {
        let row = |summary: &'a OpdSummary| Row {
            summary,
            adoption_percent: (summary.adoption_percent() * 10.0).round() / 10.0,
        };
        Self { day: day.day, opds: day.opds.iter().map(row).collect(), total: row(&day.total) }
    }
}

/// The site's day.
fn today(front: &Front) -> Date {
    let now = front.sources.clock.now();
    front.sources.ledgers.place().time_zone.to_datetime(now.timestamp()).date()
}
