//! Who came to work when, person by person or added up.

use std::sync::Arc;

use axum::extract::State;
use axum::http::Uri;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use jiff::civil::Date;
use serde::Serialize;

use super::{aside, document, ledger, lines, parameters, query};
use crate::http::front::{Front, Permit};
use crate::http::problem::ProblemDetails;
use crate::http::{AttendanceRequest, DaySummary, LedgerError, Named};
use crate::views::{Attendance, OpdSummary};

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
) -> Result<Response, ProblemDetails> {
    let known = ["from", "to", "person", "opd", "format", "purpose"];
    let [from, to, person, opd, format, purpose] = parameters(&uri, &known)?.try_into().unwrap_or_default();
    let formats = [("json", Format::Json), ("ndjson", Format::Lines), ("csv", Format::Csv)];
    let format = query::choice("format", format, &formats)?.unwrap_or(Format::Json);
    query::purpose_allowed(purpose)?;
    let person = query::person(person)?;
    aside(permit, move || {
        let (from, to) = query::days(from, to, today(&front))?;
        let request = AttendanceRequest { from, to, person, opd };
        let ledgers = &front.sources.ledgers;
        match format {
            Format::Csv => Ok(document(ledgers.attendance_csv(&request)?)),
            Format::Json => {
                let rows = ledgers.attendance(&request)?;
                Ok(ledger(rows.map(|rows| Json(Rows { from, to, rows }))))
            }
            Format::Lines => {
                let rows = ledgers.attendance(&request)?;
                let lines = lines(&rows.value).map_err(|error| LedgerError::Unavailable(error.to_string()))?;
                Ok(ledger(rows.map(|_| ([(CONTENT_TYPE, "application/x-ndjson")], lines))))
            }
        }
    })
    .await?
}

pub(super) async fn summary(
    State(front): State<Arc<Front>>,
    Extension(permit): Extension<Permit>,
    uri: Uri,
) -> Result<Response, ProblemDetails> {
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

#[derive(Serialize)]
struct Rows {
    from: Date,
    to: Date,
    rows: Vec<Named<Attendance>>,
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
