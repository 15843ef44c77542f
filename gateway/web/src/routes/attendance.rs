//! Who came to work when, person by person or added up. Many days of everybody are made while they are sent.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::Uri;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use jiff::civil::Date;
use ledgers::TablePart;
use protocol::api::{AttendanceFormat, AttendanceQuery, AttendanceRow, AttendanceSummary, SummaryQuery};

use super::query;
use super::query::parameters;
use super::reply::{aside, ledger, lines};
use crate::problem::Refusal;
use crate::request_slots::Permit;
use crate::service::Service;
use crate::{Answer, AttendanceRequest, Document, LedgerError, pieces};

pub(super) async fn attendance(
    State(service): State<Arc<Service>>,
    Extension(permit): Extension<Permit>,
    uri: Uri,
) -> Result<Response, Refusal> {
    let AttendanceQuery { from, to, person, opd, format, .. } = read(&uri)?;
    let sending = permit.clone();
    let (first, mut sheets) = aside(permit, move || {
        let (from, to) = query::days(from, to, today(&service))?;
        let request = AttendanceRequest { from, to, person, opd };
        let mut sheets = Sheets::new(service, format.unwrap_or_default(), &request);
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
    State(service): State<Arc<Service>>,
    Extension(permit): Extension<Permit>,
    uri: Uri,
) -> Result<Response, Refusal> {
    let [from, to] = parameters(&uri, &["from", "to"])?.try_into().unwrap_or_default();
    let SummaryQuery { from, to } = SummaryQuery { from: query::day("from", from)?, to: query::day("to", to)? };
    aside(permit, move || {
        let (from, to) = query::days(from, to, today(&service))?;
        let days = service.sources.ledgers.summary(from, to)?;
        Ok(ledger(days.map(|days| Json(AttendanceSummary { days }).into_response())))
    })
    .await?
}

/// Longest name of an OPD in a query, in characters.
const OPD_CHARS_MAX: usize = 256;

fn read(uri: &Uri) -> Result<AttendanceQuery, Refusal> {
    let known = ["from", "to", "person", "opd", "format", "purpose"];
    let [from, to, person, opd, format, purpose] = parameters(uri, &known)?.try_into().unwrap_or_default();
    let formats =
        [("json", AttendanceFormat::Json), ("ndjson", AttendanceFormat::Ndjson), ("csv", AttendanceFormat::Csv)];
    Ok(AttendanceQuery {
        from: query::day("from", from)?,
        to: query::day("to", to)?,
        person: query::person(person)?,
        opd: query::name("opd", opd, "an OPD's name", OPD_CHARS_MAX)?,
        format: query::choice("format", format, &formats)?,
        purpose: query::purpose(purpose)?,
    })
}

/// Everybody's working days, in pieces of one document.
struct Sheets {
    service: Arc<Service>,
    format: AttendanceFormat,
    from: Date,
    to: Date,
    parts: std::vec::IntoIter<AttendanceRequest>,
    /// Whether nothing has been written yet, and no row.
    is_new: bool,
    has_rows: bool,
}

impl Sheets {
    fn new(service: Arc<Service>, format: AttendanceFormat, request: &AttendanceRequest) -> Self {
        let AttendanceRequest { from, to, .. } = *request;
        Self { service, format, from, to, parts: request.parts().into_iter(), is_new: true, has_rows: false }
    }

    fn is_complete(&self) -> bool {
        self.parts.len() == 0
    }

    /// The next piece of the document.
    fn next(&mut self) -> Result<Answer<Document>, LedgerError> {
        let request = self.parts.next().ok_or_else(|| LedgerError::Unavailable("no day is left".into()))?;
        let ledgers = &self.service.sources.ledgers;
        let is_first = std::mem::replace(&mut self.is_new, false);
        let (content_type, answer) = match self.format {
            AttendanceFormat::Csv => {
                let part = if is_first { TablePart::First } else { TablePart::Further };
                return ledgers.attendance_csv(&request, part);
            }
            AttendanceFormat::Ndjson => {
                let answer = ledgers.attendance(&request)?;
                ("application/x-ndjson", lines(&answer.value).map(|lines| answer.map(|_| lines)))
            }
            AttendanceFormat::Json => {
                let answer = ledgers.attendance(&request)?;
                let rows = self.json(is_first, &answer.value);
                ("application/json", rows.map(|rows| answer.map(|_| rows)))
            }
        };
        let answer = answer.map_err(|error| LedgerError::Unavailable(error.to_string()))?;
        Ok(answer.map(|bytes| Document { content_type, bytes }))
    }

    /// `{"from":…,"to":…,"rows":[…]}`, or what comes next of it.
    fn json(&mut self, is_first: bool, rows: &[AttendanceRow]) -> Result<Vec<u8>, serde_json::Error> {
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

/// The site's day.
fn today(service: &Service) -> Date {
    let now = service.sources.clock.now();
    service.sources.ledgers.site().time_zone.to_datetime(now.timestamp()).date()
}
